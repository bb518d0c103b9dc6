package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// inChangingFleet runs test with a fleet of n instances, of which the last is not there yet.
func inChangingFleet(t *testing.T, n int, test func(f *fleet)) {
	t.Helper()
	inFleet(t, n, nil, func(f *fleet) {
		f.caches[n-1].Close()
		f.Stop(n - 1)
		f.SetViewAll(f.but(n - 1)...)
		f.SetWindow(time.Minute)
		time.Sleep(2 * peerstest.DefaultWindow) // what it was is forgotten
		test(f)
	})
}

// but returns all instances but one.
func (f *fleet) but(i int) []int {
	var others []int
	for j := range f.Len() {
		if j != i {
			others = append(others, j)
		}
	}
	return others
}

// come starts the last instance, which everybody hears of at once.
func (f *fleet) come() {
	n := f.Len() - 1
	f.Restart(n)
	f.SetView(n, append(f.but(n), n)...)
	f.caches[n] = f.newCache(n, nil)
	f.SetViewAll(append(f.but(n), n)...)
	synctest.Wait()
}

func testKeys(n int) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
	}
	return keys
}

// An instance that comes takes over what it owns from then on, and asks for what it misses, before it loads anything.
func TestG9JoinerLoadsNothingThatAnotherOneHas(t *testing.T) {
	inChangingFleet(t, 4, func(f *fleet) {
		keys := testKeys(200)
		for _, key := range keys {
			f.get(0, key)
		}
		f.come()
		for i := range f.Len() {
			for _, key := range keys {
				f.get(i, key)
			}
		}
		for _, key := range keys {
			f.loads(key, 1)
		}
		synctest.Wait()
		if s := f.caches[3].Stats(); s.Pulled == 0 || s.Loads > 0 {
			t.Errorf("the joiner pulled %d, loaded %d", s.Pulled, s.Loads)
		}
	})
}

// A new owner asks the one before for what it misses.
func TestG9NewOwnerPeeks(t *testing.T) {
	inChangingFleet(t, 3, func(f *fleet) {
		remove := f.Intercept(lose(peerstest.KindList)) // nothing is pulled
		defer remove()
		keys := testKeys(100)
		for _, key := range keys {
			f.get(0, key)
		}
		f.come()
		for _, key := range keys {
			f.get(2, key)
			f.loads(key, 1)
		}
		synctest.Wait() // who gets a value may have it before it is counted
		if s := f.caches[2].Stats(); s.Peeks == 0 || s.Peeks != s.PeekHits || s.Loads > 0 || s.Pulled > 0 {
			t.Errorf("%+v", s)
		}
	})
}

// When an instance leaves, those who own its keys next take over what it holds, the hottest first.
func TestG9LeaverIsPulled(t *testing.T) {
	inFleet(t, 4, nil, func(f *fleet) {
		keys := testKeys(200)
		for _, key := range keys {
			f.get(0, key)
		}
		f.SetViewAll(f.but(3)...) // it runs on
		synctest.Wait()
		f.Stop(3)
		f.caches[3].Close()
		for i := range 3 {
			for _, key := range keys {
				f.get(i, key)
			}
		}
		for _, key := range keys {
			f.loads(key, 1)
		}
	})
}

// What is being invalidated is neither pulled nor peeked at.
func TestG4NothingOldIsTakenOver(t *testing.T) {
	for kind, invalidate := range fleetInvalidations {
		t.Run(kind, func(t *testing.T) {
			inChangingFleet(t, 3, func(f *fleet) {
				f.SetViewAll(0, 1, 2)
				key := f.ownedBy(2)
				f.SetViewAll(0, 1)
				time.Sleep(2 * peerstest.DefaultWindow)
				f.get(0, key)
				f.get(1, key)
				f.origin.write(key)
				holds := f.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindFence && !m.Reply && m.To < 2 })
				done := make(chan error, 1)
				go func() { done <- invalidate(f, 0, key) }()
				if _, err := holds.Await(f.t.Context()); err != nil {
					t.Fatal(err)
				}
				f.come()
				for range 3 {
					f.get(2, key)
				}
				holds.Release()
				if err := <-done; err != nil {
					t.Errorf("%s: %v", kind, err)
				}
				f.isNew(key)
			})
		})
	}
}

