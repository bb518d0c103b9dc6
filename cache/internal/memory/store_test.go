package memory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

type (
	store = memory.Store[string]
	item  = memory.Item[string]
)

// val is an item of the given size that does not expire.
func val(size int) *item {
	return &item{Value: "v", Size: int64(size), Fresh: memory.Never, Until: memory.Never, Lease: memory.Never}
}

func keep(s *store, d time.Duration) *item {
	until := s.Now() + memory.Instant(d)
	return &item{Value: "v", Size: 1, Fresh: until, Until: until, Lease: until}
}

// keepCopy makes it the copy of key, and drops older ones for that.
func keepCopy(s *store, key string, it *item) {
	f := s.BeginRefresh(s.Now(), memory.Copying, key, func() *memory.Flight[string] {
		return memory.NewFlight[string](context.Background(), memory.Copying, key)
	})
	it.Copy = true
	s.Keep(f, it, 1, memory.Never)
}

// A storeMaker is memory.New, or memory.NewInArenas.
type storeMaker func(maxBytes int64, mirrors bool) *store

// inEach runs test with entries that are objects, and with entries in arenas.
func inEach(t *testing.T, test func(t *testing.T, newStore storeMaker)) {
	t.Run("objects", func(t *testing.T) { test(t, memory.New[string]) })
	t.Run("arenas", func(t *testing.T) { test(t, memory.NewInArenas[string]) })
}

func has(s *store, key string) bool { return s.Peek(key, false) != nil }

func TestG6BytesNeverExceedMaxBytes(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		rapid.Check(t, func(t *rapid.T) {
			maxBytes := rapid.Int64Range(64<<10, 4<<20).Draw(t, "maxBytes")
			s := newStore(maxBytes, true)
			limit := rapid.SampledFrom([]int{0, 1, 5, 20}).Draw(t, "maxEntries")
			if limit > 0 {
				s.LimitEntries(int64(limit))
			}
			held, copies := make(map[string]*item), make(map[string]bool)
			check := func() {
				u := s.Usage()
				if u.Bytes > maxBytes || limit > 0 && u.Entries+u.Copies > limit {
					t.Fatalf("%d bytes, %d allowed; %d entries and copies, %d allowed", u.Bytes, maxBytes, u.Entries+u.Copies, limit)
				}
				if counted := s.CountedEntries(); limit > 0 && counted != u.Entries+u.Copies {
					t.Fatalf("%d entries are counted, and there are %d and %d copies", counted, u.Entries, u.Copies)
				}
				// What is accounted is what is there, to the byte.
				var sum int64
				n := 0
				for key := range held {
					if it := s.Peek(key, false); it != nil {
						sum += s.CostOf(it, key)
						n++
					}
				}
				var copied int64
				m := 0
				for key := range copies {
					if it := s.Copy(key); it != nil {
						copied += memory.CostOfCopy(it, key)
						m++
					}
				}
				if copied != u.CopyBytes || m != u.Copies {
					t.Fatalf("accounted %d bytes in %d copies, found %d in %d", u.CopyBytes, u.Copies, copied, m)
				}
				if sum += copied; sum != u.Bytes || n != u.Entries {
					t.Fatalf("accounted %d bytes in %d entries, found %d in %d", u.Bytes, u.Entries, sum, n)
				}
			}
			for range rapid.IntRange(1, 60).Draw(t, "steps") {
				key := rapid.StringMatching(`[a-z]{1,2}`).Draw(t, "key")
				switch rapid.IntRange(0, 8).Draw(t, "op") {
				case 0, 1:
					it := val(rapid.IntRange(0, int(maxBytes)/3).Draw(t, "size"))
					it.Mirror = rapid.Bool().Draw(t, "mirror")
					s.Put(key, it, 0)
					held[key] = it
				case 2:
					if it, _, _ := s.Get(key); it != nil {
						s.SetEncoded(key, it, make([]byte, rapid.IntRange(0, 1<<16).Draw(t, "encoded")))
					}
				case 3:
					s.Fence(1, 0, key)
					if has(s, key) {
						t.Fatal("fenced key is there")
					}
				case 4:
					s.FenceAll(1, 0)
				case 5:
					s.Get(key)
				case 6:
					keepCopy(s, key, val(rapid.IntRange(0, int(maxBytes)/30).Draw(t, "size")))
					copies[key] = true
				case 7:
					if it := s.TakeOver(key); it != nil {
						held[key] = it
					}
				case 8:
					if s.Promote(key) {
						held[key] = nil
					}
				}
				check()
			}
		})
	})
}

