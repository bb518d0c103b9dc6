package cache

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

const (
	// joinTimeout bounds one hello of an instance that joins. One that does not answer in that time is not waited for: it
	// hears of this instance from others, or by a later hello, which is bounded by helloTimeout.
	joinTimeout  = 2 * time.Second
	helloTimeout = 5 * time.Second

	// joinPatience is how long a Get waits for this instance to have joined. After that it gets a value of its own.
	joinPatience = 250 * time.Millisecond

	// maxHellos is how many are under way at a time.
	maxHellos = 32

	// Every so often an instance says hello to all others, to hear what it may have missed.
	minBeat = time.Second
	maxBeat = 15 * time.Second
)

// A company is what a cache knows of other instances: how far it has heard what is in their journals, and what it owes them.
type company struct {
	// mu guards what follows. It is a leaf.
	mu        sync.Mutex
	heard     map[Peer]position
	owed      map[Peer][]Invalidation // that did not reach them
	pulls     uint64                  // begun
	joins     int                     // under way
	again     bool                    // one of them is to begin anew
	forgot    map[Peer]bool           // are to be told that this instance had forgotten them
	joined    chan struct{}           // closed when none is under way any more; nil if none ever was
	clean     memory.Instant          // since when this instance has held anything
	takenOver *Slots                  // that this instance took over since their owners were told; nil if it never did
	beat      *time.Timer             // nil while nobody else is there
	copies    *time.Timer             // likewise; nil, too, where there are no copies
	closed    bool
	busy      sync.WaitGroup // goroutines that say hello; added to under mu, while it is not closed
}

// A position is a place in another instance's journal: everything up to there has reached this one, or its sender knows that it
// did not. It is sure as long as the other one can be reached.
type position struct {
	life, seq uint64
	sure      bool
}

// join makes this instance a part of the fleet. It says hello to everyone that it can learn of; until all of them have answered, or
// cannot be reached, nothing that it gets is stored or shared: somebody may be invalidating it at this moment, who has not
// heard of this instance yet.
func (c *Cache[K, V]) join() {
	if len(c.cfg.Peers.Others()) == 0 || mutant.On(mutant.NoHandshake) {
		return
	}
	m := &c.company
	m.mu.Lock()
	if m.joins++; m.joins == 1 {
		m.joined = make(chan struct{})
		if !mutant.On(mutant.CoalescesBeforeIt) {
			c.store.Isolate()
		}
	}
	m.mu.Unlock()
	m.start(func() {
		for again := true; again; {
			c.helloAll()
			m.mu.Lock()
			if again = m.again && c.closing.Err() == nil; again {
				m.again = false
			} else if m.joins--; m.joins == 0 {
				c.store.Join()
				close(m.joined)
			}
			m.mu.Unlock()
		}
		c.beatLater()
		c.copyLater()
		c.moved()
	})
}

// helloAll says hello to everyone that this instance can learn of.
func (c *Cache[K, V]) helloAll() {
	met := make(map[Peer]bool)
	for c.closing.Err() == nil {
		fresh := slices.DeleteFunc(slices.Clone(c.cfg.Peers.Others()), func(p Peer) bool { return met[p] })
		if len(fresh) == 0 {
			return
		}
		for _, p := range fresh {
			met[p] = true
		}
		c.hello(fresh, joinTimeout)
	}
}

// rejoin is join for an instance that was forgotten for a while, and keeps what it has: it asks everybody what it has missed, and until it
// knows serves nothing of that.
func (c *Cache[K, V]) rejoin() {
	m := &c.company
	m.mu.Lock()
	for p, at := range m.heard {
		at.sure = false
		m.heard[p] = at
	}
	joining := m.joins > 0
	m.again = joining
	m.mu.Unlock()
	if !joining {
		c.join()
	}
}

// awaitJoin waits until this instance has joined, or its caller's patience ends: what is got now would not be shared. It reports whether it had to.
func (c *Cache[K, V]) awaitJoin(ctx context.Context) (waited bool) {
	if !c.store.Isolated() {
		return false
	}
	m := &c.company
	m.mu.Lock()
	joined := m.joined
	m.mu.Unlock()
	timer := time.NewTimer(joinPatience)
	defer timer.Stop()
	select {
	case <-joined:
	case <-timer.C:
	case <-ctx.Done():
	}
	return true
}

// meet says hello to peers that came into the view, or can be reached again, on a goroutine of its own, which ends with the
// cache. forgotten are those of them that are to be told that they were.
func (c *Cache[K, V]) meet(peers, forgotten []Peer) {
	c.forgets(forgotten)
	if c.company.isEmpty() {
		c.join()
		return
	}
	c.company.start(func() {
		c.hello(peers, helloTimeout)
		c.beatLater()
	})
}

