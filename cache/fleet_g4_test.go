package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// fleetInvalidations are the calls that promise G4, each as a function that invalidates key at instance i.
var fleetInvalidations = map[string]func(f *fleet, i int, key string) error{
	"Remove": func(f *fleet, i int, key string) error { return f.caches[i].Remove(f.t.Context(), "other", key) },
	"Clear":  func(f *fleet, i int, _ string) error { return f.caches[i].Clear(f.t.Context()) },
	"RemoveTag": func(f *fleet, i int, key string) error {
		return f.caches[i].RemoveTag(f.t.Context(), "other", "tag of "+key)
	},
	"Set": func(f *fleet, i int, key string) error {
		return f.caches[i].Set(f.t.Context(), key, cache.Entry[string]{Value: f.origin.value(key), Tags: []string{"tag of " + key}})
	},
}

// forInvalidations runs test for each way to invalidate, called at each of three instances. Instance 0 owns key.
func forInvalidations(t *testing.T, test func(f *fleet, key string, invalidate func())) {
	for name, invalidate := range fleetInvalidations {
		for at, where := range []string{"owner", "reader", "bystander"} {
			t.Run(name+" at the "+where, func(t *testing.T) {
				inFleet(t, 3, nil, func(f *fleet) {
					key := f.ownedBy(0)
					test(f, key, func() {
						f.t.Helper()
						if err := invalidate(f, at, key); err != nil {
							f.t.Errorf("%s: %v", name, err)
						}
					})
				})
			})
		}
	}
}

// isNew fails the test unless every instance gets the present version of key.
func (f *fleet) isNew(key string) {
	f.t.Helper()
	want := f.origin.value(key)
	for range 3 {
		for i := range f.caches {
			if v := f.get(i, key); v != want {
				f.t.Errorf("Get at %d = %q after the invalidation, want %q", i, v, want)
			}
		}
	}
}

func TestG4ValuesInMemory(t *testing.T) {
	forInvalidations(t, func(f *fleet, key string, invalidate func()) {
		f.mirror(1, key)
		f.mirror(2, key)
		f.origin.write(key)
		invalidate()
		f.isNew(key)
	})
}

// The load began before the invalidation: those who wait for it get it, and nobody else.
func TestG4LoadInFlight(t *testing.T) {
	forInvalidations(t, func(f *fleet, key string, invalidate func()) {
		f.origin.takes(10 * time.Second)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if v := f.get(i, key); v != key+"@0" {
					f.t.Errorf("who waited got %q", v)
				}
			})
		}
		synctest.Wait()
		f.origin.write(key)
		invalidate()
		f.origin.takes(0)
		f.isNew(key)
		wg.Wait()
		f.isNew(key) // the old load has ended now, and stored nothing
	})
}

