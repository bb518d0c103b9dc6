package memory

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"unsafe"
)

const (
	// slotLen is how many entries a bucket has slots for. With these it is one line of the processor's cache.
	slotLen = 6
	// segmentLen is how many buckets are added to a table at a time. A power of two, and no more than what the allocator puts at the beginning of a line: larger
	// objects with pointers have a header.
	segmentLen = 8
	// A table grows when there are more than loadMost entries to a bucket, and shrinks when there are fewer than loadLeast without the last one.
	loadMost  = 4
	loadLeast = 3
)

// A table finds entries by key. Whoever looks needs no lock and writes nothing; the shard's lock is held by whoever changes it.
//
// It is a hash table that grows by linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing", VLDB 1980): one
// bucket is split for every few entries that are added, so that no insertion has to wait until all is moved. While a bucket is split or gives up an entry, others
// may be found or not by those who look without the lock. So what get finds was in the table at some time since it was called, but
// what it does not find may be there: ask again under the lock.
type table[V any] struct {
	count    atomic.Uint64                 // of buckets
	segments atomic.Pointer[[]*segment[V]] // what is before its end is never changed
	hidden   bool                          // the buckets are not seen by the garbage collector; see arena
	_        [cacheLine - 24]byte          // what is above is hardly ever written

	len int // entries; the shard's lock guards it
}

type segment[V any] [segmentLen]bucket[V]

// A bucket has some entries in slots, with a byte of each one's hash in front of them, so that only the one that is looked for is looked at; and those that
// have no slot in a chain.
type bucket[V any] struct {
	tags  atomic.Uint64 // a byte for each slot; 0: it is empty, or soon will be
	slots [slotLen]atomic.Pointer[entry[V]]
	more  atomic.Pointer[entry[V]]
}

// tagOf returns a byte that is not 0, of bits of hash that say neither the shard nor, unless that is huge, the bucket.
func tagOf(hash uint64) uint64 { return hash>>48&0x7f | 0x80 }

const (
	ones     = 0x0101_0101_0101_0101
	highs    = 0x80 * ones
	slotBits = 1<<(8*slotLen) - 1
)

// matches returns a word with the highest bit set in each byte of tags that is tag, and perhaps in some that are not.
func matches(tags, tag uint64) uint64 {
	x := tags ^ tag*ones
	return (x - ones) &^ x & highs & slotBits
}

// slotOf returns the slot of the lowest byte in what matches returned.
func slotOf(m uint64) int { return bits.TrailingZeros64(m) / 8 }

// init makes t empty. It may be in use.
func (t *table[V]) init() {
	if t.hidden && t.len > 0 {
		t.clearLocked() // there may be others who look
	}
	// Nobody who looks meets a bucket beyond what he has: see bucket.
	t.count.Store(1)
	t.segments.Store(&[]*segment[V]{t.newSegment()})
	t.len = 0
}

func (t *table[V]) newSegment() *segment[V] {
	if !t.hidden {
		return new(segment[V])
	}
	return (*segment[V])(unsafe.Pointer(new([unsafe.Sizeof(segment[V]{}) / 8]uint64)))
}

// clearLocked leaves no pointer to an entry in the table and its chains.
func (t *table[V]) clearLocked() {
	for _, s := range *t.segments.Load() {
		for i := range s {
			for e := s[i].more.Swap(nil); e != nil; {
				e = e.chain.Swap(nil)
			}
			for j := range s[i].slots {
				s[i].empty(j)
			}
		}
	}
}

// bucket returns the bucket of hash, nil if the table is being made smaller.
func (t *table[V]) bucket(hash uint64) *bucket[V] {
	i := address(hash, t.count.Load())
	segments := *t.segments.Load()
	if i/segmentLen >= uint64(len(segments)) {
		return nil
	}
	return &segments[i/segmentLen][i%segmentLen]
}

// address returns the number of the bucket of hash among count: as many of its last bits as there are numbers for, which
// for some buckets is one more than for others.
func address(hash, count uint64) uint64 {
	mask := uint64(1)<<bits.Len64(count) - 1
	if i := hash & mask; i < count {
		return i
	}
	return hash & (mask >> 1)
}

// get returns the entry of key, nil if it finds none.
func (t *table[V]) get(hash uint64, key string) *entry[V] {
	b := t.bucket(hash)
	if b == nil {
		return nil
	}
	for m := matches(b.tags.Load(), tagOf(hash)); m != 0; m &= m - 1 {
		if e := b.slots[slotOf(m)].Load(); e != nil && e.hash == hash && e.key() == key {
			return e
		}
	}
	e := b.more.Load()
	for e != nil && (e.hash != hash || e.key() != key) {
		e = e.chain.Load()
	}
	return e
}

