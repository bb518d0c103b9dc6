package memory

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

const (
	maxShards = 64
	// shardBytes is how much of MaxBytes there must be for each shard.
	shardBytes = 4 << 20
	// shardCost is what a shard takes beside its entries: its own struct, the ghosts it may always have,
	// maps that are not made smaller any more, and the part of its table that is there before there are entries.
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
	start  time.Time
	seed   maphash.Seed
	shards []*shard[V]
	shift  uint // of a hash, to the number of a shard
	counts hitCounts
	base   uint64 // of versions: see version
	chunk  int64  // bytes of a chunk; 0: there are no arenas

	// isolated is set while nothing that is got is stored or shared; see Isolate.
	isolated atomic.Bool

	_ [cacheLine]byte // what is above is hardly ever written

	budgets  [classes]budget
	rejected atomic.Uint64
	tags     tagFences
}

// New returns a Store that keeps at most maxBytes, parts of which are set aside for mirrors and for copies
// if there are to be any.
func New[V any](maxBytes int64, mirrors bool) *Store[V] { return newStore[V](maxBytes, mirrors, false) }

// NewInArenas is New for string or []byte, with entries in arenas.
func NewInArenas[V any](maxBytes int64, mirrors bool) *Store[V] {
	return newStore[V](maxBytes, mirrors, true)
}

func newStore[V any](maxBytes int64, mirrors, arenas bool) *Store[V] {
	n := int(min(max(maxBytes/shardBytes, 1), maxShards))
	log := bits.Len(uint(n)) - 1 // round down to a power of two
	s := &Store[V]{
		start:  time.Now(),
		seed:   maphash.MakeSeed(),
		base:   rand.Uint64(),
		shards: make([]*shard[V], 1<<log),
		shift:  uint(64 - log),
	}
	if arenas {
		s.chunk = min(max(maxBytes>>log/shardChunks, minChunk), maxChunk) &^ 7
	}
	for i := range s.shards {
		s.shards[i] = newShard[V](s.chunk)
	}
	s.counts.init()
	s.tags.init(int(min(maxBytes/tagShare, maxTagBytes)))
	maxBytes -= int64(s.tags.limit)
	maxBytes -= int64(len(s.shards))*shardCost + s.counts.bytes()
	if arenas {
		maxBytes = (maxBytes - spareChunks*s.chunk*int64(len(s.shards))) / (deadShare + 1) * deadShare
	}
	doors := int64(0)
	if mirrors {
		s.budgets[mirrored].max = maxBytes / mirrorShare
		s.budgets[copied].max = maxBytes / copyShare
		for _, sh := range s.shards {
			sh.door = newDoor(maxBytes / mirrorShare / doorShare / int64(len(s.shards)))
			doors += sh.door.bytes()
		}
		s.budgets[mirrored].max -= doors
	}
	s.budgets[owned].max = maxBytes - doors - s.budgets[mirrored].max - s.budgets[copied].max
	return s
}

// LimitEntries has the store, which has not been used yet, keep at most n entries, of which mirrors and copies, if there are to be any, have the
// same shares as of the bytes.
func (s *Store[V]) LimitEntries(n int64) {
	left := n
	for c, share := range map[class]int64{mirrored: mirrorShare, copied: copyShare} {
		b := &s.budgets[c]
		if b.bounded = true; b.max > 0 {
			b.maxEntries = n / share
			left -= b.maxEntries
		}
	}
	s.budgets[owned].bounded, s.budgets[owned].maxEntries = true, left
}

// cost is what keeping item takes, in bytes.
func (s *Store[V]) cost(key string, item *Item[V]) int64 {
	if s.chunk > 0 {
		return arenaCost(key, item, s.chunk)
	}
	return item.cost(key)
}

// Now returns the present Instant.
func (s *Store[V]) Now() Instant { return Instant(time.Since(s.start)) }

// Time returns what time it is at an Instant.
func (s *Store[V]) Time(at Instant) time.Time { return s.start.Add(time.Duration(at)) }

func (s *Store[V]) shard(key string) (*shard[V], uint64) {
	h := maphash.String(s.seed, key)
	return s.shards[s.index(h)], h
}

// index returns the number of the shard of a hash.
func (s *Store[V]) index(hash uint64) uint64 { return hash >> s.shift } // a shift by 64 gives 0

