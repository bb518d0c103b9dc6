package memory

import (
	"bytes"
	"math"
	"unsafe"
)

const (
	// Blocks are cut from chunks of a shardChunks-th of what a shard may hold, but no smaller or larger than this.
	minChunk, maxChunk = 1 << 10, 32 << 10
	shardChunks        = 128
	// blockShare is the share of a chunk that a block may take, 1/blockShare: so no more of a chunk is left over at its end. What is larger is
	// an object of its own.
	blockShare = 32
	// deadShare bounds the bytes of chunks that are no block of an entry: 1/deadShare of those that are, and a chunk.
	deadShare = 6
	// spareChunks is for how many chunks of each shard the arena needs room beside that: the two that blocks are cut from, and the one.
	spareChunks = 3
	// loneCost is what an entry takes that is an object of its own, beside what any entry does.
	loneCost = 40

	headBytes = int64(unsafe.Sizeof(blockHead{}))
)

// An arena is where the entries of one shard are, with their keys and values, if those are to be no work for the garbage collector, which
// marks a few chunks in place of millions of objects. The shard's lock guards it; who looks needs none.
//
// An entry, its key and its value are a block, cut from the end of a chunk. No block is ever used again while somebody can see it, and none is freed: when
// too much of the chunks is dead, what is alive in one is moved to another (as in Rosenblum and Ousterhout, "The design and
// implementation of a log-structured file system", 1992), and the chunk is dropped. From then on whoever still reads in it
// keeps it, and the garbage collector takes it when nobody does. So a hit neither copies nor locks.
//
// The collector takes chunks for bytes and does not follow what is in them. The table's and the queues' pointers to entries are in such memory, too: they
// are hidden. All that keeps a chunk is its place in chunks. Hence the one rule: before a chunk, or an entry that is an object of its own, loses
// its place, no hidden pointer to it is left, be it in the table, in a chain or in a queue. Then whoever finds one found it while the chunk
// had its place, and has it on his stack, where the collector sees it. Goroutines whose stacks were looked at before in the same
// collection are no exception: what was reachable when a collection began is not freed by it.
type arena[V any] struct {
	chunkBytes int64    // 0: there is no arena, and entries are objects
	chunks     []chunk  // by number; those without memory are unused
	unused     []uint32 // numbers of them
	open       [streams]uint32
	live, dead int64 // bytes of closed and open chunks that are an entry's block; of closed ones that are not
	hand       uint32

	lone       []unsafe.Pointer // by number: entries that are objects of their own
	unusedLone []uint32
}

// A chunk is a piece of memory that blocks are cut from.
type chunk struct {
	memory     unsafe.Pointer
	used, live uint32 // bytes
	closed     bool
}

// A blockHead precedes each entry of an arena.
type blockHead struct {
	number uint32 // of the chunk; or, with isLone, of the entry among those that are objects
	size   uint32 // of the block, with this; not used of lone ones
}

const isLone = 1 << 31

// A stream says which chunk a block is cut from. Who has survived a chunk is likely to survive another one: so these are kept together.
type stream uint8

const (
	arrivals stream = iota
	survivors
	streams
)

const noChunk = isLone - 1

func (a *arena[V]) init(chunkBytes int64) {
	*a = arena[V]{chunkBytes: chunkBytes}
	for i := range a.open {
		a.open[i] = noChunk
	}
}

// isOn reports whether entries are in the arena at all.
func (a *arena[V]) isOn() bool { return a.chunkBytes > 0 }

// blockBytes is how many bytes the block of an entry without an Extra takes.
func blockBytes[V any](key string, item *Item[V]) int64 {
	n := headBytes + int64(unsafe.Sizeof(entry[V]{})) + int64(len(bytesOf(&item.Value)))
	if len(key) > shortKey {
		n += int64(len(key))
	}
	return (n + 7) &^ 7
}

// arenaCost is what keeping item in an arena takes, in bytes.
func arenaCost[V any](key string, item *Item[V], chunkBytes int64) int64 {
	if item.hasExtra() {
		return item.cost(key) + loneCost
	}
	n := blockBytes(key, item)
	if n > chunkBytes/blockShare {
		n += loneCost + allocCost
	}
	more := max(item.Size-int64(len(bytesOf(&item.Value))), 0) // who gives a Size may count more than bytes
	return min(n+queueCost+tableCost+ghostCost, math.MaxInt64-more) + more
}

// newEntry returns an entry of a copy of item, which was begun at since. It copies key and value, too.
func (a *arena[V]) newEntry(key string, hash uint64, item *Item[V], cost int64, since Seq, to stream) *entry[V] {
	value := bytesOf(&item.Value)
	if item.hasExtra() {
		o := new(struct { // which the collector follows
			blockHead
			entry entry[V]
		})
		o.entry.init(key, hash, item, cost, since)
		keepBytes(&o.entry.item.Value, bytes.Clone(value))
		o.number = a.addLone(unsafe.Pointer(o))
		return &o.entry
	}
	n := blockBytes(key, item)
	block := unsafe.Slice((*byte)(a.cut(n, to)), n)
	e := (*entry[V])(unsafe.Pointer(&block[headBytes]))
	e.set(hash, item, cost, since)
	rest := block[headBytes+int64(unsafe.Sizeof(*e)):]
	e.keyLen = uint32(len(key))
	if copy(e.short[:], key) < len(key) {
		e.long = &rest[0]
		rest = rest[copy(rest, key):]
	}
	keepBytes(&e.item.Value, rest[:copy(rest, value)])
	return e
}

