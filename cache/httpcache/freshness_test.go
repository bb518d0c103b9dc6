package httpcache

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// versions is an origin of a resource whose validator is its version, and that can be down, or ill.
type versions struct {
	fakeOrigin
	header             string // beside the ETag
	version            atomic.Int64
	status             atomic.Int64 // 0: 200. -1: it does not answer
	latency            time.Duration
	full, validations  atomic.Int64 // 200s and 304s that it gave
	lastIfNoneMatchWas atomic.Value
}

func newVersions(header string) *versions {
	v := &versions{header: header}
	v.answer = func(r *http.Request) (*http.Response, error) {
		time.Sleep(v.latency)
		v.lastIfNoneMatchWas.Store(r.Header.Get("If-None-Match"))
		n := v.version.Load()
		switch status := v.status.Load(); {
		case status < 0:
			return nil, errBroken
		case status > 0:
			return response(int(status), "", "ill"), nil
		}
		tag := fmt.Sprintf(`"%d"`, n)
		lines := []string{"ETag: " + tag, "X-Seen: " + fmt.Sprint(v.requests.Load())}
		if v.header != "" {
			lines = append(lines, v.header)
		}
		if r.Header.Get("If-None-Match") == tag {
			v.validations.Add(1)
			return response(304, lines...), nil
		}
		v.full.Add(1)
		return response(200, append(lines, "", fmt.Sprint("version ", n))...), nil
	}
	return v
}

// inFleets runs test at each instance of fleets of one and three: the owner of /x first.
func inFleets(t *testing.T, cfg Config, newOrigin func() http.RoundTripper, test func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler)) {
	for _, n := range []int{1, 3} {
		for at := range min(n, 2) {
			t.Run(fmt.Sprintf("%d of %d", at, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := cfg
					o := newOrigin()
					cfg.Transport = o
					fleet, hs := startFleet(t, n, cfg)
					test(t, o, hs[(ownerOf(fleet, hs[0], "/x")+at)%n], hs)
				})
			})
		}
	}
}

func wantBody(t *testing.T, w *answer, code int, body string) {
	t.Helper()
	if w.aborted || w.Code != code || body != "" && w.Body.String() != body {
		t.Errorf("got %d %q (aborted: %v), want %d %q; Cache-Status: %s", w.Code, w.Body, w.aborted, code, body, w.cacheStatus())
	}
}

// What is stale is validated by its ETag: a 304 makes it fresh again and updates its header, a 200 replaces it. For who comes then it is a hit.
func TestValidation(t *testing.T) {
	newOrigin := func() http.RoundTripper { return newVersions("Cache-Control: max-age=10") }
	inFleets(t, Config{}, newOrigin, func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler) {
		v := o.(*versions)
		wantBody(t, get(h, "/x"), 200, "version 0")
		time.Sleep(11 * time.Second)
		w := get(h, "/x")
		wantBody(t, w, 200, "version 0")
		if v.validations.Load() != 1 || v.full.Load() != 1 || w.Header().Get("X-Seen") != "2" || v.lastIfNoneMatchWas.Load() != `"0"` {
			t.Errorf("%d validations, %d in full, X-Seen: %s", v.validations.Load(), v.full.Load(), w.Header().Get("X-Seen"))
		}
		time.Sleep(9 * time.Second)
		for _, h := range all {
			w := get(h, "/x")
			if wantBody(t, w, 200, "version 0"); w.Header().Get("X-Seen") != "2" || !strings.Contains(w.cacheStatus(), "hit") {
				t.Errorf("X-Seen: %s, Cache-Status: %s", w.Header().Get("X-Seen"), w.cacheStatus())
			}
		}
		time.Sleep(2 * time.Second)
		v.version.Store(1)
		wantBody(t, get(h, "/x"), 200, "version 1")
		for _, h := range all {
			wantBody(t, get(h, "/x"), 200, "version 1")
		}
		if n := v.requests.Load(); n != 3 {
			t.Errorf("the origin saw %d requests, want 3", n)
		}
	})
}

// A burst at what is stale is one validation.
func TestValidationIsCollapsed(t *testing.T) {
	newOrigin := func() http.RoundTripper {
		v := newVersions("Cache-Control: max-age=10")
		v.latency = time.Second
		return v
	}
	inFleets(t, Config{}, newOrigin, func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler) {
		for version := range 3 {
			begin := time.Now()
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() { wantBody(t, get(all[i%len(all)], "/x"), 200, fmt.Sprint("version ", version/2)) })
			}
			wg.Wait()
			if n, d := o.(*versions).requests.Swap(0), time.Since(begin); n != 1 || d > time.Second {
				t.Errorf("version %d: the origin saw %d requests, in %v", version, n, d)
			}
			time.Sleep(11 * time.Second)
			o.(*versions).version.Store(int64(version+1) / 2)
		}
	})
}

