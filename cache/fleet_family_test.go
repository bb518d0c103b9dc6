package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// The tests named TestFamily are of bugs that users of older libraries of this kind have met.

// Two instances that take each other for the owner: the server routes a request on, to where it came from,
// and joins the flight that waits for it.
func TestFamilyDisagreementDoesNotDeadlock(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		f.SetView(0, 1)
		f.SetView(1, 0)
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() { f.get(i, "k") })
		}
		wg.Wait()
		if n := f.origin.loads("k"); n > 2 {
			f.t.Errorf("%d loads", n)
		}
	})
}

// A loader that panics leaves its key as it was.
func TestFamilyPanicWedgesNothing(t *testing.T) {
	first := true
	inFleet(t, 2, func(_ int, c *config) {
		load := c.Load
		c.Load = func(ctx context.Context, key string) (cache.Entry[string], error) {
			if first {
				first = false
				panic("bang")
			}
			return load(ctx, key)
		}
	}, func(f *fleet) {
		key := f.ownedBy(0)
		if _, err := f.caches[1].Get(f.t.Context(), key); err == nil {
			f.t.Error("no error")
		}
		f.get(0, key)
		f.get(1, key)
	})
}

// The first caller's cancellation is its own affair, and everybody can leave early.
func TestFamilyFirstCallersCancellation(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		f.origin.takes(10 * time.Second)
		key := f.ownedBy(0)
		for i := range 2 { // at the owner, and across the hop
			begin := time.Now()
			first, leave := context.WithTimeout(f.t.Context(), time.Second)
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := f.caches[i].Get(first, key); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
					f.t.Errorf("first caller at %d: %v after %v", i, err, time.Since(begin))
				}
			})
			synctest.Wait()
			for j := range 2 {
				wg.Go(func() { f.get(j, key) })
			}
			wg.Wait()
			leave()
			f.loads(key, i+1)
			f.remove(0, key)
		}
	})
}

// A Remove that returned while a mirror was being filled: the old value must not come back with it.
func TestFamilyRemoveBeatsMirrorFillInFlight(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0)
		f.get(1, key) // the next fetch is mirrored
		hold := f.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindGet && m.Reply })
		var wg sync.WaitGroup
		wg.Go(func() { f.get(1, key) })
		if _, err := hold.Await(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.origin.write(key)
		f.remove(2, key)
		hold.Release()
		wg.Wait()
		if v, ok := f.caches[1].Peek(key); ok {
			f.t.Errorf("%q is mirrored", v)
		}
		f.isNew(key)
	})
}

// A Remove also drops the copies of the one who calls it.
func TestFamilyRemoveDropsTheCallersOwnCopies(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		keys := []string{f.ownedBy(0), f.ownedBy(1)}
		for _, key := range keys {
			for range 3 {
				f.get(1, key)
			}
			f.origin.write(key)
		}
		if err := f.caches[1].Remove(f.t.Context(), keys...); err != nil {
			f.t.Error(err)
		}
		for _, key := range keys {
			if v, ok := f.caches[1].Peek(key); ok {
				f.t.Errorf("%q is still there", v)
			}
			f.isNew(key)
		}
	})
}

// What crosses is how long a value is still good, and not until when: clocks need not agree.
func TestFamilyExpiryCrossesAsADuration(t *testing.T) {
	inFleet(t, 2, func(_ int, c *config) {
		c.TTL, c.Stale = 10*time.Second, 5*time.Second
		c.MirrorTTL = -1 // so that each Get asks
	}, func(f *fleet) {
		key := f.ownedBy(0)
		f.get(0, key)
		for _, tt := range []struct{ wait, ttl, stale time.Duration }{
			{0, 10 * time.Second, 5 * time.Second},
			{4 * time.Second, 6 * time.Second, 5 * time.Second},
			{8 * time.Second, 0, 3 * time.Second}, // stale for 2 s
		} {
			time.Sleep(tt.wait)
			var got *cache.Answer
			remove := f.Intercept(func(_ context.Context, m peerstest.Message) error {
				if m.Answer != nil && got == nil {
					got = m.Answer
				}
				return nil
			})
			f.get(1, key)
			remove()
			if got == nil || got.TTL != tt.ttl || got.Stale != tt.stale {
				f.t.Errorf("after %v: %+v, want TTL %v, Stale %v", tt.wait, got, tt.ttl, tt.stale)
			}
		}
	})
}

// A hit is counted once, mirrors included.
func TestFamilyHitIsCountedOnce(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		key := f.ownedBy(0)
		f.mirror(1, key)
		before := f.caches[1].Stats()
		for range 10 {
			f.get(1, key)
		}
		s := f.caches[1].Stats()
		if hits := s.Hits + s.MirrorHits - before.Hits - before.MirrorHits; hits != 10 || s.MirrorHits-before.MirrorHits != 10 {
			f.t.Errorf("10 hits were counted as %d", hits)
		}
	})
}

// Keys that some encodings confuse are different keys.
func TestFamilyKeysArriveAsTheyAre(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		for _, key := range []string{"a b", "a+b", "a%20b", "a//b", "a/b", "", ".", "..", "\xff", "\ufffd"} {
			for i := range 3 {
				if v := f.get(i, key); v != key+"@0" {
					f.t.Errorf("Get(%q) = %q", key, v)
				}
			}
			f.loads(key, 1)
		}
	})
}

// Many values of random sizes come and go without the accounting ever failing to find room, or looking for ever.
func TestFamilyAccountingAlwaysEnds(t *testing.T) {
	c, err := cache.New(cache.Config[string, string]{
		MaxBytes: cache.MinMaxBytes,
		Load: func(_ context.Context, key string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: key, Size: int64(len(key)) * 1000 % 70_000}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 5000 {
		if _, err := c.Get(t.Context(), fmt.Sprint(i, "-", i*i*i)); err != nil {
			t.Fatal(err)
		}
		if s := c.Stats(); s.Bytes > s.MaxBytes || s.Bytes < 0 {
			t.Fatalf("%d bytes", s.Bytes)
		}
	}
}
