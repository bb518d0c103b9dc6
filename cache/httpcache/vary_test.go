package httpcache

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// byLanguage is an origin whose responses vary by language, and tell how many unsafe requests it has seen.
func byLanguage(latency time.Duration) *fakeOrigin {
	var version atomic.Int64
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPut {
			version.Add(1)
			return response(204), nil
		}
		body := fmt.Sprint(r.Header.Get("Accept-Language"), " ", version.Load())
		time.Sleep(latency)
		return response(200, "Cache-Control: max-age=60", "Vary: Accept-Language", "", body), nil
	}}
}

var languages = []string{"de", "fr", "en", "es", "it"}

// After an unsafe request, no old variant is served anywhere.
func TestVariantsGoWithTheirURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := byLanguage(0)
		_, hs := startFleet(t, 3, Config{Transport: o})
		for version := range 4 {
			for range 3 { // so that all have it
				for i, h := range hs {
					for _, l := range languages {
						if w := get(h, "/x", "Accept-Language: "+l); w.Body.String() != fmt.Sprint(l, " ", version) {
							t.Errorf("version %d, instance %d: %s got %q", version, i, l, w.Body)
						}
					}
				}
			}
			if n := o.requests.Swap(0); n != int64(len(languages)) {
				t.Errorf("version %d: the origin saw %d requests", version, n)
			}
			do(hs[version%3], http.MethodPut, "/x")
			o.requests.Store(0)
		}
	})
}

// There are at most MaxVariants and the first one of a URL: what more there is goes to the origin, and what is stored is served on.
func TestMaxVariants(t *testing.T) {
	for _, moved := range []bool{false, true} {
		t.Run(fmt.Sprint("moved ", moved), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := byLanguage(0)
				fleet, hs := startFleet(t, 2, Config{Transport: o, MaxVariants: 3})
				owner := ownerOf(fleet, hs[0], "/x")
				h := hs[owner]
				if moved { // the first one is from another instance
					h = hs[1-owner]
					get(hs[owner], "/x", "Accept-Language: de")
					for range 3 {
						get(h, "/x", "Accept-Language: de")
					}
					fleet.Stop(owner)
					time.Sleep(10 * time.Second)
					o.requests.Store(0)
				}
				for i := range 20 {
					get(h, "/x", fmt.Sprintf("Accept-Language: x%d", i))
				}
				o.requests.Store(0)
				for i := range 20 {
					l := fmt.Sprintf("x%d", i)
					if w := get(h, "/x", "Accept-Language: "+l); w.Body.String() != l+" 0" {
						t.Errorf("%s got %q", l, w.Body)
					}
				}
				if n := o.requests.Load(); n < 16 || n > 17 {
					t.Errorf("the origin saw %d requests for 20 variants, want all but 3, or 4 with the first", n)
				}
			})
		})
	}
}

// A Vary that is another each time leads nowhere, and the request to the origin.
func TestVaryThatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		o := &fakeOrigin{}
		o.answer = func(r *http.Request) (*http.Response, error) {
			n++
			return response(200, "Cache-Control: max-age=60", fmt.Sprintf("Vary: X-%d", n), "", r.Header.Get("X-Me")), nil
		}
		h := start(t, Config{Transport: o})
		for i := range 20 {
			me := fmt.Sprint("me ", i)
			lines := []string{"X-Me: " + me}
			for j := range 30 {
				lines = append(lines, fmt.Sprintf("X-%d: %d", j, i))
			}
			if w := get(h, "/x", lines...); w.Code != 200 || w.Body.String() != me {
				t.Errorf("%s got %d %q", me, w.Code, w.Body)
			}
		}
		if got := o.requests.Load(); got > 40 {
			t.Errorf("the origin saw %d requests for 20", got)
		}
	})
}

// A response in the language that a request prefers to all others is what it would get, whatever else it would take.
func TestTheLanguageThatIsPreferred(t *testing.T) {
	for _, tt := range []struct {
		vary, accept string
		shared       bool
	}{
		{"Accept-Language", "en, de", true}, // the same
		{"Accept-Language", "fr;q=0.5, de;q=1.0", true},
		{"Accept-Language", "DE", true},
		{"Accept-Language", "fr, de", false},
		{"Accept-Language", "fr;q=0.5, de;q=0.4", false},
		{"Accept-Language", "*", false},
		{"Accept-Language", "", false},
		{"Accept-Language, X-A", "fr;q=0.5, de;q=1.0", false},
	} {
		o := origin(200, "Cache-Control: max-age=60", "Vary: "+tt.vary, "Content-Language: de")
		h := start(t, Config{Transport: o})
		get(h, "/x", "Accept-Language: en, de")
		var lines []string
		if tt.accept != "" {
			lines = []string{"Accept-Language: " + tt.accept}
		}
		get(h, "/x", lines...)
		if shared := o.requests.Load() == 1; shared != tt.shared {
			t.Errorf("Vary: %s, %q: shared: %v", tt.vary, tt.accept, shared)
		}
	}
}
