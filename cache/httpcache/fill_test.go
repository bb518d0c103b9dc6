package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// truncated returns the responses of an origin that breaks off.
func truncated() map[string]func() *http.Response {
	return map[string]func() *http.Response{
		"Content-Length": func() *http.Response {
			return response(200, "Cache-Control: max-age=60", "Content-Length: 10", "", "short")
		},
		"chunked": func() *http.Response {
			return response(200, "Cache-Control: max-age=60", "Transfer-Encoding: chunked", "", "5\r\nshort\r\n")
		},
		"a Transport that says nothing of it": func() *http.Response {
			r := response(200, "Cache-Control: max-age=60", "Content-Length: 10", "", "short")
			r.Body = io.NopCloser(strings.NewReader("short"))
			return r
		},
		"more than it said": func() *http.Response {
			r := response(200, "Cache-Control: max-age=60", "", "short")
			r.Body = io.NopCloser(strings.NewReader("short, it is not"))
			return r
		},
	}
}

// What is cut short is nobody's: who waits for a small body that comes at once gets an error, and nothing is kept.
func TestTruncatedIsNeverStored(t *testing.T) {
	for name, answer := range truncated() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &fakeOrigin{answer: func(*http.Request) (*http.Response, error) { return answer(), nil }}
				fleet, hs := startFleet(t, 2, Config{Transport: o})
				owner := ownerOf(fleet, hs[0], "/x")
				for i, h := range []*Handler{hs[owner], hs[1-owner], hs[owner]} {
					w := get(h, "/x")
					if w.Code != http.StatusBadGateway || strings.Contains(w.Body.String(), "short") {
						t.Errorf("got %d %q, aborted: %v", w.Code, w.Body, w.aborted)
					}
					if got := w.cacheStatus(); !strings.Contains(got, "fwd=uri-miss; detail=origin-error") {
						t.Errorf("Cache-Status: %s", got)
					}
					synctest.Wait()
					if n := o.requests.Load(); n != int64(i+1) {
						t.Errorf("the origin saw %d requests for %d", n, i+1)
					}
				}
			})
		})
	}
}

// Those who wait for an origin that does not answer all get the error of one attempt, and nothing is kept.
func TestOriginDown(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		code   int
		detail string
	}{
		{"refused", &net.OpError{Op: "dial", Err: errors.New("connection refused")}, 502, "origin-error"},
		{"time-out", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}, 504, "origin-timeout"},
		{"another time-out", &net.DNSError{IsTimeout: true}, 504, "origin-timeout"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &fakeOrigin{answer: func(*http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					return nil, tt.err
				}}
				_, hs := startFleet(t, 3, Config{Transport: o})
				var wg sync.WaitGroup
				for i := range 12 {
					wg.Go(func() {
						w := get(hs[i%3], "/x")
						if w.Code != tt.code || !strings.Contains(w.Header().Get("Cache-Status"), "detail="+tt.detail) {
							t.Errorf("got %d, Cache-Status: %s", w.Code, w.Header().Get("Cache-Status"))
						}
						if w.Header().Get("Cache-Control") != "no-store" || strings.Contains(w.Body.String(), "refused") {
							t.Errorf("got %v %q", w.Header(), w.Body)
						}
					})
				}
				wg.Wait()
				if n := o.requests.Load(); n != 1 {
					t.Errorf("the origin was tried %d times, want 1", n)
				}
				if w := do(hs[0], "POST", "/x"); w.Code != tt.code || !strings.Contains(w.Header().Get("Cache-Status"), "fwd=method; detail="+tt.detail) {
					t.Errorf("POST: got %d, Cache-Status: %s", w.Code, w.Header().Get("Cache-Status"))
				}
				o.answer = func(*http.Request) (*http.Response, error) { return response(200, "", "ok"), nil }
				if w := get(hs[0], "/x"); w.Code != 200 {
					t.Errorf("after it came back: %d", w.Code)
				}
			})
		})
	}
}

func TestFillTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}}
		fleet, hs := startFleet(t, 2, Config{Transport: o, FillTimeout: 3 * time.Second})
		owner := ownerOf(fleet, hs[0], "/x")
		for _, h := range []*Handler{hs[owner], hs[1-owner]} {
			begin := time.Now()
			if w := get(h, "/x"); w.Code != http.StatusGatewayTimeout {
				t.Errorf("got %d", w.Code)
			}
			if d := time.Since(begin); d != 3*time.Second {
				t.Errorf("after %v", d)
			}
		}
	})
}

// slow is an origin that takes a second, unless the request ends before.
func slow() *fakeOrigin {
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		select {
		case <-time.After(time.Second):
			return response(200, "Cache-Control: max-age=60", "", "ok"), nil
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}}
}

