package memory_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

// begin begins a flight, which must be a new one.
func begin(t *testing.T, s *store, kind memory.Kind, key string, reload bool) *memory.Flight[string] {
	t.Helper()
	it, f, started := tryBegin(t, s, kind, key, reload)
	if it != nil || !started {
		t.Fatalf("Begin(%v, %q) = %v, started %v; want a new flight", kind, key, it, started)
	}
	return f
}

func tryBegin(t *testing.T, s *store, kind memory.Kind, key string, reload bool) (*item, *memory.Flight[string], bool) {
	return s.Begin(s.Now(), kind, key, reload, func() *memory.Flight[string] {
		return memory.NewFlight[string](t.Context(), kind, key)
	})
}

func TestFlightsOfOneKind(t *testing.T) {
	s := memory.New[string](1<<20, true)
	f := begin(t, s, memory.Fill, "k", false)
	if _, g, started := tryBegin(t, s, memory.Fill, "k", false); started || g != f {
		t.Error("the second did not join")
	}
	if _, g, started := tryBegin(t, s, memory.Fetch, "k", false); !started || g == f {
		t.Error("a fetch joined a fill")
	}
	if s.BeginRefresh(s.Now(), memory.Fill, "k", nil) != nil {
		t.Error("a refresh beside a fill")
	}
	s.Settle(f, val(1), nil)
	if it, _, _ := tryBegin(t, s, memory.Fill, "k", false); it == nil {
		t.Error("what the flight brought is not found by who missed it")
	}
	if _, _, started := tryBegin(t, s, memory.Fill, "k", true); !started {
		t.Error("a reload does not begin a flight")
	}
}

func TestFenceDetaches(t *testing.T) {
	for _, kind := range []memory.Kind{memory.Fill, memory.Fetch, memory.Refetch} {
		for name, fence := range map[string]func(*store){
			"Fence":    func(s *store) { s.Fence(1, 0, "k") },
			"FenceAll": func(s *store) { s.FenceAll(1, 0) },
		} {
			t.Run(fmt.Sprint(name, kind), func(t *testing.T) {
				s := memory.New[string](1<<20, true)
				s.Put("k", val(1), 0)
				old := begin(t, s, kind, "k", true)
				fence(s)
				if has(s, "k") {
					t.Error("the entry is still there")
				}
				young := begin(t, s, kind, "k", false) // does not join
				s.Settle(old, val(1), nil)
				if has(s, "k") {
					t.Error("what was begun before the fence was stored")
				}
				if it, err := old.Wait(t.Context()); it == nil || err != nil {
					t.Errorf("waiter of a detached flight: %v, %v", it, err)
				}
				if _, f, started := tryBegin(t, s, kind, "k", false); started || f != young {
					t.Error("the end of a detached flight ended its successor")
				}
				s.Settle(young, val(1), nil)
				if !has(s, "k") {
					t.Error("what was begun after the fence was not stored")
				}
			})
		}
	}
}

func TestHold(t *testing.T) {
	for name, raise := range map[string]func(*store, memory.Instant){
		"Fence":    func(s *store, until memory.Instant) { s.Fence(1, until, "k") },
		"FenceAll": func(s *store, until memory.Instant) { s.FenceAll(1, until) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memory.New[string](1<<20, true)
				raise(s, s.Now()+1e9)
				a := begin(t, s, memory.Fetch, "k", false)
				b := begin(t, s, memory.Fetch, "k", false) // not joined
				if s.BeginRefresh(s.Now(), memory.Fetch, "k", nil) != nil {
					t.Error("a refresh from another instance in a hold")
				}
				fill := begin(t, s, memory.Fill, "k", false)
				if _, f, started := tryBegin(t, s, memory.Fill, "k", false); started || f != fill {
					t.Error("a fill of one's own is not joined in a hold")
				}
				time.Sleep(time.Second) // the hold is over; what began in it stays private
				s.Settle(a, val(1), nil)
				s.Settle(b, val(1), nil)
				if has(s, "k") {
					t.Error("what was fetched in a hold was stored")
				}
				s.Settle(fill, val(1), nil)
				if !has(s, "k") {
					t.Error("what was loaded in a hold was not stored")
				}
				c := begin(t, s, memory.Fetch, "other", false)
				if _, f, started := tryBegin(t, s, memory.Fetch, "other", false); started || f != c {
					t.Error("after the hold, a fetch is not joined")
				}
			})
		})
	}
}

func TestRelease(t *testing.T) {
	s := memory.New[string](1<<20, true)
	joins := func() bool {
		begin(t, s, memory.Fetch, "k", true)
		_, _, started := tryBegin(t, s, memory.Fetch, "k", true)
		s.Fence(99, 0, "k") // detaches both
		return !started
	}
	later := s.Now() + memory.Instant(time.Hour)
	s.Fence(1, later, "k")
	s.Fence(2, later, "k")
	s.Release(1, "k")
	if joins() {
		t.Error("the hold ended with another fence's release")
	}
	s.Release(2, "k", "unknown")
	if !joins() {
		t.Error("the hold did not end")
	}
	s.FenceAll(3, later)
	s.Release(2, "k")
	if joins() {
		t.Error("a release of a key ended a hold on every key")
	}
	s.ReleaseAll(3)
	if !joins() {
		t.Error("the hold on every key did not end")
	}
}

