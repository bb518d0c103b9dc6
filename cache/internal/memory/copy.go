package memory

import (
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// A copyEntry is a copy's place in a shard. The shard's lock guards it.
type copyEntry[V any] struct {
	entry[V]        // whose lease is that of the copy; it is in the small queue of its class, the one that was confirmed last first
	version  uint64 // that the owner gave what this is a copy of
}

// copyCost is what a copyEntry takes beside what any entry does.
const copyCost = 8

// version stands for what e holds: what replaces it has another one, in this life of the process and in any other, but for a chance of
// 2^-64. The numbers of a shard begin anew after 2^32, long after the leases of those who know one have run out.
func (s *Store[V]) version(e *entry[V]) uint64 { return s.base + uint64(e.number) }

// Copy returns the copy of key, nil if there is none whose lease lasts and that is fresh. It leaves no trace.
func (s *Store[V]) Copy(key string) *Item[V] {
	sh, _ := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := s.copyLocked(sh, key, s.Now())
	if e == nil {
		return nil
	}
	return &e.item
}

// copyLocked returns the copy of key if it may be used. sh.mu must be held.
func (s *Store[V]) copyLocked(sh *shard[V], key string, now Instant) *copyEntry[V] {
	e := sh.copies[key]
	if e == nil || !e.isFresh(now) || s.isolated.Load() || s.isInvalid(&e.entry, now) {
		return nil
	}
	return e
}

// Keep ends f, which is Copying, with item, which becomes the copy of its key unless f was detached. version is that which the owner
// gave what it holds of the key, and said before it was asked for item. To make room, copies are dropped that have
// not been confirmed for longer than those with a lease until then. Without room Keep returns false.
func (s *Store[V]) Keep(f *Flight[V], item *Item[V], version uint64, then Instant) (room bool) {
	sh := s.shards[s.index(f.hash)]
	n := item.cost(f.Key) + copyCost
	b := &s.budgets[copied]
	room = n > b.max/valueShare // there is for others
	reserved := !room && s.makeRoomForCopy(f.hash, n, then)
	sh.mu.Lock()
	if kept := sh.landLocked(f); kept && reserved && !sh.closed {
		s.dropCopyLocked(sh, f.Key)
		e := &copyEntry[V]{version: version}
		e.init(f.Key, f.hash, item, n, f.seq)
		sh.copies[e.key()] = e
		sh.policies[copied].small.push(&e.entry)
	} else if reserved {
		b.release(amount{n, 1})
	}
	sh.mu.Unlock()
	f.Call.Settle(item, nil)
	return room || reserved
}

// makeRoomForCopy is makeRoom for a copy.
func (s *Store[V]) makeRoomForCopy(hash uint64, n int64, then Instant) bool {
	b := &s.budgets[copied]
	i, empty := s.index(hash), 0
	for !b.tryReserve(amount{n, 1}) {
		sh := s.shards[i]
		sh.mu.Lock()
		e := sh.policies[copied].small.oldest()
		if e != nil && e.lease() < then {
			s.dropCopyLocked(sh, e.key())
			empty = 0
		} else if empty++; empty == len(s.shards) {
			sh.mu.Unlock()
			return false
		}
		sh.mu.Unlock()
		i = (i + 1) % uint64(len(s.shards))
	}
	return true
}

// dropCopyLocked drops the copy of key, if there is one. sh.mu must be held.
func (s *Store[V]) dropCopyLocked(sh *shard[V], key string) {
	if len(sh.copies) == 0 {
		return
	}
	e := sh.copies[key]
	if e == nil {
		return
	}
	delete(sh.copies, key)
	sh.policies[copied].small.remove(&e.entry)
	s.budgets[copied].release(e.takes())
	if len(sh.copies) == 0 {
		sh.copies = make(map[string]*copyEntry[V]) // a map keeps the room that it once had
	}
}

// Confirm makes the lease of key's copy last until then, now that its owner says that it holds that version. It returns what the
// copy takes, and false if it is one of another version, or its lease is over: it may be what the owner had before it was fenced.
func (s *Store[V]) Confirm(key string, version uint64, until Instant) (cost int64, ok bool) {
	sh, _ := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := s.copyLocked(sh, key, s.Now())
	if e == nil || e.version != version && !mutant.On(mutant.RenewsAnyCopy) {
		return 0, false
	}
	e.renewLocked(until)
	q := &sh.policies[copied].small
	q.remove(&e.entry)
	q.push(&e.entry)
	return e.cost, true
}

// TakeOver returns the copy of key as an item of this instance's own, which key has until the lease of the copy is over; nil if there
// is no copy that may be used. The copy stays.
func (s *Store[V]) TakeOver(key string) *Item[V] {
	it, _ := s.fromCopy(key, func(_ *shard[V], e *copyEntry[V]) *Item[V] {
		it := e.item
		it.Copy, it.Lease = false, e.lease()
		it.Fresh = min(it.Fresh, it.Lease)
		it.Until = it.Fresh
		return &it
	})
	return it
}

// Promote makes the copy of key what key has, for this instance owns it now. It returns false if there is no copy that may be used,
// what key has lasts as long, or there is no room.
func (s *Store[V]) Promote(key string) bool {
	_, stored := s.fromCopy(key, func(sh *shard[V], e *copyEntry[V]) *Item[V] {
		if old := sh.table.get(e.hash, key); old != nil && !old.item.Mirror && old.item.Fresh >= e.item.Fresh {
			return nil
		}
		it := e.item
		it.Copy, it.Lease = false, Never
		return &it
	})
	return stored
}

// fromCopy makes the item that as makes of the copy of key what key has. It returns nil if there is no such item. as is called with the
// shard's lock held, and twice: the lock may be given up while room is made.
func (s *Store[V]) fromCopy(key string, as func(*shard[V], *copyEntry[V]) *Item[V]) (it *Item[V], stored bool) {
	sh, hash := s.shard(key)
	look := func() *Item[V] {
		if e := s.copyLocked(sh, key, s.Now()); e != nil {
			return as(sh, e)
		}
		return nil
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	first := look()
	if first == nil {
		return nil, false
	}
	r := s.reserveLocked(sh, key, hash, first)
	it = look()
	if it == nil || !r.ok || s.cost(key, it) != s.cost(key, first) { // it was dropped meanwhile, or is another one
		s.budgets[owned].release(r.amount)
		return it, false
	}
	s.replaceLocked(sh, key, hash, it, r, sh.copies[key].since())
	if it.Lease == Never {
		s.dropCopyLocked(sh, key)
	}
	return it, true
}

// Copies returns the keys that this store has copies of, shard by shard.
func (s *Store[V]) Copies() (keys []string) {
	for _, sh := range s.shards {
		sh.mu.Lock()
		for key := range sh.copies {
			keys = append(keys, key)
		}
		sh.mu.Unlock()
	}
	return keys
}

// DropOldCopies drops copies whose leases are over.
func (s *Store[V]) DropOldCopies() {
	now := s.Now()
	for _, sh := range s.shards {
		sh.mu.Lock()
		for {
			e := sh.policies[copied].small.oldest()
			if e == nil || e.isFresh(now) {
				break
			}
			s.dropCopyLocked(sh, e.key())
		}
		sh.mu.Unlock()
	}
}

// CopyBudget returns how many bytes copies may take, and what one takes on average, roughly.
func (s *Store[V]) CopyBudget() (bytes, each int64) {
	n, used := int64(0), s.budgets[copied].used.Load()
	for _, sh := range s.shards {
		sh.mu.Lock()
		n += int64(len(sh.copies))
		sh.mu.Unlock()
	}
	each = (&Item[V]{}).cost("") + copyCost
	if n > 0 {
		each = max(each, used/n)
	}
	return s.budgets[copied].max, each
}
