package cache

import (
	"context"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// An owner that could not be reached, and comes back with what it had, has lost to time what others loaded meanwhile. So who took over
// tells it so when it can be reached again, and then the owner asks that one as if it had owned these keys before: see former.go and handover.go.

// takesOver notes that this instance gets keys for one that somebody could not reach. For whom is found out later: who serves a
// request has no way to ask who owns what.
func (c *Cache[K, V]) takesOver(flights []*flight[V]) {
	m := &c.company
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.takenOver == nil {
		m.takenOver = new(Slots)
	}
	for _, f := range flights {
		m.takenOver.Add(c.cfg.Peers.Slot(f.Key))
	}
}

// takenOverFrom returns the slots that this instance took over from peers since they were told, and forgets them: they are to be
// told now, or remembered again. It is nil most of the time.
func (c *Cache[K, V]) takenOverFrom(peers []Peer) map[Peer]*Slots {
	m := &c.company
	m.mu.Lock()
	none := m.takenOver == nil
	m.mu.Unlock()
	if none {
		return nil
	}
	taken := make(map[Peer]*Slots)
	for p, slots := range c.cfg.Peers.Preceding() {
		if slices.Contains(peers, p) {
			m.mu.Lock()
			if t := m.takenOver.cut(slots); t.Len() > 0 {
				taken[p] = t
			}
			m.mu.Unlock()
		}
	}
	return taken
}

// stillTakenOver remembers slots of one that was not told.
func (m *company) stillTakenOver(slots *Slots) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, b := range slots {
		m.takenOver[i] |= b
	}
}

// cut removes others from s, and returns those that were there.
func (s *Slots) cut(others *Slots) *Slots {
	both := new(Slots)
	for i, b := range others {
		both[i] = s[i] & b
		s[i] &^= b
	}
	return both
}

// helloTo says hello to p, and does what it says. If slots were taken over from it, it is told that.
func (c *Cache[K, V]) helloTo(ctx context.Context, p Peer, takenOver *Slots) error {
	m := &c.company
	if takenOver != nil {
		m.doubt(p) // it was cut off from somebody, so it is asked for all
		if mutant.On(mutant.TellsTakeoverFirst) {
			_ = c.tellTakenOver(ctx, p)
			time.Sleep(time.Second)
		}
	}
	req := m.ask(p, c.store.Now())
	req.Cache = c.cfg.Name
	r, err := p.Hello(ctx, req)
	if err == nil {
		if req.Forgot {
			c.told(p)
		}
		c.heed(p, r)
		paid := c.pay(p)
		if takenOver == nil || paid && c.tellTakenOver(ctx, p) == nil {
			return nil
		}
	}
	if takenOver != nil {
		m.stillTakenOver(takenOver)
	}
	return err
}

// tellTakenOver tells p that this instance took over from it. This one has heard what p knows by then, and the other way round: so
// p is not given what others have told it, and not this one, is no longer true.
func (c *Cache[K, V]) tellTakenOver(ctx context.Context, p Peer) error {
	req := c.company.ask(p, c.store.Now())
	req.Cache, req.Brief, req.TookOver = c.cfg.Name, true, true
	_, err := p.Hello(ctx, req)
	return err
}
