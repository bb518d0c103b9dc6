package memory

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxShards = 64
	// shardBytes is how much of MaxBytes there must be for each shard.
	shardBytes = 1 << 20
	// shardCost is what a shard takes beside its entries: its own struct, the ghosts it may always have,
	// and maps that are not made smaller any more.
	shardCost = 4 << 10
	// valueShare is the share of its budget that one entry may take: 1/valueShare.
	valueShare = 4
	// mirrorShare is the share of the bytes that mirrors have for their own: 1/mirrorShare.
	mirrorShare = 8
	// What is known of invalidated tags takes 1/tagShare of the bytes, maxTagBytes at most.
	tagShare    = 128
	maxTagBytes = 1 << 20
	// copyShare is the share that copies have.
	copyShare = 10
	// RefreshEvery is the least time between two refreshes of one item.
	RefreshEvery = time.Second
)

// A Store is the memory of one cache in one process. Its methods may be called concurrently, and
// none of them blocks but for a shard's lock.
type Store[V any] struct {
	start   time.Time
	seed    maphash.Seed
	shards  []*shard[V]
	shift   uint // of a hash, to the number of a shard
	budgets [classes]budget
	tags    tagFences
	base    uint64 // of versions: see version

	// isolated is set while nothing that is got is stored or shared; see Isolate.
	isolated atomic.Bool

	evictions, rejected atomic.Uint64
}

// New returns a Store that keeps at most maxBytes, parts of which are set aside for mirrors and for copies
// if there are to be any.
func New[V any](maxBytes int64, mirrors bool) *Store[V] {
	n := int(min(max(maxBytes/shardBytes, 1), maxShards))
	log := bits.Len(uint(n)) - 1 // round down to a power of two
	s := &Store[V]{
		start:  time.Now(),
		seed:   maphash.MakeSeed(),
		base:   rand.Uint64(),
		shards: make([]*shard[V], 1<<log),
		shift:  uint(64 - log),
	}
	for i := range s.shards {
		s.shards[i] = newShard[V]()
	}
	s.tags.init(int(min(maxBytes/tagShare, maxTagBytes)))
	maxBytes -= int64(s.tags.limit)
	maxBytes -= int64(len(s.shards)) * shardCost
	if mirrors {
		s.budgets[mirrored].max = maxBytes / mirrorShare
		s.budgets[copied].max = maxBytes / copyShare
	}
	s.budgets[owned].max = maxBytes - s.budgets[mirrored].max - s.budgets[copied].max
	return s
}

// Now returns the present Instant.
func (s *Store[V]) Now() Instant { return Instant(time.Since(s.start)) }

func (s *Store[V]) shard(key string) (*shard[V], uint64) {
	h := maphash.String(s.seed, key)
	return s.shards[s.index(h)], h
}

// index returns the number of the shard of a hash.
func (s *Store[V]) index(hash uint64) uint64 { return hash >> s.shift } // a shift by 64 gives 0

// Get returns the item of key, nil if there is none that may be served. It tells exactly one caller in RefreshEvery
// to refresh an item that is stale, or that chance says to refresh early.
func (s *Store[V]) Get(key string) (item *Item[V], refresh bool) {
	return s.GetAt(s.Now(), key)
}

// GetAt is Get for one who has just asked for the time, and asks for many keys.
func (s *Store[V]) GetAt(now Instant, key string) (item *Item[V], refresh bool) {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	e := sh.entries[key]
	if s.isolated.Load() {
		e = nil
	}
	if e != nil && now >= e.item.Until {
		s.expireLocked(sh, e)
		e = nil
	}
	if e != nil && s.invalidLocked(e, now) {
		s.dropTaggedLocked(sh, e, hash)
		e = nil
	}
	if e == nil || now >= e.lease {
		sh.misses++
		sh.mu.Unlock()
		return nil, false
	}
	item, refresh = sh.hitLocked(e, now)
	sh.mu.Unlock()
	return item, refresh
}

// Hit is Get for one who asks by Get where Hit returns nothing, which therefore counts as nothing. It returns nothing
// that needs more than to be handed on: what stands for an error, what is to be refreshed, and what
// has no encoding kept beside it if encoded is true.
func (s *Store[V]) Hit(key string, encoded bool) *Item[V] {
	now := s.Now()
	sh, _ := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.entries[key]
	switch {
	case e == nil, now >= e.item.Until, now >= e.lease, s.isolated.Load():
		return nil
	case e.item.Err != nil, encoded && e.item.Encoded == nil, s.invalidLocked(e, now):
		return nil
	case now >= e.refreshAt && e.isDueLocked(now):
		e.due = true // Get does not draw again: that would make it rarer
		return nil
	}
	item, _ := sh.hitLocked(e, now)
	return item
}

// hitLocked counts a hit of e, which may be served. It tells exactly one caller in RefreshEvery to refresh an item that
// is due. sh.mu must be held.
func (sh *shard[V]) hitLocked(e *entry[V], now Instant) (item *Item[V], refresh bool) {
	if e.hits < maxHits {
		e.hits++
	}
	item = e.item
	switch {
	case now >= item.Fresh:
		sh.staleHits++
	case item.Mirror:
		sh.mirrorHits++
	default:
		sh.hits++
	}
	if now >= e.refreshAt && e.isDueLocked(now) {
		refresh, e.due = true, false
		e.refreshAt = now + Instant(RefreshEvery)
	}
	return item, refresh
}

