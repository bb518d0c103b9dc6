package memory

import "unsafe"

// queue is a FIFO queue of entries. Its zero value is ready.
//
// It is a ring with holes, and no list: entries that point to each other would have the garbage collector follow them one by one, all
// over the memory.
type queue[V any] struct {
	ring  []*entry[V] // nil: an entry was here, or will be
	head  uint32      // the number of the oldest entry, if there is none before it; the numbers begin anew after 2^32
	tail  uint32      // the number of the one that is pushed next
	zero  uint32      // the number at the ring's beginning, at most its length before head
	swept uint32      // the number of the one that sweep looks at next
	name  queueName
	bytes int64
	len   int

	hidden bool // the ring is not seen by the garbage collector; see arena
}

// A queueName is what tells an entry's queue from others of its policy.
type queueName uint8

const (
	inNone queueName = iota
	inSmall
	inMain
)

// minRing is the least length of a ring.
const minRing = 8

func (q *queue[V]) init(name queueName, hidden bool) { *q = queue[V]{name: name, hidden: hidden} }

// place returns where the entry with that number is.
func (q *queue[V]) place(at uint32) **entry[V] {
	i := at - q.zero
	if n := uint32(len(q.ring)); i >= n {
		i -= n
	}
	return &q.ring[i]
}

// oldest returns the entry that was pushed first, nil if there is none.
func (q *queue[V]) oldest() *entry[V] {
	for ; q.head != q.tail; q.head++ {
		if n := uint32(len(q.ring)); q.head-q.zero == n {
			q.zero += n
		}
		if e := *q.place(q.head); e != nil {
			return e
		}
	}
	return nil
}

// sweepHoles is how many holes sweep passes over at most.
const sweepHoles = 8

// sweep returns one entry after the other, round and round; nil if it finds none soon.
func (q *queue[V]) sweep() *entry[V] {
	for range sweepHoles + 1 {
		if q.swept-q.head >= q.tail-q.head {
			q.swept = q.head
		}
		if q.head == q.tail {
			return nil
		}
		e := *q.place(q.swept)
		if q.swept++; e != nil {
			return e
		}
	}
	return nil
}

func (q *queue[V]) push(e *entry[V]) {
	if q.tail-q.head == uint32(len(q.ring)) {
		q.resize()
	}
	e.in, e.at = q.name, q.tail
	*q.place(q.tail) = e
	q.tail++
	q.bytes += e.cost
	q.len++
}

// replace puts e into the place of old, which is in q and has the same cost.
func (q *queue[V]) replace(old, e *entry[V]) {
	e.in, e.at = q.name, old.at
	*q.place(e.at) = e
	old.in = inNone
}

func (q *queue[V]) remove(e *entry[V]) {
	*q.place(e.at) = nil
	e.in = inNone
	q.bytes -= e.cost
	q.len--
	if len(q.ring) > minRing && q.len < len(q.ring)/3 {
		q.resize()
	}
}

// resize closes the holes, and leaves room for half as many entries as there are.
func (q *queue[V]) resize() {
	ring := q.newRing(max(q.len+q.len/2, minRing))
	n := uint32(0)
	for ; q.head != q.tail; q.head++ {
		if e := *q.place(q.head); e != nil {
			ring[n], e.at = e, n
			n++
		}
	}
	q.ring, q.head, q.tail, q.zero, q.swept = ring, 0, n, 0, min(q.swept-q.head, n)
}

func (q *queue[V]) newRing(n int) []*entry[V] {
	if !q.hidden {
		return make([]*entry[V], n)
	}
	return unsafe.Slice((**entry[V])(unsafe.Pointer(unsafe.SliceData(make([]uintptr, n)))), n)
}

// newest yields the entries, the one that was pushed last first.
func (q *queue[V]) newest(yield func(*entry[V]) bool) {
	for at := q.tail; at != q.head; {
		at--
		if e := *q.place(at); e != nil && !yield(e) {
			return
		}
	}
}
