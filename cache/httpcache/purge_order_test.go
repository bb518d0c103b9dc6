package httpcache

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// purgeAt purges /x softly at some instances at the same time.
func purgeAt(t *testing.T, hs ...*Handler) {
	t.Helper()
	var wg sync.WaitGroup
	for _, h := range hs {
		wg.Go(func() {
			if p, err := h.Purge(t.Context(), "/x", true); err != nil || len(p.Failed) > 0 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	wg.Wait()
}

// Purges of the same at the same time come to instances in different orders, and one validation is enough for all the same.
func TestSoftPurgesInAnyOrderValidateOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := unchanging("Cache-Control: max-age=600")
		fleet, hs := startFleet(t, 3, Config{Transport: o})
		for i := range 9 { // so that it is in everybody's memory
			get(hs[i%3], "/x")
		}
		time.Sleep(time.Second)
		fleet.SetFaultsAll(peerstest.Faults{RequestDelay: peerstest.Delay(10 * time.Millisecond)}) // each hears of its own first
		purgeAt(t, hs...)
		for i := range 9 {
			if w := get(hs[i%3], "/x"); strings.Contains(w.cacheStatus(), "fwd-status=200") {
				t.Errorf("%s", w.cacheStatus())
			}
		}
		if n := o.requests.Load(); n != 2 {
			t.Errorf("the origin saw %d requests, want one and its validation", n)
		}
	})
}

// A purge holds, though another one comes after it here that the owner knew before: what was loaded between them is stale.
func TestSoftPurgesInAnyOrderHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Int64
		o := numbered(&version)
		fleet, hs := startFleet(t, 3, Config{Transport: o})
		i := ownerOf(fleet, hs[0], "/x")
		owner, other, third := i, (i+1)%3, (i+2)%3
		fleet.SetFaults(third, other, peerstest.Faults{RequestDelay: peerstest.Delay(time.Second)})
		var slow sync.WaitGroup
		slow.Go(func() { purgeAt(t, hs[third]) })
		time.Sleep(time.Millisecond)
		for range 3 {
			get(hs[other], "/x")
		}
		version.Add(1)
		purgeAt(t, hs[owner])
		slow.Wait()
		if w := get(hs[other], "/x"); w.Body.String() != "1" {
			t.Errorf("got version %q: %s", w.Body, w.cacheStatus())
		}
	})
}

// Where more purges of the same come than are remembered, and more than a response says of, nothing that was purged is served.
func TestSoftPurgesOfTheSameAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Int64
		var keys []string
		for i := range 3 * maxAfter {
			keys = append(keys, fmt.Sprint("k", i))
		}
		o := numbered(&version, "Surrogate-Key: "+strings.Join(keys, " "))
		fleet, hs := startFleet(t, 2, Config{Transport: o})
		i := ownerOf(fleet, hs[0], "/x")
		owner, other := hs[i], hs[1-i]
		for range 3 {
			get(other, "/x")
		}
		for n := range 3 * maxSame {
			purgeAt(t, owner)
			if _, err := owner.PurgeKeys(t.Context(), keys[n:n+1], true); err != nil {
				t.Fatal(err)
			}
			if n%4 == 3 {
				version.Add(1)
				purgeAt(t, owner)
			}
			for range 3 {
				if w := get(other, "/x"); w.Body.String() != fmt.Sprint(version.Load()) {
					t.Errorf("after %d purges: version %q, want %d: %s", n+1, w.Body, version.Load(), w.cacheStatus())
				}
			}
		}
		for _, k := range keys {
			if _, err := owner.PurgeKeys(t.Context(), []string{k}, true); err != nil {
				t.Fatal(err)
			}
		}
		get(owner, "/x")
		if n := len(owner.storedAt(owner.sites.any.prefix + "/x").after); n != maxAfter {
			t.Errorf("a response says of %d purges, want %d", n, maxAfter)
		}
		for _, h := range hs {
			for what, s := range h.purges.at {
				if len(s.last) > maxSame {
					t.Errorf("%d of %s are remembered", len(s.last), what)
				}
			}
		}
	})
}