// The owner's answer is on its way when the invalidation comes and goes.
func TestG4FetchInFlight(t *testing.T) {
	forInvalidations(t, func(f *fleet, key string, invalidate func()) {
		f.get(0, key)
		f.get(1, key) // so that the next fetch would be mirrored
		hold := f.Hold(func(m peerstest.Message) bool {
			return m.Kind == peerstest.KindGet && m.Reply && m.From == 1
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			if v := f.get(1, key); v != key+"@0" {
				f.t.Errorf("who waited got %q", v)
			}
		})
		if _, err := hold.Await(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.origin.write(key)
		invalidate()
		var late sync.WaitGroup
		late.Go(func() { // must not join the fetch
			if v, want := f.get(1, key), f.origin.value(key); v != want {
				f.t.Errorf("who came after the invalidation got %q, want %q", v, want)
			}
		})
		synctest.Wait()
		hold.Release()
		wg.Wait()
		late.Wait()
		f.isNew(key)
	})
}

// The fence reaches the reader first. What it then fetches from the owner, which the fence has not reached
// yet, is old, and must neither be mirrored nor joined by those who come later.
func TestG4OwnerIsFencedLast(t *testing.T) {
	for _, joined := range []bool{false, true} {
		name := "stored"
		if joined {
			name = "joined"
		}
		t.Run(name, func(t *testing.T) {
			for kind, invalidate := range fleetInvalidations {
				t.Run(kind, func(t *testing.T) {
					inFleet(t, 3, nil, func(f *fleet) {
						key := f.ownedBy(0)
						f.mirror(1, key)
						fence := f.Hold(func(m peerstest.Message) bool {
							return m.Kind == peerstest.KindFence && m.To == 0 && !m.Reply
						})
						f.origin.write(key)
						done := make(chan error, 1)
						go func() { done <- invalidate(f, 2, key) }()
						if _, err := fence.Await(f.t.Context()); err != nil {
							f.t.Fatal(err)
						}
						synctest.Wait() // instance 1 is fenced now
						reply := f.Hold(func(m peerstest.Message) bool {
							return joined && m.Kind == peerstest.KindGet && m.Reply && m.From == 1
						})
						var wg sync.WaitGroup
						for range 3 {
							wg.Go(func() { f.get(1, key) }) // old or new: the invalidation is under way
						}
						synctest.Wait()
						fence.Release()
						if err := <-done; err != nil {
							f.t.Error(err)
						}
						var late sync.WaitGroup
						late.Go(func() {
							if v, want := f.get(1, key), f.origin.value(key); v != want {
								f.t.Errorf("who came after the invalidation got %q, want %q", v, want)
							}
						})
						synctest.Wait()
						reply.Release()
						wg.Wait()
						late.Wait()
						f.isNew(key)
					})
				})
			}
		})
	}
}

// A Set whose value is still on its way to the owner when a Remove comes and goes must not bring its value back.
func TestG4SetOvertakenByRemove(t *testing.T) {
	for name, invalidate := range fleetInvalidations {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 3, nil, func(f *fleet) {
				key := f.ownedBy(0)
				store := f.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindStore && !m.Reply })
				set := make(chan error, 1)
				go func() {
					set <- f.caches[1].Set(f.t.Context(), key, cache.Entry[string]{Value: key + "@-1", Tags: []string{"tag of " + key}})
				}()
				if _, err := store.Await(f.t.Context()); err != nil {
					f.t.Fatal(err)
				}
				f.origin.write(key)
				if err := invalidate(f, 0, key); err != nil {
					f.t.Error(err)
				}
				store.Release()
				if err := <-set; err != nil {
					f.t.Errorf("Set: %v", err)
				}
				f.isNew(key)
			})
		})
	}
}

// A load that begins while a Set is under way must not replace what it set.
func TestG4SetStaysOverLoadInFlight(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		f.origin.takes(10 * time.Second)
		key := f.ownedBy(0)
		store := f.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindStore && !m.Reply })
		set := make(chan error, 1)
		go func() { set <- f.caches[1].Set(f.t.Context(), key, cache.Entry[string]{Value: "set"}) }()
		if _, err := store.Await(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() { f.get(0, key) })
		synctest.Wait()
		store.Release()
		if err := <-set; err != nil {
			f.t.Error(err)
		}
		wg.Wait()
		for i := range 3 {
			if v := f.get(i, key); v != "set" {
				f.t.Errorf("Get at %d = %q", i, v)
			}
		}
	})
}

func TestFamilyConcurrentSetsAreNotCoalescedInTheFleet(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0)
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				if err := f.caches[i].Set(f.t.Context(), key, cache.Entry[string]{Value: "concurrent"}); err != nil {
					f.t.Error(err)
				}
			})
		}
		wg.Wait()
		if err := f.caches[1].Set(f.t.Context(), key, cache.Entry[string]{Value: "last"}); err != nil {
			f.t.Error(err)
		}
		for i := range 3 {
			if v := f.get(i, key); v != "last" {
				f.t.Errorf("Get at %d = %q", i, v)
			}
		}
		if n := f.CountsAll(); n.Fences != 4*2 {
			f.t.Errorf("%d fences for 4 Sets in a fleet of 3", n.Fences)
		}
	})
}

