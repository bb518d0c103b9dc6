package httpcache

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever waits for a body, on whatever instance, has each part of it as soon as the origin has sent it.
func TestG1JoinersStream(t *testing.T) {
	half := text(1000)
	for _, tt := range []struct {
		name   string
		length int64
		half   string
	}{{"small, of unknown length", -1, half}, {"small", 2000, half}, {"in chunks, of unknown length", -1, text(300 << 10)}, {"in chunks", 600 << 10, text(300 << 10)}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := streaming("Cache-Control: max-age=60", time.Second, tt.length, piece{text: tt.half}, piece{after: 10 * time.Second, text: tt.half})
				_, hs := startFleet(t, 3, Config{Transport: o})
				begin := time.Now()
				var wg sync.WaitGroup
				join := func(n int, first time.Duration) {
					for i := range n {
						wg.Go(func() {
							w := get(hs[i%3], "/x")
							if w.aborted || w.Body.String() != tt.half+tt.half {
								t.Errorf("got %d bytes, aborted: %v", w.Body.Len(), w.aborted)
							}
							if d := w.first.Sub(begin); d < first || d > first+wholeWithin {
								t.Errorf("the first byte came after %v, want %v", d, first)
							}
							if d := w.ended.Sub(begin); d < 11*time.Second || d > 11*time.Second+wholeWithin {
								t.Errorf("the last byte came after %v", d)
							}
						})
					}
				}
				join(50, time.Second)
				time.Sleep(5 * time.Second)
				join(9, 5*time.Second) // it is under way
				wg.Wait()
				synctest.Wait()
				for _, h := range hs {
					if w := get(h, "/x"); w.Body.String() != tt.half+tt.half {
						t.Errorf("from the store: %d bytes", w.Body.Len())
					}
				}
				if n := o.requests.Load(); n != 1 {
					t.Errorf("the origin saw %d requests, want 1", n)
				}
			})
		})
	}
}

// Those who want different variants wait for the first response, which says so, and then each for his own.
func TestG1CollapsingWithVary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := byLanguage(time.Second)
		_, hs := startFleet(t, 3, Config{Transport: o})
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				language := []string{"de", "fr"}[i/3%2]
				if w := get(hs[i%3], "/x", "Accept-Language: "+language); w.Body.String() != language+" 0" {
					t.Errorf("%s got %d %q", language, w.Code, w.Body)
				}
			})
		}
		wg.Wait()
		if n, d := o.requests.Load(), time.Since(begin); n != 2 || d > 2*time.Second {
			t.Errorf("the origin saw %d requests, want 2; in %v", n, d)
		}
		for i, h := range hs {
			for _, language := range []string{"de", "fr"} {
				if w := get(h, "/x", "Accept-Language: "+language); w.Body.String() != language+" 0" || o.requests.Load() != 2 {
					t.Errorf("instance %d: %s got %q after %d requests", i, language, w.Body, o.requests.Load())
				}
			}
		}
	})
}

// A slow client does not slow another one down, nor the fill.
func TestSlowClientsAreAlone(t *testing.T) {
	for _, header := range []string{"Cache-Control: max-age=60", "Cache-Control: private"} {
		for slowAt := range 2 {
			t.Run(fmt.Sprint(header, slowAt), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					body := text(16 << 10)
					o := streaming(header, 0, -1, repeated(piece{after: 10 * time.Millisecond, text: body}, 32)...)
					fleet, hs := startFleet(t, 2, Config{Transport: o, MaxBytes: 4 << 20})
					owner := ownerOf(fleet, hs[0], "/x")
					begin := time.Now()
					slow := &answer{pace: 10 * time.Second}
					var wg sync.WaitGroup
					wg.Go(func() { slow.ask(t.Context(), hs[(owner+slowAt)%2], "GET", "/x") })
					synctest.Wait()
					for i := range 4 {
						wg.Go(func() {
							if w := get(hs[i%2], "/x"); w.aborted || w.Body.Len() != 32*len(body) || w.ended.Sub(begin) > time.Second {
								t.Errorf("got %d bytes after %v", w.Body.Len(), w.ended.Sub(begin))
							}
						})
					}
					wg.Wait()
					if slow.aborted || slow.Body.Len() != 32*len(body) {
						t.Errorf("the slow one got %d bytes, aborted: %v", slow.Body.Len(), slow.aborted)
					}
				})
			})
		}
	}
}
