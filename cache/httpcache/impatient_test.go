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

// burst sends the requests of users to a URL, at all instances at the same time, and returns how long the slowest took.
func burst(hs []*Handler, url string, users int, field string) (answers []*answer, took time.Duration) {
	begun := time.Now()
	answers = make([]*answer, users)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = get(hs[i%len(hs)], url, fmt.Sprintf("%s: user=%d", field, i)) })
	}
	wg.Wait()
	for _, a := range answers {
		took = max(took, a.ended.Sub(begun))
	}
	return answers, took
}

// own is an origin that answers each user after a second with what is his.
func own(control string) *fakeOrigin {
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		if err := sleep(r.Context(), time.Second); err != nil {
			return nil, err
		}
		return response(200, "Cache-Control: "+control, "", r.Header.Get("Cookie")+r.Header.Get("Authorization")), nil
	}}
}

// Whoever comes with credentials waits hardly longer for what is his alone than the origin takes, even if others have come before him.
func TestNobodyWaitsForWhatIsAnothers(t *testing.T) {
	for _, field := range []string{"Cookie", "Authorization"} {
		synctest.Test(t, func(t *testing.T) {
			o := own("private")
			_, hs := startFleet(t, 3, Config{Transport: o})
			for round := range 3 {
				before := o.requests.Load()
				answers, took := burst(hs, "/x", 10, field)
				if took > 1100*time.Millisecond {
					t.Errorf("%s: burst %d took %v", field, round, took)
				}
				for i, a := range answers {
					if want := fmt.Sprintf("user=%d", i); a.Body.String() != want {
						t.Errorf("%s got %q (%s)", want, a.Body, a.cacheStatus())
					}
				}
				if n := o.requests.Load() - before; n != 10 {
					t.Errorf("%s: burst %d of 10 were %d requests", field, round, n)
				}
				time.Sleep(time.Minute)
			}
		})
	}
}

// Once something under a path was for everybody, those with cookies wait for each other there.
func TestCookiesDoNotKeepRequestsFromBeingCollapsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := own("max-age=10")
		_, hs := startFleet(t, 3, Config{Transport: o})
		for i, h := range hs { // each learns it by itself
			get(h, fmt.Sprintf("/dir/first%d", i), "Cookie: user=x")
		}
		before := o.requests.Load()
		answers, _ := burst(hs, "/dir/x", 30, "Cookie")
		for _, a := range answers {
			if a.Body.String() != answers[0].Body.String() || !strings.HasPrefix(a.Body.String(), "user=") {
				t.Errorf("got %q", a.Body)
			}
		}
		if n := o.requests.Load() - before; n != 1 {
			t.Errorf("%d requests, want 1", n)
		}
	})
}
