package memory

import (
	"maps"
	"sync"

	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// shard is the part of a Store that one lock guards.
type shard[V any] struct {
	// mu guards everything below. It is a leaf: no other lock is taken under it but that of a
	// Run, by joining one.
	mu       sync.Mutex
	entries  map[string]*entry[V]
	copies   map[string]*copyEntry[V] // of what others own
	policies [classes]s3fifo[V]
	flights  flights[V]
	alone    map[*Flight[V]]struct{} // under way, and joined by nobody: private ones, and those that were detached
	fences   map[uint64]*fence       // by hash of the key: keys that collide are fenced together; a nil *fence is none
	every    fence                   // on every key
	released uint64                  // the fence of which a hold was released last
	peak     int                     // entries since the map was made
	stored   uint32                  // entries so far
	closed   bool

	hits, mirrorHits, staleHits, misses, expired uint64
}

func newShard[V any]() *shard[V] {
	sh := &shard[V]{
		entries: make(map[string]*entry[V]),
		copies:  make(map[string]*copyEntry[V]),
		alone:   make(map[*Flight[V]]struct{}),
		fences:  make(map[uint64]*fence),
	}
	sh.flights.clear()
	for c := range sh.policies {
		sh.policies[c].init()
	}
	return sh
}

// detachLocked takes the flights of key out of the shard: nobody joins them any more and what they bring is not
// stored. sh.mu must be held.
func (sh *shard[V]) detachLocked(key string, hash uint64) {
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

// shrinkLocked makes the maps anew when few entries are left of many: a map keeps the room that it once
// had. sh.mu must be held.
func (sh *shard[V]) shrinkLocked() {
	if sh.peak < minGhosts || len(sh.entries) > sh.peak/4 {
		return
	}
	sh.peak = len(sh.entries)
	entries := make(map[string]*entry[V], len(sh.entries))
	maps.Copy(entries, sh.entries)
	sh.entries = entries
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
		Evictions:   s.evictions.Load(),
		Rejected:    s.rejected.Load(),
		MirrorBytes: s.budgets[mirrored].used.Load(),
		CopyBytes:   s.budgets[copied].used.Load(),
	}
	u.Bytes = s.budgets[owned].used.Load() + u.MirrorBytes + u.CopyBytes
	for _, sh := range s.shards {
		sh.mu.Lock()
		u.Hits += sh.hits
		u.MirrorHits += sh.mirrorHits
		u.StaleHits += sh.staleHits
		u.Misses += sh.misses
		u.Expired += sh.expired
		u.Entries += len(sh.entries)
		u.Copies += len(sh.copies)
		u.Flights += sh.flights.len + len(sh.alone)
		sh.mu.Unlock()
	}
	return u
}
