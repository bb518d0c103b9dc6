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

const private = "Cache-Control: private"

// noFlows fails the test if an instance still has a flow, or has not given back a turn.
func noFlows(t *testing.T, hs ...*Handler) {
	t.Helper()
	for i, h := range hs {
		h.flows.mu.Lock()
		n := len(h.flows.byID) - len(h.flows.ended)
		h.flows.mu.Unlock()
		if n != 0 || len(h.turns) != 0 {
			t.Errorf("instance %d has %d flows, and %d turns are taken", i, n, len(h.turns))
		}
	}
}

// The one who asked gets what is for him alone as it comes, wherever he is.
func TestPrivateStreams(t *testing.T) {
	for at := range 2 {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := text(300 << 10)
				o := streaming(private, time.Second, -1, piece{text: body}, piece{after: 20 * time.Second, text: body}, piece{after: 20 * time.Second, text: "end"})
				fleet, hs := startFleet(t, 2, Config{Transport: o})
				owner := ownerOf(fleet, hs[0], "/x")
				begin := time.Now()
				w := get(hs[(owner+at)%2], "/x")
				if w.aborted || w.Body.String() != body+body+"end" || w.first.Sub(begin) != time.Second || w.ended.Sub(begin) != 41*time.Second {
					t.Errorf("got %d bytes, from %v to %v", w.Body.Len(), w.first.Sub(begin), w.ended.Sub(begin))
				}
				if n := o.requests.Load(); n != 1 {
					t.Errorf("the origin saw %d requests", n)
				}
				synctest.Wait()
				noFlows(t, hs...)
			})
		})
	}
}

// One whose response breaks off sees that.
func TestPrivateBrokenOff(t *testing.T) {
	for at := range 2 {
		for _, length := range []int64{-1, 100} {
			t.Run(fmt.Sprint(at, length), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := streaming(private, 0, length, piece{text: "half"}, piece{after: time.Second, err: errBroken})
					fleet, hs := startFleet(t, 2, Config{Transport: o})
					owner := ownerOf(fleet, hs[0], "/x")
					if w := get(hs[(owner+at)%2], "/x"); !w.aborted || w.Body.String() != "half" {
						t.Errorf("got %d %q, aborted: %v", w.Code, w.Body, w.aborted)
					}
					time.Sleep(2 * readerPatience)
					noFlows(t, hs...)
				})
			})
		}
	}
}

// When the only one who may have a response leaves, the origin need not send it: neither a turn nor memory is held for it.
func TestClaimOfAClientThatLeft(t *testing.T) {
	for at := range 2 {
		for _, after := range []time.Duration{500 * time.Millisecond, 5 * time.Second} {
			t.Run(fmt.Sprint(at, after), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var ended time.Time
					o := &fakeOrigin{}
					o.answer = func(r *http.Request) (*http.Response, error) { // without an end
						sleep(r.Context(), time.Second)
						context.AfterFunc(r.Context(), func() { ended = time.Now() })
						return streamed(r.Context(), private, -1, repeated(piece{after: time.Second, text: "data: x\n\n"}, 100000)...), nil
					}
					fleet, hs := startFleet(t, 2, Config{Transport: o})
					owner := ownerOf(fleet, hs[0], "/x")
					ctx, leave := context.WithTimeout(t.Context(), after)
					defer leave()
					doContext(ctx, hs[(owner+at)%2], "GET", "/x")
					left := time.Now()
					time.Sleep(5 * readerPatience)
					if ended.IsZero() || ended.Sub(left) > 3*readerPatience {
						t.Errorf("the origin was read on for %v", ended.Sub(left))
					}
					noFlows(t, hs...)
				})
			})
		}
	}
}

