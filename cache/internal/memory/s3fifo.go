package memory

import "maps"

const (
	maxHits = 3

	// smallShare is the share of a shard's bytes that the small queue may hold: 1/smallShare.
	smallShare = 10

	// minGhosts is how many keys a ghost queue remembers at least. They are few enough
	// to be paid from the shard's fixed cost.
	minGhosts = 64
)

// queue is a FIFO queue of entries. Its zero value is not ready: init it.
type queue[V any] struct {
	root  entry[V] // root.next is the newest, root.prev the oldest
	bytes int64
	len   int
}

func (q *queue[V]) init() {
	q.root.next, q.root.prev = &q.root, &q.root
	q.bytes, q.len = 0, 0
}

func (q *queue[V]) oldest() *entry[V] {
	if q.root.prev == &q.root {
		return nil
	}
	return q.root.prev
}

func (q *queue[V]) push(e *entry[V]) {
	e.prev, e.next = &q.root, q.root.next
	e.prev.next, e.next.prev = e, e
	e.queue = q
	q.bytes += e.cost
	q.len++
}

func (q *queue[V]) remove(e *entry[V]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next, e.queue = nil, nil, nil
	q.bytes -= e.cost
	q.len--
}

// s3fifo orders the entries of one class in one shard. The shard's lock guards it.
type s3fifo[V any] struct {
	small, main queue[V]
	ghosts      ghosts
}

func (p *s3fifo[V]) init() {
	p.small.init()
	p.main.init()
	p.ghosts.clear()
}

func (p *s3fifo[V]) len() int { return p.small.len + p.main.len }

// insert queues a new entry: in main if its key was here lately, else in small.
func (p *s3fifo[V]) insert(e *entry[V], hash uint64) {
	if p.ghosts.take(hash) {
		p.main.push(e)
		return
	}
	p.small.push(e)
}

// victim takes the next entry to evict out of its queue and returns it, nil if there is none. It terminates: each
// step moves an entry on for good, or lowers its hits.
func (p *s3fifo[V]) victim() *entry[V] {
	for {
		e := p.small.oldest()
		if e != nil && (p.main.len == 0 || p.small.bytes*smallShare > p.small.bytes+p.main.bytes) {
			p.small.remove(e)
			if e.hits == 0 {
				return e
			}
			e.hits = 0
			p.main.push(e)
			continue
		}
		e = p.main.oldest()
		if e == nil {
			return nil
		}
		p.main.remove(e)
		if e.hits == 0 {
			return e
		}
		e.hits--
		p.main.push(e)
	}
}

// ghosts remembers the hashes of keys that were here lately, oldest first, each at most once.
type ghosts struct {
	order []uint64 // order[head:] are the remembered ones, and some that were taken
	head  int
	set   map[uint64]struct{}
}

func (g *ghosts) clear() { *g = ghosts{} }

// take forgets hash, and reports whether it was remembered.
func (g *ghosts) take(hash uint64) bool {
	if _, ok := g.set[hash]; !ok {
		return false
	}
	delete(g.set, hash)
	return true
}

// add remembers hash, and no more than limit hashes, or minGhosts if that is more.
func (g *ghosts) add(hash uint64, limit int) {
	if _, ok := g.set[hash]; ok {
		return
	}
	if g.set == nil {
		g.set = make(map[uint64]struct{})
	}
	g.set[hash] = struct{}{}
	g.order = append(g.order, hash)
	g.trim(limit)
	if g.head > len(g.order)/2 {
		g.order = g.order[:copy(g.order, g.order[g.head:])]
		g.head = 0
	}
}

// trim forgets the oldest until there are no more than limit, or minGhosts if that is more.
func (g *ghosts) trim(limit int) {
	for len(g.order)-g.head > max(limit, minGhosts) {
		// A hash that was taken and added again is in order twice, and forgotten
		// at its first place: a little early, which costs nothing but a hint.
		delete(g.set, g.order[g.head])
		g.head++
	}
}

// shrink trims, and gives back the room.
func (g *ghosts) shrink(limit int) {
	g.trim(limit)
	g.order = append([]uint64(nil), g.order[g.head:]...)
	g.head = 0
	set := make(map[uint64]struct{}, len(g.set))
	maps.Copy(set, g.set)
	g.set = set
}
