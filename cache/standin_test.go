package cache_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// inOutage runs test after instance 0 has been unreachable for longer than its values last, which the others have loaded meanwhile.
func inOutage(t *testing.T, begin, end func(f *fleet), test func(f *fleet, keys []string)) {
	t.Helper()
	inFleet(t, 4, func(_ int, c *config) { c.TTL = time.Minute }, func(f *fleet) {
		keys := testKeys(200)
		for _, key := range keys {
			f.get(1, key)
		}
		begin(f)
		for range 8 {
			for _, key := range keys {
				for i := range 3 {
					f.get(i+1, key)
				}
			}
			time.Sleep(10 * time.Second)
		}
		for _, key := range keys {
			f.get(1, key)
		}
		end(f)
		test(f, keys)
	})
}

var outages = map[string][2]func(f *fleet){
	"partition": {func(f *fleet) { f.Partition([]int{0}) }, func(f *fleet) { f.Heal() }},
	"SIGSTOP":   {func(f *fleet) { f.Hang(0) }, func(f *fleet) { f.Resume(0) }},
}

// find has instances find out that another one can be reached again, by a key that they have never asked it for.
func (f *fleet) find(other int, instances ...int) {
	f.t.Helper()
	for n := 0; len(instances) > 0; n++ {
		if key := fmt.Sprint("probe-", n); f.owners(key)[0] == other {
			f.get(instances[0], key)
			instances = instances[1:]
		}
	}
	synctest.Wait()
}

// total returns how many loads there were.
func (f *fleet) total(keys []string) (n int) {
	for _, key := range keys {
		n += f.origin.loads(key)
	}
	return n
}

// An owner that could not be reached, and has lost to time what it had, takes back from those who took over what they loaded.
func TestG9WhoReturnsTakesItsKeysBack(t *testing.T) {
	for name, outage := range outages {
		t.Run(name, func(t *testing.T) {
			inOutage(t, outage[0], outage[1], func(f *fleet, keys []string) {
				f.find(0, 1, 2, 3)
				before := f.total(keys)
				time.Sleep(time.Second)
				pulled := f.caches[0].Stats()
				for _, key := range keys {
					for i := range 4 {
						f.get(i, key)
					}
				}
				synctest.Wait()
				if n := f.total(keys) - before; n > len(keys)/50 {
					t.Errorf("%d of %d keys were loaded after the return", n, len(keys))
				}
				if pulled.Pulled == 0 {
					t.Error("the owner has pulled nothing")
				}
			})
		})
	}
}

// Before it has pulled, it peeks.
func TestG9WhoReturnsPeeks(t *testing.T) {
	inOutage(t, outages["partition"][0], outages["partition"][1], func(f *fleet, keys []string) {
		defer f.Intercept(lose(peerstest.KindList))()
		f.find(0, 1, 2, 3)
		before, peeks := f.total(keys), f.caches[0].Stats().PeekHits
		for _, key := range keys {
			f.get(0, key)
		}
		synctest.Wait()
		if n := f.total(keys) - before; n > 0 {
			t.Errorf("%d of %d keys were loaded after the return", n, len(keys))
		}
		if f.caches[0].Stats().PeekHits == peeks {
			t.Error("the owner has peeked at nobody")
		}
	})
}

// What was invalidated while the two could not reach each other is not taken back.
func TestG4WhoReturnsTakesNothingOldBack(t *testing.T) {
	for name, at := range map[string]int{"by the owner": 0, "by who took over": 1, "by another one": 2} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 3, func(_ int, c *config) { c.TTL = time.Minute }, func(f *fleet) {
				key := f.ownedBy(0, 1)
				f.get(0, key)
				f.Partition([]int{0})
				time.Sleep(time.Minute)
				f.get(1, key)
				f.origin.write(key)
				var ue *cache.UnreachedError
				if err := f.caches[at].Remove(f.t.Context(), key); !errors.As(err, &ue) {
					t.Errorf("Remove: %v", err)
				}
				f.Heal()
				f.find(0, 1, 2)
				f.find(1, 0)
				time.Sleep(20 * time.Second)
				f.isNew(key)
			})
		})
	}
}

// An owner that was invalidated takes nothing from one that was not, though they reach each other.
func TestG4WhoReturnsAndWhoWasNotReached(t *testing.T) {
	inFleet(t, 3, func(_ int, c *config) { c.TTL = time.Hour }, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.Partition([]int{0})
		f.get(1, key) // takes over
		f.Heal()
		cut := peerstest.Faults{DropRequests: true, DropReplies: true}
		f.SetFaults(2, 1, cut)
		f.SetFaults(1, 2, cut)
		f.find(0, 1) // which tells it that it took over
		f.origin.write(key)
		var ue *cache.UnreachedError
		if err := f.caches[2].Remove(f.t.Context(), key); !errors.As(err, &ue) {
			t.Errorf("Remove: %v", err)
		}
		time.Sleep(6 * time.Second) // the hold is over
		if v := f.get(0, key); v != f.origin.value(key) {
			t.Errorf("the owner has %q, which it was told is old", v)
		}
	})
}

// Who took over hears what the owner knows before the owner takes anything back.
func TestG4WhoTookOverHearsWhatItMissedFirst(t *testing.T) {
	inFleet(t, 3, func(_ int, c *config) { c.TTL = time.Hour }, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.Partition([]int{0})
		f.get(1, key) // takes over
		f.origin.write(key)
		var ue *cache.UnreachedError
		if err := f.caches[0].Remove(f.t.Context(), key); !errors.As(err, &ue) {
			t.Errorf("Remove: %v", err)
		}
		time.Sleep(2 * time.Minute)
		f.get(1, key) // has it in its memory
		f.Heal()
		f.find(0, 1)
		if v := f.get(0, key); v != f.origin.value(key) {
			t.Errorf("the owner has %q, which it removed", v)
		}
		time.Sleep(5 * time.Second)
		f.isNew(key)
	})
}

// One that left, and that who invalidates could not reach, is forgotten, also by those who have just listed what it holds, to pull or to copy
// that.
func TestG4ForgottenWhenItWasListed(t *testing.T) {
	for _, copied := range []bool{false, true} {
		t.Run(fmt.Sprint("copied ", copied), func(t *testing.T) {
			inFleet(t, 3, soonCopied, func(f *fleet) {
				f.SetDetection(100 * time.Millisecond)
				key := f.ownedBy(0, 1) // 1 owns it when 0 has left
				f.SetFaults(2, 0, peerstest.Faults{DropRequests: true})
				f.get(0, key)
				leave := func() {
					f.SetView(1, 1, 2)
					f.SetView(2, 1, 2)
				}
				if !copied {
					leave()
				}
				holds := f.Hold(func(m peerstest.Message) bool {
					return m.Kind == peerstest.KindList && m.From == 1 && m.To == 0 && m.Reply
				})
				if _, err := holds.Await(f.t.Context()); err != nil {
					t.Fatal(err)
				}
				if copied {
					leave()
				}
				f.origin.write(key)
				f.remove(2, key)
				holds.Release()
				synctest.Wait()
				f.isNewAt(key, 1, 2)
			})
		})
	}
}