// An instance that was cut off hears what it missed when it can be reached again, of what it owns too.
func TestG4WhoWasCutOffHearsWhatItMissed(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(2)
		f.get(2, key)
		f.Partition([]int{2})
		f.origin.write(key)
		var ue *cache.UnreachedError
		if err := f.caches[0].Remove(f.t.Context(), key); !errors.As(err, &ue) || len(ue.Errors) != 1 {
			t.Errorf("Remove: %v", err)
		}
		f.Heal()
		time.Sleep(20 * time.Second)
		f.isNew(key)
	})
}

// Who gets something old from an instance that was cut off, and has not heard yet what it missed, drops that when all have heard.
func TestG4WhatTheUnreachedGaveIsDropped(t *testing.T) {
	inFleet(t, 4, nil, func(f *fleet) {
		key := f.ownedBy(2)
		f.get(2, key)
		f.Partition([]int{2, 3})
		f.origin.write(key)
		begun := time.Now()
		var ue *cache.UnreachedError
		if err := f.caches[0].Remove(f.t.Context(), key); !errors.As(err, &ue) || len(ue.Errors) != 2 {
			t.Errorf("Remove: %v", err)
		}
		f.Heal()
		time.Sleep(6*time.Second - time.Since(begun)) // the holds are over, and nobody has said hello yet
		f.mirror(1, key)                              // which was reached
		f.mirror(3, key)
		if v := f.get(1, key); v == f.origin.value(key) {
			t.Error("the owner has heard already: the test shows nothing")
		}
		time.Sleep(20 * time.Second) // less than what a mirror lives
		f.isNew(key)
		before := f.CountsAll().Fences
		time.Sleep(time.Minute)
		if n := f.CountsAll().Fences - before; n != 0 {
			t.Errorf("%d fences more: it does not end", n)
		}
	})
}

// The same if the one who invalidated is gone.
func TestG4JournalOfOthers(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(2)
		f.get(2, key)
		time.Sleep(20 * time.Second) // all have said hello
		f.Partition([]int{2})
		f.origin.write(key)
		var ue *cache.UnreachedError
		if err := f.caches[0].Remove(f.t.Context(), key); !errors.As(err, &ue) {
			t.Errorf("Remove: %v", err)
		}
		f.Stop(0)
		f.caches[0].Close()
		time.Sleep(20 * time.Second) // it notices that it is cut off
		f.Heal()
		time.Sleep(20 * time.Second)
		if v := f.get(2, key); v != f.origin.value(key) {
			t.Errorf("got %q, which was removed 40 s ago", v)
		}
		synctest.Wait()
		if n := f.caches[2].Stats().Missed; n != 1 {
			t.Errorf("%d invalidations were missed, want 1", n)
		}
	})
}

// A member that left and cannot be reached is nobody's concern, once nobody asks it for anything.
func TestG4LeaverThatIsGone(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		f.SetDetection(100 * time.Millisecond)
		key := f.ownedBy(2)
		f.get(2, key)
		f.Partition([]int{2})
		f.SetViewAll(0, 1)
		f.origin.write(key)
		if err := f.caches[0].Remove(f.t.Context(), key); err != nil {
			t.Errorf("Remove: %v", err)
		}
		f.Heal() // it is there all the time
		for i := range 2 {
			if v := f.get(i, key); v != f.origin.value(key) {
				t.Errorf("%q at %d", v, i)
			}
			if slices.Contains(f.Instance(i).Others(), f.Instance(i).Peer(2)) {
				t.Errorf("%d still knows it", i)
			}
		}
	})
}

// lose is for Fleet.Intercept: it loses messages of a kind.
func lose(kind peerstest.Kind) func(ctx context.Context, m peerstest.Message) error {
	return func(_ context.Context, m peerstest.Message) error {
		if m.Kind == kind {
			return errors.New("lost")
		}
		return nil
	}
}
