package cache

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

const (
	// hedgePlaces is how many fetches are watched at a time. Another one is not hedged.
	hedgePlaces = 64

	// Those that are watched are looked at every so often; the less, the faster their owners are.
	minHedgeTick = 2 * time.Millisecond
	maxHedgeTick = 100 * time.Millisecond

	// hedgeIdle is how often in a row nothing was fetched before nobody looks any more.
	hedgeIdle = 16

	// hedgeTimeout is how long a hedge may take.
	hedgeTimeout = 250 * time.Millisecond
)

// A hedger watches fetches from owners, so that one that takes long is helped by a hedge: a peek at the instance that comes next. A fetch
// leaves its flight in a place, if that is free, and takes it back; a goroutine that runs while there are fetches looks at them. So
// a fetch starts no timer and takes no lock for it.
type hedger[V any] struct {
	places  [hedgePlaces]hedgePlace[V]
	running atomic.Bool
	paces   paces
}

type hedgePlace[V any] struct {
	flight atomic.Pointer[flight[V]] // set after sent
	sent   atomic.Int64              // a memory.Instant
	_      [48]byte                  // a cache line for each
}

// watch has the fetch a of f, which was sent to the key's owner, hedged if it takes long. The place is to be left; nil: there is none.
func (c *Cache[K, V]) watch(f *flight[V], a *call[V]) *hedgePlace[V] {
	h := c.hedges
	p := &h.places[a.number%hedgePlaces]
	if p.flight.Load() != nil {
		return nil
	}
	p.sent.Store(int64(a.sent))
	if !p.flight.CompareAndSwap(nil, f) {
		return nil
	}
	if !h.running.Load() && h.running.CompareAndSwap(false, true) {
		c.company.start(c.hedgeSlow)
	}
	return p
}

// leave leaves the place to others.
func (p *hedgePlace[V]) leave(f *flight[V]) {
	if p != nil {
		p.flight.CompareAndSwap(f, nil)
	}
}

// timed notes how long a took, which is all of w and was answered or hedged, if it is one of those.
func (c *Cache[K, V]) timed(w *walk[V], a *call[V]) {
	if a.number%paceEvery != 0 || len(a.flights) != 1 || w.h.reload {
		return
	}
	p := c.hedges.paces.of(a.peer)
	if p == nil {
		p = c.hedges.paces.add(a.peer, c.cfg.Peers.Others())
	}
	p.note(time.Duration(c.store.Now() - a.sent))
}

// hedgeSlow hedges fetches that take long, until there are none any more.
func (c *Cache[K, V]) hedgeSlow() {
	h := c.hedges
	timer := time.NewTimer(minHedgeTick)
	defer timer.Stop()
	fetches := c.count.fetches.Load()
	for idle := 0; ; {
		select {
		case <-timer.C:
		case <-c.closing.Done():
			return
		}
		if watched, now := c.hedgeOnce(), c.count.fetches.Load(); watched || now != fetches {
			idle, fetches = 0, now
		} else if idle++; idle == hedgeIdle {
			h.running.Store(false)
			// Who came meanwhile has seen that somebody looks.
			if !h.isWatching() || !h.running.CompareAndSwap(false, true) {
				return
			}
			idle = 0
		}
		timer.Reset(max(h.paces.least(maxHedgeTick), minHedgeTick))
	}
}

func (h *hedger[V]) isWatching() bool {
	for i := range h.places {
		if h.places[i].flight.Load() != nil {
			return true
		}
	}
	return false
}

// hedgeOnce hedges the fetches that take long now. It returns false if there are no fetches.
func (c *Cache[K, V]) hedgeOnce() (watched bool) {
	h := c.hedges
	now := c.store.Now()
	for i := range h.places {
		p := &h.places[i]
		f := p.flight.Load()
		if f == nil {
			continue
		}
		watched = true
		sent := memory.Instant(p.sent.Load())
		owner := c.owner(f.Key)
		if owner == nil || p.flight.Load() != f { // else sent may be that of the next one
			continue
		}
		pace := h.paces.of(owner)
		limit := pace.limit()
		if limit == 0 || time.Duration(now-sent) <= limit || !p.flight.CompareAndSwap(f, nil) || f.Settled() || !pace.spend() {
			continue
		}
		c.company.start(func() { c.hedge(f, owner) })
	}
	return watched
}

var errHedged = errors.New("cache: another instance was faster")

// hedge asks the instance that comes after the owner for f's key, and settles f if that has a value before the owner answers. Nothing is
// stored: the owner has not given a lease of it. During an invalidation, and for a time after one that did not reach everybody, nobody else is asked.
func (c *Cache[K, V]) hedge(f *flight[V], owner Peer) {
	next, ok := c.next(f.Key, []Peer{owner})
	if !ok || c.inDoubt(f.Key) && !mutant.On(mutant.HedgesInDoubt) {
		return
	}
	c.count.hedges.Add(1)
	win := func(it *item[V]) {
		if mutant.On(mutant.StoresHedges) {
			it.Lease = after(c.store.Now(), c.cfg.MirrorTTL)
			c.store.Settle(f, it, nil)
		}
		if c.store.Pass(f, it, nil) {
			c.count.hedgesWon.Add(1)
			f.Run().Cancel(errHedged) // which interrupts the one who waits for the owner
		}
	}
	if next == nil {
		if it := c.store.Copy(f.Key); it != nil && !c.journal.doubtsTags(it.Tags(), c.store.Now()) {
			win(it)
		}
		return
	}
	ctx, cancel := context.WithTimeout(c.closing, hedgeTimeout)
	defer cancel()
	sent := c.store.Now()
	c.peekEach(ctx, next, []*flight[V]{f}, func(_ *flight[V], a *Answer) bool {
		it := c.handedOver(next, f, a, sent)
		if it != nil {
			win(it)
		}
		return it != nil
	})
}
