package memory

import (
	"math"
	"strings"
	"sync/atomic"
	"unsafe"
)

// An Instant is a point on the store's own monotonic clock, in nanoseconds.
type Instant int64

// Never is the Instant at which what does not expire does.
const Never Instant = math.MaxInt64

// An Item is what the store keeps of a key. It is never changed after it has been passed to
// the store, or got from it.
type Item[V any] struct {
	Value  V
	extra  *Extra  // nil: it has nothing of that
	Size   int64   // bytes that Value takes, beside Extra and what the store itself needs
	Fresh  Instant // until when the item is fresh
	Until  Instant // until when it may be served; an Item that is past it is never kept
	Lease  Instant // until when it may be served without asking another instance first; the store may renew it
	Mirror bool    // another instance owns the key
	Copy   bool    // another instance owns the key, and this is for when it fails; see Keep
	Loaded bool    // it was loaded for those who waited for it, and not found in a memory
	Given  bool    // a caller of Set gave it
	Took   Took    // how long its load took, if it is to be refreshed early
}

// An Extra is what few items have.
type Extra struct {
	Err     error  // if not nil, there is no value, and this says so
	Encoded []byte // the encoded value, if a peer has asked for it
	Peer    string // the instance that the item was fetched from, else ""
	Tags    Tags
	seq     *atomic.Uint64 // see entry.since; nil without Tags
}

// Extra returns the item's Extra, the zero one if it has nothing of that.
func (it *Item[V]) Extra() Extra {
	if it.extra == nil {
		return Extra{}
	}
	return *it.extra
}

func (x *Extra) isNothing() bool {
	return x.Err == nil && x.Encoded == nil && x.Peer == "" && x.Tags == ""
}

// hasExtra reports whether the item has anything of an Extra.
func (it *Item[V]) hasExtra() bool { return it.extra != nil && !it.extra.isNothing() }

// With makes x the item's Extra, and returns the item, which has not been passed to the store.
func (it *Item[V]) With(x Extra) *Item[V] {
	switch {
	case x.isNothing():
		it.extra = nil
	case it.extra != nil:
		*it.extra = x // a flight's
	default:
		own := x
		it.extra = &own
	}
	return it
}

// Err returns why there is no value, nil if there is one.
func (it *Item[V]) Err() error {
	if it.extra == nil {
		return nil
	}
	return it.extra.Err
}

// Tags returns the item's tags.
func (it *Item[V]) Tags() Tags {
	if it.extra == nil {
		return ""
	}
	return it.extra.Tags
}

// A class is a part of the store with a budget and queues of its own.
type class uint8

const (
	owned class = iota
	mirrored
	copied
	classes
)

func (it *Item[V]) class() class {
	switch {
	case it.Copy:
		return copied
	case it.Mirror:
		return mirrored
	}
	return owned
}

// given reports whether the item came from elsewhere, and not of a load of this instance's own.
func (it *Item[V]) given() bool { return it.Given || it.extra != nil && it.extra.Peer != "" }

// entry is an Item's place in a shard. Those who look hold no lock: what they read is never changed, or atomic. The shard's lock guards
// what else is said to be.
//
// What an eviction reads, and what tells a look-up whether it is the one, comes first, in one line of the processor's cache or two; then
// what is handed out.
type entry[V any] struct {
	hash    uint64                   // of key
	chain   atomic.Pointer[entry[V]] // the next one in the table; see bucket
	cost    int64                    // guarded
	hits    atomic.Uint32            // since it was queued, saturating at maxHits
	at      uint32                   // its number in its queue; guarded
	in      queueName                // its queue; guarded
	passes  uint8                    // how often the policy has passed it over since it was queued, or asked for; guarded
	class   class                    // of item
	mortal  bool                     // the item's time will be over
	endless bool                     // the item may be served at any time, and needs no refresh
	short   [shortKey]byte           // the key, if it is not longer
	keyLen  uint32
	item    Item[V] // the store renews its Lease, by atomic operations

	long      *byte        // the key, if it is too long for short
	refreshAt atomic.Int64 // the Instant before which the item is not refreshed (again)
	due       atomic.Bool  // it is to be refreshed early by the next one who can
	number    uint32       // of all that were stored in this shard: see version; guarded
}

// shortKey is how long a key is at most that is a part of its entry, and no object of its own.
const shortKey = 23

