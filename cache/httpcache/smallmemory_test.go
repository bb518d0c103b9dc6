package httpcache

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// With too little memory for the chunks of all that is asked for, an answer may break off, but never ends well with anything but its body; and
// those who are not in each other's way get it.
func TestChunksWithoutRoom(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &fakeOrigin{}
				o.answer = func(r *http.Request) (*http.Response, error) {
					body := strings.Repeat(r.URL.Path, 40<<10/len(r.URL.Path))
					length := int64(-1)
					if len(r.URL.Path)%2 == 0 {
						length = int64(len(body))
					}
					return streamed(r.Context(), "Cache-Control: max-age=60", length, piece{text: body[:20<<10]}, piece{after: time.Second, text: body[20<<10:]}), nil
				}
				_, hs := startFleet(t, n, Config{Transport: o, MaxBytes: 64 << 10, MaxObjectBytes: 64 << 10})
				check := func(w *answer, url string) (whole bool) {
					body := strings.Repeat(url, 40<<10/len(url))
					switch {
					case w.Code == 200 && !w.aborted && w.Body.String() != body, w.aborted && !strings.HasPrefix(body, w.Body.String()):
						t.Errorf("%s: got %d bytes of %d", url, w.Body.Len(), len(body))
					}
					return !w.aborted && w.Code == 200
				}
				for range 3 {
					var wg sync.WaitGroup
					for i := range 30 {
						wg.Go(func() {
							url := "/" + strings.Repeat("x", i%10)
							time.Sleep(time.Duration(i%3) * 300 * time.Millisecond)
							check(get(hs[i%n], url), url)
						})
					}
					wg.Wait()
				}
				time.Sleep(time.Minute)
				bad := 0
				for i := range 20 {
					url := "/" + strings.Repeat("y", i%10)
					if !check(get(hs[i%n], url), url) {
						bad++
					}
					time.Sleep(5 * time.Second)
				}
				if bad > 5 {
					t.Errorf("of 20 answers one after the other, %d were not whole", bad)
				}
				for i, h := range hs {
					if s := h.Stats().Cache; s.Bytes > s.MaxBytes {
						t.Errorf("instance %d has %d bytes of %d", i, s.Bytes, s.MaxBytes)
					}
				}
			})
		})
	}
}
