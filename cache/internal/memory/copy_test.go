package memory_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

// versionOf is what a store lists for key.
func versionOf(t *testing.T, s *store, key string) uint64 {
	t.Helper()
	listed, _ := s.List(0, 1<<20)
	for _, l := range listed {
		if l.Key == key {
			return l.Version
		}
	}
	t.Errorf("%q is not listed", key)
	return 0
}

// What takes the place of something else has another version, and what is only looked at keeps its own.
func TestVersions(t *testing.T) {
	s, other := memory.New[string](1<<20, true), memory.New[string](1<<20, true)
	s.Put("k", val(1), 0)
	other.Put("k", val(1), 0)
	v := versionOf(t, s, "k")
	it, _, _ := s.Get("k")
	s.SetEncoded("k", it, []byte("v"))
	s.Renew("k", memory.Never)
	if again := versionOf(t, s, "k"); again != v {
		t.Errorf("version %d became %d, and nothing was stored", v, again)
	}
	if versionOf(t, other, "k") == v {
		t.Error("two stores have the same version")
	}
	s.Fence(1, 0, "k")
	s.Put("k", val(1), 0)
	if versionOf(t, s, "k") == v {
		t.Error("what was stored after a fence has the same version")
	}
}

func TestCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New[string](1<<20, true)
		at := func(d time.Duration) memory.Instant { return s.Now() + memory.Instant(d) }
		lease := func(d time.Duration) *item {
			return &item{Value: "v", Size: 1, Fresh: memory.Never, Until: memory.Never, Lease: at(d)}
		}
		keepCopy(s, "k", lease(3*time.Second))
		if has(s, "k") || s.Copy("k") == nil {
			t.Error("a copy is found in memory, or not at all")
		}
		if _, ok := s.Confirm("k", 2, at(time.Hour)); ok {
			t.Error("a copy of another version is confirmed")
		}
		time.Sleep(2 * time.Second)
		if _, ok := s.Confirm("k", 1, at(3*time.Second)); !ok {
			t.Error("a copy is not confirmed")
		}
		time.Sleep(2 * time.Second)
		it := s.TakeOver("k")
		if it == nil || it.Copy || it.Fresh != at(time.Second) || it.Lease != it.Fresh || it.Until != it.Fresh || s.Copy("k") == nil {
			t.Errorf("taken over as %+v", it)
		}
		if !s.Promote("k") || s.Copy("k") != nil || s.Promote("k") {
			t.Error("a copy is not promoted, or twice")
		}
		time.Sleep(time.Hour)
		if it, _, _ := s.Get("k"); it == nil {
			t.Error("what was promoted is gone when the lease of the copy is over")
		}

		keepCopy(s, "l", lease(time.Second))
		time.Sleep(time.Second)
		if _, ok := s.Confirm("l", 1, at(time.Hour)); ok || s.Copy("l") != nil || s.TakeOver("l") != nil || s.Promote("l") {
			t.Error("a copy whose lease is over is used")
		}
		s.DropOldCopies()
		if u := s.Usage(); u.Copies != 0 || u.CopyBytes != 0 {
			t.Errorf("%+v", u)
		}
	})
}

// Copies are subject to fences, like all else.
func TestG4FencesDropCopies(t *testing.T) {
	s := memory.New[string](1<<20, true)
	begin := func() *memory.Flight[string] {
		return s.BeginRefresh(s.Now(), memory.Copying, "k", func() *memory.Flight[string] {
			return memory.NewFlight[string](context.Background(), memory.Copying, "k")
		})
	}
	for name, fence := range map[string]func(){
		"Fence":    func() { s.Fence(1, 0, "k") },
		"Hold":     func() { s.Hold(1, 0, "k") },
		"FenceAll": func() { s.FenceAll(1, 0) },
		"Put":      func() { s.Put("k", val(1), 0) },
	} {
		keepCopy(s, "k", val(1))
		f := begin()
		fence()
		if s.Copy("k") != nil {
			t.Errorf("%s leaves a copy", name)
		}
		if it := val(2); !s.Keep(f, it, 2, memory.Never) || s.Copy("k") != nil || s.Usage().CopyBytes != 0 {
			t.Errorf("%s does not detach what is copied", name)
		}
	}
	s.Fence(2, memory.Never, "k")
	if begin() != nil {
		t.Error("something is copied under a hold")
	}
	s.Release(2, "k")
	keepCopy(s, "k", val(1))
	s.Isolate()
	if s.Copy("k") != nil || s.TakeOver("k") != nil {
		t.Error("a copy is found in a store that is isolated")
	}
	if listed, _ := s.List(0, 1<<20); len(listed) > 0 {
		t.Error("a store that is isolated lists what it does not give")
	}
}

// What was confirmed is not dropped for what is colder.
func TestG6RoomForCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New[string](1<<20, true)
		budget, _ := s.CopyBudget()
		keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
		keep := func(key string, then memory.Instant) bool {
			f := s.BeginRefresh(s.Now(), memory.Copying, key, func() *memory.Flight[string] {
				return memory.NewFlight[string](context.Background(), memory.Copying, key)
			})
			until := s.Now() + memory.Instant(time.Minute)
			return s.Keep(f, &item{Value: "v", Size: budget / 5, Fresh: until, Until: until, Lease: until, Copy: true}, 1, then)
		}
		kept := 0
		for _, key := range keys {
			if keep(key, 0) {
				kept++
			}
		}
		if kept == 0 || kept == len(keys) || s.Usage().Copies != kept {
			t.Errorf("%d of %d copies are kept, and %d are there", kept, len(keys), s.Usage().Copies)
		}
		time.Sleep(time.Second)
		then := s.Now() + memory.Instant(time.Minute)
		if _, ok := s.Confirm("a", 1, then); !ok {
			t.Error("not confirmed")
		}
		for _, key := range keys {
			if s.Copy(key) == nil && !keep(key, then) {
				break
			}
		}
		if s.Copy("a") == nil || s.Copy("b") != nil {
			t.Error("what was confirmed was dropped, and what was not is there")
		}
	})
}
