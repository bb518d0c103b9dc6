package skew

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/zipf"
	"github.com/seed-0f2aaebe/fleetcache/cache"
)

const (
	valueBytes = 1 << 10
	// entryBytes is what a value takes with its key and all that the store needs for it, roughly.
	entryBytes = valueBytes + valueBytes/2
	// slack is what a member's memory is of what its fair share of the keys takes.
	slack = 1.5
	// flashShare is the share of all requests that are for a key that nobody knew before.
	flashShare = 0.2
	// step is the time that passes at once.
	step = 10 * time.Millisecond
)

// A Setting is a fleet, and what it is asked for.
type Setting struct {
	Members    int
	Keys       int
	Popularity string // see popularities
	Rate       int    // requests that come to each member in a second
	Warm, Time time.Duration
	Seed       uint64
}

// MaxBytes is the memory of a member.
func (s Setting) MaxBytes() int64 {
	return max(int64(float64(s.Keys)/float64(s.Members)*entryBytes*slack), cache.MinMaxBytes)
}

// mirrors is about how many values a member mirrors, at most.
func (s Setting) mirrors() int { return int(s.MaxBytes() / 8 / entryBytes) }

// Measured is what came of a setting.
type Measured struct {
	Setting  Setting
	Requests int64
	// Plain is what each member would have been asked for by others if nobody kept what others own. Calls is what it was asked for, and
	// GroupPlain and Group are the same with golang/groupcache's placement and its policy.
	Plain, Calls, GroupPlain, Group []int64
	// Duplicated is the share of the bytes, or entries, that are copies of what others own.
	Duplicated, GroupDuplicated float64
	Mirrors                     int // that a member has at the end, on average
	// FlashCalls are calls of each member for the key that nobody knew before.
	FlashCalls, GroupFlashCalls []int64
	Loads                       int64
}

// A simulation is a fleet under way.
type simulation struct {
	Setting
	members *members
	caches  []*cache.Cache[string, []byte]
	group   *group
	keys    []string // the last one is that which nobody knew before
	owners  []uint16
	rng     *rand.Rand
	m       Measured
}

// simulate has a fleet asked for keys, by the time of the bubble that it runs in.
func simulate(s Setting) (m Measured, err error) {
	sim, err := newSimulation(s)
	if err != nil {
		return m, err
	}
	defer sim.close()
	pop, err := sim.popularity()
	if err != nil {
		return m, err
	}
	if err := sim.fill(); err != nil {
		return m, err
	}
	sim.reset()
	if err := sim.run(s.Warm, pop, false); err != nil {
		return m, err
	}
	sim.reset()
	if err := sim.run(s.Time, pop, s.Popularity == "flash"); err != nil {
		return m, err
	}
	return sim.measured(), nil
}

func newSimulation(s Setting) (*simulation, error) {
	ms, err := newMembers(s.Members)
	if err != nil {
		return nil, err
	}
	sim := &simulation{Setting: s, members: ms, keys: newKeys(s.Keys + 1), rng: rand.New(rand.NewPCG(s.Seed, 1))}
	for _, key := range sim.keys {
		sim.owners = append(sim.owners, uint16(ms.table.Owner(key)))
	}
	sim.group = newGroup(s.Members, sim.keys, int(s.MaxBytes()/entryBytes), sim.rng)
	value := make([]byte, valueBytes) // the same for all: only its length counts
	for _, m := range ms.all {
		c, err := cache.New(cache.Config[string, []byte]{
			Name: "skew", Peers: m, MaxBytes: s.MaxBytes(),
			Load: func(context.Context, string) (cache.Entry[[]byte], error) {
				return cache.Entry[[]byte]{Value: value}, nil
			},
		})
		if err != nil {
			return nil, err
		}
		sim.caches = append(sim.caches, c)
	}
	return sim, nil
}