// addLocked adds e, whose key has no entry.
func (t *table[V]) addLocked(e *entry[V]) {
	t.len++
	for n := t.count.Load(); uint64(t.len) > n*loadMost; n++ {
		t.splitLocked(n)
	}
	t.bucket(e.hash).add(e)
}

// removeLocked removes e, which is there. Whoever is just passing it may not find what comes behind it.
func (t *table[V]) removeLocked(e *entry[V]) {
	t.bucket(e.hash).remove(e)
	t.len--
	for n := t.count.Load(); uint64(t.len) < (n-1)*loadLeast; n-- {
		t.mergeLocked(n)
	}
}

// replaceLocked puts e into the place of old, which is there and has the same key.
func (t *table[V]) replaceLocked(old, e *entry[V]) {
	p, _ := t.bucket(old.hash).place(old)
	e.chain.Store(old.chain.Load())
	p.Store(e)
	old.chain.Store(nil) // whoever keeps old's item does not keep what is behind it
}

// splitLocked adds bucket n to the n that there are, and moves to it what belongs there.
func (t *table[V]) splitLocked(n uint64) {
	if segments := *t.segments.Load(); n/segmentLen == uint64(len(segments)) {
		segments = append(segments, t.newSegment()) // where nobody looks before he finds it in t
		t.segments.Store(&segments)
	}
	segments := *t.segments.Load()
	from := address(n, n) // where what belongs to bucket n is now
	old, added := &segments[from/segmentLen][from%segmentLen], &segments[n/segmentLen][n%segmentLen]
	old.move(added, func(e *entry[V]) bool { return address(e.hash, n+1) == n })
	t.count.Store(n + 1)
}

// mergeLocked takes away the last of n buckets, and moves what is in it to where it was before.
func (t *table[V]) mergeLocked(n uint64) {
	segments := *t.segments.Load()
	n--
	to := address(n, n)
	last, b := &segments[n/segmentLen][n%segmentLen], &segments[to/segmentLen][to%segmentLen]
	last.move(b, func(*entry[V]) bool { return true })
	t.count.Store(n)
	// One segment more than is needed is kept, so that it is not made anew with each entry that comes and goes.
	if keep := int((n+segmentLen-1)/segmentLen) + 1; keep < len(segments) {
		segments = slices.Clone(segments[:keep])
		t.segments.Store(&segments)
	}
}

// What follows changes a bucket, under the shard's lock.

// add adds e, which is in no chain, in a slot if there is one that is empty.
func (b *bucket[V]) add(e *entry[V]) {
	if free := matches(b.tags.Load(), 0); free != 0 {
		b.fill(slotOf(free), e)
		return
	}
	e.chain.Store(b.more.Load())
	b.more.Store(e)
}

// fill puts e into slot i.
func (b *bucket[V]) fill(i int, e *entry[V]) {
	b.slots[i].Store(e)
	b.tags.Store(b.tags.Load()&^(0xff<<(8*i)) | tagOf(e.hash)<<(8*i))
}

// empty empties slot i.
func (b *bucket[V]) empty(i int) {
	b.tags.Store(b.tags.Load() &^ (0xff << (8 * i)))
	b.slots[i].Store(nil)
}

// remove removes e, which is there.
func (b *bucket[V]) remove(e *entry[V]) {
	p, slot := b.place(e)
	first := b.more.Load()
	switch {
	case slot < 0:
		p.Store(e.chain.Load())
		e.chain.Store(nil) // whoever keeps e's item does not keep what is behind it
	case first != nil: // and has a slot now
		b.more.Store(first.chain.Load())
		first.chain.Store(nil)
		b.fill(slot, first)
	default:
		b.empty(slot)
	}
}

// place returns what points to e, which is there, and its slot, less than 0 if it has none.
func (b *bucket[V]) place(e *entry[V]) (p *atomic.Pointer[entry[V]], slot int) {
	for i := range b.slots {
		if p := &b.slots[i]; p.Load() == e {
			return p, i
		}
	}
	p = &b.more
	for at := p.Load(); at != e; at = p.Load() {
		p = &at.chain
	}
	return p, -1
}

// move moves to another bucket what which says.
func (b *bucket[V]) move(to *bucket[V], which func(*entry[V]) bool) {
	chain := b.more.Swap(nil)
	for i := range b.slots {
		if e := b.slots[i].Load(); e != nil && which(e) {
			b.empty(i)
			to.add(e)
		}
	}
	for e := chain; e != nil; {
		next := e.chain.Swap(nil)
		if which(e) {
			to.add(e)
		} else {
			b.add(e)
		}
		e = next
	}
}
