package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// soonCopied has copies last for 3 s, and be renewed each second.
func soonCopied(_ int, c *config) { c.MirrorTTL = 3 * time.Second }

// lostTo is for Fleet.Intercept: it loses requests to an instance, and each hello.
func lostTo(to int) func(context.Context, peerstest.Message) error {
	return func(_ context.Context, m peerstest.Message) error {
		if m.Kind == peerstest.KindHello || m.To == to && !m.Reply {
			return errors.New("lost")
		}
		return nil
	}
}

// hasCopies waits until instance i has n copies.
func (f *fleet) hasCopies(i, n int) {
	f.t.Helper()
	for range 30 {
		if f.caches[i].Stats().Copies == n {
			return
		}
		time.Sleep(time.Second)
	}
	f.t.Fatalf("%d has %d copies, want %d", i, f.caches[i].Stats().Copies, n)
}

// isNewAt fails the test unless the instances get the present version of key.
func (f *fleet) isNewAt(key string, instances ...int) {
	f.t.Helper()
	for _, i := range instances {
		if v := f.get(i, key); v != f.origin.value(key) {
			f.t.Errorf("Get at %d = %q after the invalidation, want %q", i, v, f.origin.value(key))
		}
	}
}

// Who takes over from one that died has copies of what that held: nothing is loaded anew. They are a lease at first.
func TestG8WhoTakesOverHasCopies(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		keys := testKeys(100)
		for _, key := range keys {
			f.get(2, key)
		}
		time.Sleep(15 * time.Second)
		f.Stop(0)
		f.caches[0].Close()
		for _, key := range keys {
			f.get(1, key)
			f.get(2, key)
			f.loads(key, 1)
		}
		synctest.Wait()
		if n := f.caches[1].Stats().Promoted + f.caches[2].Stats().Promoted; n == 0 {
			t.Error("nothing was taken from copies")
		}
		f.SetViewAll(1, 2)
		time.Sleep(2 * cache.DefaultMirrorTTL) // what is owned now is no lease
		for _, key := range keys {
			f.get(1, key)
			f.get(2, key)
			f.loads(key, 1)
		}
	})
}

// Who begins anew asks those who have copies of what it held before.
func TestG9WhoRestartsFindsCopies(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		keys := testKeys(100)
		for _, key := range keys {
			f.get(2, key)
		}
		time.Sleep(15 * time.Second)
		f.caches[0].Close()
		f.Restart(0)
		f.caches[0] = f.newCache(0, nil)
		for _, key := range keys {
			f.get(0, key)
			f.loads(key, 1)
		}
		synctest.Wait()
		if s := f.caches[0].Stats(); s.PeekHits == 0 || s.Loads > 0 {
			t.Errorf("%d loads, %d of %d peeks found something", s.Loads, s.PeekHits, s.Peeks)
		}
	})
}

// A copy is a lease: if its owner has not been reached for longer than that, it is loaded anew.
func TestG8CopyIsALease(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.get(0, key)
		f.hasCopies(1, 1)
		f.Stop(0)
		f.caches[0].Close()
		time.Sleep(cache.DefaultMirrorTTL)
		f.get(2, key)
		f.loads(key, 2)
		time.Sleep(10 * time.Second)
		if n := f.caches[1].Stats().Copies; n != 0 {
			t.Errorf("%d copies are left", n)
		}
	})
}

// As long as the owner answers, it is asked, and a copy that it confirms is not sent again.
func TestG8CopyOfAnOwnerThatLives(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.get(0, key)
		f.hasCopies(1, 1)
		before := f.Counts(1, 0)
		time.Sleep(5 * cache.DefaultMirrorTTL)
		f.hasCopies(1, 1)
		if now := f.Counts(1, 0); now.Gets != before.Gets || now.Lists < before.Lists+15 {
			t.Errorf("%+v, then %+v: copies are renewed by lists", before, now)
		}
		f.get(1, key)
		if now := f.Counts(1, 0); now.Gets != before.Gets+1 {
			t.Error("a Get was answered from a copy")
		}
		if _, ok := f.caches[1].Peek(key); ok {
			t.Error("a copy is found in memory")
		}
	})
}

// What has another value at its owner is copied once more.
func TestG8CopyOfWhatChanged(t *testing.T) {
	inFleet(t, 3, soonCopied, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.get(0, key)
		f.hasCopies(1, 1)
		f.origin.write(key)
		f.remove(2, key)
		if n := f.caches[1].Stats().Copies; n != 0 {
			t.Errorf("%d copies were not dropped by a fence", n)
		}
		f.get(0, key)
		f.hasCopies(1, 1)
		f.Stop(0)
		f.caches[0].Close()
		if v := f.get(1, key); v != f.origin.value(key) {
			t.Errorf("%q is from a copy that is old", v)
		}
		f.loads(key, 2)
	})
}

// Each kind of invalidation drops copies.
func TestG4CopiesAreDropped(t *testing.T) {
	for kind, invalidate := range fleetInvalidations {
		t.Run(kind, func(t *testing.T) {
			inFleet(t, 3, soonCopied, func(f *fleet) {
				key := f.ownedBy(0, 1)
				f.get(0, key)
				f.hasCopies(1, 1)
				f.origin.write(key)
				if err := invalidate(f, 2, key); err != nil {
					t.Error(err)
				}
				f.Stop(0)
				f.caches[0].Close()
				f.isNewAt(key, 1, 2)
			})
		})
	}
}

