package memory

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

// queued is a cache of keys with a policy of queues, which the shipped one is compared with.
type queued struct {
	small, main queue[int]
	entries     map[uint64]*entry[int]
	max         int64
	recent      bool            // LRU: what is asked for is queued anew in main, where everything is
	ghosts      map[uint64]bool // else S3-FIFO with a small queue of a tenth and admission on the first re-reference
	order       []uint64
}

func newQueued(maxBytes int64, recent bool) *queued {
	c := &queued{entries: make(map[uint64]*entry[int]), max: maxBytes, recent: recent, ghosts: make(map[uint64]bool)}
	c.small.init(inSmall, false)
	c.main.init(inMain, false)
	return c
}

func (c *queued) ask(key uint64, cost int64) bool {
	if e := c.entries[key]; e != nil {
		e.hits.Store(min(e.hits.Load()+1, 3))
		if c.recent {
			c.main.remove(e)
			c.main.push(e)
		}
		return true
	}
	for c.small.bytes+c.main.bytes+cost > c.max {
		c.evict()
	}
	e := &entry[int]{number: uint32(key), cost: cost}
	c.entries[key] = e
	if c.recent || c.ghosts[key] {
		delete(c.ghosts, key)
		c.main.push(e)
	} else {
		c.small.push(e)
	}
	return false
}

func (c *queued) evict() {
	for {
		if e := c.small.oldest(); e != nil && (c.main.len == 0 || c.small.bytes*10 > c.small.bytes+c.main.bytes) {
			c.small.remove(e)
			if e.hits.Load() == 0 {
				c.forget(e)
				return
			}
			e.hits.Store(0)
			c.main.push(e)
			continue
		}
		e := c.main.oldest()
		c.main.remove(e)
		if e.hits.Load() == 0 || c.recent {
			c.forget(e)
			return
		}
		e.hits.Add(^uint32(0))
		c.main.push(e)
	}
}

func (c *queued) forget(e *entry[int]) {
	key := uint64(e.number)
	delete(c.entries, key)
	c.ghosts[key] = true
	c.order = append(c.order, key)
	for len(c.order) > len(c.entries) {
		delete(c.ghosts, c.order[0])
		c.order = c.order[1:]
	}
}

// zipf returns a source of numbers below n, of which i has a weight of (i+1)^-s.
func zipf(r *rand.Rand, s float64, n int) func() uint64 {
	sums := make([]float64, n)
	sum := 0.
	for i := range sums {
		sum += math.Pow(float64(i+1), -s)
		sums[i] = sum
	}
	return func() uint64 { return uint64(sort.SearchFloat64s(sums, r.Float64()*sum)) }
}

// A workload gives the i-th key that is asked for, and what a key costs.
type workload struct {
	name string
	new  func(r *rand.Rand) func(i int) uint64
	cost func(key uint64) int64
	// overLRU and overS3 are by how much the policy's hit ratio is above the other's at least, with a tenth of the costs of all keys.
	overLRU, overS3 float64
}

// draw returns so many keys that are asked for, and a part of what all of them cost; where costs differ, as much at least as the highest.
func (w workload) draw(seed rand.Source, requests int, part int64) (keys []uint64, limit int64) {
	next := w.new(rand.New(seed))
	seen, total := make(map[uint64]bool), int64(0)
	for i := range requests {
		key := next(i)
		keys = append(keys, key)
		if !seen[key] {
			seen[key] = true
			total += w.cost(key)
		}
	}
	if w.isSized() {
		return keys, max(total/part, 1024)
	}
	return keys, total / part
}

// isSized reports whether keys differ in what they cost.
func (w workload) isSized() bool { return w.cost(1) != 1 || w.cost(2) != 1 }

func workloads() []workload {
	const n = 1000 // keys
	unit := func(uint64) int64 { return 1 }
	return []workload{
		{"zipf", func(r *rand.Rand) func(int) uint64 {
			next := zipf(r, 0.9, n)
			return func(int) uint64 { return next() }
		}, unit, 0.04, -0.01},
		{"scan", func(r *rand.Rand) func(int) uint64 {
			next := zipf(r, 0.9, n)
			return func(i int) uint64 {
				if i%500 < 150 {
					return uint64(n + i)
				}
				return next()
			}
		}, unit, 0.07, -0.01},
		{"loop", func(*rand.Rand) func(int) uint64 { return func(i int) uint64 { return uint64(i % n) } }, unit, 0.07, 0.07},
		{"zigzag", func(*rand.Rand) func(int) uint64 {
			return func(i int) uint64 {
				if i/n%2 == 0 {
					return uint64(i % n)
				}
				return uint64(n - 1 - i%n)
			}
		}, unit, -0.01, 0.03},
		{"shifting hot set", func(r *rand.Rand) func(int) uint64 {
			next := zipf(r, 0.9, n)
			return func(i int) uint64 { return next() + uint64(i/40) }
		}, unit, 0.01, -0.005},
		{"jumping hot set", func(r *rand.Rand) func(int) uint64 {
			next := zipf(r, 1, n)
			return func(i int) uint64 { return next()*7919%n + uint64(i/500)*250 }
		}, unit, -0.01, 0.01},
		{"recent", func(r *rand.Rand) func(int) uint64 { // what LRU is made for: the longer ago the less likely
			return func(i int) uint64 { return uint64(max(0, i/4-int(r.ExpFloat64()*50))) }
		}, unit, -0.01, -0.01},
		{"mixed sizes", func(r *rand.Rand) func(int) uint64 {
			next := zipf(r, 0.9, n)
			return func(int) uint64 { return next() }
		}, func(key uint64) int64 { return 1 << (spread(key) >> 32 % 10) }, 0.10, 0.04},
	}
}

// TestPolicyBesideOthers compares the policy with LRU and with S3-FIFO as it was shipped before.
func TestPolicyBesideOthers(t *testing.T) {
	const requests = 30_000
	for _, w := range workloads() {
		for _, part := range []int64{100, 20, 10, 4} {
			keys, limit := w.draw(rand.NewPCG(5, 6), requests, part)
			ratio := func(ask func(uint64, int64) bool) float64 {
				hits := 0
				for _, key := range keys {
					if ask(key, w.cost(key)) {
						hits++
					}
				}
				return float64(hits) / requests
			}
			own, lru, s3 := ratio(newPoliced(limit).ask), ratio(newQueued(limit, true).ask), ratio(newQueued(limit, false).ask)
			t.Logf("%-17s 1/%-3d %5.1f, LRU %5.1f, S3-FIFO %5.1f", w.name, part, 100*own, 100*lru, 100*s3)
			if own < lru-0.015 {
				t.Errorf("%s, 1/%d: %.3f, LRU %.3f", w.name, part, own, lru)
			}
			if part == 10 && (own < lru+w.overLRU || own < s3+w.overS3) {
				t.Errorf("%s: %.3f, LRU %.3f, S3-FIFO %.3f, want %.3f and %.3f more", w.name, own, lru, s3, w.overLRU, w.overS3)
			}
		}
	}
}