// Events without an end that nobody else may have pass as long as there are any, and do not hold a turn of those who fill.
func TestPrivateEventsHoldNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOrigin{}
		o.answer = func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/x" {
				return response(200, "Cache-Control: max-age=60", "", "ok"), nil
			}
			return streamed(r.Context(), "Cache-Control: no-store", -1, append(repeated(piece{after: 50 * time.Second, text: "data: x\n\n"}, 10), piece{after: time.Second, text: "end"})...), nil
		}
		fleet, hs := startFleet(t, 2, Config{Transport: o, MaxFills: 2})
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				url := fmt.Sprint("/events?", i)
				w := get(hs[(ownerOf(fleet, hs[0], url)+i)%2], url)
				if w.aborted || !strings.HasSuffix(w.Body.String(), "end") {
					t.Errorf("%d: got %d %q, aborted: %v", i, w.Code, w.Body, w.aborted)
				}
			})
		}
		time.Sleep(time.Second)
		for i, h := range hs {
			begin := time.Now()
			if w := get(h, "/x"); w.Code != 200 || w.Body.String() != "ok" || time.Since(begin) > 0 {
				t.Errorf("instance %d: got %d %q after %v", i, w.Code, w.Body, time.Since(begin))
			}
		}
		wg.Wait()
	})
}

// What is for one with credentials says nothing of what others get.
func TestCredentialsLeaveNoMark(t *testing.T) {
	for _, credentials := range []string{"Cookie: a=b", "Authorization: Basic x"} {
		t.Run(credentials, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := &fakeOrigin{}
				o.answer = func(r *http.Request) (*http.Response, error) {
					time.Sleep(time.Second)
					if credentialed(r.Header) {
						return response(200, private, "", "mine"), nil
					}
					return response(200, "Cache-Control: max-age=60", "Vary: Cookie", "", "everybody's"), nil
				}
				_, hs := startFleet(t, 3, Config{Transport: o})
				for _, h := range hs {
					if w := get(h, "/x", credentials); w.Body.String() != "mine" {
						t.Errorf("got %q", w.Body)
					}
				}
				o.requests.Store(0)
				var wg sync.WaitGroup
				for i := range 12 {
					wg.Go(func() {
						if w := get(hs[i%3], "/x"); w.Body.String() != "everybody's" {
							t.Errorf("got %q", w.Body)
						}
					})
				}
				wg.Wait()
				if n := o.requests.Load(); n != 1 {
					t.Errorf("the origin saw %d requests, want 1: nobody is kept from waiting for another", n)
				}
			})
		})
	}
}

// A private response with a trailer, or to HEAD, or without a body, gets to the one who asked as it is.
func TestClaimsAreWhole(t *testing.T) {
	for at := range 2 {
		synctest.Test(t, func(t *testing.T) {
			o := &fakeOrigin{}
			o.answer = func(r *http.Request) (*http.Response, error) {
				switch r.URL.Path {
				case "/trailer":
					return response(200, private, "Trailer: X-Sum", "Transfer-Encoding: chunked", "", "2\r\nok\r\n0\r\nX-Sum: 42\r\n\r\n"), nil
				case "/204":
					resp := response(204, private, "X-A: 1", "X-A: 2")
					return resp, nil
				}
				return response(404, private, "Connection: X-Hop", "X-Hop: 1", "X-A: 1", "Content-Type: text/plain", "Content-Length: 5", "", "12345"), nil
			}
			fleet, hs := startFleet(t, 2, Config{Transport: o})
			ask := func(method, url string) *answer { return do(hs[(ownerOf(fleet, hs[0], url)+at)%2], method, url) }
			if w := ask("GET", "/trailer"); w.Body.String() != "ok" || w.Result().Trailer.Get("X-Sum") != "42" {
				t.Errorf("got %q, trailer %v", w.Body, w.Result().Trailer)
			}
			if w := ask("GET", "/204"); w.Code != 204 || w.Body.Len() != 0 || len(w.Header()["X-A"]) != 2 {
				t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
			}
			if w := ask("GET", "/x"); w.Code != 404 || w.Body.String() != "12345" || w.Header().Get("X-Hop") != "" || w.Header().Get("X-A") != "1" || w.Header().Get("Content-Length") != "5" {
				t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
			}
			if w := ask("HEAD", "/head"); w.Code != 404 || w.Body.Len() != 0 || w.Header().Get("X-A") != "1" {
				t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
			}
			time.Sleep(2 * readerPatience)
			noFlows(t, hs...)
		})
	}
}
