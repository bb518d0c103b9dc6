package httpcache

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An instance whose mirror is older than what its owner has by now asks the owner, who validates what he has if that is stale as well: by one request,
// with its condition, for all who wait.
func TestWhatTheOwnerHasIsStaleAsWell(t *testing.T) {
	const lifetime = 5 * time.Second
	for name, outdate := range map[string]func(t *testing.T, h *Handler){
		"purged softly": func(t *testing.T, h *Handler) {
			if _, err := h.Purge(t.Context(), "/x", true); err != nil {
				t.Fatal(err)
			}
		},
		"past its lifetime": func(*testing.T, *Handler) { time.Sleep(lifetime + time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := unchanging("Cache-Control: max-age=5")
				fleet, hs := startFleet(t, 3, Config{Transport: o})
				i := ownerOf(fleet, hs[0], "/x")
				owner, other := hs[i], hs[(i+1)%3]
				for range 3 { // so that the other one mirrors it
					get(other, "/x")
				}
				time.Sleep(time.Second)
				outdate(t, owner)
				if w := get(owner, "/x"); !strings.Contains(w.cacheStatus(), "fwd=stale; fwd-status=304") {
					t.Fatalf("at the owner: %s", w.cacheStatus())
				}
				time.Sleep(time.Second)
				outdate(t, owner)
				before := o.requests.Load()
				var wg sync.WaitGroup
				for range 9 {
					wg.Go(func() {
						if w := get(other, "/x"); w.Body.String() != "x" || !strings.Contains(w.cacheStatus(), "fwd=stale; fwd-status=304; stored") {
							t.Errorf("%q: %s", w.Body, w.cacheStatus())
						}
					})
				}
				wg.Wait()
				if n := o.requests.Load() - before; n != 1 {
					t.Errorf("the origin saw %d requests, want one", n)
				}
			})
		})
	}
}