// Get returns the item of key, nil if there is none that may be served. It tells exactly one caller in RefreshEvery
// to refresh an item that is stale, or that chance says to refresh early. If there is nothing, it returns the time, too, which
// is not asked for of what has no end.
func (s *Store[V]) Get(key string) (item *Item[V], refresh bool, now Instant) {
	hash := maphash.String(s.seed, key)
	sh := s.shards[s.index(hash)]
	e := s.look(sh, hash, key)
	if e != nil && e.endless {
		e.touch()
		s.counts.add(false, false) // a mirror's lease ends; count would read more of the entry
		return &e.item, false, 0
	}
	now = s.Now()
	item, refresh = s.get(sh, hash, key, e, now)
	return item, refresh, now
}

// GetAt is Get for one who has just asked for the time, and asks for many keys.
func (s *Store[V]) GetAt(now Instant, key string) (item *Item[V], refresh bool) {
	sh, hash := s.shard(key)
	return s.get(sh, hash, key, s.look(sh, hash, key), now)
}

// get is Get for what look returned.
func (s *Store[V]) get(sh *shard[V], hash uint64, key string, e *entry[V], now Instant) (item *Item[V], refresh bool) {
	if e == nil || !e.isServable(now) || s.isInvalid(e, now) {
		if e = s.settleMiss(sh, hash, key, now); e == nil {
			return nil, false
		}
	}
	return s.hit(e, now)
}

// settleMiss looks again, under the lock, and drops what may not be served any more. It counts a miss if it returns nil.
func (s *Store[V]) settleMiss(sh *shard[V], hash uint64, key string, now Instant) *entry[V] {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.table.get(hash, key)
	switch {
	case e == nil, s.isolated.Load():
	case e.isOver(now):
		s.expireLocked(sh, e)
	case s.isInvalid(e, now):
		s.dropTaggedLocked(sh, e)
	case e.isLeased(now):
		return e
	}
	sh.misses++
	return nil
}

// look returns the entry of key. It takes no lock, so there may be one where it returns nil.
func (s *Store[V]) look(sh *shard[V], hash uint64, key string) *entry[V] {
	// First, so that what is found was there after the store had joined again, and not while it was isolated.
	if s.isolated.Load() {
		return nil
	}
	return sh.table.get(hash, key)
}

// Hit is Get for one who asks by Get where Hit returns nothing, which therefore counts as nothing. It returns nothing
// that needs more than to be handed on: what stands for an error, what is to be refreshed, and what
// has no encoding kept beside it if encoded is true.
func (s *Store[V]) Hit(key string, encoded bool) *Item[V] {
	sh, hash := s.shard(key)
	e := s.look(sh, hash, key)
	if e == nil {
		return nil
	}
	now := s.Now()
	switch {
	case !e.isServable(now):
		return nil
	case e.item.Err() != nil, encoded && e.item.Extra().Encoded == nil, s.isInvalid(e, now):
		return nil
	case int64(now) >= e.refreshAt.Load() && e.isDue(now):
		e.due.Store(true) // Get does not draw again: that would make it rarer
		return nil
	}
	return s.count(e, now)
}

// count counts a hit of e, and returns its item.
func (s *Store[V]) count(e *entry[V], now Instant) *Item[V] {
	e.touch()
	s.counts.add(now >= e.item.Fresh, e.item.Mirror)
	return &e.item
}

// hit counts a hit of e, which may be served. It tells exactly one caller in RefreshEvery to refresh an item that
// is due.
func (s *Store[V]) hit(e *entry[V], now Instant) (item *Item[V], refresh bool) {
	item = s.count(e, now)
	at := e.refreshAt.Load()
	if int64(now) >= at && e.isDue(now) && e.refreshAt.CompareAndSwap(at, int64(now)+int64(RefreshEvery)) {
		e.due.Store(false)
		return item, true
	}
	return item, false
}

// Peek returns the item of key, nil if there is none that may be served. It leaves no trace. With leased, it does not
// return an item whose lease is over.
func (s *Store[V]) Peek(key string, leased bool) *Item[V] {
	now := s.Now()
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.table.get(hash, key); e != nil && now < e.item.Until && (!leased || e.isLeased(now)) && !s.isolated.Load() && !s.isInvalid(e, now) {
		return &e.item
	}
	return nil
}

// Renew makes the lease of key last until then, if it has an entry that is not a mirror: those who come before this
// instance in the key's order were asked once more, and did not answer.
func (s *Store[V]) Renew(key string, until Instant) {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.table.get(hash, key); e != nil && !e.item.Mirror {
		e.renewLocked(until)
	}
}