// What is being invalidated is not copied from an owner that may not have heard of it.
func TestG4CopyDuringAHold(t *testing.T) {
	inFleet(t, 3, soonCopied, func(f *fleet) {
		remove := f.Intercept(lose(peerstest.KindList))
		key := f.ownedBy(0, 1)
		f.get(0, key)
		f.origin.write(key)
		holds := f.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindFence && m.To == 0 && !m.Reply })
		done := make(chan error, 1)
		go func() { done <- f.caches[2].Remove(f.t.Context(), key) }()
		if _, err := holds.Await(f.t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		remove()
		time.Sleep(1500 * time.Millisecond) // it looks for what to copy
		holds.Release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		f.Stop(0)
		f.caches[0].Close()
		f.isNewAt(key, 1, 2)
	})
}

// A copy that is on its way while it is invalidated, by somebody who does not reach this instance, is used no later than MirrorTTL
// after it was asked for.
func TestG4CopyTermCountsFromSending(t *testing.T) {
	inFleet(t, 3, soonCopied, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.get(0, key)
		holds := f.Hold(func(m peerstest.Message) bool {
			return m.Kind == peerstest.KindGet && m.From == 1 && m.To == 0 && m.Reply
		})
		if _, err := holds.Await(f.t.Context()); err != nil {
			t.Fatal(err)
		}
		defer f.Intercept(lostTo(1))()
		f.origin.write(key)
		var ue *cache.UnreachedError
		if err := f.caches[2].Remove(f.t.Context(), key); !errors.As(err, &ue) { // which takes 2 s
			t.Errorf("Remove: %v", err)
		}
		holds.Release()
		synctest.Wait()
		if n := f.caches[1].Stats().Copies; n != 1 {
			t.Fatalf("%d copies", n)
		}
		f.Stop(0)
		f.caches[0].Close()
		time.Sleep(1100 * time.Millisecond)
		f.isNewAt(key, 1)
	})
}

// Nor is one renewed whose owner has another value than it was made of.
func TestG4CopyOfAnotherVersionIsNotRenewed(t *testing.T) {
	inFleet(t, 3, soonCopied, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.get(0, key)
		f.hasCopies(1, 1)
		defer f.Intercept(lostTo(1))()
		f.origin.write(key)
		var ue *cache.UnreachedError
		if err := f.caches[2].Remove(f.t.Context(), key); !errors.As(err, &ue) {
			t.Errorf("Remove: %v", err)
		}
		defer f.Intercept(func(_ context.Context, m peerstest.Message) error {
			if m.Kind == peerstest.KindGet && m.From == 1 {
				return errors.New("lost")
			}
			return nil
		})()
		f.get(0, key)
		time.Sleep(3 * time.Second)
		f.Stop(0)
		f.caches[0].Close()
		f.isNewAt(key, 1)
	})
}

// There are no copies where there are no mirrors, or nobody to copy from.
func TestG8NoCopies(t *testing.T) {
	for name, test := range map[string]func(f *fleet){
		"no mirrors":     func(*fleet) {},
		"nobody is left": func(f *fleet) { f.SetViewAll(0) },
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 2, func(_ int, c *config) {
				if name == "no mirrors" {
					c.MirrorTTL = -1
				}
			}, func(f *fleet) {
				test(f)
				time.Sleep(time.Minute)
				synctest.Wait()
				before := f.Counts(0, 1).Lists + f.Counts(1, 0).Lists
				for _, key := range testKeys(20) {
					f.get(0, key)
				}
				time.Sleep(time.Minute)
				if n := f.Counts(0, 1).Lists + f.Counts(1, 0).Lists; n != before {
					t.Errorf("%d lists", n-before)
				}
				if s := f.caches[1].Stats(); s.Copies != 0 || s.CopyBytes != 0 {
					t.Errorf("%d copies", s.Copies)
				}
			})
		})
	}
}

// Copies stay within their share, and the hottest are there.
func TestG6CopiesAreBounded(t *testing.T) {
	const maxBytes = 1 << 20
	inFleet(t, 2, func(_ int, c *config) { c.MaxBytes = maxBytes }, func(f *fleet) {
		var cold, hot []string
		for i := 0; len(cold) < 600; i++ {
			if key := fmt.Sprint("key-", i); f.owners(key)[0] == 0 {
				f.get(0, key)
				cold = append(cold, key)
			}
		}
		hot, cold = cold[:20], cold[20:]
		for range 3 {
			for _, key := range hot {
				f.get(0, key)
			}
			time.Sleep(20 * time.Second)
		}
		s := f.caches[1].Stats()
		if s.CopyBytes > maxBytes/10 || s.CopyBytes < maxBytes/20 || s.Bytes > maxBytes {
			t.Errorf("%d of %d bytes are copies", s.CopyBytes, s.Bytes)
		}
		f.Stop(0)
		f.caches[0].Close()
		for _, key := range hot {
			f.get(1, key)
			f.loads(key, 1)
		}
		for _, key := range cold {
			f.get(1, key)
		}
		synctest.Wait()
		if s := f.caches[1].Stats(); s.Loads == 0 || s.Loads > uint64(len(cold)) {
			t.Errorf("%d of %d were loaded, and %d had copies", s.Loads, len(cold), s.Promoted)
		}
	})
}
