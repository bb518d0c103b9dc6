package httpcache

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// largeOrigin is an origin of one body, of a length that is known or not, with a validator or not, which can do ranges.
type largeOrigin struct {
	fakeOrigin
	body   string
	length bool // it says how long it is
	lines  []string
}

func newLarge(body string, length bool, lines ...string) *largeOrigin {
	o := &largeOrigin{body: body, length: length, lines: lines}
	o.answer = func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("If-None-Match") == `"e"` {
			return response(304, o.lines...), nil
		}
		if from, to, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"); ok && r.Header.Get("If-Range") == `"e"` {
			a, _ := strconv.Atoi(from)
			b, _ := strconv.Atoi(to)
			return response(206, append(o.lines[:len(o.lines):len(o.lines)], fmt.Sprintf("Content-Range: bytes %d-%d/%d", a, b, len(body)), "", body[a:b+1])...), nil
		}
		n := int64(-1)
		if o.length {
			n = int64(len(body))
		}
		resp := streamed(r.Context(), strings.Join(o.lines, "\r\n"), n, piece{text: body})
		return resp, nil
	}
	return o
}

// A large body is in chunks all over the fleet, and whole wherever it is asked for.
func TestChunksAreSpread(t *testing.T) {
	for _, length := range []bool{true, false} {
		t.Run(fmt.Sprint("its length is known: ", length), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newLarge(text(1<<20), length, "Cache-Control: max-age=60")
				_, hs := startFleet(t, 3, Config{Transport: o, MaxBytes: 4 << 20, MaxObjectBytes: 2 << 20})
				for range 3 {
					for _, h := range hs {
						wantBody(t, get(h, "/x"), 200, o.body)
						synctest.Wait()
					}
				}
				for i, h := range hs {
					if s := h.Stats().Cache; s.Entries < 4 || s.Bytes < 200<<10 {
						t.Errorf("instance %d has %d entries, %d bytes", i, s.Entries, s.Bytes)
					}
					if h.Stats().Cache.Copies+h.Stats().Cache.Entries == 0 {
						t.Errorf("instance %d has nothing", i)
					}
				}
				if n := o.requests.Load(); n != 1 {
					t.Errorf("the origin saw %d requests, want 1", n)
				}
				time.Sleep(3 * readerPatience)
				noFlows(t, hs...)
			})
		})
	}
}

// A cache that is full of what is in use gives a client who is slower than the origin the whole of what is large all the same.
func TestLargeInAFullCache(t *testing.T) {
	for _, n := range []int{1, 3} {
		for _, tag := range []string{"X-A: 1", `ETag: "e"`} {
			synctest.Test(t, func(t *testing.T) {
				big := newLarge(text(600<<10), true, "Cache-Control: max-age=600", tag)
				o := &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == "/big" {
						return big.answer(r)
					}
					return response(200, "Cache-Control: max-age=6000", "", strings.Repeat("x", 5000)), nil
				}}
				_, hs := startFleet(t, n, Config{Transport: o, MaxBytes: 1 << 20, MaxObjectBytes: 768 << 10})
				for i := range 2500 {
					get(hs[i%n], fmt.Sprintf("/%d", i%400))
				}
				bad := 0
				for i := range 6 {
					w := &answer{pace: 10 * time.Millisecond}
					w.ask(t.Context(), hs[i%n], "GET", "/big")
					if w.aborted || w.Body.String() != big.body {
						bad++
					}
					time.Sleep(10 * time.Second)
				}
				if bad > 3 { // what is evicted without a validator is noticed in the middle, every other time at worst
					t.Errorf("%d instances, %s: %d of 6 answers were not whole", n, tag, bad)
				}
				time.Sleep(3 * readerPatience)
				noFlows(t, hs...)
			})
		}
	}
}

