package memory

// Put drops, detaches, and stores item, which was given at a Seq, in one step: what Set is where there is nobody else.
func (s *Store[V]) Put(key string, item *Item[V], since Seq) {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	r := s.reserveLocked(sh, key, hash, item)
	sh.detachLocked(key, hash)
	s.dropCopyLocked(sh, key)
	s.replaceLocked(sh, key, hash, item, r, since)
}

// PutFenced is Put under the fence id, which was raised on key before. It does nothing and returns false if another
// fence was under way since then, or that one's hold is over.
func (s *Store[V]) PutFenced(key string, id uint64, item *Item[V]) bool {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !sh.fences[hash].isSole(id, s.Now()) { // before anything is evicted for it
		return false
	}
	r := s.reserveLocked(sh, key, hash, item)
	f := sh.fences[hash]
	if s.isolated.Load() || !f.isSole(id, s.Now()) {
		s.budgets[item.class()].release(r.amount)
		return false
	}
	h, _ := f.hold(id)
	sh.detachLocked(key, hash)
	s.replaceLocked(sh, key, hash, item, r, h.seq)
	return true
}

// SetEncoded keeps the encoded form of item beside it, if item is still what key has and there is room.
func (s *Store[V]) SetEncoded(key string, item *Item[V], encoded []byte) {
	extra := item.Extra()
	extra.Encoded = encoded
	with := Item[V]{Value: item.Value, Size: item.Size} // which is enough to tell its cost, and not the Lease: that may be renewed meanwhile
	with.With(extra)
	sh, hash := s.shard(key)
	b := &s.budgets[item.class()]
	cost := s.cost(key, &with)
	more := cost - s.cost(key, item)
	if cost > b.max/valueShare || !s.makeRoom(hash, item.class(), amount{bytes: more}) {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old := sh.table.get(hash, key)
	if old == nil || &old.item != item {
		b.release(amount{bytes: more})
		return
	}
	with = old.item
	with.extra = nil
	e := sh.newEntryLocked(old.key(), hash, with.With(extra), old.cost, old.since())
	e.inherit(old)
	sh.table.replaceLocked(old, e)
	q := sh.policies[item.class()].queueOf(old)
	q.replace(old, e)
	e.cost += more
	q.bytes += more
	sh.freeLocked(old)
}

// newEntryLocked returns an entry of a copy of item, which was begun at since. sh.mu must be held.
func (sh *shard[V]) newEntryLocked(key string, hash uint64, item *Item[V], cost int64, since Seq) *entry[V] {
	if sh.arena.isOn() {
		return sh.arena.newEntry(key, hash, item, cost, since, arrivals)
	}
	e := new(entry[V])
	e.init(key, hash, item, cost, since)
	return e
}

// replaceLocked makes a copy of item, which was begun at a Seq, the entry of key, in the room that was reserved for it without giving up sh.mu since; without
// room, key has no entry then. It returns what key has then, nil if that is not this one. sh.mu must be held.
func (s *Store[V]) replaceLocked(sh *shard[V], key string, hash uint64, item *Item[V], r room, since Seq) *Item[V] {
	b, old := &s.budgets[item.class()], sh.table.get(hash, key)
	if !r.ok || sh.closed {
		b.release(r.amount)
		switch {
		case old == nil:
		case item.Mirror && !old.item.Mirror && old.isFresh(s.Now()):
			// A mirror that is not kept is no reason to drop what was loaded here, unless that was for one who answers again, and knows better.
		default:
			s.unlinkLocked(sh, old)
		}
		return nil
	}
	sh.stored++
	e := sh.newEntryLocked(key, hash, item, s.cost(key, item), since)
	e.number = sh.stored
	now := Instant(0)
	if e.mortal || sh.mortal > 0 { // else it need not ask for the time
		now = s.Now()
	}
	e.refreshAt.Store(int64(item.earliest(now)))
	s.linkLocked(sh, e, old, r)
	if sh.mortal > 0 {
		s.sweepLocked(sh, &sh.policies[item.class()], now)
	}
	return &e.item
}

// linkLocked makes e the entry of its key in the place of old, which may be nil. sh.mu must be held.
func (s *Store[V]) linkLocked(sh *shard[V], e, old *entry[V], r room) {
	p, b := &sh.policies[e.class], &s.budgets[e.class]
	if e.mortal {
		sh.mortal++
	}
	if old == nil {
		sh.table.addLocked(e)
		sh.peak = max(sh.peak, sh.table.len)
		p.insert(e)
		b.release(r.minus(e.takes()))
		return
	}
	if old.mortal {
		sh.mortal--
	}
	main := old.in == inMain
	sh.policies[old.class].queueOf(old).remove(old)
	sh.table.replaceLocked(old, e) // who looks meanwhile finds one of them
	if old.class == e.class {
		p.replace(e, old, main)
		b.release(r.plus(old.takes()).minus(e.takes()))
	} else {
		p.insert(e)
		s.budgets[old.class].release(old.takes())
		b.release(r.minus(e.takes()))
	}
	sh.freeLocked(old)
}

// unlinkLocked drops e. sh.mu must be held.
func (s *Store[V]) unlinkLocked(sh *shard[V], e *entry[V]) {
	sh.policies[e.class].queueOf(e).remove(e)
	s.budgets[e.class].release(e.takes())
	sh.droppedLocked(e)
}

// droppedLocked drops e, which is in no queue any more, and whose room is another's. sh.mu must be held.
func (sh *shard[V]) droppedLocked(e *entry[V]) {
	sh.table.removeLocked(e)
	if e.mortal {
		sh.mortal--
	}
	sh.freeLocked(e)
	sh.shrinkLocked()
}

// expireLocked drops e, whose time is over. sh.mu must be held.
func (s *Store[V]) expireLocked(sh *shard[V], e *entry[V]) {
	s.noteExpiredLocked(sh, e, e.in == inMain)
	s.unlinkLocked(sh, e)
}

// noteExpiredLocked remembers e, whose time is over, if it is a mirror, so that it comes back at the next fetch; or if it was asked for, so that it comes back as what it was.
// sh.mu must be held.
func (s *Store[V]) noteExpiredLocked(sh *shard[V], e *entry[V], main bool) {
	sh.expired++
	if e.item.Mirror || main || e.hits.Load() > 0 {
		sh.policies[e.class].see(e.hash)
	}
}

// sweepLocked drops what has expired among a few entries of p's queues, each time the next ones: more than come in, so that all that has expired
// is found before as many entries have come. It reports whether there was any. sh.mu must be held.
func (s *Store[V]) sweepLocked(sh *shard[V], p *policy[V], now Instant) (found bool) {
	for _, q := range []*queue[V]{&p.small, &p.main} {
		for range 2 {
			if e := q.sweep(); e != nil && e.isOver(now) {
				s.expireLocked(sh, e)
				found = true
			}
		}
	}
	return found
}