func TestG6UnderABurst(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		const maxBytes = 1 << 20
		s := newStore(maxBytes, true)
		var stop atomic.Bool
		var watch sync.WaitGroup
		watch.Go(func() {
			for !stop.Load() {
				if u := s.Usage(); u.Bytes > maxBytes {
					t.Errorf("%d bytes, %d allowed", u.Bytes, maxBytes)
				}
			}
		})
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 3000 {
					key := fmt.Sprint(g%4, "/", i%700)
					it := val(i * 37 % 9000)
					it.Mirror = i%5 == 0
					switch i % 3 {
					case 0:
						s.Put(key, it, 0)
					case 1:
						s.Get(key)
					case 2:
						_, f, started := s.Begin(s.Now(), memory.Fill, key, true, func() *memory.Flight[string] {
							return memory.NewFlight[string](t.Context(), memory.Fill, key)
						})
						if started {
							s.Settle(f, it, nil)
						}
					}
				}
			})
		}
		wg.Wait()
		stop.Store(true)
		watch.Wait()
		u := s.Usage()
		if u.Entries == 0 || u.Bytes == 0 || u.Evictions == 0 {
			t.Errorf("the burst left no trace: %+v", u)
		}
		s.FenceAll(1, 0)
		if u := s.Usage(); u.Bytes != 0 || u.MirrorBytes != 0 || u.Entries != 0 {
			t.Errorf("after FenceAll: %+v", u)
		}
	})
}

// So does the number of entries, where it is bounded; and the room is used.
func TestG6EntriesNeverExceedMaxEntries(t *testing.T) {
	const maxEntries = 200
	s := memory.New[string](64<<20, true) // 16 shards
	s.LimitEntries(maxEntries)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 3000 {
				it := val(i % 900)
				it.Mirror = i%5 == 0
				key := fmt.Sprint(g%4, "/", i%700)
				if i%7 == 0 {
					s.Fence(1, 0, key)
				}
				s.Put(key, it, 0)
				if n := s.CountedEntries(); n > maxEntries {
					t.Errorf("%d entries, %d allowed", n, maxEntries)
				}
			}
		})
	}
	wg.Wait()
	if u := s.Usage(); u.Entries < maxEntries*3/4 || u.Entries != s.CountedEntries() {
		t.Errorf("%d entries are left of %d, and %d are counted", u.Entries, maxEntries, s.CountedEntries())
	}
	s.FenceAll(1, 0)
	if n := s.CountedEntries(); n != 0 {
		t.Errorf("%d entries are counted of none", n)
	}
}

func TestFamilyOversizedValueEvictsNothing(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		s := newStore(1<<20, false)
		for i := range 100 {
			s.Put(fmt.Sprint(i), val(1000), 0)
		}
		s.Put("huge", val(1<<20), 0)
		s.Put("large", val(1<<19), 0)
		u := s.Usage()
		if u.Entries != 100 || u.Evictions != 0 || u.Rejected != 2 || has(s, "huge") || has(s, "large") {
			t.Errorf("%+v", u)
		}
		// But it does end what it replaces.
		s.Put("7", val(1<<20), 0)
		if has(s, "7") {
			t.Error("the value before an oversized one is still there")
		}
	})
}

func TestFamilyReplacedValueIsCountedOnce(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		s := newStore(1<<20, false)
		for i := range 1000 {
			s.Put("k", val(1000+i%2), 0)
		}
		if u, want := s.Usage(), s.CostOf(val(1001), "k"); u.Bytes != want || u.Entries != 1 || u.Evictions != 0 {
			t.Errorf("%+v, want %d bytes", u, want)
		}
	})
}

// A scan of keys that are asked for once must not push out those that are asked for again.
func TestScanLeavesTheHotKeys(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		s := newStore(1<<20, false)
		for i := range 50 {
			s.Put(fmt.Sprint("hot", i), val(1000), 0)
			s.Get(fmt.Sprint("hot", i))
		}
		for i := range 20_000 {
			s.Put(fmt.Sprint("cold", i), val(1000), 0)
			if i%100 == 0 {
				for j := range 50 {
					s.Get(fmt.Sprint("hot", j))
				}
			}
		}
		left := 0
		for i := range 50 {
			if has(s, fmt.Sprint("hot", i)) {
				left++
			}
		}
		if left != 50 {
			t.Errorf("%d of 50 hot keys are left", left)
		}
	})
}

