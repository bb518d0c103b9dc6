package cache

import (
	"context"
	"slices"
	"sync"

	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// maxOwed is how many invalidations are kept for an instance that could not be reached. Beyond them it is to drop everything.
const maxOwed = 256

// owe notes that an invalidation did not reach p. It is sent again when p can be reached.
func (c *Cache[K, V]) owe(p Peer, i Invalidation) {
	m := &c.company
	m.mu.Lock()
	defer m.mu.Unlock()
	if mutant.On(mutant.NoJournal) {
		return
	}
	if m.owed == nil {
		m.owed = make(map[Peer][]Invalidation)
	}
	if m.owed[p] = append(m.owed[p], i); len(m.owed[p]) > maxOwed {
		m.owed[p] = []Invalidation{{ID: i.ID, All: true}}
	}
}

// pay sends p what it is owed, all at the same time: it may be far away. It reports whether nothing is owed any more.
func (c *Cache[K, V]) pay(p Peer) bool {
	m := &c.company
	m.mu.Lock()
	owed := slices.Clone(m.owed[p])
	m.mu.Unlock()
	if len(owed) == 0 {
		return true
	}
	ctx, cancel := context.WithTimeout(c.closing, invalidateTimeout)
	defer cancel()
	told := make([]bool, len(owed))
	var wg sync.WaitGroup
	for n, i := range owed {
		wg.Go(func() { told[n] = isNilOrUnknown(p.Fence(ctx, i.request(c.cfg.Name))) })
	}
	wg.Wait()
	var last []Invalidation
	for n, i := range owed {
		if told[n] && m.paid(p, i.ID) {
			last = append(last, i)
		}
	}
	if len(last) > 0 {
		m.start(func() { c.again(last) })
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.owed[p]) == 0
}

// paid notes that p has been told of an invalidation, and reports whether that is owed to nobody else.
func (m *company) paid(p Peer, id uint64) (last bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	is := func(i Invalidation) bool { return i.ID == id }
	m.owed[p] = slices.DeleteFunc(m.owed[p], is)
	if len(m.owed[p]) == 0 {
		delete(m.owed, p)
	}
	for _, owed := range m.owed {
		if slices.ContainsFunc(owed, is) {
			return false
		}
	}
	return true
}

// again invalidates once more what everyone has been told of now. Whoever was reached at first, or told before others were, may have got what is old from
// those, and keep it: no hold lasts that long. An invalidation that does not reach everyone this time is owed again.
func (c *Cache[K, V]) again(told []Invalidation) {
	var keys, tags []string
	for _, i := range told {
		if i.All {
			_ = c.newFence(c.closing, Invalidation{All: true}).invalidate()
			return
		}
		keys, tags = append(keys, i.Keys...), append(tags, i.Tags...)
	}
	_ = c.batches(keys, func(keys []string) error { return c.newFence(c.closing, Invalidation{Keys: keys}).invalidate() })
	_ = c.batches(tags, func(tags []string) error { return c.newFence(c.closing, Invalidation{Tags: tags}).invalidate() })
}
