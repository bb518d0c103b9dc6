package memory

import (
	"context"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// A Kind is a kind of flight. Flights of different kinds never wait for each other in a circle: a fetch may wait
// for a fill, and a fill waits for the origin alone.
type Kind uint8

// The kinds of flights.
const (
	Fill    Kind = iota // loads from the origin
	Fetch               // asks another instance
	Refetch             // asks another instance to load anew
	Copying             // asks another instance for what it has in memory, for when that one fails; see Keep
	kinds
)

// A Flight is a fill or a fetch that is under way. Init it, or use NewFlight.
type Flight[V any] struct {
	singleflight.Call[*Item[V]]
	Key  string
	hash uint64 // of Key
	kind Kind
	seq  Seq // at which it was begun

	// The shard's lock guards joinable and next: whether the flight is among its flights, and what follows it
	// there. Those that are not began during a hold, or were detached: nobody joins them, and
	// nothing of them is stored.
	joinable bool
	queued   atomic.Bool             // see SetQueued; here it takes no room
	early    atomic.Pointer[Item[V]] // see SettleEarly
	next     *Flight[V]

	item  Item[V]       // see Item
	extra Extra         // the item's
	alone [1]*Flight[V] // see Alone
}

// flights are the flights that can be joined: at most one of each kind and key.
type flights[V any] struct {
	// byHash has the first of those whose keys have a hash; the others follow it.
	byHash map[uint64]*Flight[V]
	len    int
}

func (fs *flights[V]) clear() { *fs = flights[V]{byHash: make(map[uint64]*Flight[V])} }

// get returns the flight of that kind and key, nil if there is none.
func (fs *flights[V]) get(kind Kind, key string, hash uint64) *Flight[V] {
	f := fs.byHash[hash]
	for f != nil && (f.kind != kind || f.Key != key) {
		f = f.next
	}
	return f
}

// add adds f, whose hash is set.
func (fs *flights[V]) add(f *Flight[V]) {
	f.next, f.joinable = fs.byHash[f.hash], true
	fs.byHash[f.hash] = f
	fs.len++
}

// remove removes f, which is there.
func (fs *flights[V]) remove(f *Flight[V]) {
	first := fs.byHash[f.hash]
	switch {
	case first != f:
		for first.next != f {
			first = first.next
		}
		first.next = f.next
	case f.next != nil:
		fs.byHash[f.hash] = f.next
	default:
		delete(fs.byHash, f.hash)
	}
	f.next, f.joinable = nil, false
	fs.len--
}

// NewFlight returns a flight of key with a Run of its own on ctx, see singleflight.NewRun. Its creator is counted as
// a waiter, see singleflight.NewCall.
func NewFlight[V any](ctx context.Context, kind Kind, key string) *Flight[V] {
	lone := new(struct { // in one allocation
		Flight[V]
		run singleflight.Run
	})
	lone.run.Init(ctx)
	lone.Flight.Init(&lone.run, kind, key)
	return &lone.Flight
}

// Init makes the zero Flight f one of key that run is to settle. Its creator is counted as a waiter.
func (f *Flight[V]) Init(run *singleflight.Run, kind Kind, key string) {
	f.Call.Init(run)
	f.Key, f.kind = key, kind
}

// Seq returns the Seq at which f was begun.
func (f *Flight[V]) Seq() Seq { return f.seq }

// Kind returns f's kind.
func (f *Flight[V]) Kind() Kind { return f.kind }

// SetQueued notes whether f waits for its turn.
func (f *Flight[V]) SetQueued(queued bool) { f.queued.Store(queued) }

// Queued reports whether f waits for its turn, or ended before it had one.
func (f *Flight[V]) Queued() bool { return f.queued.Load() }

// SettleEarly gives those who wait, and those who join from now on, what there is so far. f stays under way: a Settle must follow, which says
// what is kept.
func (f *Flight[V]) SettleEarly(item *Item[V]) {
	f.early.Store(item)
	f.Call.Settle(item, nil)
}

// Early reports whether SettleEarly was called.
func (f *Flight[V]) Early() bool { return f.early.Load() != nil }

// Item returns an item that is a part of f, for what f is to be settled with.
func (f *Flight[V]) Item() *Item[V] {
	f.item.extra = &f.extra // so that With makes none
	return &f.item
}

// Alone returns a list that has f alone, and that is a part of f.
func (f *Flight[V]) Alone() []*Flight[V] {
	f.alone[0] = f
	return f.alone[:]
}

// Begin returns the item of key if there is one that is fresh at now; else the flight of that kind that is
// under way, which it joins; else the one that start makes, and started is true: the caller must see
// to it that it is settled. In any case but the first the caller owes the flight a Wait.
// With reload, it does not look for an item. After Close it returns nothing at all.
func (s *Store[V]) Begin(now Instant, kind Kind, key string, reload bool, start func() *Flight[V]) (item *Item[V], f *Flight[V], started bool) {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed {
		return nil, nil, false
	}
	if s.isolated.Load() {
		return nil, sh.aloneLocked(hash, start, s.tags.now(now)), true
	}
	if !reload {
		// The one who misses may be late: the flight it missed has landed since. An item that is stale is
		// none of that: the one who comes refreshes it.
		switch e := sh.table.get(hash, key); {
		case e == nil:
		case s.isInvalid(e, now):
			s.dropTaggedLocked(sh, e)
		case now < e.item.Fresh && (kind == Fill || e.isLeased(now)):
			return &e.item, nil, false
		}
	}
	if kind != Fill && sh.heldLocked(hash, now) && !mutant.On(mutant.JoinsDuringHold) {
		// What comes from another instance during a hold may be old: it goes to
		// the one who asked for it, and to nobody who asks later.
		return nil, sh.aloneLocked(hash, start, s.tags.now(now)), true
	}
	if f = sh.flights.get(kind, key, hash); f != nil && s.isOld(f) {
		sh.detachKindLocked(kind, key, hash)
		f = nil
	}
	if f != nil {
		f.Join()
		return nil, f, false
	}
	f = start()
	f.hash, f.seq = hash, s.tags.now(now)
	sh.flights.add(f)
	return nil, f, true
}

// isOld reports whether f has settled early with what has a tag that was invalidated since it was begun.
func (s *Store[V]) isOld(f *Flight[V]) bool {
	early := f.early.Load()
	return early != nil && s.Invalid(early, f.seq)
}

// aloneLocked starts a flight that nobody joins, and nothing of which is stored. sh.mu must be held.
func (sh *shard[V]) aloneLocked(hash uint64, start func() *Flight[V], seq Seq) *Flight[V] {
	f := start()
	f.hash, f.seq = hash, seq
	sh.alone[f] = struct{}{}
	return f
}

// BeginRefresh is Begin with reload, but returns nil where a flight is under way.
func (s *Store[V]) BeginRefresh(now Instant, kind Kind, key string, start func() *Flight[V]) *Flight[V] {
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.closed || s.isolated.Load() || sh.flights.get(kind, key, hash) != nil || kind != Fill && sh.heldLocked(hash, now) &&
		!(kind == Copying && mutant.On(mutant.CopiesDuringHold)) {
		return nil
	}
	f := start()
	f.hash, f.seq = hash, s.tags.now(now)
	sh.flights.add(f)
	return f
}

// Settle ends a flight with what it brought. If the flight was not detached, a copy of item becomes what key has, and what is waited for; an item that
// is not to be kept, or too large, leaves it with nothing. An error leaves what is there. Only the first Settle counts.
func (s *Store[V]) Settle(f *Flight[V], item *Item[V], err error) {
	if err == nil {
		item = s.land(f, item)
	} else {
		s.TakeOut(f)
	}
	// Only now, so that whoever has seen the result and comes again finds it in memory.
	f.Call.Settle(item, err)
}

// land takes f out of its shard, and stores item if f was attached. It returns what is stored, or else item.
func (s *Store[V]) land(f *Flight[V], item *Item[V]) *Item[V] {
	sh := s.shards[s.index(f.hash)]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	var r room
	// If f is detached, nothing is evicted for what it brought.
	if (f.joinable || mutant.On(mutant.NoGenerationCheck)) && !s.Invalid(item, f.seq) {
		r = s.reserveLocked(sh, f.Key, f.hash, item)
	}
	if sh.landLocked(f) || mutant.On(mutant.NoGenerationCheck) && !s.isolated.Load() {
		if f.kind == Refetch {
			sh.detachKindLocked(Fetch, f.Key, f.hash) // what it brings may be older
		}
		if stored := s.replaceLocked(sh, f.Key, f.hash, item, r, f.seq); stored != nil {
			return stored
		}
		return item
	}
	s.budgets[item.class()].release(r.amount)
	if e := sh.table.get(f.hash, f.Key); e != nil && item.Mirror && !e.item.Mirror && !e.isLeased(s.Now()) {
		s.unlinkLocked(sh, e) // it was taken over from one who answers again, and knows better
	}
	return item
}

// TakeOut takes f out of its shard, if it is there: nobody joins it any more, and nothing of it is stored.
func (s *Store[V]) TakeOut(f *Flight[V]) {
	sh := s.shards[s.index(f.hash)]
	sh.mu.Lock()
	sh.landLocked(f)
	sh.mu.Unlock()
}

// landLocked takes f out of the shard, and reports whether it was attached. sh.mu must be held.
func (sh *shard[V]) landLocked(f *Flight[V]) bool {
	if f.joinable {
		sh.flights.remove(f)
		return true
	}
	delete(sh.alone, f)
	return false
}

// Pass ends a flight with what it brought, and leaves in memory what is there. It reports whether it was the first to end it.
func (s *Store[V]) Pass(f *Flight[V], item *Item[V], err error) (first bool) {
	s.TakeOut(f)
	return f.Call.Settle(item, err)
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
		s.budgets[c].release(amount{p.bytes(), int64(p.len())})
		p.init(p.small.hidden)
	}
	sh.table.init() // only then is no hidden pointer left
	sh.arena.init(sh.arena.chunkBytes)
	sh.copies = make(map[string]*copyEntry[V])
	sh.peak, sh.mortal = 0, 0
	for _, first := range sh.flights.byHash {
		for f := first; f != nil; {
			sh.alone[f] = struct{}{}
			next := f.next
			f.next, f.joinable = nil, false
			f = next
		}
	}
	sh.flights.clear()
}
