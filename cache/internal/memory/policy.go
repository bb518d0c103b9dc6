package memory

// The constants of the policy. It is not sensitive to any of them: docs/eviction.md says what others gave.
const (
	maxHits = 2

	// firstShare is the share of its bytes that the small queue of a new policy may hold, minShare the least that it comes to.
	firstShare = 1. / 10
	minShare   = 1. / 50

	// nearShare is how late a ghost may be asked for to say something about the share, in evictions since its own, as a part of the
	// entries. stepCosts is by how many times its cost the small queue is made larger or smaller then, by maxStep of the bytes at most: where
	// there are a few entries, or one is large, a single ghost does not turn everything around.
	nearShare = 1. / 8
	stepCosts = 7
	maxStep   = 1. / 10

	// maxPasses bounds how often a small entry is passed over.
	maxPasses = 7
)

// A policy says which entry of one class in one shard goes next. The shard's lock guards it; a hit writes nothing but the entry's own
// counter.
//
// It is S3-FIFO with two changes, each from an older policy, beside a regard for size (see passesOf). The small queue's share of the bytes follows the ghosts, as in ARC: if keys come
// back that the small queue evicted a moment ago it was too small, if keys do that main evicted it was too large. So it becomes almost LRU where
// that is best. And a ghost goes to main only if main's hand has made less than one turn since, as in CLOCK-Pro: else
// it came back later than everything in main was asked for again, and would but replace what is at least as good. So a part of a loop that is
// larger than the memory stays, which LRU and FIFO have evicted whenever it is asked for.
type policy[V any] struct {
	small, main queue[V]
	ghosts      ghosts
	share       float64 // of the bytes, that small may hold
	passed      uint32  // by main's hand: the entries that were evicted from it or queued anew
	filled      bool    // main has been given its part; see fillMain
}

// init makes p empty. With hidden, something else keeps its entries; see arena.
func (p *policy[V]) init(hidden bool) {
	p.small.init(inSmall, hidden)
	p.main.init(inMain, hidden)
	p.ghosts.clear()
	p.share, p.passed, p.filled = firstShare, 0, false
}

// queueOf returns the queue that e is in.
func (p *policy[V]) queueOf(e *entry[V]) *queue[V] {
	if e.in == inMain {
		return &p.main
	}
	return &p.small
}

func (p *policy[V]) len() int     { return p.small.len + p.main.len }
func (p *policy[V]) bytes() int64 { return p.small.bytes + p.main.bytes }

// insert queues a new entry.
func (p *policy[V]) insert(e *entry[V]) {
	g, ok := p.ghosts.take(e.hash, p.len())
	if !ok {
		p.small.push(e)
		return
	}
	p.adapt(g, e.cost)
	if p.passed-g.turn > uint32(p.main.len) {
		p.small.push(e)
		return
	}
	if g.kind == fromMain {
		e.hits.Store(1)
	}
	p.main.push(e)
}

// replace queues a new entry in the place of old, which is in no queue any more, and was in main or not. A value that is replaced is no
// sign that somebody asks for it: what nobody has asked for stays in the small queue.
func (p *policy[V]) replace(e, old *entry[V], main bool) {
	switch {
	case main:
		e.hits.Store(old.hits.Load())
		p.main.push(e)
	case old.hits.Load() > 0:
		p.main.push(e)
	default:
		p.small.push(e)
	}
}

// adapt moves the share after g was asked for again, which takes cost.
func (p *policy[V]) adapt(g ghost, cost int64) {
	if g.kind == seen || float64(g.age) > nearShare*float64(p.len()) {
		return
	}
	step := min(stepCosts*float64(cost)/float64(p.bytes()+cost), maxStep)
	if g.kind == fromMain {
		step = -step
	}
	p.share = min(max(p.share+step, minShare), 1)
}

// victim takes the next entry to evict at now out of its queue and returns it, and what its ghost is to be; nil if there is none. It
// terminates: each step moves an entry on for good, lowers its hits, or counts a pass; and if those who hit count faster than that, as they may
// in a shard that has few entries, it makes an end of it.
func (p *policy[V]) victim(now Instant) (*entry[V], ghostKind) {
	p.fillMain()
	for steps := (maxHits + maxPasses + 1) * p.len(); ; steps-- {
		if e := p.small.oldest(); e != nil && (p.main.len == 0 || float64(p.small.bytes) > p.share*float64(p.bytes())) {
			p.small.remove(e)
			switch {
			case e.isOver(now):
				return e, fromSmall
			case e.hits.Load() > 0:
				e.hits.Store(0)
				e.passes = 0
				p.main.push(e)
			case e.passes < p.passesOf(e):
				e.passes++
				p.small.push(e)
			default:
				return e, fromSmall
			}
			continue
		}
		e := p.main.oldest()
		if e == nil {
			return nil, seen
		}
		p.main.remove(e)
		p.passed++
		switch {
		case steps <= 0, e.isOver(now):
			return e, fromMain
		case e.hits.Load() > 0:
			e.hits.Add(^uint32(0)) // a hit that comes between is lost
			e.passes = 0
		case e.passes < p.passesOf(e):
			e.passes++
		default:
			return e, fromMain
		}
		p.main.push(e)
	}
}

// fillMain gives main its share from the small queue when the memory has just become full, and when main has nothing left: what came first
// is as good as anything, until something comes back.
func (p *policy[V]) fillMain() {
	if p.main.len > 0 && p.filled {
		return
	}
	p.filled = true
	for limit := p.share * float64(p.bytes()); p.small.len > 1 && float64(p.small.bytes) > limit; {
		e := p.small.oldest()
		p.small.remove(e)
		p.main.push(e)
	}
}

// passesOf returns how often e, which is in no queue, is passed over before it is evicted although nobody asked for it: the more often
// the smaller it is beside the average, because what is gained by evicting it is as small. Where all cost about the same it is never.
func (p *policy[V]) passesOf(e *entry[V]) (passes uint8) {
	if p.len() == 0 {
		return 0
	}
	average := p.bytes() / int64(p.len())
	// What is within a twentieth of the average counts as the average.
	for cost := e.cost; cost*20/19 <= average && passes < maxPasses; cost *= 2 {
		passes++
	}
	return passes
}

// evicted remembers the key with that hash, which victim chose.
func (p *policy[V]) evicted(hash uint64, kind ghostKind) {
	p.ghosts.add(hash, kind, p.passed, p.len())
}

// sawLately reports whether the key with that hash was asked for or evicted lately.
func (p *policy[V]) sawLately(hash uint64) bool { return p.ghosts.has(hash, p.len()) }

// see remembers the key with that hash: it was asked for, and its entry is gone, or was not made, for another reason than for room.
func (p *policy[V]) see(hash uint64) { p.ghosts.add(hash, seen, p.passed, p.len()) }