func TestPutFenced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New[string](1<<20, true)
		later := func() memory.Instant { return s.Now() + 1e9 }
		put := func(id uint64) bool {
			ok := s.PutFenced("k", id, val(1))
			if ok != has(s, "k") {
				t.Errorf("PutFenced = %v, stored %v", ok, has(s, "k"))
			}
			return ok
		}
		if put(1) {
			t.Error("stored without a fence")
		}
		s.Fence(1, later(), "k")
		f := begin(t, s, memory.Fill, "k", false)
		if !put(1) {
			t.Error("not stored under its fence")
		}
		s.Settle(f, &item{Value: "loaded before", Fresh: memory.Never, Until: memory.Never, Lease: memory.Never}, nil)
		if s.Peek("k", false).Value != "v" {
			t.Error("a load that began before the store replaced it")
		}
		s.Fence(2, later(), "k")
		s.Fence(3, later(), "k")
		if put(2) {
			t.Error("stored although superseded by a fence")
		}
		s.Fence(4, later(), "k")
		s.FenceAll(5, later())
		if put(4) {
			t.Error("stored although superseded by a fence of everything")
		}
		s.Fence(6, later(), "k")
		s.Fence(7, 0, "k")
		if put(6) {
			t.Error("stored although superseded by a fence without a hold")
		}
		s.Fence(8, later(), "k")
		time.Sleep(time.Second)
		if put(8) {
			t.Error("stored although the hold is over")
		}
		s.Fence(9, later(), "k")
		s.Release(9, "k")
		if put(9) {
			t.Error("stored although released")
		}
		s.Fence(10, later(), "k")
		s.Fence(11, later(), "k") // overlaps
		s.Release(10, "k")
		if put(11) {
			t.Error("stored although another fence was under way when it was raised")
		}
		s.Release(11, "k")
		s.FenceAll(12, later())
		s.Fence(13, later(), "k")
		if put(13) {
			t.Error("stored although a fence of everything was under way when it was raised")
		}
		s.ReleaseAll(12)
		s.Fence(14, later(), "k")
		if put(14) {
			t.Error("stored although 13 was under way")
		}
		s.Release(13, "k")
		s.Release(14, "k")
		s.Fence(15, later(), "k")
		s.Fence(15, later(), "k") // came twice
		if !s.IsSole("k", 15) || !put(15) {
			t.Error("not stored under its fence, although alone")
		}
		s.Fence(16, 0, "k")
		if b := s.Usage().Bytes; b != 0 {
			t.Errorf("%d bytes accounted for nothing", b)
		}
	})
}

// However many fences are raised, holds hold, and what they take is bounded.
func TestFencesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New[string](64<<10, true) // one shard
		until := s.Now() + 1e9
		for i := range uint64(5000) {
			s.Fence(i+1, until, fmt.Sprint(i))
		}
		for i := range uint64(100) {
			s.Fence(i+1, until, "many")
			s.Release(i+1, "many")
		}
		for _, key := range []string{"0", "1023", "1024", "4999", "never fenced"} {
			a := begin(t, s, memory.Fetch, key, false)
			b := begin(t, s, memory.Fetch, key, false)
			s.Settle(a, val(1), nil)
			s.Settle(b, val(1), nil)
		}
		time.Sleep(time.Second)
		begin(t, s, memory.Fetch, "4999", false)
		if _, _, started := tryBegin(t, s, memory.Fetch, "4999", false); started {
			t.Error("a hold outlasts its time")
		}
		until = s.Now() + memory.Instant(time.Hour)
		var keys []string
		for i := range 5000 {
			keys = append(keys, fmt.Sprint(i))
		}
		s.Fence(7, until, keys...) // more than there are fences
		s.Release(7, keys...)
		begin(t, s, memory.Fetch, "x", false)
		if _, _, started := tryBegin(t, s, memory.Fetch, "x", false); started {
			t.Error("the hold of a large fence was not released")
		}
	})
}

func TestClose(t *testing.T) {
	s := memory.New[string](1<<20, true)
	s.Put("k", val(1), 0)
	fill := begin(t, s, memory.Fill, "a", false)
	s.Fence(1, s.Now()+memory.Instant(time.Hour), "b")
	private := begin(t, s, memory.Fetch, "b", false)
	flights := s.Close()
	if len(flights) != 2 {
		t.Errorf("%d flights, want the fill and the private fetch", len(flights))
	}
	s.Settle(fill, val(1), nil)
	s.Settle(private, val(1), nil)
	s.Put("k", val(1), 0)
	if u := s.Usage(); u.Bytes != 0 || u.Entries != 0 || u.Flights != 0 {
		t.Errorf("%+v", u)
	}
	if it, f, started := tryBegin(t, s, memory.Fill, "k", false); it != nil || f != nil || started {
		t.Error("Begin after Close")
	}
}

// A fence that comes again, or is heard of from others, does not become the only one that was under way.
func TestG4FenceThatComesAgain(t *testing.T) {
	s := memory.New[string](64<<20, true)
	later := s.Now() + memory.Instant(time.Hour)
	s.Fence(1, later, "k")
	s.Fence(2, later, "k")
	s.Release(2, "k")
	s.Fence(1, later, "k")
	if s.IsSole("k", 1) {
		t.Error("the first one may store, though the second overlapped it")
	}
	s.Release(1, "k")
	s.Hold(3, later, "k")
	if s.IsSole("k", 3) || !s.Held("k") {
		t.Error("what was heard of may store, or does not hold")
	}
}