// A skew of keys between shards must not waste memory.
func TestBudgetIsSharedBetweenShards(t *testing.T) {
	const maxBytes = 8 << 20
	s := memory.New[string](maxBytes, false)
	for i := range 40 { // far fewer than there is room for in each of the shards
		s.Put(fmt.Sprint(i), val(maxBytes/50), 0)
	}
	if u := s.Usage(); u.Entries != 40 || u.Evictions != 0 {
		t.Errorf("%+v", u)
	}
}

func TestMirrorsHaveAShareOfTheirOwn(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		const maxBytes = 1 << 20
		s := newStore(maxBytes, true)
		for i := range 10_000 {
			it := val(1000)
			it.Mirror = true
			key := fmt.Sprint("m", i/100*20+i%20) // each one five times
			s.Put(key, it, 0)
		}
		if u := s.Usage(); u.MirrorBytes == 0 || u.MirrorBytes > maxBytes/8 || u.Bytes != u.MirrorBytes {
			t.Errorf("%+v", u)
		}
		for i := range 2000 {
			s.Put(fmt.Sprint("o", i), val(1000), 0)
		}
		before := s.Usage().MirrorBytes
		if u := s.Usage(); before == 0 || u.Bytes <= maxBytes*7/10 {
			t.Errorf("%+v", u)
		}
	})
}

func TestMirrorOnlyWhatIsAskedForAgain(t *testing.T) {
	s := memory.New[string](1<<20, true)
	mirror := func() *item { it := val(10); it.Mirror = true; return it }
	s.Put("k", mirror(), 0)
	if has(s, "k") {
		t.Error("mirrored at the first fetch")
	}
	s.Put("k", mirror(), 0)
	if !has(s, "k") {
		t.Error("not mirrored at the second fetch")
	}
	s.Put("k", mirror(), 0)
	if !has(s, "k") {
		t.Error("not mirrored when it is fetched anew")
	}
}

// A hot key of a fleet is one in thousands that an instance fetches: between two requests for it, there are more others than the instance has mirrors.
func TestMirrorsAreChosenAmongMoreThanThereIsRoomFor(t *testing.T) {
	const maxBytes, hot, others = 1 << 20, 100, 300
	s := memory.New[string](maxBytes, true)
	fetch := func(name string, n int) (kept int) {
		for i := range n {
			it := val(1500)
			it.Mirror = true
			key := fmt.Sprint(name, i)
			s.Put(key, it, 0)
			if has(s, key) {
				kept++
			}
		}
		return kept
	}
	fetch("hot", hot)
	if kept := fetch("other", others); kept > 2 {
		t.Errorf("%d of %d keys are mirrored that were fetched once", kept, others)
	}
	if room := maxBytes / 8 / 1500; room >= hot {
		t.Fatalf("there is room for %d", room)
	}
	if kept := fetch("hot", hot); kept < hot/2 { // others have taken the places of a quarter, about
		t.Errorf("%d of %d keys are mirrored that were fetched twice", kept, hot)
	}
}

func TestMirrorAdmissionIsPaidFor(t *testing.T) {
	for _, maxBytes := range []int64{64 << 10, 1 << 20, 1 << 30} {
		with, without := memory.New[string](maxBytes, true), memory.New[string](maxBytes, false)
		if got, want := with.Room(), without.Room(); got > want {
			t.Errorf("of %d bytes, %d are for entries and doors, and %d where there are no mirrors", maxBytes, got, want)
		}
	}
}