func TestG4UnreachedInstanceIsNamed(t *testing.T) {
	const mirrorTTL = 10 * time.Second
	for name, invalidate := range fleetInvalidations {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 4, func(_ int, c *config) { c.MirrorTTL = mirrorTTL }, func(f *fleet) {
				key := f.ownedBy(0)
				for i := range 4 {
					if i != 0 {
						f.mirror(i, key)
					}
				}
				f.Partition([]int{3}) // it lives on, alone
				f.origin.write(key)
				cut := time.Now()
				err := invalidate(f, 1, key)
				var ue *cache.UnreachedError
				if !errors.As(err, &ue) || len(ue.Errors) != 1 || ue.Errors["instance-3"] == nil {
					f.t.Fatalf("err = %v; want an *UnreachedError that names instance-3", err)
				}
				for range 3 {
					for i := range 3 {
						if v, want := f.get(i, key), f.origin.value(key); v != want {
							f.t.Errorf("Get at %d = %q, want %q", i, v, want)
						}
					}
				}
				if v := f.get(3, key); v != key+"@0" {
					f.t.Errorf("the one that was cut off has %q; the test is wrong", v)
				}
				time.Sleep(mirrorTTL - time.Since(cut))
				if v, want := f.get(3, key), f.origin.value(key); v != want {
					f.t.Errorf("after MirrorTTL, the one that was cut off has %q, want %q", v, want)
				}
				f.Heal()
			})
		})
	}
}

func TestFamilyOwnerIsDownAndTheOthersAreInvalidated(t *testing.T) {
	inFleet(t, 4, nil, func(f *fleet) {
		key := f.ownedBy(0)
		for i := 1; i < 4; i++ {
			f.mirror(i, key)
		}
		f.Stop(0)
		f.origin.write(key)
		err := f.caches[1].Remove(f.t.Context(), key)
		var ue *cache.UnreachedError
		if !errors.As(err, &ue) || ue.Errors["instance-0"] == nil || len(ue.Errors) != 1 {
			f.t.Errorf("Remove: %v", err)
		}
		for i := 1; i < 4; i++ { // the caller's own copy first of all
			if v, want := f.get(i, key), f.origin.value(key); v != want {
				f.t.Errorf("Get at %d = %q, want %q", i, v, want)
			}
		}
	})
}

// After a Remove the key is mirrored and shared again as before: its hold was released.
func TestHoldEndsWithTheInvalidation(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0)
		f.mirror(1, key)
		f.remove(2, key)
		synctest.Wait()
		f.mirror(1, key)
		begin := f.Counts(1, 0).Gets
		for range 10 {
			f.get(1, key)
		}
		if n := f.Counts(1, 0).Gets - begin; n != 0 {
			f.t.Errorf("%d fetches of a mirrored key", n)
		}
	})
}

func TestInvalidationLeavesByItsContext(t *testing.T) {
	for name := range fleetInvalidations {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 3, nil, func(f *fleet) {
				f.Hang(2)
				f.SetDetection(0)
				ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
				defer cancel()
				begin := time.Now()
				var err error
				switch name {
				case "Remove":
					err = f.caches[0].Remove(ctx, "k")
				case "RemoveTag":
					err = f.caches[0].RemoveTag(ctx, "t")
				case "Clear":
					err = f.caches[0].Clear(ctx)
				case "Set":
					err = f.caches[0].Set(ctx, "k", cache.Entry[string]{Value: "v"})
				}
				if d := time.Since(begin); d != time.Second || !errors.Is(err, context.DeadlineExceeded) {
					f.t.Errorf("%v after %v", err, d)
				}
				f.Resume(2)
			})
		})
	}
}

func TestSetInAFleetWithoutOthers(t *testing.T) {
	inFleet(t, 1, nil, func(f *fleet) {
		f.get(0, "k")
		if err := f.caches[0].Set(f.t.Context(), "k", cache.Entry[string]{Value: "set"}); err != nil {
			f.t.Error(err)
		}
		if v := f.get(0, "k"); v != "set" {
			f.t.Errorf("Get = %q", v)
		}
	})
}

func TestCloseEndsInvalidations(t *testing.T) {
	for name, invalidate := range fleetInvalidations {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 3, nil, func(f *fleet) {
				f.Hang(2)
				f.SetDetection(0)
				begin := time.Now()
				done := make(chan error, 1)
				go func() { done <- invalidate(f, 1, f.ownedBy(0)) }()
				synctest.Wait()
				if err := f.caches[1].Close(); err != nil {
					f.t.Error(err)
				}
				if err := <-done; !errors.Is(err, cache.ErrClosed) || time.Since(begin) != 0 {
					f.t.Errorf("%v after %v", err, time.Since(begin))
				}
				f.Resume(2)
			})
		})
	}
}