// Peek returns the item of key, nil if there is none that may be served. It leaves no trace. With leased, it does not
// return an item whose lease is over.
func (s *Store[V]) Peek(key string, leased bool) *Item[V] {
	now := s.Now()
	sh, _ := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.entries[key]; e != nil && now < e.item.Until && (!leased || now < e.lease) && !s.isolated.Load() && !s.invalidLocked(e, now) {
		return e.item
	}
	return nil
}

// Renew makes the lease of key last until then, if it has an entry that is not a mirror: those who come before this
// instance in the key's order were asked once more, and did not answer.
func (s *Store[V]) Renew(key string, until Instant) {
	sh, _ := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.entries[key]; e != nil && !e.item.Mirror {
		e.lease = max(e.lease, until)
	}
}

// Put drops, detaches, and stores item, which was given at a Seq, in one step: what Set is where there is nobody else.
func (s *Store[V]) Put(key string, item *Item[V], since Seq) {
	sh, hash := s.shard(key)
	room := s.reserve(sh, key, hash, item)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.detachLocked(key, hash)
	s.dropCopyLocked(sh, key)
	s.replaceLocked(sh, key, hash, item, room, since)
}

// PutFenced is Put under the fence id, which was raised on key before. It does nothing and returns false if another
// fence was under way since then, or that one's hold is over.
func (s *Store[V]) PutFenced(key string, id uint64, item *Item[V]) bool {
	if !s.IsSole(key, id) { // before anything is evicted for it
		return false
	}
	sh, hash := s.shard(key)
	room := s.reserve(sh, key, hash, item)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	f := sh.fences[hash]
	if s.isolated.Load() || !f.isSole(id, s.Now()) {
		s.budgets[item.class()].release(room)
		return false
	}
	h, _ := f.hold(id)
	sh.detachLocked(key, hash)
	s.replaceLocked(sh, key, hash, item, room, h.seq)
	return true
}

// SetEncoded keeps the encoded form of item beside it, if item is still what key has and there is room.
func (s *Store[V]) SetEncoded(key string, item *Item[V], encoded []byte) {
	with := *item
	with.Encoded = encoded
	sh, hash := s.shard(key)
	b := &s.budgets[item.class()]
	more := with.cost(key) - item.cost(key)
	if with.cost(key) > b.max/valueShare || !s.makeRoom(hash, item.class(), more) {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.entries[key]
	if e == nil || e.item != item {
		b.release(more)
		return
	}
	e.item = &with
	e.cost += more
	e.queue.bytes += more
}

// replaceLocked makes item, which was begun at a Seq, the entry of key, in the room that was reserved for it; without room, key
// has no entry then. sh.mu must be held.
func (s *Store[V]) replaceLocked(sh *shard[V], key string, hash uint64, item *Item[V], room int64, since Seq) {
	p := &sh.policies[item.class()]
	if old := sh.entries[key]; old != nil {
		if now := s.Now(); item.Mirror && room == 0 && !old.item.Mirror && now < old.item.Fresh && now < old.lease {
			return // a mirror that is not kept is no reason to drop what was loaded here, unless that was for one who answers again, and knows better
		}
		if old.item.class() == item.class() {
			p.ghosts.add(hash, p.len()) // it was here lately indeed
		}
		s.unlinkLocked(sh, old)
	}
	if room == 0 {
		return
	}
	if sh.closed {
		s.budgets[item.class()].release(room)
		return
	}
	now := s.Now()
	sh.stored++
	// A key of its own: the caller's may be a piece of something large.
	e := &entry[V]{key: strings.Clone(key), item: item, cost: room, lease: item.Lease, seq: since, refreshAt: item.earliest(now), number: sh.stored}
	sh.entries[e.key] = e
	sh.peak = max(sh.peak, len(sh.entries))
	p.insert(e, hash)
	s.expireOldestLocked(sh, p, now)
}

// unlinkLocked drops e. sh.mu must be held.
func (s *Store[V]) unlinkLocked(sh *shard[V], e *entry[V]) {
	delete(sh.entries, e.key)
	e.queue.remove(e)
	s.budgets[e.item.class()].release(e.cost)
	sh.shrinkLocked()
}

// expireLocked drops e, whose time is over. A mirror that ran out is remembered, so that it comes back at
// the next fetch. sh.mu must be held.
func (s *Store[V]) expireLocked(sh *shard[V], e *entry[V]) {
	s.unlinkLocked(sh, e)
	sh.expired++
	if e.item.Mirror {
		p := &sh.policies[mirrored]
		p.ghosts.add(maphash.String(s.seed, e.key), p.len())
	}
}

// expireOldestLocked drops what has expired at the old ends of p's queues: a few at a time, which is more than come
// in. sh.mu must be held.
func (s *Store[V]) expireOldestLocked(sh *shard[V], p *s3fifo[V], now Instant) {
	for _, q := range []*queue[V]{&p.small, &p.main} {
		for range 2 {
			if e := q.oldest(); e != nil && now >= e.item.Until {
				s.expireLocked(sh, e)
			}
		}
	}
}
