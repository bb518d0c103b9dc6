package memory

import (
	"math"
	"unsafe"
)

// An Instant is a point on the store's own monotonic clock, in nanoseconds.
type Instant int64

// Never is the Instant at which what does not expire does.
const Never Instant = math.MaxInt64

// An Item is what the store keeps of a key. It is never changed after it has been passed to
// the store, or got from it.
type Item[V any] struct {
	Value   V
	Err     error   // if not nil, there is no value, and this says so
	Encoded []byte  // the encoded value, if a peer has asked for it
	Size    int64   // bytes that Value takes, beside Encoded and what the store itself needs
	Fresh   Instant // until when the item is fresh
	Until   Instant // until when it may be served; an Item that is past it is never kept
	Lease   Instant // until when it may be served without asking another instance first; the store may renew it
	Peer    string  // the instance that it was fetched from, else ""
	Tags    Tags
	Mirror  bool // another instance owns the key
	Copy    bool // another instance owns the key, and this is for when it fails; see Keep
	Loaded  bool // it was loaded for those who waited for it, and not found in a memory
	Given   bool // a caller of Set gave it
	Took    Took // how long its load took, if it is to be refreshed early
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
func (it *Item[V]) given() bool { return it.Peer != "" || it.Given }

// entry is an Item's place in a shard. The shard's lock guards it.
type entry[V any] struct {
	item       *Item[V]
	key        string
	cost       int64
	refreshAt  Instant // not before then is the item refreshed (again)
	lease      Instant // the item's Lease, as it was renewed
	seq        Seq     // until then, none of the item's tags was invalidated since it was begun
	prev, next *entry[V]
	queue      *queue[V]
	number     uint32 // of all that were stored in this shard: see version
	hits       uint8  // since it was queued, saturating at maxHits
	due        bool   // it is to be refreshed early by the next one who can
}

// mapCost, ghostCost and allocCost are what an entry takes beside itself: its slot in the shard's map (a
// string, a pointer and a control byte, at a load that is a half just after the map has grown); its share of the
// ghost queue, which is about as long as the shard has entries (a slot in a map, and one in a slice with room to
// grow); and what the allocator rounds up, measured with small values.
const (
	mapCost   = 56
	ghostCost = 64
	allocCost = 40
)

// cost is what keeping it takes, in bytes.
func (it *Item[V]) cost(key string) int64 {
	n := int64(unsafe.Sizeof(entry[V]{})) + int64(unsafe.Sizeof(Item[V]{})) + mapCost + ghostCost + allocCost
	n += int64(len(key)) + int64(cap(it.Encoded)) + int64(len(it.Peer)) + int64(len(it.Tags))
	if it.Size > math.MaxInt64-n {
		return math.MaxInt64
	}
	return n + max(it.Size, 0)
}
