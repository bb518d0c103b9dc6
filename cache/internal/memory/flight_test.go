package memory_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

var errDone = errors.New("done")

func beginAnew(t *testing.T, s *memory.Store[string], kind memory.Kind, key string) (*memory.Flight[string], bool) {
	t.Helper()
	_, f, started := s.Begin(s.Now(), kind, key, true, func() *memory.Flight[string] {
		return memory.NewFlight[string](t.Context(), kind, key)
	})
	return f, started
}

// What is kept must not keep the flight that brought it.
func TestG6AnItemThatIsKeptIsNoPartOfItsFlight(t *testing.T) {
	s := memory.New[string](1<<20, true)
	for range 3 { // a mirror is kept from the second time on
		f, _ := beginAnew(t, s, memory.Fetch, "k")
		it := f.Item()
		*it = *keep(s, 1e12)
		it.Mirror = true
		s.Settle(f, it, nil)
		kept := s.Peek("k", false)
		if kept == it {
			t.Error("what is kept is a part of the flight")
		}
		want := it
		if kept != nil {
			want = kept
		}
		if got, err := f.Wait(t.Context()); got != want || err != nil {
			t.Errorf("who waits gets %p, %v; want what is kept, if anything is: %p", got, err, want)
		}
	}
	got := s.Peek("k", false)
	if got == nil || got.Value != keep(s, 0).Value {
		t.Fatalf("kept %+v", got)
	}
	if u, want := s.Usage(), s.CostOf(got, "k"); u.MirrorBytes != want {
		t.Errorf("%d bytes are accounted for it, want %d", u.MirrorBytes, want)
	}
}

// Flights of many keys and kinds are told from each other, joined, detached and counted.
func TestFlightsAreFoundByKeyAndKind(t *testing.T) {
	s := memory.New[string](1<<20, true)
	kinds := []memory.Kind{memory.Fill, memory.Fetch, memory.Refetch}
	all := make(map[string]*memory.Flight[string])
	for i := range 100 {
		for _, kind := range kinds {
			key := fmt.Sprint(i)
			f, started := beginAnew(t, s, kind, key)
			if !started || f.Key != key {
				t.Fatalf("%q, kind %d: began %q, %v", key, kind, f.Key, started)
			}
			all[fmt.Sprint(i, kind)] = f
		}
	}
	for i := range 100 {
		for _, kind := range kinds {
			if f, started := beginAnew(t, s, kind, fmt.Sprint(i)); started || f != all[fmt.Sprint(i, kind)] {
				t.Errorf("key %d, kind %d was not joined", i, kind)
			}
		}
	}
	// Of each key, one kind ends in its turn.
	for i := range 100 {
		s.Settle(all[fmt.Sprint(i, kinds[i%3])], nil, errDone)
		for k, kind := range kinds {
			if f, started := beginAnew(t, s, kind, fmt.Sprint(i)); started != (k == i%3) || started == (f == all[fmt.Sprint(i, kind)]) {
				t.Errorf("key %d, kind %d: began anew: %v", i, kind, started)
			}
		}
	}
	if n := s.Usage().Flights; n != 300 {
		t.Errorf("%d flights, want 300", n)
	}
	s.Fence(1, 0, "7")
	if f, started := beginAnew(t, s, memory.Fill, "7"); !started || f == all[fmt.Sprint(7, memory.Fill)] {
		t.Error("a flight was joined after a fence")
	}
	if n := s.Usage().Flights; n != 301 {
		t.Errorf("%d flights with a detached one's successor, want 301", n)
	}
	if n := len(s.Close()); n != 301 {
		t.Errorf("Close returns %d flights, want 301", n)
	}
}

func TestHitLeavesToGetWhatNeedsMore(t *testing.T) {
	s := memory.New[string](1<<20, true)
	now := s.Now()
	fresh := &item{Value: "v", Fresh: memory.Never, Until: memory.Never, Lease: memory.Never}
	for name, tt := range map[string]struct {
		change  func(it *item)
		encoded bool
		want    bool
	}{
		"fresh":               {func(*item) {}, false, true},
		"not encoded":         {func(*item) {}, true, false},
		"encoded":             {func(it *item) { it.With(memory.Extra{Encoded: []byte("v")}) }, true, true},
		"an error":            {func(it *item) { it.With(memory.Extra{Err: errDone}) }, false, false},
		"to be refreshed":     {func(it *item) { it.Fresh = now }, false, false},
		"its lease is over":   {func(it *item) { it.Lease = now }, false, false},
		"its time is over":    {func(it *item) { it.Until = now }, false, false},
		"a mirror, in effect": {func(it *item) { it.With(memory.Extra{Peer: "owner"}) }, false, true},
	} {
		it := *fresh
		tt.change(&it)
		s.Put("k", &it, 0)
		before := s.Usage()
		if got := s.Hit("k", tt.encoded); (got != nil) != tt.want {
			t.Errorf("%s: %+v", name, got)
		}
		if u := s.Usage(); u.Misses != before.Misses || (u.Hits != before.Hits) != tt.want {
			t.Errorf("%s: %d misses, %d hits more", name, u.Misses-before.Misses, u.Hits-before.Hits)
		}
	}
	if s.Hit("none", false) != nil || s.Usage().Misses != 0 {
		t.Error("a Hit of nothing counts")
	}
}

func TestFlightsUnderRace(t *testing.T) {
	s := memory.New[string](1<<20, true)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for n := range 500 {
				key := fmt.Sprint((n + i) % 7)
				f, started := beginAnew(t, s, memory.Fetch, key)
				if n%5 == 0 {
					s.Fence(uint64(n+1), 0, key)
				}
				if started {
					it := f.Item()
					*it = *keep(s, 1e12)
					s.Settle(f, it, nil)
				}
				if _, err := f.Wait(t.Context()); err != nil {
					t.Error(err)
				}
				s.Get(key)
			}
		})
	}
	wg.Wait()
	if n := s.Usage().Flights; n != 0 {
		t.Errorf("%d flights are left", n)
	}
}