// cut returns a new block of size bytes, with its head.
func (a *arena[V]) cut(size int64, to stream) unsafe.Pointer {
	if size > a.chunkBytes/blockShare {
		words := make([]uint64, size/8)
		at := unsafe.Pointer(unsafe.SliceData(words))
		(*blockHead)(at).number = a.addLone(at)
		return at
	}
	c := a.chunkFor(uint32(size), to)
	at := unsafe.Add(c.memory, c.used)
	*(*blockHead)(at) = blockHead{a.open[to], uint32(size)}
	c.used += uint32(size)
	c.live += uint32(size)
	a.live += size
	return at
}

// chunkFor returns the open chunk of a stream, with room for size bytes.
func (a *arena[V]) chunkFor(size uint32, to stream) *chunk {
	if n := a.open[to]; n != noChunk {
		c := &a.chunks[n]
		if int64(c.used+size) <= a.chunkBytes {
			return c
		}
		c.closed = true
		a.dead += a.chunkBytes - int64(c.live)
		if c.live == 0 {
			a.drop(n)
		}
	}
	words := make([]uint64, a.chunkBytes/8)
	a.open[to] = place(&a.chunks, &a.unused, chunk{memory: unsafe.Pointer(unsafe.SliceData(words))})
	return &a.chunks[a.open[to]]
}

// place puts x into list, at an unused number if there is one.
func place[T any](list *[]T, unused *[]uint32, x T) uint32 {
	if last := len(*unused) - 1; last >= 0 {
		n := (*unused)[last]
		*unused = (*unused)[:last]
		(*list)[n] = x
		return n
	}
	*list = append(*list, x)
	return uint32(len(*list) - 1)
}

func (a *arena[V]) addLone(at unsafe.Pointer) uint32 {
	return place(&a.lone, &a.unusedLone, at) | isLone
}

// drop gives up a chunk that has no block of an entry.
func (a *arena[V]) drop(n uint32) {
	a.chunks[n] = chunk{}
	a.unused = append(a.unused, n)
	a.dead -= a.chunkBytes
}

// free gives up the block of e, to which no hidden pointer is left.
func (a *arena[V]) free(e *entry[V]) {
	head := (*blockHead)(unsafe.Add(unsafe.Pointer(e), -headBytes))
	if n := head.number &^ isLone; n != head.number {
		a.lone[n] = nil
		a.unusedLone = append(a.unusedLone, n)
		return
	}
	c := &a.chunks[head.number]
	c.live -= head.size
	a.live -= int64(head.size)
	if !c.closed {
		return
	}
	a.dead += int64(head.size)
	if c.live == 0 {
		a.drop(head.number)
	}
}

// tooMuchIsDead reports whether a chunk is to be emptied.
func (a *arena[V]) tooMuchIsDead() bool { return a.dead > a.live/deadShare+a.chunkBytes }

// candidates is how many chunks deadest chooses from.
const candidates = 16

// deadest returns the chunk with the least bytes of entries among the next few that are closed, each time the next ones; nil if there is none with a
// block that is dead.
func (a *arena[V]) deadest() (found *chunk) {
	for seen, steps := 0, len(a.chunks); steps > 0 && (seen < candidates || found == nil); steps-- {
		if a.hand++; int(a.hand) >= len(a.chunks) {
			a.hand = 0
		}
		if c := &a.chunks[a.hand]; c.closed {
			if seen++; c.live < c.used && (found == nil || c.live < found.live) {
				found = c
			}
		}
	}
	return found
}

// entries yields the entries of c. Each may be freed when it is yielded.
func (a *arena[V]) entries(c *chunk) func(yield func(*entry[V]) bool) {
	memory, used := c.memory, c.used // c changes
	return func(yield func(*entry[V]) bool) {
		for at := uint32(0); at < used; {
			head := (*blockHead)(unsafe.Add(memory, at))
			if e := (*entry[V])(unsafe.Add(memory, int64(at)+headBytes)); e.in != inNone && !yield(e) {
				return
			}
			at += head.size
		}
	}
}

// freeLocked gives up e, which is in no table and no queue, if it is in the arena, and tidies up. It may move other entries: who calls it has found none
// that it uses afterwards. sh.mu must be held.
func (sh *shard[V]) freeLocked(e *entry[V]) {
	a := &sh.arena
	if !a.isOn() {
		return
	}
	a.free(e)
	for before := a.dead + 1; a.tooMuchIsDead() && a.dead < before; {
		before = a.dead
		c := a.deadest()
		if c == nil {
			return
		}
		for e := range a.entries(c) {
			sh.moveLocked(e)
		}
	}
}

// moveLocked moves old to another chunk. sh.mu must be held.
func (sh *shard[V]) moveLocked(old *entry[V]) {
	e := sh.arena.newEntry(old.key(), old.hash, &old.item, old.cost, old.since(), survivors)
	e.inherit(old)
	sh.table.replaceLocked(old, e)
	sh.policies[old.class].queueOf(old).replace(old, e)
	sh.arena.free(old)
}
