package memory

import (
	"sync"

	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// shard is the part of a Store that one lock guards.
type shard[V any] struct {
	table table[V] // first: what a hit reads of it is in a line of the processor's cache that no lock is in

	// mu guards everything below, and changes of the table. It is a leaf: no other lock is taken under it but that of a
	// Run, by joining one.
	mu       sync.Mutex
	arena    arena[V]                 // off, if entries are objects
	copies   map[string]*copyEntry[V] // of what others own
	policies [classes]policy[V]
	door     door // to the mirrors
	flights  flights[V]
	alone    map[*Flight[V]]struct{} // under way, and joined by nobody: private ones, and those that were detached
	fences   map[uint64]*fence       // by hash of the key: keys that collide are fenced together; a nil *fence is none
	every    fence                   // on every key
	released uint64                  // the fence of which a hold was released last
	peak     int                     // entries since the ghosts were shrunk
	mortal   int                     // entries whose time will be over
	stored   uint32                  // entries so far
	closed   bool

	misses, evictions, expired uint64
}

// newShard returns a shard with an arena of such chunks, if they have bytes.
func newShard[V any](chunkBytes int64) *shard[V] {
	sh := &shard[V]{
		copies: make(map[string]*copyEntry[V]),
		alone:  make(map[*Flight[V]]struct{}),
		fences: make(map[uint64]*fence),
	}
	sh.arena.init(chunkBytes)
	sh.table.hidden = sh.arena.isOn()
	sh.table.init()
	sh.flights.clear()
	for c := range sh.policies {
		sh.policies[c].init(sh.arena.isOn() && class(c) != copied) // the map keeps copies
	}
	return sh
}

// detachLocked takes the flights of key out of the shard: nobody joins them any more and what they bring is not
// stored. sh.mu must be held.
func (sh *shard[V]) detachLocked(key string, hash uint64) {
	if sh.flights.len == 0 {
		return
	}
	for k := range kinds {
		sh.detachKindLocked(k, key, hash)
	}
}

// detachKindLocked is detachLocked for one kind. sh.mu must be held.
func (sh *shard[V]) detachKindLocked(kind Kind, key string, hash uint64) {
	if f := sh.flights.get(kind, key, hash); f != nil && !mutant.On(mutant.JoinsOlderFlights) {
		sh.flights.remove(f)
		sh.alone[f] = struct{}{}
	}
}

// shrinkLocked makes the ghosts' maps anew when few entries are left of many: a map keeps the room that it once
// had. sh.mu must be held.
func (sh *shard[V]) shrinkLocked() {
	if sh.peak < minGhosts || sh.table.len > sh.peak/4 {
		return
	}
	sh.peak = sh.table.len
	for c := range sh.policies {
		p := &sh.policies[c]
		p.ghosts.shrink(p.len())
	}
}

// heldLocked reports whether a hold is on the key with that hash. sh.mu must be held.
func (sh *shard[V]) heldLocked(hash uint64, now Instant) bool {
	return (sh.every.held(now) || sh.fences[hash].held(now)) && !mutant.On(mutant.NoHold)
}

// Usage is how a Store is doing.
type Usage struct {
	Hits, MirrorHits, StaleHits, Misses uint64
	Evictions, Expired, Rejected        uint64
	Entries                             int
	Bytes, MirrorBytes                  int64
	Flights                             int
	Copies                              int
	CopyBytes                           int64
}

// Usage sums up the shards. It is exact for each of them, at slightly different moments.
func (s *Store[V]) Usage() Usage {
	u := Usage{
		Rejected:    s.rejected.Load(),
		MirrorBytes: s.budgets[mirrored].used.Load(),
		CopyBytes:   s.budgets[copied].used.Load(),
	}
	u.Bytes = s.budgets[owned].used.Load() + u.MirrorBytes + u.CopyBytes
	u.Hits, u.MirrorHits, u.StaleHits = s.counts.sum()
	for _, sh := range s.shards {
		sh.mu.Lock()
		u.Misses += sh.misses
		u.Evictions += sh.evictions
		u.Expired += sh.expired
		u.Entries += sh.table.len
		u.Copies += len(sh.copies)
		u.Flights += sh.flights.len + len(sh.alone)
		sh.mu.Unlock()
	}
	return u
}
