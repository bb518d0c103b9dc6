package hitratio

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestReferencesByHand(t *testing.T) {
	for _, c := range []struct {
		records  []record
		capacity int64
		lru, opt int
	}{
		{keysOf(1, 2, 3, 1, 2, 3, 1, 2, 3), 2, 0, 4}, // a loop: LRU keeps none that comes again, and the optimum 1 and 2
		{keysOf(1, 1, 2, 2), 1, 2, 2},
		{keysOf(1, 2, 1, 3, 1, 4, 1), 2, 3, 3},
		{keysOf(1, 2, 1), 1, 0, 1},                                          // 2 is not used again, and not kept
		{[]record{{1, 3}, {2, 1}, {3, 1}, {1, 3}, {2, 1}, {3, 1}}, 3, 0, 1}, // by when it is used alone: without 1, there were two hits
		{[]record{{1, 9}, {1, 9}, {2, 1}, {2, 1}}, 3, 1, 1},                 // too large to be kept
	} {
		tr := newTrace("x", c.records)
		if got := lru(tr, c.capacity); got != c.lru {
			t.Errorf("%v in %d: LRU has %d hits, want %d", c.records, c.capacity, got, c.lru)
		}
		if got := belady(tr, tr.next(), c.capacity); got != c.opt {
			t.Errorf("%v in %d: Belady's has %d hits, want %d", c.records, c.capacity, got, c.opt)
		}
	}
}

// slowLRU is lru with a slice in the order of use.
func slowLRU(tr *trace, capacity int64) (hits int) {
	var order []uint32 // the latest first
	for _, n := range tr.requests {
		if i := slices.Index(order, n); i >= 0 {
			hits++
			order = slices.Delete(order, i, i+1)
		} else if tr.sizes[n] > capacity {
			continue
		}
		order = slices.Insert(order, 0, n)
		for sum(tr, order) > capacity {
			order = order[:len(order)-1]
		}
	}
	return hits
}

func sum(tr *trace, keys []uint32) (total int64) {
	for _, n := range keys {
		total += tr.sizes[n]
	}
	return total
}

// best is the most hits that any policy has, which may keep any of what it has and is given, by trying all.
func best(tr *trace, i int, held uint, capacity int64, known map[[2]uint]int) (hits int) {
	if i == len(tr.requests) {
		return 0
	}
	if n, ok := known[[2]uint{uint(i), held}]; ok {
		return n
	}
	n := tr.requests[i]
	now := 0
	if held&(1<<n) != 0 {
		now = 1
	}
	all := held | 1<<n
	for kept := all; ; kept = (kept - 1) & all {
		var total int64
		for k, size := range tr.sizes {
			if kept&(1<<k) != 0 {
				total += size
			}
		}
		if total <= capacity {
			hits = max(hits, now+best(tr, i+1, kept, capacity, known))
		}
		if kept == 0 {
			break
		}
	}
	known[[2]uint{uint(i), held}] = hits
	return hits
}

func TestReferencesAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		keys := 2 + r.IntN(5)
		records := make([]record, 5+r.IntN(20))
		sized := r.IntN(2) == 1
		sizes := make([]uint32, keys)
		for i := range sizes {
			sizes[i] = 1
			if sized {
				sizes[i] += r.Uint32N(4)
			}
		}
		for i := range records {
			k := r.IntN(keys)
			records[i] = record{uint64(k), sizes[k]}
		}
		tr := newTrace("x", records)
		capacity := 1 + r.Int64N(tr.total)
		if got, want := lru(tr, capacity), slowLRU(tr, capacity); got != want {
			t.Errorf("%v in %d: LRU has %d hits, want %d", records, capacity, got, want)
		}
		got, want := belady(tr, tr.next(), capacity), best(tr, 0, 0, capacity, make(map[[2]uint]int))
		if got > want || !tr.sized && got < want {
			t.Errorf("%v in %d: Belady's has %d hits, the best is %d", records, capacity, got, want)
		}
	}
}