// Whatever happens to some of the chunks, clients get the whole: what is gone comes from the origin anew.
func TestChunksThatAreGone(t *testing.T) {
	for _, tag := range []string{`ETag: "e"`, `ETag: W/"e"`, "X-No-ETag: 1"} {
		for _, length := range []bool{true, false} {
			t.Run(fmt.Sprint(tag, length), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := newLarge(text(250<<10), length, "Cache-Control: max-age=600", tag)
					fleet, hs := startFleet(t, 3, Config{Transport: o, MaxBytes: 1 << 20, MaxObjectBytes: 512 << 10, MirrorTTL: -1})
					owner := ownerOf(fleet, hs[0], "/x")
					wantBody(t, get(hs[owner], "/x"), 200, o.body)
					synctest.Wait()
					fleet.Stop((owner + 1) % 3)
					time.Sleep(time.Minute)
					bad := 0
					for range 4 {
						for _, h := range []*Handler{hs[owner], hs[(owner+2)%3]} {
							if w := get(h, "/x"); w.aborted || w.Body.String() != o.body {
								bad++
							}
							time.Sleep(time.Second)
						}
					}
					if bad > 1 { // one may find it out in the middle
						t.Errorf("%d of 8 answers were not whole", bad)
					}
				})
			})
		}
	}
}

// Chunks are kept for as long as their response, though that is validated, and so kept longer than it was thought.
func TestChunksOfWhatIsValidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, tag := range []string{`ETag: "e"`, `ETag: W/"e"`} {
			o := newLarge(text(60<<10), true, "Cache-Control: max-age=60", tag)
			_, hs := startFleet(t, 2, Config{Transport: o, MaxBytes: 1 << 20, MaxObjectBytes: 512 << 10, KeepStale: time.Minute})
			for i := range 8 {
				if w := get(hs[i%2], "/x"); w.aborted || w.Body.String() != o.body {
					t.Errorf("%s: look %d: got %d, %d bytes, aborted: %v", tag, i, w.Code, w.Body.Len(), w.aborted)
				}
				time.Sleep(70 * time.Second)
			}
		}
	})
}

// A body that turns out to be longer than MaxObjectBytes gets to all who have begun to read it, and is not stored.
func TestLongerThanMaxObjectBytes(t *testing.T) {
	for _, size := range []int{64<<10 + 1, 512 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				part := text(size / 8)
				o := &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
					resp := streamed(r.Context(), "Cache-Control: max-age=60", -1, append(repeated(piece{after: time.Second, text: part}, 8), piece{text: "."})...)
					return resp, nil
				}}
				_, hs := startFleet(t, 3, Config{Transport: o, MaxBytes: 1 << 20, MaxObjectBytes: 64 << 10})
				want := strings.Repeat(part, 8) + "."
				for range 2 {
					var wg sync.WaitGroup
					for i := range 9 {
						wg.Go(func() {
							w := &answer{pace: time.Duration(i/3) * 10 * time.Millisecond}
							w.ask(t.Context(), hs[i%3], "GET", "/x")
							if w.aborted || w.Code != 200 || w.Body.String() != want {
								t.Errorf("got %d, %d bytes of %d, aborted: %v; %s", w.Code, w.Body.Len(), len(want), w.aborted, w.cacheStatus())
							}
						})
					}
					wg.Wait()
				}
				if n := o.requests.Load(); n != 10 {
					t.Errorf("the origin saw %d requests, want one for all, and then one for each of 9", n)
				}
				time.Sleep(3 * readerPatience)
				noFlows(t, hs...)
			})
		})
	}
}

// What is cut short in a chunk that is not the first one ends nobody's answer well, and the next one has all of it.
func TestTruncatedInChunks(t *testing.T) {
	for _, length := range []int64{-1, 80 << 10} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				part := text(20 << 10)
				ill := true
				o := &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
					pieces := repeated(piece{after: time.Second, text: part}, 4)
					if ill {
						pieces[3] = piece{after: time.Second, err: errBroken}
					}
					return streamed(r.Context(), "Cache-Control: max-age=60", length, pieces...), nil
				}}
				_, hs := startFleet(t, 3, Config{Transport: o, MaxBytes: 1 << 20, MaxObjectBytes: 512 << 10})
				var wg sync.WaitGroup
				for i := range 9 {
					wg.Go(func() {
						if w := get(hs[i%3], "/x"); !w.aborted || w.Body.String() != strings.Repeat(part, 3) {
							t.Errorf("got %d bytes, aborted: %v", w.Body.Len(), w.aborted)
						}
					})
				}
				wg.Wait()
				synctest.Wait()
				if n := o.requests.Swap(0); n != 1 {
					t.Errorf("the origin saw %d requests, want 1", n)
				}
				ill = false
				for _, h := range hs {
					wantBody(t, get(h, "/x"), 200, strings.Repeat(part, 4))
				}
				if n := o.requests.Load(); n != 1 {
					t.Errorf("the origin saw %d requests, want 1", n)
				}
			})
		})
	}
}
