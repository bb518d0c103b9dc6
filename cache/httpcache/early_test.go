package httpcache

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Nearly nobody waits for the validation of what is in demand, and it costs the origin hardly more requests than it has lifetimes.
func TestWhatIsInDemandIsRenewedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
			if err := sleep(r.Context(), 200*time.Millisecond); err != nil {
				return nil, err
			}
			return response(200, "Cache-Control: max-age=10", "", "x"), nil
		}}
		h := start(t, Config{Transport: o})
		get(h, "/x")
		const lifetimes = 30
		var waited atomic.Int64
		var wg sync.WaitGroup
		for range lifetimes * 10 * 50 {
			time.Sleep(20 * time.Millisecond)
			wg.Go(func() {
				begun := time.Now()
				if a := get(h, "/x"); a.ended.Sub(begun) > 0 {
					waited.Add(1)
				}
			})
		}
		wg.Wait()
		if n := o.requests.Load(); n > lifetimes*13/10 {
			t.Errorf("%d requests in %d lifetimes", n, lifetimes)
		}
		if n := waited.Load(); n > 30 { // without it, 10 in each lifetime
			t.Errorf("%d of %d requests waited", n, lifetimes*500)
		}
	})
}