// A client that leaves, alone or with others, leaves at once, and does not end the fill.
func TestG2ClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := slow()
		_, hs := startFleet(t, 2, Config{Transport: o})
		for i := range 12 {
			url, others := fmt.Sprintf("/%d", i), i/2%3
			ctx, leave := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer leave()
			var wg sync.WaitGroup
			wg.Go(func() {
				begin := time.Now()
				hs[i%2].ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", url, nil))
				if d := time.Since(begin); d != 100*time.Millisecond {
					t.Errorf("the client was held for %v", d)
				}
			})
			synctest.Wait()
			for j := range others {
				time.Sleep(time.Duration(j) * 200 * time.Millisecond) // the second one comes after it left
				wg.Go(func() {
					if w := get(hs[j%2], url); w.Body.String() != "ok" {
						t.Errorf("somebody else got %d %q", w.Code, w.Body)
					}
				})
			}
			wg.Wait()
			time.Sleep(time.Second)
			if w := get(hs[0], url); !strings.Contains(w.Header().Get("Cache-Status"), "; hit") {
				t.Errorf("the fill is lost: %s", w.Header().Get("Cache-Status"))
			}
		}
		if n := o.requests.Load(); n != 12 {
			t.Errorf("the origin saw %d requests, want 12", n)
		}
	})
}

// An instance that is killed while it waits for another one's fill does not end it either.
func TestG8InstanceIsKilledWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := slow()
		fleet, hs := startFleet(t, 2, Config{Transport: o})
		owner := ownerOf(fleet, hs[0], "/x")
		ctx, leave := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Go(func() {
			hs[1-owner].ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, "GET", "/x", nil))
		})
		synctest.Wait()
		fleet.Stop(1 - owner)
		leave()
		wg.Wait()
		// The other one is cut off rather than dead here, and asks the origin itself: that is not counted.
		if w := get(hs[owner], "/x"); w.Body.String() != "ok" || hs[owner].Stats().Fills != 1 {
			t.Errorf("got %d %q after %d fills", w.Code, w.Body, hs[owner].Stats().Fills)
		}
	})
}

// Who leaves before there is an answer is not told to the log as an error of the origin's.
func TestClientLeavesBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, hs := startFleet(t, 2, Config{Transport: slow()})
		for _, h := range hs {
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, leave)
			if w := doContext(ctx, h, "GET", "/x"); w.Code != statusClientGone || !strings.Contains(w.cacheStatus(), "detail=client-gone") {
				t.Errorf("got %d %s", w.Code, w.cacheStatus())
			}
		}
	})
}

func TestCloseEndsFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := slow()
		h := start(t, Config{Transport: o})
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { get(h, "/x") }) // passes, after Close
		synctest.Wait()
		h.Close()
		synctest.Wait()
		if s := h.Stats(); s.FillErrors != 1 || time.Since(begin) > 0 {
			t.Errorf("Stats %+v after %v", s, time.Since(begin))
		}
		wg.Wait()
	})
}

func TestKeyBytes(t *testing.T) {
	targets := []string{
		"/", "//", "/a//b", "/a/b", "//a/b", "/a%2Fb", "/a%2fb", "/a/../b", "/a/./b", "/a%20b", "/a+b", "/a?", "/a", "/a?b", "/a?b=1&c=2",
		"/a?c=2&b=1", "/a?x=%2F", "/a?x=/", "/a?;", "/a?%zz", "/a?x=1;y=2", "/A", "/%C3%A9", "/%ff", "/a%00b", "/a:b", "/a;b", "/a%3Fb", "/*", "/?a//b", "/~a", "/%7Ea",
	}
	o := &fakeOrigin{}
	o.answer = func(r *http.Request) (*http.Response, error) {
		return response(200, "Cache-Control: max-age=60", "", r.URL.RequestURI()), nil
	}
	url, _ := serveHTTP(t, start(t, Config{Transport: o}))
	addr := strings.TrimPrefix(url, "http://")
	for range 2 { // filled, then stored
		for _, target := range targets {
			if got := rawGet(t, addr, target, "me.test"); got != target {
				t.Errorf("%s: the origin was asked for %s", target, got)
			}
		}
	}
	if n := o.requests.Load(); n != int64(len(targets)) {
		t.Errorf("the origin saw %d requests, want one for each of %d targets", n, len(targets))
	}
	// Neither the Host nor the absolute form of a target makes another key, or another origin.
	for _, host := range []string{"other.test", "ORIGIN.test:80", ""} {
		rawGet(t, addr, "/a", host)
		rawGet(t, addr, "http://evil.test/a", host)
	}
	if n := o.requests.Load(); n != int64(len(targets)) {
		t.Errorf("the origin saw %d requests after those with other hosts", n)
	}
	// Too long for a key.
	long := "/" + strings.Repeat("x", cache.MaxKeyBytes)
	if got := rawGet(t, addr, long, "me.test"); got != long {
		t.Errorf("a long target came back with %d bytes", len(got))
	}
}

// rawGet sends a target exactly as it is.
func rawGet(t *testing.T, addr, target, host string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host)
	raw, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(raw), "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 200") {
		t.Errorf("%s: %s", target, head)
	}
	return body
}