// fill has every member hold what it owns, but for the key that nobody knows before.
func (sim *simulation) fill() error {
	for k, key := range sim.keys[:sim.Keys] {
		if _, err := sim.caches[sim.owners[k]].Get(context.Background(), key); err != nil {
			return err
		}
		sim.group.load(int(sim.group.owners[k]), k)
	}
	return nil
}

// close closes the caches.
func (sim *simulation) close() {
	for _, c := range sim.caches {
		_ = c.Close() // which does not fail
	}
}

// popularity returns what the setting names.
func (sim *simulation) popularity() (popularity, error) {
	switch sim.Popularity {
	case "zipf0.99", "flash":
		return popular{zipf.New(sim.Keys, 0.99)}, nil
	case "zipf1.1":
		return popular{zipf.New(sim.Keys, 1.1)}, nil
	case "zipf1.3":
		return popular{zipf.New(sim.Keys, 1.3)}, nil
	case "uniform": // so many that mirrors have half of them
		return sim.firstKeys(2*sim.mirrors(), func(int) bool { return true }), nil
	case "one-owner":
		return sim.firstKeys(2*sim.mirrors(), func(k int) bool { return sim.owners[k] == 0 }), nil
	}
	return nil, fmt.Errorf("there is no popularity %q", sim.Popularity)
}

// firstKeys returns the first n keys that are wanted, or all if there are less.
func (sim *simulation) firstKeys(n int, wanted func(k int) bool) (keys uniform) {
	for k := 0; k < sim.Keys && len(keys) < n; k++ {
		if wanted(k) {
			keys = append(keys, int32(k))
		}
	}
	return keys
}

// reset begins to count anew.
func (sim *simulation) reset() {
	n := sim.Members
	sim.m = Measured{Setting: sim.Setting}
	sim.m.Plain, sim.m.GroupPlain = make([]int64, n), make([]int64, n)
	sim.m.FlashCalls, sim.m.GroupFlashCalls = make([]int64, n), make([]int64, n)
	clear(sim.group.calls)
	for _, m := range sim.members.all {
		m.asked.Store(0)
	}
}

// run has requests come for a time.
func (sim *simulation) run(d time.Duration, pop popularity, flash bool) error {
	end := time.Now().Add(d)
	due := 0.0
	for time.Now().Before(end) {
		for due += float64(sim.Rate*sim.Members) * step.Seconds(); due >= 1; due-- {
			k := sim.Keys
			if !flash || sim.rng.Float64() >= flashShare {
				k = pop.draw(sim.rng)
			}
			if err := sim.request(sim.rng.IntN(sim.Members), k); err != nil {
				return err
			}
		}
		time.Sleep(step)
	}
	return nil
}

// request has member m asked for key k, in all ways.
func (sim *simulation) request(m, k int) error {
	sim.m.Requests++
	before := sim.members.calls.Load()
	if _, err := sim.caches[m].Get(context.Background(), sim.keys[k]); err != nil {
		return err
	}
	called := sim.members.calls.Load() - before
	crossed := sim.group.get(m, k)
	if owner := int(sim.owners[k]); owner != m {
		sim.m.Plain[owner]++
	}
	if owner := int(sim.group.owners[k]); owner != m {
		sim.m.GroupPlain[owner]++
	}
	if k == sim.Keys {
		sim.m.FlashCalls[m] += called
		if crossed {
			sim.m.GroupFlashCalls[m]++
		}
	}
	return nil
}

// measured returns what was counted since reset.
func (sim *simulation) measured() Measured {
	m := sim.m
	m.Group = slices.Clone(sim.group.calls)
	m.GroupDuplicated = sim.group.duplicated()
	var mirrored, all int64
	for i, c := range sim.caches {
		m.Calls = append(m.Calls, sim.members.all[i].asked.Load())
		s := c.Stats()
		mirrored += s.MirrorBytes
		all += s.Bytes
		m.Loads += int64(s.Loads)
	}
	m.Duplicated = float64(mirrored) / float64(max(all, 1))
	m.Mirrors = int(mirrored / entryBytes / int64(sim.Members))
	return m
}
