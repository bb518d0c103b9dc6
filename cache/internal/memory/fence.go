package memory

import (
	"slices"

	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// Bounds of what fences take. Past them they grow coarser, never weaker.
const (
	maxHolds  = 8   // on one key
	maxFences = 256 // keys in one shard
)

// A fence is what remains of the invalidations of a key, while they are under way in the fleet.
type fence struct {
	// sole is the ID of the last one, if no other one was under way when it was raised: its Store
	// may go ahead. 0 if there is none, for nobody can tell which of two that overlap was first.
	sole  uint64
	holds []hold
}

// A hold keeps what comes from other instances from being stored or shared.
type hold struct {
	id     uint64
	raised Instant
	until  Instant
	seq    Seq // at which it was raised
}

func (f *fence) held(now Instant) bool {
	if f == nil {
		return false
	}
	for _, h := range f.holds {
		if now < h.until {
			return true
		}
	}
	return false
}

// isSole reports whether id is the last fence that was raised, no other was under way then, and its hold is still on.
func (f *fence) isSole(id uint64, now Instant) bool {
	h, ok := f.hold(id)
	return ok && (f.sole == id || mutant.On(mutant.UnfencedStores)) && now < h.until
}

// hold returns the hold of id, if there is one.
func (f *fence) hold(id uint64) (hold, bool) {
	if f == nil {
		return hold{}, false
	}
	i := slices.IndexFunc(f.holds, func(h hold) bool { return h.id == id })
	if i < 0 {
		return hold{}, false
	}
	return f.holds[i], true
}

// raise adds a fence with a hold until then, and forgets holds that are over. alone says that there is no
// other hold on the key than those of this fence.
func (f *fence) raise(id uint64, until, now Instant, seq Seq, alone bool) {
	kept := f.holds[:0]
	own, twice := hold{id: id, raised: now, seq: seq}, false
	var last Instant
	for _, h := range f.holds {
		if h.id == id {
			own, twice = h, true
		} else if now < h.until {
			kept = append(kept, h)
			last = max(last, h.until)
		}
	}
	if !twice { // else another one may have come and gone meanwhile
		f.sole = 0
		if alone && len(kept) == 0 {
			f.sole = id
		}
	}
	if len(kept) >= maxHolds {
		// One that nobody can release stands for them all.
		kept = append(kept[:0], hold{until: last})
	}
	own.until = until
	f.holds = append(kept, own)
}

// release ends the hold of id, and reports whether there was one.
func (f *fence) release(id uint64) bool {
	if f == nil {
		return false
	}
	n := len(f.holds)
	f.holds = without(f.holds, id)
	return len(f.holds) < n
}

// without takes the hold of id out of holds.
func without(holds []hold, id uint64) []hold {
	return slices.DeleteFunc(holds, func(h hold) bool { return h.id == id })
}

// Fence drops what the store has of keys, and detaches their flights. Until then, what is fetched of them
// is private to the one who asked. id is not 0.
func (s *Store[V]) Fence(id uint64, until Instant, keys ...string) {
	for _, key := range keys {
		s.fenceKey(id, until, key, true)
	}
}

// Hold is Fence for one that this instance hears of from others: nothing is stored under it.
func (s *Store[V]) Hold(id uint64, until Instant, keys ...string) {
	for _, key := range keys {
		s.fenceKey(id, until, key, false)
	}
}

// fenceKey is Fence for one key. With storable, a PutFenced may follow.
func (s *Store[V]) fenceKey(id uint64, until Instant, key string, storable bool) {
	now := s.Now()
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if e := sh.table.get(hash, key); e != nil {
		s.unlinkLocked(sh, e)
	}
	s.dropCopyLocked(sh, key)
	sh.detachLocked(key, hash)
	if until <= now {
		// No hold, and so no PutFenced under it; but it supersedes those before.
		if f := sh.fences[hash]; f != nil {
			f.sole = 0
		}
		return
	}
	f := sh.fences[hash]
	if f == nil {
		if len(sh.fences) >= maxFences {
			sh.dropFencesLocked(now)
		}
		if len(sh.fences) >= maxFences {
			sh.every.raise(id, until, now, 0, false)
			return
		}
		f = new(fence)
		sh.fences[hash] = f
	}
	f.raise(id, until, now, s.tags.now(now), storable && !sh.every.held(now))
}

// dropFencesLocked forgets the fences whose holds are over. sh.mu must be held.
func (sh *shard[V]) dropFencesLocked(now Instant) {
	for hash, f := range sh.fences {
		if !f.held(now) {
			delete(sh.fences, hash)
		}
	}
}

// FenceAll is Fence for every key.
func (s *Store[V]) FenceAll(id uint64, until Instant) {
	for _, sh := range s.shards {
		sh.mu.Lock()
		s.dropAllLocked(sh)
		now := s.Now()
		sh.dropFencesLocked(now)
		for _, f := range sh.fences {
			f.sole = 0
		}
		if until > now {
			sh.every.raise(id, until, now, 0, false)
		}
		sh.mu.Unlock()
	}
}

// IsSole reports whether PutFenced under the fence id would store: no other fence of key was under way
// since id was raised here, and its hold is still on.
func (s *Store[V]) IsSole(key string, id uint64) bool {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.fences[hash].isSole(id, s.Now())
}

// FencedAt returns when the fence id was raised on key, if its hold is still there.
func (s *Store[V]) FencedAt(key string, id uint64) (Instant, bool) {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	h, ok := sh.fences[hash].hold(id)
	return h.raised, ok
}

// Release ends the hold of the fence id on keys, and reports whether it was there for each of them. It is not
// if the fence was raised in an earlier life of this process, or has run out.
func (s *Store[V]) Release(id uint64, keys ...string) (held bool) {
	held = true
	for _, key := range keys {
		sh, hash := s.shard(key)
		sh.mu.Lock()
		f := sh.fences[hash]
		// The fence may have had to hold the whole shard, and another of its keys may have released that.
		if f.release(id) || sh.every.release(id) {
			sh.released = id
		}
		if f != nil && len(f.holds) == 0 {
			delete(sh.fences, hash)
		}
		held = held && sh.released == id
		sh.mu.Unlock()
	}
	return held
}

// ReleaseAll is Release for the hold of a fence that was raised by FenceAll.
func (s *Store[V]) ReleaseAll(id uint64) (held bool) {
	held = true
	for _, sh := range s.shards {
		sh.mu.Lock()
		if sh.every.release(id) {
			sh.released = id
		}
		held = held && sh.released == id
		sh.mu.Unlock()
	}
	return held
}

// Held reports whether key is held.
func (s *Store[V]) Held(key string) bool {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.heldLocked(hash, s.Now()) && !mutant.On(mutant.PeeksDuringHold)
}

// Isolate has nothing of what is got stored or shared, and nothing be found, until Join is called.
func (s *Store[V]) Isolate() {
	s.isolated.Store(true)
	for _, sh := range s.shards {
		sh.mu.Lock()
		for _, first := range sh.flights.byHash {
			for first != nil {
				f := first
				first = f.next
				f.next, f.joinable = nil, false
				sh.alone[f] = struct{}{}
			}
		}
		sh.flights.clear()
		sh.mu.Unlock()
	}
}

// Isolated reports whether the store is isolated.
func (s *Store[V]) Isolated() bool { return s.isolated.Load() }

// Join ends Isolate.
func (s *Store[V]) Join() { s.isolated.Store(false) }
