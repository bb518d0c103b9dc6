package httpcache

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A slow origin holds nobody past his own deadline, wherever he waits and for whatever; and the fill is not lost with him.
func TestDeadlinesOfClients(t *testing.T) {
	for _, header := range []string{"Cache-Control: max-age=60", private} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := streaming(header, 10*time.Second, -1, piece{text: "half"}, piece{after: 10 * time.Second, text: "half"})
				_, hs := startFleet(t, 3, Config{Transport: o})
				var wg sync.WaitGroup
				for i := range 24 {
					wg.Go(func() {
						d := time.Duration(i/3+1) * 2 * time.Second
						ctx, cancel := context.WithTimeout(t.Context(), d)
						defer cancel()
						begin := time.Now()
						w := doContext(ctx, hs[i%3], "GET", "/x")
						if took := w.ended.Sub(begin); took > d {
							t.Errorf("a client with a deadline of %v was held for %v", d, took)
						}
						if w.Body.String() == "half" && !w.aborted {
							t.Errorf("half of it ended well")
						}
					})
				}
				wg.Wait()
				if header == private {
					time.Sleep(3 * readerPatience)
					noFlows(t, hs...)
					return
				}
				wantBody(t, get(hs[0], "/x"), 200, "halfhalf")
				if n := o.requests.Load(); n != 1 {
					t.Errorf("the origin saw %d requests, want 1", n)
				}
			})
		})
	}
}

// Fills that get no turn are refused in time, with what the client may do about it; what is stored is served, and what passes passes.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOrigin{}
		o.answer = func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/slow") {
				if err := sleep(r.Context(), time.Minute); err != nil {
					return nil, err
				}
			}
			return response(200, "Cache-Control: max-age=600", "", "ok"), nil
		}
		fleet, hs := startFleet(t, 2, Config{Transport: o, MaxFills: 2, FillTimeout: 5 * time.Second})
		owned := func(by int, prefix string, n int) (urls []string) {
			for i := 0; len(urls) < n; i++ {
				if url := fmt.Sprint(prefix, i); ownerOf(fleet, hs[0], url) == by {
					urls = append(urls, url)
				}
			}
			return urls
		}
		stored := owned(0, "/stored", 1)[0]
		get(hs[0], stored)
		var wg sync.WaitGroup
		for _, url := range owned(0, "/slow", 2) {
			wg.Go(func() { wantBody(t, get(hs[0], url), 504, "") })
		}
		synctest.Wait()
		time.Sleep(time.Second)
		for i, url := range owned(0, "/x", 4) {
			wg.Go(func() {
				begin := time.Now()
				w := get(hs[i%2], url)
				if d := w.ended.Sub(begin); d > 5*time.Second {
					t.Errorf("an answer took %v", d)
				}
				if w.Code != 200 && (w.Code != 503 || w.Header().Get("Retry-After") == "" || !strings.Contains(w.cacheStatus(), "detail=overloaded")) {
					t.Errorf("at %d: got %d %v", i%2, w.Code, w.Header())
				}
			})
		}
		for _, h := range hs {
			if w := get(h, stored); w.Code != 200 {
				t.Errorf("what is stored: got %d", w.Code)
			}
			if w := do(h, "POST", "/x"); w.Code != 200 {
				t.Errorf("what passes: got %d", w.Code)
			}
		}
		wg.Wait()
		synctest.Wait()
		noFlows(t, hs...)
	})
}

// With turns that come too late, nobody is left without an answer.
func TestOverloadForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := streaming("Cache-Control: max-age=600", 0, -1, repeated(piece{after: 2 * time.Second, text: "x"}, 30)...) // a minute
		fleet, hs := startFleet(t, 2, Config{Transport: o, MaxFills: 1, FillTimeout: 5 * time.Second})
		owner := ownerOf(fleet, hs[0], "/x")
		go get(hs[owner], "/x")
		time.Sleep(time.Second)
		for i := range 20 {
			url := fmt.Sprint("/", i)
			if ownerOf(fleet, hs[0], url) != owner {
				continue
			}
			begin := time.Now()
			w := get(hs[i%2], url)
			if d := time.Since(begin); d > 5*time.Second || w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Errorf("at %d (owner %d): got %d %v after %v", i%2, owner, w.Code, w.Header(), d)
			}
			if i > 6 {
				break
			}
		}
		time.Sleep(time.Minute)
		wantBody(t, get(hs[owner], "/x"), 200, strings.Repeat("x", 30))
	})
}
