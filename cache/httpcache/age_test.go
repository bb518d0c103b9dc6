package httpcache

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestAgeAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOrigin{}
		o.answer = func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second) // response_delay
			return response(200, "Cache-Control: max-age=60", "Age: 10", "", "ok"), nil
		}
		h := start(t, Config{Transport: o, Instance: "a"})
		check := func(age, status string, requests int64) {
			t.Helper()
			w := get(h, "/x")
			if got := w.Header().Get("Age"); got != age {
				t.Errorf("Age: %s, want %s", got, age)
			}
			got := strings.Replace(w.Header().Get("Cache-Status"), "; collapsed", "", 1) // it may be renewed early
			if got != status {
				t.Errorf("Cache-Status: %s, want %s", got, status)
			}
			if got := o.requests.Load(); got != requests && requests > 0 {
				t.Errorf("%d requests, want %d", got, requests)
			}
		}
		check("11", `fleetcache; fwd=uri-miss; fwd-status=200; stored; instance="a"`, 1)
		check("11", `fleetcache; hit; ttl=49; instance="a"`, 1)
		time.Sleep(30*time.Second + 500*time.Millisecond)
		check("41", `fleetcache; hit; ttl=18; instance="a"`, 1)
		time.Sleep(18*time.Second + 499*time.Millisecond)
		check("59", `fleetcache; hit; ttl=0; instance="a"`, 0) // it is being renewed, or soon will be
		time.Sleep(time.Millisecond)                           // its lifetime is over
		check("11", `fleetcache; fwd=stale; fwd-status=200; stored; instance="a"`, 2)
	})
}

// Age at an instance that does not own the URL, whatever the clock of the origin.
func TestAgeAtAnotherInstance(t *testing.T) {
	tests := []struct {
		name  string
		skew  time.Duration // of the origin's clock
		age   string        // on arrival: a response that was stored for the request has no Age below a second
		after [2]string     // 20 s later: at the owner, at the other
	}{
		{"clocks agree", 0, "", [2]string{"20", "20"}},
		{"origin behind", -30 * time.Second, "30", [2]string{"50", "50"}},
		{"origin ahead", 10 * time.Second, "", [2]string{"20", "20"}},
		{"origin far ahead", time.Hour, "", [2]string{"20", "20"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &fakeOrigin{}
				o.answer = func(*http.Request) (*http.Response, error) {
					return response(200, "Cache-Control: max-age=100", "Date: "+time.Now().Add(tt.skew).UTC().Format(http.TimeFormat)), nil
				}
				fleet, hs := startFleet(t, 2, Config{Transport: o})
				owner := ownerOf(fleet, hs[0], "/x")
				if got := get(hs[owner], "/x").Header().Get("Age"); got != tt.age {
					t.Errorf("Age: %s, want %s", got, tt.age)
				}
				time.Sleep(20 * time.Second)
				for i, h := range []*Handler{hs[owner], hs[1-owner], hs[1-owner], hs[1-owner]} {
					if got := get(h, "/x").Header().Get("Age"); got != tt.after[min(i, 1)] {
						t.Errorf("look %d after 20 s: Age: %s, want %s", i, got, tt.after[min(i, 1)])
					}
				}
				time.Sleep(20 * time.Second) // by now the other one has a mirror, whose age goes on
				get(hs[1-owner], "/x")
				if n := o.requests.Load(); n != 1 {
					t.Errorf("the origin saw %d requests, want 1", n)
				}
			})
		})
	}
}

// A mirror's time ends with the owner's, however long its holder may keep it.
func TestG7ExpiryAtAnotherInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origin(200, "Cache-Control: max-age=10")
		fleet, hs := startFleet(t, 2, Config{Transport: o})
		owner := ownerOf(fleet, hs[0], "/x")
		get(hs[owner], "/x")
		time.Sleep(9 * time.Second)
		for range 3 {
			get(hs[1-owner], "/x")
		}
		time.Sleep(time.Second)
		get(hs[1-owner], "/x")
		if n := o.requests.Load(); n != 2 {
			t.Errorf("the origin saw %d requests, want 2: one before the expiry and one after", n)
		}
	})
}

// A URL whose response must not be shared is asked for by everybody himself for a while: nobody waits for another one. Then it is
// looked whether that is still so.
func TestMarksEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, cc := 200, "private"
		o := &fakeOrigin{}
		o.answer = func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return response(status, "Cache-Control: "+cc), nil
		}
		h := start(t, Config{Transport: o})
		check := func(fills uint64) {
			t.Helper()
			before := h.Stats().Fills
			var wg sync.WaitGroup
			begun := time.Now()
			for range 3 {
				wg.Go(func() { get(h, "/x") })
			}
			wg.Wait()
			if n, d := o.requests.Swap(0), time.Since(begun); n != 3 || d > 2*time.Second || fills == 0 && d > time.Second {
				t.Errorf("the origin saw %d requests in %v, want one for each of 3", n, d)
			}
			if n := h.Stats().Fills - before; n != fills {
				t.Errorf("%d of them were fills, want %d", n, fills)
			}
		}
		check(1)
		filled := time.Now().Add(-time.Second)
		check(0)
		time.Sleep(time.Until(filled.Add(markTTL - time.Nanosecond)))
		check(0)
		check(1)

		time.Sleep(markTTL)
		status = 503
		check(1)
		time.Sleep(markTTLFailed)
		status, cc = 200, "max-age=60"
		get(h, "/x")
		get(h, "/x")
		if n := o.requests.Load(); n != 1 {
			t.Errorf("the origin saw %d requests of what can be shared again, want 1", n)
		}
	})
}