// forgets notes that peers are to be told that this instance had forgotten them. Until then they take what they have for good, and are asked
// for nothing.
func (c *Cache[K, V]) forgets(peers []Peer) {
	if len(peers) == 0 || mutant.On(mutant.ReturnsUntold) {
		return
	}
	for _, p := range peers {
		c.strangers.addFor(p, maxSince)
	}
	m := &c.company
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.forgot == nil {
		m.forgot = make(map[Peer]bool)
	}
	for _, p := range peers {
		m.forgot[p] = true
	}
}

// isEmpty reports whether this instance has not heard of anybody yet.
func (m *company) isEmpty() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.heard) == 0
}

// start runs do on a goroutine, unless the cache is closed.
func (m *company) start(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.busy.Go(do)
	}
}

// close stops what start, beatLater and copyLater began, and waits for it.
func (m *company) close() {
	m.mu.Lock()
	m.closed = true
	for _, t := range []*time.Timer{m.beat, m.copies} {
		if t != nil {
			t.Stop()
		}
	}
	m.mu.Unlock()
	m.busy.Wait()
}

// beatLater sees to it that all others are said hello to before long.
func (c *Cache[K, V]) beatLater() {
	m := &c.company
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.beat == nil && !m.closed {
		m.beat = time.AfterFunc(c.beatTime(), func() { m.start(c.beatNow) })
	}
}

// beatTime is the time to the next beat: a third of what a mirror lives, so that an instance that was cut off has heard what it missed
// before long.
func (c *Cache[K, V]) beatTime() time.Duration {
	d := maxBeat
	if c.cfg.MirrorTTL > 0 {
		d = min(max(c.cfg.MirrorTTL/3, minBeat), maxBeat)
	}
	return d - rand.N(d/4)
}

func (c *Cache[K, V]) beatNow() {
	others := c.cfg.Peers.Others()
	c.hello(others, helloTimeout)
	m := &c.company
	m.mu.Lock()
	defer m.mu.Unlock()
	left := func(p Peer) bool { return !slices.Contains(others, p) }
	maps.DeleteFunc(m.heard, func(p Peer, _ position) bool { return left(p) })
	maps.DeleteFunc(m.owed, func(p Peer, _ []Invalidation) bool { return left(p) })
	for p := range m.forgot {
		if left(p) {
			c.toldLocked(p)
		}
	}
	if !m.closed {
		m.beat.Reset(c.beatTime())
	}
}

// hello says hello to peers, and does what they say. It returns when all have answered, or their time is up.
func (c *Cache[K, V]) hello(peers []Peer, timeout time.Duration) {
	takenOver := c.takenOverFrom(peers)
	turns := make(chan struct{}, maxHellos)
	var wg sync.WaitGroup
	for _, p := range peers {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			ctx, cancel := context.WithTimeout(c.closing, timeout)
			defer cancel()
			if err := c.helloTo(ctx, p, takenOver[p]); err != nil {
				c.company.doubt(p)
			}
		})
	}
	wg.Wait()
}

// ask returns what to ask p.
func (m *company) ask(p Peer, now memory.Instant) *HelloRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.heard[p]
	return &HelloRequest{Life: at.life, Seq: at.seq, Since: time.Duration(now - m.clean), Brief: at.sure, Forgot: m.forgot[p]}
}

// told notes that p knows that it was forgotten.
func (c *Cache[K, V]) told(p Peer) {
	c.company.mu.Lock()
	defer c.company.mu.Unlock()
	c.toldLocked(p)
}

// toldLocked is told. company.mu must be held.
func (c *Cache[K, V]) toldLocked(p Peer) {
	delete(c.company.forgot, p)
	c.strangers.remove(p)
}

// doubt notes that p cannot be reached.
func (m *company) doubt(p Peer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, ok := m.heard[p]; ok {
		at.sure = false
		m.heard[p] = at
	}
}

// heed does what p's reply says.
func (c *Cache[K, V]) heed(p Peer, r *HelloReply) {
	for i := range r.Holds {
		known := c.journal.knows(r.Holds[i].ID)
		if c.fenceBy(&r.Holds[i], c.store.Hold); !known {
			c.journal.heard(r.Holds[i].ID)
		}
	}
	m := &c.company
	if r.Gap {
		c.count.gaps.Add(1)
		c.store.FenceAll(rand.Uint64()|1, 0)
		m.mu.Lock()
		m.clean = c.store.Now()
		m.mu.Unlock()
	}
	for _, i := range r.Missed {
		if !c.journal.knows(i.ID) {
			c.count.missed.Add(1)
			c.fence(i.request(c.cfg.Name))
			if !i.Over {
				c.journal.late(i, c.store.Now())
			}
		}
		if i.Over { // whatever others say of it
			c.journal.release(i.ID)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.heard == nil {
		m.heard = make(map[Peer]position)
	}
	m.heard[p] = position{r.Life, r.Seq, true}
}
