package httpcache

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// RFC 9111, 4.4, at every instance: of whatever the origin accepts, what it sends next is seen at once.
func TestInvalidation(t *testing.T) {
	tests := []struct {
		method string
		status int
		gone   bool
	}{
		{"PUT", 200, true},
		{"POST", 201, true},
		{"DELETE", 204, true},
		{"PATCH", 299, true},
		{"POST", 303, true},
		{"PUT", 399, true},
		{"FROBNICATE", 200, true},
		{"get", 200, true},
		{"PUT", 400, false},
		{"POST", 404, false},
		{"DELETE", 500, false},
		{"PUT", 503, false},
		{"GET", 200, false},
		{"HEAD", 200, false},
		{"OPTIONS", 200, false},
		{"TRACE", 200, false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.method, tt.status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { invalidation(t, tt.method, tt.status, tt.gone) })
		})
	}
}

func invalidation(t *testing.T, method string, status int, gone bool) {
	const path = "/a%2Fb?x=1"
	version := 1
	o := &fakeOrigin{}
	o.answer = func(r *http.Request) (*http.Response, error) {
		if r.Method == method && r.Header.Get("X-Change") != "" {
			version++
			return response(status), nil
		}
		return response(200, "Cache-Control: max-age=60", "", fmt.Sprint("version ", version)), nil
	}
	_, hs := startFleet(t, 3, Config{Transport: o})
	for i, h := range hs { // each of them is told once
		want := get(h, path).Body.String()
		for range 2 {
			for _, h := range hs { // all have it, as the owner or as a mirror
				get(h, path)
			}
		}
		get(hs[0], "/a/b?x=1")
		// What would be answered from the store does not get to the origin, but for the condition.
		if w := do(h, method, path, "X-Change: 1", "If-Match: x"); w.Code != status {
			t.Fatalf("got %d, want %d", w.Code, status)
		}
		if gone {
			want = fmt.Sprint("version ", i+2)
		}
		before := o.requests.Load()
		for j, h := range hs {
			if got := get(h, path).Body.String(); got != want {
				t.Errorf("told %d: instance %d has %q, want %q", i, j, got, want)
			}
		}
		loads := int64(0)
		if gone {
			loads = 1
		}
		if n := o.requests.Load() - before; n != loads {
			t.Errorf("told %d: the origin saw %d requests, want %d", i, n, loads)
		}
		get(hs[0], "/a/b?x=1") // is another one
		if n := o.requests.Load() - before; n != loads {
			t.Errorf("told %d: another URL was invalidated", i)
		}
	}
}

// What a request before the change asked for is not what a request after it gets.
func TestInvalidationOfAFillUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		version := "old"
		o := &fakeOrigin{}
		o.answer = func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPut {
				version = "new"
				return response(204), nil
			}
			body := version
			time.Sleep(time.Second)
			return response(200, "Cache-Control: max-age=60", "", body), nil
		}
		fleet, hs := startFleet(t, 3, Config{Transport: o})
		owner := ownerOf(fleet, hs[0], "/x")
		var before sync.WaitGroup
		before.Go(func() { get(hs[(owner+1)%3], "/x") })
		defer before.Wait()
		synctest.Wait()
		do(hs[(owner+2)%3], http.MethodPut, "/x")
		for i, h := range hs {
			if got := get(h, "/x").Body.String(); got != "new" {
				t.Errorf("instance %d has %q", i, got)
			}
		}
	})
}

// An instance that does not answer costs the client 2 s, and not its response; and a client that leaves does not
// keep the others from being told.
func TestInvalidationUnreached(t *testing.T) {
	for _, tt := range []struct{ timeout, want time.Duration }{{time.Hour, invalidateTimeout}, {time.Second, invalidateTimeout}} {
		t.Run(tt.timeout.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logged bytes.Buffer
				log := slog.New(slog.NewTextHandler(&logged, nil))
				o := origin(201, "X-A: 1", "", "made")
				fleet, hs := startFleet(t, 3, Config{Transport: o, Logger: log})
				fleet.SetFaults(0, 2, peerstest.Faults{DropRequests: true})
				ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
				defer cancel()
				begin := time.Now()
				w := httptest.NewRecorder()
				hs[0].ServeHTTP(w, httptest.NewRequestWithContext(ctx, "POST", "http://x/x", nil))
				if w.Code != 201 || w.Header().Get("X-A") != "1" || w.Body.String() != "made" || time.Since(begin) != tt.want {
					t.Errorf("got %d %v %q after %v", w.Code, w.Header(), w.Body, time.Since(begin))
				}
				if got := logged.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, fleet.Instance(2).Self()) || !strings.Contains(got, "method=POST") {
					t.Errorf("logged %s", got)
				}
			})
		})
	}
}

// Location and Content-Location of the response to an unsafe request name what is invalidated, too, if it is of the same origin (RFC 9111, 4.4), and with
// all its variants.
func TestInvalidationByLocation(t *testing.T) {
	tests := []struct {
		line string
		gone bool
	}{
		{"Location: /other", true},
		{"Content-Location: /other", true},
		{"Location: other", true},
		{"Location: http://origin.test/other", true},
		{"Location: http://evil.test/other", false},
		{"Location: https://origin.test/other", false},
		{"Location: //evil.test/other", false},
		{"Content-Location: http://origin.test:81/other", false},
		{"Location: /another", false},
		{"Location: ::", false},
		{"X-Location: /other", false},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &fakeOrigin{}
				o.answer = func(r *http.Request) (*http.Response, error) {
					if r.Method == http.MethodPost {
						return response(201, tt.line), nil
					}
					return response(200, "Cache-Control: max-age=60", "Vary: X-A", "", r.Header.Get("X-A")), nil
				}
				_, hs := startFleet(t, 3, Config{Transport: o})
				look := func() int64 {
					o.requests.Store(0)
					for _, h := range hs {
						for _, a := range []string{"1", "2"} {
							wantBody(t, get(h, "/other", "X-A: "+a), 200, a)
						}
					}
					return o.requests.Load()
				}
				look()
				do(hs[0], "POST", "/x")
				if n := look(); n != map[bool]int64{true: 2}[tt.gone] {
					t.Errorf("the origin saw %d requests for two variants, gone: %v", n, tt.gone)
				}
			})
		})
	}
}
