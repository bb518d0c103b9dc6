package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

var deaf = peerstest.Faults{DropRequests: true}

// What was taken over is used no longer than MirrorTTL after its owner could have answered: a term is counted from when the owner was asked in vain,
// and not from when that was found out.
func TestG4TakeOverTermCountsFromAsking(t *testing.T) {
	inFleet(t, 2, func(_ int, c *config) { c.MirrorTTL = 2 * time.Second }, func(f *fleet) {
		key := f.ownedBy(1, 0)
		f.SetDetection(1500 * time.Millisecond)
		var heard atomic.Bool
		f.Intercept(func(_ context.Context, m peerstest.Message) error {
			if m.From == 0 && m.Kind == peerstest.KindGet && !heard.Load() {
				return errors.New("lost")
			}
			return nil
		})
		f.get(0, key) // it is found out, and loaded
		time.Sleep(3 * time.Second)
		time.AfterFunc(500*time.Millisecond, func() {
			heard.Store(true)
			f.origin.write(key)
			if _, err := f.caches[1].Refresh(f.t.Context(), key); err != nil {
				t.Error(err)
			}
		})
		f.get(0, key) // in vain once more, for 1.5 s
		time.Sleep(1200 * time.Millisecond)
		if got, want := f.get(0, key), f.origin.value(key); got != want {
			t.Errorf("%s, 2.2 s after the owner could be reached; want %s", got, want)
		}
	})
}

// That others cannot reach the owner does not keep the instance that took over from asking it.
func TestG4TakeOverTermIsNotRenewedByOthers(t *testing.T) {
	inFleet(t, 3, func(_ int, c *config) { c.MirrorTTL = 2 * time.Second }, func(f *fleet) {
		key := f.ownedBy(1, 0)
		f.SetDetection(100 * time.Millisecond)
		f.SetFaults(2, 1, deaf)
		f.get(2, key)
		f.origin.write(key)
		f.get(1, key)
		for range 50 {
			time.Sleep(100 * time.Millisecond)
			f.get(2, key)
		}
		if got, want := f.get(0, key), f.origin.value(key); got != want {
			t.Errorf("%s, 5 s after it was loaded; want the owner's %s", got, want)
		}
	})
}

// What was taken over is not what an instance goes back to when the owner has answered since, though nothing of the answer was kept: it was the
// first, or the key was held.
func TestG4TakeOverEndsWhenTheOwnerAnswers(t *testing.T) {
	for _, held := range []bool{false, true} {
		t.Run(fmt.Sprint("held ", held), func(t *testing.T) {
			inFleet(t, 2, func(_ int, c *config) { c.MirrorTTL = 2 * time.Second }, func(f *fleet) {
				key := f.ownedBy(1, 0)
				f.SetDetection(100 * time.Millisecond)
				f.SetFaults(0, 1, deaf)
				if held {
					var ue *cache.UnreachedError
					if err := f.caches[0].Remove(f.t.Context(), key); !errors.As(err, &ue) {
						t.Errorf("Remove: %v", err)
					}
				}
				f.get(0, key)
				f.origin.write(key)
				f.get(1, key)
				time.Sleep(3 * time.Second)
				f.SetFaults(0, 1, peerstest.Faults{})
				want := f.origin.value(key)
				for i := range 2 {
					if got := f.get(0, key); got != want {
						t.Errorf("Get %d: %s; want the owner's %s", i, got, want)
					}
					f.SetFaults(0, 1, deaf)
				}
			})
		})
	}
}
