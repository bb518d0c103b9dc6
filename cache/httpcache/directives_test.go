package httpcache

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// The Cache-Control of a request counts with TrustClient, and not without (RFC 9111, 5.2.1).
func TestRequestDirectives(t *testing.T) {
	const stored, asked, timeout, bypass = "stored", "asked", "504", "bypass"
	tests := []struct {
		header, directive string
		after             time.Duration
		want, untrusted   string
	}{
		{"max-age=10", "max-age=5", 4 * time.Second, stored, stored},
		{"max-age=10", "max-age=5", 6 * time.Second, asked, stored},
		{"max-age=10, immutable", "max-age=5", 6 * time.Second, stored, stored},
		{"max-age=10", "min-fresh=5", 4 * time.Second, stored, stored},
		{"max-age=10", "min-fresh=5", 6 * time.Second, asked, stored},
		{"max-age=10", "no-cache", 0, asked, stored},
		{"max-age=10", "no-store", 0, bypass, stored},
		{"max-age=10", "only-if-cached", 5 * time.Second, stored, stored},
		{"max-age=10", "only-if-cached", 15 * time.Second, timeout, asked},
		{"max-age=10", "only-if-cached, max-stale", 15 * time.Second, stored, asked},
		{"max-age=10", "max-stale=6", 15 * time.Second, stored, asked},
		{"max-age=10", "max-stale=4", 15 * time.Second, asked, asked},
		{"max-age=10", "max-stale", 1 * time.Minute, stored, asked},
		{"max-age=10, must-revalidate", "max-stale", 15 * time.Second, asked, asked},
		{"s-maxage=10", "max-stale", 15 * time.Second, asked, asked},
		{"no-cache", "max-stale", 0, asked, asked},
	}
	for _, trust := range []bool{true, false} {
		for _, tt := range tests {
			t.Run(tt.header+" "+tt.directive+tt.after.String(), func(t *testing.T) {
				newOrigin := func() http.RoundTripper { return newVersions("Cache-Control: " + tt.header) }
				inFleets(t, Config{TrustClient: trust}, newOrigin, func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler) {
					get(h, "/x")
					time.Sleep(tt.after)
					want := tt.want
					if !trust {
						want = tt.untrusted
					}
					w := get(h, "/x", "Cache-Control: "+tt.directive)
					requests, code := int64(2), 200
					switch want {
					case stored:
						requests = 1
					case timeout:
						requests, code = 1, 504
					case bypass:
						if !strings.Contains(w.cacheStatus(), "fwd=bypass") {
							t.Errorf("Cache-Status: %s", w.cacheStatus())
						}
					}
					if n := o.(*versions).requests.Load(); n != requests || w.Code != code {
						t.Errorf("trusted %v: got %d, and the origin %d requests; want %s", trust, w.Code, n, want)
					}
				})
			})
		}
	}
}

// only-if-cached is answered with 504 if nothing is there, and leaves no trace for those who want the origin to be asked.
func TestOnlyIfCachedLeavesNothing(t *testing.T) {
	newOrigin := func() http.RoundTripper { return newVersions("Cache-Control: max-age=60") }
	inFleets(t, Config{TrustClient: true}, newOrigin, func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler) {
		done := make(chan bool)
		for i := range 30 {
			go func() {
				if i%3 > 0 {
					wantBody(t, get(all[i%len(all)], "/x", "Cache-Control: only-if-cached", "X-A: "+strings.Repeat("x", i)), 504, "")
				} else if w := get(all[i%len(all)], "/y"); w.Code != 200 {
					t.Errorf("got %d", w.Code)
				}
				done <- true
			}()
		}
		for range 30 {
			<-done
		}
		for _, h := range all {
			wantBody(t, get(h, "/x"), 200, "version 0")
		}
		if n := o.(*versions).requests.Load(); n != 2 {
			t.Errorf("the origin saw %d requests, want 2", n)
		}
	})
}

// no-store in a request that is trusted keeps its response from being stored.
func TestNoStoreInARequest(t *testing.T) {
	newOrigin := func() http.RoundTripper { return newVersions("Cache-Control: max-age=60") }
	inFleets(t, Config{TrustClient: true}, newOrigin, func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler) {
		for range 3 {
			wantBody(t, get(h, "/x", "Cache-Control: no-store"), 200, "version 0")
		}
		wantBody(t, get(h, "/x"), 200, "version 0")
		if n := o.(*versions).requests.Load(); n != 4 {
			t.Errorf("the origin saw %d requests, want 4", n)
		}
	})
}
