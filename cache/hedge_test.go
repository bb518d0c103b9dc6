package cache_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

const slowReply = 500 * time.Millisecond

// withPace runs test when instances 1 and 2 know how long instance 0 takes, which is up to 3 ms. It owns the keys, which are in its memory, and
// 1 comes next, which has copies of them if copied is true.
func withPace(t *testing.T, copied bool, test func(f *fleet, keys []string)) {
	t.Helper()
	inFleet(t, 3, nil, func(f *fleet) {
		if !copied {
			defer f.Intercept(lose(peerstest.KindList))()
		}
		var keys []string
		for n := 0; len(keys) < 700; n++ {
			if key := fmt.Sprint("key-", n); fmt.Sprint(f.owners(key)) == "[0 1 2]" {
				f.get(0, key)
				keys = append(keys, key)
			}
		}
		time.Sleep(20 * time.Second)
		if n := f.caches[1].Stats().Copies; copied && n != len(keys) {
			t.Fatalf("%d copies of %d keys", n, len(keys))
		}
		for from := range 2 {
			f.SetFaults(from+1, 0, peerstest.Faults{ReplyDelay: peerstest.DelayBetween(1, time.Millisecond, 3*time.Millisecond)})
		}
		for _, key := range keys[100:] { // the others were never fetched
			f.get(1, key)
			f.get(2, key)
		}
		test(f, keys[:100])
	})
}

// slow has all replies of an instance take that long from here on.
func (f *fleet) slow(to int, d time.Duration) {
	for from := range f.Len() {
		if from != to {
			f.SetFaults(from, to, peerstest.Faults{ReplyDelay: peerstest.Delay(d)})
		}
	}
}

// took returns how long a Get of key at instance i takes, which must return its present value.
func (f *fleet) took(i int, key string) time.Duration {
	f.t.Helper()
	begun := time.Now()
	if v := f.get(i, key); v != f.origin.value(key) {
		f.t.Errorf("Get(%q) at %d = %q", key, i, v)
	}
	return time.Since(begun)
}

// hedges returns how many hedges of instance i there were, and how many won.
func (f *fleet) hedges(i int) (all, won int) {
	synctest.Wait()
	s := f.caches[i].Stats()
	return int(s.Hedges), int(s.HedgesWon)
}

// An owner that takes longer than it hardly ever does is helped by who comes next. All who wait have the value.
func TestG8HedgeWins(t *testing.T) {
	withPace(t, true, func(f *fleet, keys []string) {
		f.slow(0, slowReply)
		all, won := f.hedges(2)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if d := f.took(2, keys[0]); d > 10*time.Millisecond {
					t.Errorf("it took %v", d)
				}
			})
		}
		wg.Wait()
		if a, w := f.hedges(2); a != all+1 || w != won+1 || f.caches[2].Stats().FetchFailures != 0 {
			t.Errorf("%d hedges, %d won: %+v", a-all, w-won, f.caches[2].Stats())
		}
		f.loads(keys[0], 1)
	})
}

// Who comes next may be the one who asks, and has a copy itself.
func TestG8HedgeByACopyOfOnesOwn(t *testing.T) {
	withPace(t, true, func(f *fleet, keys []string) {
		f.slow(0, slowReply)
		all, won := f.hedges(1)
		if d := f.took(1, keys[0]); d > 10*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		if a, w := f.hedges(1); a != all+1 || w != won+1 {
			t.Errorf("%d hedges, %d won", a-all, w-won)
		}
	})
}

// Hedges are few, however slow the owner is.
func TestG8HedgesAreBounded(t *testing.T) {
	withPace(t, true, func(f *fleet, keys []string) {
		f.slow(0, slowReply)
		all, _ := f.hedges(2)
		fast := 0
		for _, key := range keys {
			if f.took(2, key) < slowReply {
				fast++
			}
		}
		if a, _ := f.hedges(2); fast == 0 || fast > a-all || a-all > 8+len(keys)*3/100+1 {
			t.Errorf("%d of %d Gets were fast by %d hedges", fast, len(keys), a-all)
		}
	})
}

// A hedge loads nothing: who has nothing is no help.
func TestG1HedgeNeverLoads(t *testing.T) {
	withPace(t, false, func(f *fleet, keys []string) {
		f.slow(0, slowReply)
		all, won := f.hedges(2)
		if d := f.took(2, keys[0]); d != slowReply {
			t.Errorf("it took %v", d)
		}
		if a, w := f.hedges(2); a != all+1 || w != won {
			t.Errorf("%d hedges, %d won", a-all, w-won)
		}
		if by := f.origin.loadedBy(keys[0]); len(by) != 1 || by[0] != 0 {
			t.Errorf("loaded by %v", by)
		}
	})
}

// The owner answers first.
func TestG8HedgeThatIsLate(t *testing.T) {
	withPace(t, true, func(f *fleet, keys []string) {
		f.slow(0, 20*time.Millisecond)
		f.slow(1, slowReply)
		all, won := f.hedges(2)
		if d := f.took(2, keys[0]); d != 20*time.Millisecond {
			t.Errorf("it took %v", d)
		}
		time.Sleep(time.Second)
		if a, w := f.hedges(2); a != all+1 || w != won {
			t.Errorf("%d hedges, %d won", a-all, w-won)
		}
	})
}

// Whose pace is not known is not hedged.
func TestG8NoHedgeWithoutAPace(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.get(0, key)
		f.hasCopies(1, 1)
		f.slow(0, slowReply)
		if d := f.took(2, key); d != slowReply {
			t.Errorf("it took %v", d)
		}
		if a, _ := f.hedges(2); a != 0 {
			t.Errorf("%d hedges", a)
		}
	})
}

// What a hedge brings is for those who wait: it is no lease that the owner gave.
func TestG4HedgeStoresNothing(t *testing.T) {
	withPace(t, true, func(f *fleet, keys []string) {
		f.slow(0, slowReply)
		for range 3 {
			f.took(2, keys[0])
			synctest.Wait()
			if _, ok := f.caches[2].Peek(keys[0]); ok {
				t.Error("it is kept")
			}
		}
	})
}

// An invalidation goes its way while a hedge is on its own.
func TestG4RemoveDuringAHedge(t *testing.T) {
	withPace(t, true, func(f *fleet, keys []string) {
		key := keys[0]
		f.slow(0, slowReply)
		holds := f.Hold(func(m peerstest.Message) bool {
			return m.Kind == peerstest.KindGet && m.From == 2 && m.To == 1 && m.Reply
		})
		var wg sync.WaitGroup
		wg.Go(func() { f.get(2, key) })
		if _, err := holds.Await(f.t.Context()); err != nil {
			t.Fatal(err)
		}
		f.slow(0, 0) // what it says from here on
		f.origin.write(key)
		f.remove(1, key)
		holds.Release()
		synctest.Wait()
		f.isNew(key)
		wg.Wait()
		f.isNew(key)
	})
}

// One that was not reached by an invalidation is asked for nothing by one that was.
func TestG4HedgeInDoubt(t *testing.T) {
	withPace(t, true, func(f *fleet, keys []string) {
		key := keys[0]
		defer f.Intercept(lose(peerstest.KindHello))()
		remove := f.Intercept(lostTo(1))
		f.origin.write(key)
		var ue *cache.UnreachedError
		if err := f.caches[2].Remove(f.t.Context(), key); !errors.As(err, &ue) {
			t.Errorf("Remove: %v", err)
		}
		remove()
		time.Sleep(5 * time.Second) // the hold is over
		f.get(0, key)
		f.slow(0, slowReply)
		f.took(2, key)
	})
}
