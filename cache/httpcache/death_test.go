package httpcache

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// When the instance that fills leaves or dies while it streams, nobody's answer ends well but those that are whole; and the next ones get all of it.
func TestG8FillerGoesWhileItStreams(t *testing.T) {
	part := text(20 << 10)
	for _, header := range []string{"Cache-Control: max-age=60", private} {
		for _, length := range []int64{-1, 200 << 10} {
			for _, how := range []string{"closed", "stopped", "hung", "view"} {
				t.Run(fmt.Sprint(header, length, how), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						o := streaming(header, 0, length, repeated(piece{after: time.Second, text: part}, 10)...)
						fleet, hs := startFleet(t, 3, Config{Transport: o, MaxBytes: 1 << 20})
						owner := ownerOf(fleet, hs[0], "/x")
						answers := make(chan *answer)
						for i := range 6 {
							go func() { answers <- get(hs[i%3], "/x") }()
						}
						time.Sleep(5500 * time.Millisecond)
						switch how {
						case "closed":
							hs[owner].Close()
						case "stopped":
							fleet.Stop(owner)
						case "hung":
							fleet.Hang(owner)
						case "view":
							fleet.SetViewAll((owner+1)%3, (owner+2)%3)
						}
						for range 6 {
							select {
							case w := <-answers:
								whole := w.Code == 200 && w.Body.String() == strings.Repeat(part, 10)
								if !whole && !w.aborted && w.Code < 500 {
									t.Errorf("got %d, and %d bytes that end well", w.Code, w.Body.Len())
								}
							case <-time.After(10 * time.Minute):
								t.Fatal("a client has no answer after 10 minutes")
							}
						}
						time.Sleep(time.Minute)
						for i := 1; i < 3; i++ {
							wantBody(t, get(hs[(owner+i)%3], "/x"), 200, strings.Repeat(part, 10))
						}
						if how == "closed" {
							wantBody(t, get(hs[owner], "/x"), 200, strings.Repeat(part, 10))
						}
					})
				})
			}
		}
	}
}

// Close ends what streams, and everything that the Handler has begun.
func TestCloseWhileItStreams(t *testing.T) {
	for _, header := range []string{"Cache-Control: max-age=60", private} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := streaming(header, 0, -1, repeated(piece{after: time.Second, text: text(20 << 10)}, 100)...)
				h := start(t, Config{Transport: o})
				done := make(chan *answer)
				for range 3 {
					go func() { done <- get(h, "/x") }()
				}
				time.Sleep(10500 * time.Millisecond)
				h.Close()
				for range 3 {
					if w := <-done; !w.aborted && w.Code == 200 && w.Body.Len() < 2000<<10 {
						t.Errorf("got %d bytes that end well", w.Body.Len())
					}
				}
				synctest.Wait()
				noFlows(t, h)
			})
		})
	}
}
