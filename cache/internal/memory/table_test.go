package memory

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

func newTable(hidden bool) *table[string] {
	t := &table[string]{hidden: hidden}
	t.init()
	return t
}

func tableEntry(hash uint64, key string) *entry[string] {
	e := new(entry[string])
	e.init(key, hash, &Item[string]{Value: key}, 0, 0)
	return e
}

// A table does what a map does, whatever the hashes.
func TestTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tb, model := newTable(rapid.Bool().Draw(t, "hidden")), make(map[string]*entry[string])
		mask := rapid.SampledFrom([]uint64{0, 1, 7, 1<<64 - 1, 0xff << 40}).Draw(t, "mask")
		seed := maphash.MakeSeed()
		keyed := func(key string) uint64 { return maphash.String(seed, key) & mask }
		for range rapid.IntRange(0, 1500).Draw(t, "steps") {
			key := fmt.Sprint(rapid.IntRange(0, 700).Draw(t, "key"))
			hash := keyed(key)
			switch rapid.IntRange(0, 9).Draw(t, "op") {
			case 0, 1, 2, 3, 4:
				e := tableEntry(hash, key)
				if old := model[key]; old != nil {
					tb.replaceLocked(old, e)
				} else {
					tb.addLocked(e)
				}
				model[key] = e
			case 5, 6, 7, 8:
				if e := model[key]; e != nil {
					tb.removeLocked(e)
					delete(model, key)
				}
			case 9:
				if rapid.IntRange(0, 50).Draw(t, "init") == 0 {
					tb.init()
					clear(model)
				}
			}
			if got := tb.get(hash, key); got != model[key] || tb.len != len(model) {
				t.Fatalf("%q: %v, want %v; %d entries, want %d", key, got, model[key], tb.len, len(model))
			}
		}
		for key, e := range model {
			if tb.get(e.hash, key) != e {
				t.Fatalf("%q is gone", key)
			}
		}
		if n := tb.count.Load(); uint64(len(model)) < (n-2)*loadLeast && n > 2 || uint64(len(model)) > n*loadMost {
			t.Fatalf("%d buckets for %d entries", n, len(model))
		}
	})
}

// A table that was large is small again.
func TestTableGivesBack(t *testing.T) {
	tb := newTable(false)
	entries := make([]*entry[string], 20_000)
	for i := range entries {
		entries[i] = tableEntry(rand.Uint64(), fmt.Sprint(i))
		tb.addLocked(entries[i])
	}
	if n := len(*tb.segments.Load()); n < len(entries)/loadMost/segmentLen {
		t.Errorf("%d segments for %d entries", n, len(entries))
	}
	for _, e := range entries {
		tb.removeLocked(e)
	}
	if n := len(*tb.segments.Load()); n > 2 || tb.count.Load() != 1 {
		t.Errorf("%d segments and %d buckets for nothing", n, tb.count.Load())
	}
}

// Who looks while others change the table finds what is there all the time, sooner or later, and never what was removed before he
// looked, or another key's.
func TestTableWithoutLock(t *testing.T) {
	tb := newTable(false)
	const stays, rounds, changes = 300, 5, 3000
	hash := func(i int) uint64 { return uint64(i) * 0x9e3779b97f4a7c15 }
	for i := range stays {
		tb.addLocked(tableEntry(hash(i), fmt.Sprint(i)))
	}
	var mu sync.Mutex // the shard's
	var removed [rounds * changes]atomic.Bool
	var stop atomic.Bool
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 0))
			for !stop.Load() {
				i := r.IntN(stays + len(removed))
				gone := i >= stays && removed[i-stays].Load()
				key := fmt.Sprint(i)
				e := tb.get(hash(i), key)
				if e != nil && (e.key() != key || gone) {
					t.Errorf("%q: found %q, removed before: %v", key, e.key(), gone)
				}
				if e == nil && i < stays {
					mu.Lock()
					if tb.get(hash(i), key) == nil {
						t.Errorf("%q is gone", key)
					}
					mu.Unlock()
				}
			}
		})
	}
	for round := range rounds {
		var entries []*entry[string]
		for i := range changes {
			i += stays + round*changes
			e := tableEntry(hash(i), fmt.Sprint(i))
			mu.Lock()
			tb.addLocked(e)
			mu.Unlock()
			entries = append(entries, e)
		}
		for i, e := range entries {
			mu.Lock()
			tb.removeLocked(e)
			mu.Unlock()
			removed[round*changes+i].Store(true)
		}
	}
	stop.Store(true)
	wg.Wait()
}

// Whoever stands in a table whose buckets are hidden finds nothing there any more after it was emptied: what keeps the entries goes then.
func TestHiddenTableLeavesNothing(t *testing.T) {
	tb := newTable(true)
	var entries []*entry[string]
	for i := range 500 {
		e := tableEntry(uint64(i%100), fmt.Sprint(i))
		entries = append(entries, e)
		tb.addLocked(e)
	}
	before := table[string]{}
	before.segments.Store(tb.segments.Load())
	tb.init()
	for e := range before.all {
		t.Fatalf("%q is still there", e.key())
	}
	for _, e := range entries {
		if e.chain.Load() != nil {
			t.Fatalf("an entry is still behind %q", e.key())
		}
	}
}
