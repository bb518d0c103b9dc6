package memory

import (
	"hash/maphash"
	"sync/atomic"
)

// A budget counts bytes, never more than max.
type budget struct {
	used atomic.Int64
	max  int64
}

func (b *budget) tryReserve(n int64) bool {
	for {
		used := b.used.Load()
		if used+n > b.max {
			return false
		}
		if b.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (b *budget) release(n int64) { b.used.Add(-n) }

// reserve makes room for item and returns how much, 0 if it is not to be kept: it is not wanted, or too large. No
// lock may be held.
func (s *Store[V]) reserve(sh *shard[V], key string, hash uint64, item *Item[V]) int64 {
	sh.mu.Lock()
	wanted := s.wantedLocked(sh, key, hash, item)
	sh.mu.Unlock()
	if !wanted {
		return 0
	}
	return s.reserveWanted(key, hash, item)
}

// reserveWanted is reserve for an item that is wanted.
func (s *Store[V]) reserveWanted(key string, hash uint64, item *Item[V]) int64 {
	n := item.cost(key)
	if n > s.budgets[item.class()].max/valueShare || !s.makeRoom(hash, item.class(), n) {
		s.rejected.Add(1)
		return 0
	}
	return n
}

// wantedLocked reports whether item is to be kept: its time is not over, and if it is a mirror, key is worth one. sh.mu
// must be held.
func (s *Store[V]) wantedLocked(sh *shard[V], key string, hash uint64, item *Item[V]) bool {
	if item.Until == 0 || item.Until <= s.Now() { // it need not ask for the time where nothing is kept
		return false
	}
	return !item.Mirror || sh.wantsMirrorLocked(key, hash)
}

// wantsMirrorLocked reports whether key is worth a mirror: it has one, or was asked for not long ago. The
// first time, it just leaves a ghost. sh.mu must be held.
func (sh *shard[V]) wantsMirrorLocked(key string, hash uint64) bool {
	p := &sh.policies[mirrored]
	if _, ok := p.ghosts.set[hash]; ok {
		return true
	}
	p.ghosts.add(hash, p.len())
	e := sh.entries[key]
	return e != nil && e.item.Mirror
}

// makeRoom reserves n bytes. It evicts one entry from each shard in turn, beginning with that of hash, so that what
// is small goes from its own shard and what is large does not empty one. No lock may be held.
func (s *Store[V]) makeRoom(hash uint64, c class, n int64) bool {
	b := &s.budgets[c]
	i, empty := s.index(hash), 0
	for !b.tryReserve(n) {
		if s.evict(s.shards[i], c) {
			empty = 0
		} else if empty++; empty == len(s.shards) {
			// Nobody has anything left: others have reserved all there is, and not linked it yet.
			return false
		}
		i = (i + 1) % uint64(len(s.shards))
	}
	return true
}

// evict evicts one entry of class c from sh, and reports whether there was one.
func (s *Store[V]) evict(sh *shard[V], c class) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := &sh.policies[c]
	e := p.victim()
	if e == nil {
		return false
	}
	delete(sh.entries, e.key)
	if s.Now() < e.item.Until {
		s.evictions.Add(1)
		p.ghosts.add(maphash.String(s.seed, e.key), p.len())
	} else {
		sh.expired++
	}
	s.budgets[c].release(e.cost)
	sh.shrinkLocked()
	return true
}
