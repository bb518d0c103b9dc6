package cache_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// An instance that begins a new life, or makes its cache, while a key is being invalidated was not told of it, and may
// fetch the old value from an owner that is not fenced yet. It hears of the hold when it says hello, and keeps nothing.
func TestG4RestartDuringAnInvalidation(t *testing.T) {
	for name, restart := range map[string]func(f *fleet, before bool){
		"restarted after its fence": func(f *fleet, before bool) {
			if !before {
				f.Restart(1)
				f.caches[1].Close()
				f.caches[1] = f.newCache(1, nil)
			}
		},
		"cache made after its fence": func(f *fleet, before bool) {
			if before {
				f.caches[1].Close()
			} else {
				f.caches[1] = f.newCache(1, nil)
			}
		},
	} {
		for kind, invalidate := range fleetInvalidations {
			t.Run(name+" by "+kind, func(t *testing.T) {
				inFleet(t, 3, nil, func(f *fleet) {
					key := f.ownedBy(2)
					f.get(2, key)
					restart(f, true)
					f.origin.write(key)
					hold := f.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindFence && m.To == 2 && !m.Reply })
					done := make(chan error, 1)
					go func() { done <- invalidate(f, 0, key) }()
					if _, err := hold.Await(f.t.Context()); err != nil {
						f.t.Fatal(err)
					}
					synctest.Wait() // instance 1 has said what it had to say
					restart(f, false)
					synctest.Wait()
					for range 3 {
						if v := f.get(1, key); version(v) != 0 {
							f.t.Errorf("got %q, and the owner is not fenced yet", v)
						}
					}
					hold.Release()
					if err := <-done; err != nil {
						f.t.Errorf("%s: %v", kind, err)
					}
					f.isNew(key)
				})
			})
		}
	}
}

// What an instance has taken over from an owner that it did not reach is a lease like a mirror: an owner that
// is back, or was there for others all the time, may know better.
func TestG4TakeoverEndsWithTheLease(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.Partition([]int{0}, []int{1, 2})
		f.get(1, key) // takes over by itself
		f.get(2, key) // is answered by it
		f.origin.write(key)
		var ue *cache.UnreachedError
		if err := f.caches[0].Remove(f.t.Context(), key); !errors.As(err, &ue) || len(ue.Errors) != 2 {
			f.t.Errorf("Remove: %v", err)
		}
		f.Heal()
		time.Sleep(cache.DefaultMirrorTTL)
		f.isNew(key)
	})
}

// As long as the owner is down, who has taken over needs no more than one load.
func TestG8TakeoverIsOneLoadHoweverLongItLasts(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.Stop(0)
		for range 10 {
			for i := 1; i < 3; i++ {
				f.get(i, key)
			}
			time.Sleep(cache.DefaultMirrorTTL / 3)
		}
		if by := f.origin.loadedBy(key); !slices.Equal(by, []int{1}) {
			f.t.Errorf("loaded by %v, want once by 1", by)
		}
	})
}

// The instances that failed one key's callers do not count against another key.
func TestG8TriesAreOfEachKey(t *testing.T) {
	inFleet(t, 5, nil, func(f *fleet) {
		f.SetDetection(100 * time.Millisecond)
		a, b := f.ownedBy(1, 2, 4), f.ownedBy(1, 3, 4)
		for _, i := range []int{1, 2, 3} {
			f.Stop(i)
		}
		if _, err := f.caches[0].GetMany(f.t.Context(), []string{a, b}); err != nil {
			f.t.Error(err)
		}
		for _, key := range []string{a, b} {
			if by := f.origin.loadedBy(key); !slices.Equal(by, []int{4}) {
				f.t.Errorf("%q was loaded by %v, want 4", key, by)
			}
		}
	})
}

// A value that was set is not served for longer than its TTL, however long it took to its owner.
func TestG7SetInTransit(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		key := f.ownedBy(1)
		f.SetFaults(0, 1, peerstest.Faults{RequestDelay: peerstest.Delay(2 * time.Second)})
		done := make(chan error, 1)
		go func() {
			done <- f.caches[0].Set(f.t.Context(), key, cache.Entry[string]{Value: "set", TTL: 3 * time.Second})
		}()
		time.Sleep(4900 * time.Millisecond)
		if v, ok := f.caches[1].Peek(key); ok {
			f.t.Errorf("%q is served 4.9 s after it was set for 3 s", v)
		}
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	})
}

// A fetch that began before a Refresh may bring what is older.
func TestRefreshIsNotUndoneByAnOlderFetch(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		key := f.ownedBy(1)
		f.get(0, key) // so that the next fetch is mirrored
		var call atomic.Uint64
		hold := f.Hold(func(m peerstest.Message) bool {
			return m.Kind == peerstest.KindGet && m.Reply && (call.CompareAndSwap(0, m.Call) || call.Load() == m.Call)
		})
		go f.get(0, key)
		if _, err := hold.Await(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.origin.write(key)
		fresh, err := f.caches[0].Refresh(f.t.Context(), key)
		if err != nil {
			f.t.Error(err)
		}
		hold.Release()
		synctest.Wait()
		if v := f.get(0, key); version(v) < version(fresh) {
			f.t.Errorf("Refresh returned %q, and Get afterwards %q", fresh, v)
		}
	})
}

// Whoever waits for one key of many does not wait for the others, here or at another instance.
func TestKeysOfABatchDoNotWaitForEachOther(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		var keys []string
		for n := 0; len(keys) < 2; n++ {
			if key := fmt.Sprint("key-", n); f.owners(key)[0] == 1 {
				keys = append(keys, key)
			}
		}
		slow, fast := keys[0], keys[1]
		f.origin.mu.Lock()
		f.origin.delay = func(key string) time.Duration {
			if key == slow {
				return 20 * time.Second
			}
			return 10 * time.Millisecond
		}
		f.origin.mu.Unlock()
		done := make(chan struct{})
		go func() {
			defer close(done)
			if _, err := f.caches[0].GetMany(f.t.Context(), keys); err != nil {
				f.t.Error(err)
			}
		}()
		synctest.Wait()
		begin := time.Now()
		f.get(0, fast)
		if d := time.Since(begin); d > time.Second {
			f.t.Errorf("a key that loads in 10 ms took %v", d)
		}
		<-done
	})
}
