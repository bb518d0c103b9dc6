package httpcache

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestAgeAndExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOrigin{}
		o.answer = func(*http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second) // response_delay
			return response(200, "Cache-Control: max-age=60", "Age: 10", "", "ok"), nil
		}
		h := start(t, Config{Transport: o, Instance: "a"})
		check := func(age, status string, requests int64) {
			t.Helper()
			w := get(h, "/x")
			if got := w.Header().Get("Age"); got != age {
				t.Errorf("Age: %s, want %s", got, age)
			}
			if got := w.Header().Get("Cache-Status"); got != status {
				t.Errorf("Cache-Status: %s, want %s", got, status)
			}
			if got := o.requests.Load(); got != requests {
				t.Errorf("%d requests, want %d", got, requests)
			}
		}
		check("12", `fleetcache; fwd=uri-miss; fwd-status=200; stored; instance="a"`, 1)
		check("12", `fleetcache; hit; ttl=48; instance="a"`, 1)
		time.Sleep(30*time.Second + 500*time.Millisecond)
		check("42", `fleetcache; hit; ttl=17; instance="a"`, 1)
		time.Sleep(17*time.Second + 499*time.Millisecond)
		check("59", `fleetcache; hit; ttl=0; instance="a"`, 1)
		time.Sleep(time.Millisecond) // its lifetime is over
		check("12", `fleetcache; fwd=uri-miss; fwd-status=200; stored; instance="a"`, 2)
	})
}

// Age at an instance that does not own the URL, whatever the clock of the origin.
func TestAgeAtAnotherInstance(t *testing.T) {
	tests := []struct {
		name  string
		skew  time.Duration // of the origin's clock
		age   string
		after [2]string // 20 s later: at the owner, at the other
	}{
		{"clocks agree", 0, "0", [2]string{"20", "20"}},
		{"origin behind", -30 * time.Second, "30", [2]string{"50", "50"}},
		{"origin ahead", 10 * time.Second, "0", [2]string{"20", "20"}},
		{"origin far ahead", time.Hour, "0", [2]string{"20", "20"}},
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

func TestMarksEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, cc := 200, "private"
		o := &fakeOrigin{}
		o.answer = func(*http.Request) (*http.Response, error) { return response(status, "Cache-Control: "+cc), nil }
		h := start(t, Config{Transport: o})
		check := func(requests int64) {
			t.Helper()
			get(h, "/x")
			if n := o.requests.Swap(0); n != requests {
				t.Errorf("the origin saw %d requests, want %d", n, requests)
			}
		}
		check(2) // a probe and the request itself
		check(1)
		time.Sleep(markTTL - time.Nanosecond)
		check(1)
		time.Sleep(time.Nanosecond)
		check(2)

		time.Sleep(markTTL)
		status = 503
		check(2)
		check(1)
		time.Sleep(markTTLFailed)
		status, cc = 200, "max-age=60"
		check(1)
		check(0)
	})
}