// init makes the zero entry one of a copy of item, which was begun at since. It has a key of its own: the caller's may be a piece of
// something large.
func (e *entry[V]) init(key string, hash uint64, item *Item[V], cost int64, since Seq) {
	e.keyLen = uint32(len(key))
	if copy(e.short[:], key) < len(key) {
		e.long = unsafe.StringData(strings.Clone(key))
	}
	e.set(hash, item, cost, since)
}

// set is init for all but the key.
func (e *entry[V]) set(hash uint64, item *Item[V], cost int64, since Seq) {
	e.item, e.hash, e.cost = *item, hash, cost
	if x := item.extra; x != nil { // which may be a part of a flight
		e.item.extra = nil
		own := *x
		if own.seq = nil; x.Tags != "" {
			own.seq = new(atomic.Uint64)
			own.seq.Store(uint64(since))
		}
		e.item.With(own)
	}
	e.class, e.mortal = item.class(), item.Until != Never
	e.endless = e.item.Fresh == Never && e.item.Lease == Never && e.item.extra == nil
}

// since returns the Seq until which none of the item's tags was invalidated since it was begun, 0 if it has none.
func (e *entry[V]) since() Seq {
	if x := e.item.extra; x != nil && x.seq != nil {
		return Seq(x.seq.Load())
	}
	return 0
}

// inherit gives e what old, which it is to replace and has the same item, has come to since that was stored.
func (e *entry[V]) inherit(old *entry[V]) {
	e.number, e.passes = old.number, old.passes
	e.refreshAt.Store(old.refreshAt.Load())
	e.hits.Store(old.hits.Load())
	e.due.Store(old.due.Load())
}

// key returns the entry's key, which keeps the entry.
func (e *entry[V]) key() string {
	if e.keyLen > shortKey {
		return unsafe.String(e.long, e.keyLen)
	}
	return unsafe.String(&e.short[0], e.keyLen)
}

// takes is what the entry takes of its budget.
func (e *entry[V]) takes() amount { return amount{e.cost, 1} }

// isLeased reports whether the item's lease lasts at now.
func (e *entry[V]) isLeased(now Instant) bool { return now < e.lease() }

// lease returns the item's Lease, as it was renewed.
func (e *entry[V]) lease() Instant { return Instant(atomic.LoadInt64((*int64)(&e.item.Lease))) }

// isFresh reports whether the item may be served at now, and is not stale.
func (e *entry[V]) isFresh(now Instant) bool { return now < e.item.Fresh && e.isLeased(now) }

// isOver reports whether the item's time is over at now.
func (e *entry[V]) isOver(now Instant) bool { return e.mortal && now >= e.item.Until }

// isServable reports whether the item may be served at now, as far as that does not depend on its tags.
func (e *entry[V]) isServable(now Instant) bool { return now < e.item.Until && e.isLeased(now) }

// renewLocked makes the item's lease last until then, if it does not last longer. The shard's lock must be held.
func (e *entry[V]) renewLocked(until Instant) {
	atomic.StoreInt64((*int64)(&e.item.Lease), int64(max(e.item.Lease, until)))
}

// touch counts a hit.
func (e *entry[V]) touch() {
	if h := e.hits.Load(); h < maxHits {
		e.hits.Store(h + 1) // if others do so at the same time, they are counted as one
	}
}

// queueCost, tableCost, ghostCost and allocCost are what an entry takes beside itself: its share of its queue's ring, of the shard's table, which has two buckets for each
// entry at most; its share of the ghosts, of which there are about twice as many as entries, with
// room to grow; and what the allocator rounds up, measured with small values.
const (
	queueCost = 16
	tableCost = 22
	ghostCost = 3 * ghostBytes
	allocCost = 32
	extraCost = 96 // an Extra, as the allocator rounds it up, and its Seq
)

// cost is what keeping it takes, in bytes.
func (it *Item[V]) cost(key string) int64 {
	n := int64(unsafe.Sizeof(entry[V]{})) + queueCost + tableCost + ghostCost + allocCost
	if len(key) > shortKey {
		n += int64(len(key))
	}
	if x := it.extra; it.hasExtra() {
		n += extraCost + int64(cap(x.Encoded)) + int64(len(x.Peer)) + int64(len(x.Tags))
	}
	if it.Size > math.MaxInt64-n {
		return math.MaxInt64
	}
	return n + max(it.Size, 0)
}