// An origin that does not answer, or is ill, does not take away what is stored, as far as that allows; and it is not asked each time.
func TestStaleIfTheOriginFails(t *testing.T) {
	tests := []struct {
		header string
		status int64 // -1: down
		code   int   // 200: what is stored
	}{
		{"Cache-Control: max-age=10", -1, 200},
		{"Cache-Control: max-age=10", 503, 503},
		{"Cache-Control: max-age=10, stale-if-error=60", -1, 200},
		{"Cache-Control: max-age=10, stale-if-error=60", 500, 200},
		{"Cache-Control: max-age=10, stale-if-error=60", 404, 404},
		{"Cache-Control: max-age=10, stale-if-error=1", -1, 502},
		{"Cache-Control: max-age=10, stale-if-error=1", 500, 500},
		{"Cache-Control: max-age=10, must-revalidate", -1, 502},
		{"Cache-Control: max-age=10, proxy-revalidate", -1, 502},
		{"Cache-Control: s-maxage=10", -1, 502},
		{"Cache-Control: max-age=10, must-revalidate, stale-if-error=60", -1, 502},
		{"Cache-Control: max-age=10, no-cache", -1, 502},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.header, tt.status), func(t *testing.T) {
			newOrigin := func() http.RoundTripper { return newVersions(tt.header) }
			inFleets(t, Config{}, newOrigin, func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler) {
				v := o.(*versions)
				get(h, "/x")
				time.Sleep(15 * time.Second)
				v.status.Store(tt.status)
				v.requests.Store(0)
				body := map[bool]string{true: "version 0"}[tt.code == 200]
				for range 2 {
					wantBody(t, get(h, "/x"), tt.code, body)
					for _, h := range all {
						wantBody(t, get(h, "/x"), tt.code, body)
					}
				}
				if n := v.requests.Load(); tt.code == 200 && n != 1 {
					t.Errorf("the origin saw %d requests in a second, want 1", n)
				}
				time.Sleep(15 * time.Second)
				v.status.Store(0)
				for _, h := range all { // it is well again
					wantBody(t, get(h, "/x"), 200, "version 0")
				}
			})
		})
	}
}

// Within stale-while-revalidate, what is stale is served at once, and validated behind, once.
func TestStaleWhileRevalidate(t *testing.T) {
	newOrigin := func() http.RoundTripper {
		v := newVersions("Cache-Control: max-age=10, stale-while-revalidate=60")
		v.latency = time.Second
		return v
	}
	inFleets(t, Config{}, newOrigin, func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler) {
		v := o.(*versions)
		get(h, "/x")
		for range 3 {
			for _, h := range all { // some have a mirror
				get(h, "/x")
			}
		}
		time.Sleep(15 * time.Second)
		v.version.Store(1)
		v.requests.Store(0)
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				w := get(all[i%len(all)], "/x")
				if wantBody(t, w, 200, "version 0"); !strings.Contains(w.cacheStatus(), "hit; ttl=-") {
					t.Errorf("Cache-Status: %s", w.cacheStatus())
				}
			})
		}
		wg.Wait()
		if d := time.Since(begin); d != 0 {
			t.Errorf("they waited %v", d)
		}
		time.Sleep(1100 * time.Millisecond)
		for _, h := range all {
			wantBody(t, get(h, "/x"), 200, "")
		}
		synctest.Wait()
		for _, h := range all {
			wantBody(t, get(h, "/x"), 200, "version 1")
		}
		if n := v.requests.Load(); n != 1 {
			t.Errorf("the origin saw %d requests, want 1", n)
		}
		time.Sleep(2 * time.Minute) // over
		v.version.Store(2)
		wantBody(t, get(h, "/x"), 200, "version 2")
	})
}

// What says no-cache is validated at each use; and who comes in a burst does not wait for one after the other.
func TestNoCacheIsValidatedAtEachUse(t *testing.T) {
	newOrigin := func() http.RoundTripper {
		v := newVersions("Cache-Control: no-cache")
		v.latency = time.Second
		return v
	}
	inFleets(t, Config{}, newOrigin, func(t *testing.T, o http.RoundTripper, h *Handler, all []*Handler) {
		v := o.(*versions)
		wantBody(t, get(h, "/x"), 200, "version 0")
		wantBody(t, get(h, "/x"), 200, "version 0")
		v.version.Store(1)
		wantBody(t, get(h, "/x"), 200, "version 1")
		if v.full.Load() != 2 || v.validations.Load() != 1 {
			t.Errorf("%d in full, %d validations", v.full.Load(), v.validations.Load())
		}
		v.requests.Store(0)
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { wantBody(t, get(all[i%len(all)], "/x"), 200, "version 1") })
		}
		wg.Wait()
		if n, d := v.requests.Load(), time.Since(begin); d > 2*time.Second || n > 10 {
			t.Errorf("the burst took %v, and %d requests of the origin", d, n)
		}
	})
}
