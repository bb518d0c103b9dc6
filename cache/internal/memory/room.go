package memory

import "sync/atomic"

// An amount is what entries take.
type amount struct{ bytes, entries int64 }

func (a amount) plus(b amount) amount  { return amount{a.bytes + b.bytes, a.entries + b.entries} }
func (a amount) minus(b amount) amount { return amount{a.bytes - b.bytes, a.entries - b.entries} }

// orNone returns a with zero in place of what is less.
func (a amount) orNone() amount { return amount{max(a.bytes, 0), max(a.entries, 0)} }

// A budget counts bytes, never more than max, and if they are bounded entries, never more than maxEntries.
type budget struct {
	used atomic.Int64
	max  int64

	bounded    bool // entries are
	entries    atomic.Int64
	maxEntries int64
}

func (b *budget) tryReserve(a amount) bool {
	if !tryAdd(&b.used, a.bytes, b.max) {
		return false
	}
	if b.bounded && !tryAdd(&b.entries, a.entries, b.maxEntries) {
		b.used.Add(-a.bytes)
		return false
	}
	return true
}

// tryAdd adds n to used, unless that were more than limit then.
func tryAdd(used *atomic.Int64, n, limit int64) bool {
	for n != 0 {
		old := used.Load()
		if old+n > limit {
			return false
		}
		if used.CompareAndSwap(old, old+n) {
			return true
		}
	}
	return true
}

// release gives back what was reserved. What is zero is not written: all cores would.
func (b *budget) release(a amount) {
	if a.bytes != 0 {
		b.used.Add(-a.bytes)
	}
	if b.bounded && a.entries != 0 {
		b.entries.Add(-a.entries)
	}
}

// isFull reports whether the next entry is likely to evict others.
func (b *budget) isFull() bool {
	return b.used.Load() > b.max-b.max/32 || b.bounded && b.entries.Load() >= b.maxEntries
}

// A room is what was reserved for an item.
type room struct {
	amount      // beside what the present entry of its key takes in the same class
	ok     bool // else the item is not to be kept: it is not wanted, or too large
}

// ownEvictions is how many entries of its own shard go for an item at most, before others' do: so what is large does not empty one.
const ownEvictions = 2

// reserveLocked makes room for item. It may give up sh.mu, which must be held, and has it again when it returns: what it counts
// on holds from then on.
func (s *Store[V]) reserveLocked(sh *shard[V], key string, hash uint64, item *Item[V]) room {
	if !s.wantedLocked(sh, key, hash, item) {
		return room{}
	}
	c, n := item.class(), s.cost(key, item)
	b, have := &s.budgets[c], amount{}
	if n > b.max/valueShare {
		s.rejected.Add(1)
		return room{}
	}
	for try := 0; ; try++ {
		whole := amount{n, 1}
		if old := sh.table.get(hash, key); old != nil && old.class == c {
			whole = whole.minus(old.takes()).orNone()
		}
		need := whole.minus(have).orNone()
		switch {
		case need == amount{}:
			return room{have, true}
		case b.tryReserve(need):
			have = have.plus(need)
			continue
		case try < ownEvictions:
			if freed, ok := s.evictLocked(sh, c); ok {
				have = have.plus(freed)
				continue
			}
		}
		b.release(have) // two who each kept a part of what both need would both do without
		sh.mu.Unlock()
		made := s.makeRoom(hash, c, whole)
		sh.mu.Lock()
		if !made {
			s.rejected.Add(1)
			return room{}
		}
		have = whole
	}
}

// wantedLocked reports whether item is to be kept: its time is not over, and if it is a mirror, key is worth one. sh.mu
// must be held.
func (s *Store[V]) wantedLocked(sh *shard[V], key string, hash uint64, item *Item[V]) bool {
	if item.Until == 0 || item.Until != Never && item.Until <= s.Now() { // it need not ask for the time where nothing is kept, or for ever
		return false
	}
	return !item.Mirror || sh.wantsMirrorLocked(key, hash)
}

// wantsMirrorLocked reports whether key is worth a mirror: it has one, had one not long ago, or was fetched not long ago. The
// first time, only the door remembers it. sh.mu must be held.
func (sh *shard[V]) wantsMirrorLocked(key string, hash uint64) bool {
	if sh.door.knows(hash) || sh.policies[mirrored].sawLately(hash) {
		return true
	}
	e := sh.table.get(hash, key)
	return e != nil && e.item.Mirror
}

// makeRoom reserves an amount. It evicts one entry from each shard in turn, ending with that of hash. No lock may be held.
func (s *Store[V]) makeRoom(hash uint64, c class, a amount) bool {
	b := &s.budgets[c]
	i, empty := s.index(hash), 0
	for !b.tryReserve(a) {
		i = (i + 1) % uint64(len(s.shards))
		sh := s.shards[i]
		sh.mu.Lock()
		freed, ok := s.evictLocked(sh, c)
		sh.mu.Unlock()
		b.release(freed)
		if ok {
			empty = 0
		} else if empty++; empty == len(s.shards) {
			// Nobody has anything left: others have reserved all there is, and not linked it yet.
			return false
		}
	}
	return true
}

// evictLocked evicts one entry of class c from sh, and returns what it took, which stays reserved, for the caller: where entries are alike, the
// count that all share is not written. If it finds what has expired it drops that instead, which gives back what it took, and returns nothing. It reports whether
// there was any. sh.mu must be held.
func (s *Store[V]) evictLocked(sh *shard[V], c class) (freed amount, ok bool) {
	p, now := &sh.policies[c], Instant(0)
	if sh.mortal > 0 { // else it need not ask for the time
		if now = s.Now(); s.sweepLocked(sh, p, now) {
			return amount{}, true
		}
	}
	e, kind := p.victim(now)
	switch {
	case e == nil:
		return amount{}, false
	case e.isOver(now):
		s.noteExpiredLocked(sh, e, kind == fromMain)
	default:
		sh.evictions++
		p.evicted(e.hash, kind)
	}
	freed = e.takes()
	sh.droppedLocked(e)
	return freed, true
}