func TestUnwantedMirrorLeavesWhatWasLoadedHere(t *testing.T) {
	s := memory.New[string](1<<20, true)
	s.Put("k", val(10), 0)
	f := begin(t, s, memory.Fetch, "k", true)
	mirror := val(10)
	mirror.Mirror = true
	s.Settle(f, mirror, nil)
	if it := s.Peek("k", false); it == nil || it.Mirror {
		t.Errorf("%+v", it)
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New[string](1<<20, true)
		now := s.Now()
		s.Put("k", &item{Value: "v", Fresh: now + 1e9, Until: now + 3e9, Lease: memory.Never}, 0)
		it, refresh, _ := s.Get("k")
		if it == nil || refresh {
			t.Errorf("fresh: %v, %v", it, refresh)
		}
		time.Sleep(time.Second)
		for i := range 3 { // stale: one of many is to refresh it
			if it, refresh, _ = s.Get("k"); it == nil || refresh != (i == 0) {
				t.Errorf("stale, get %d: %v, %v", i, it, refresh)
			}
		}
		time.Sleep(memory.RefreshEvery)
		if it, refresh, _ = s.Get("k"); it == nil || !refresh {
			t.Errorf("stale, later: %v, %v", it, refresh)
		}
		time.Sleep(time.Second)
		if it, _, _ = s.Get("k"); it != nil || has(s, "k") {
			t.Error("past TTL + Stale, and served")
		}
		if u := s.Usage(); u.Bytes != 0 || u.Expired != 1 {
			t.Errorf("%+v", u)
		}
	})
}

// What has expired goes as new values come, although nobody asks for it.
func TestExpiredGoWithoutBeingAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New[string](1<<20, true)
		for i := range 1000 {
			s.Put(fmt.Sprint("old", i), keep(s, time.Second), 0)
		}
		time.Sleep(time.Second)
		for i := range 1000 {
			s.Put(fmt.Sprint("new", i), keep(s, time.Second), 0)
		}
		if u := s.Usage(); u.Entries != 1000 || u.Evictions != 0 {
			t.Errorf("%d entries, %d evictions; want only the 1000 new ones", u.Entries, u.Evictions)
		}
	})
}

// What has expired goes first, wherever it is, and before anything that has not.
func TestExpiredGoBeforeOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New[string](1<<20, false)
		n := 0
		for ; s.Usage().Evictions == 0; n++ {
			it := val(1000)
			if n%2 == 0 {
				it = keep(s, time.Second)
				it.Size = 1000
			}
			s.Put(fmt.Sprint(n), it, 0)
		}
		time.Sleep(time.Second)
		for i := range n / 3 {
			s.Put(fmt.Sprint("new", i), val(1000), 0)
		}
		if u := s.Usage(); u.Evictions > uint64(n/50) || u.Expired < uint64(n/3) {
			t.Errorf("%d of %d entries were evicted, and %d went that had expired", u.Evictions, n, u.Expired)
		}
	})
}

func TestSetEncoded(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		s := newStore(1<<20, false)
		s.Put("k", val(10), 0)
		it := s.Peek("k", false)
		s.SetEncoded("k", it, make([]byte, 100))
		if got := s.Peek("k", false); len(got.Extra().Encoded) != 100 || s.Usage().Bytes != s.CostOf(got, "k") {
			t.Errorf("%d encoded, %d bytes", len(got.Extra().Encoded), s.Usage().Bytes)
		}
		if it.Extra().Encoded != nil {
			t.Error("an item that was handed out has changed")
		}
		before := s.Usage().Bytes
		s.SetEncoded("k", it, make([]byte, 50)) // no longer what the key has
		s.SetEncoded("none", it, make([]byte, 50))
		s.SetEncoded("k", s.Peek("k", false), make([]byte, 1<<20))
		if u := s.Usage(); u.Bytes != before || len(s.Peek("k", false).Extra().Encoded) != 100 {
			t.Errorf("%+v", u)
		}
	})
}

func TestHitAllocatesNothing(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		s := newStore(1<<20, false)
		s.Put("k", val(10), 0)
		if n := testing.AllocsPerRun(100, func() { s.Get("k") }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

func TestErrorsLeaveWhatIsThere(t *testing.T) {
	inEach(t, func(t *testing.T, newStore storeMaker) {
		s := newStore(1<<20, false)
		s.Put("k", val(10), 0)
		f := begin(t, s, memory.Fill, "k", true)
		s.Settle(f, nil, errors.New("no luck"))
		if !has(s, "k") {
			t.Error("a failed refresh dropped the value")
		}
		f = begin(t, s, memory.Fill, "k", true)
		s.Settle(f, &item{Loaded: true}, nil)
		if has(s, "k") {
			t.Error("a value that is not to be kept left the old one")
		}
	})
}
