package memory

import (
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// NewFlight returns a flight of key that run is to settle. Its creator is counted as a waiter, see
// singleflight.NewCall.
func NewFlight[V any](run *singleflight.Run, kind Kind, key string) *Flight[V] {
	return &Flight[V]{Call: singleflight.NewCall[*Item[V]](run), Run: run, Key: key, kind: kind}
}

// Begin returns the item of key if there is one that is fresh; else the flight of that kind that is
// under way, which it joins; else the one that start makes, and started is true: the caller must see
// to it that it is settled. In any case but the first the caller owes the flight a Wait.
// With reload, it does not look for an item. After Close it returns nothing at all.
func (s *Store[V]) Begin(kind Kind, key string, reload bool, start func() *Flight[V]) (item *Item[V], f *Flight[V], started bool) {
	now := s.Now()
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return nil, nil, false
	}
	if !reload {
		// The one who misses may be late: the flight it missed has landed since. An item that is stale is
		// none of that: the one who comes refreshes it.
		if e := sh.entries[key]; e != nil && now < e.item.Fresh && (kind == Fill || now < e.lease) {
			return e.item, nil, false
		}
	}
	k := flightKey{key, kind}
	if kind != Fill && sh.heldLocked(hash, now) {
		// What comes from another instance during a hold may be old: it goes to
		// the one who asked for it, and to nobody who asks later.
		f = start()
		f.private = true
		sh.alone[f] = struct{}{}
		return nil, f, true
	}
	if f = sh.flights[k]; f != nil {
		f.Join()
		return nil, f, false
	}
	f = start()
	sh.flights[k] = f
	return nil, f, true
}

// BeginRefresh is Begin with reload, but returns nil where a flight is under way.
func (s *Store[V]) BeginRefresh(kind Kind, key string, start func() *Flight[V]) *Flight[V] {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	k := flightKey{key, kind}
	if sh.closed || sh.flights[k] != nil || kind != Fill && sh.heldLocked(hash, s.Now()) {
		return nil
	}
	f := start()
	sh.flights[k] = f
	return f
}

// Settle ends a flight with what it brought. If the flight was not detached, item becomes what key has; an item that
// is not to be kept, or too large, leaves it with nothing. An error leaves what is there. Only the first Settle counts.
func (s *Store[V]) Settle(f *Flight[V], item *Item[V], err error) {
	sh, hash := s.shard(f.Key)
	var room int64
	if err == nil && sh.attached(f) { // else nothing is evicted for it
		room = s.reserve(f.Key, hash, item)
	}
	sh.mu.Lock()
	if sh.landLocked(f) && err == nil {
		if f.kind == Refetch {
			sh.detachKindLocked(Fetch, f.Key) // what it brings may be older
		}
		s.replaceLocked(sh, f.Key, hash, item, room)
		room = 0
	}
	sh.mu.Unlock()
	if room > 0 {
		s.budgets[item.class()].release(room)
	}
	// Only now, so that whoever has seen the result and comes again finds it in memory.
	f.Call.Settle(item, err)
}

// attached reports whether f is still the flight of its kind and key.
func (sh *shard[V]) attached(f *Flight[V]) bool {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.flights[flightKey{f.Key, f.kind}] == f
}

// landLocked takes f out of the shard, and reports whether it was attached. sh.mu must be held.
func (sh *shard[V]) landLocked(f *Flight[V]) bool {
	delete(sh.alone, f)
	k := flightKey{f.Key, f.kind}
	attached := sh.flights[k] == f
	if attached {
		delete(sh.flights, k)
	}
	return attached
}

// Pass ends a flight with what it brought, and leaves in memory what is there.
func (s *Store[V]) Pass(f *Flight[V], item *Item[V], err error) {
	sh, _ := s.shard(f.Key)
	sh.mu.Lock()
	sh.landLocked(f)
	sh.mu.Unlock()
	f.Call.Settle(item, err)
}

// Close drops everything, and returns the flights that are under way, detached. Nothing can be begun or
// stored afterwards.
func (s *Store[V]) Close() []*Flight[V] {
	var flights []*Flight[V]
	for _, sh := range s.shards {
		sh.mu.Lock()
		sh.closed = true
		s.dropAllLocked(sh)
		for f := range sh.alone {
			flights = append(flights, f)
		}
		sh.mu.Unlock()
	}
	return flights
}

// dropAllLocked drops every entry and detaches every flight. sh.mu must be held.
func (s *Store[V]) dropAllLocked(sh *shard[V]) {
	for c := range sh.policies {
		p := &sh.policies[c]
		s.budgets[c].release(p.small.bytes + p.main.bytes)
		p.init()
	}
	sh.entries = make(map[string]*entry[V])
	sh.peak = 0
	for _, f := range sh.flights {
		sh.alone[f] = struct{}{}
	}
	sh.flights = make(map[flightKey]*Flight[V])
}
