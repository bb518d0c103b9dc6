package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// Each instance is the next in order for some of the slots that others own: it takes over if their owner fails. So that this does not
// cost the origin a load of all that the owner held, it keeps copies of the hottest of that. A copy is a lease like a mirror, of
// MirrorTTL, and is renewed by its owner's word that what it holds is what the copy was made of. It is used in
// place of a load, and to answer a Peek; the owner's own key is asked for at the owner for as long as that answers.

const (
	// Every so often an instance renews its copies: that is a third of their lease, within these bounds.
	minCopyTime = 500 * time.Millisecond
	maxCopyTime = 10 * time.Second

	// copyRate is how many bytes a second an instance copies, at most, from all others together.
	copyRate = 8 << 20

	// maxWanted is how many keys it copies from one other at a time, before it looks again what is hottest.
	maxWanted = 1 << 16
)

// copyLater sees to it that this instance has copies before long.
func (c *Cache[K, V]) copyLater() {
	m := &c.company
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.cfg.MirrorTTL > 0 && m.copies == nil && !m.closed {
		m.copies = time.AfterFunc(c.copyTime(), func() { m.start(c.copyNow) })
	}
}

// copyTime is the time from one renewal of all copies to the next.
func (c *Cache[K, V]) copyTime() time.Duration {
	d := min(max(c.cfg.MirrorTTL/3, minCopyTime), maxCopyTime)
	return d - rand.N(d/4)
}

// A source of copies is an instance, with what is to be copied from it, the hottest first.
type copySource struct {
	peer     Peer
	keys     []string
	versions []uint64 // by index in keys: of what it had when it was asked
}

// copyNow renews the copies, and makes those that are missing, as far as the time for that goes.
func (c *Cache[K, V]) copyNow() {
	begun, d := time.Now(), c.copyTime()
	c.store.DropOldCopies()
	// What was confirmed before this is colder than what is to be copied, or gone from its owner.
	then := after(c.store.Now(), c.cfg.MirrorTTL)
	sources := c.confirmCopies()
	copied := 0
	for len(sources) > 0 && time.Since(begun) < d && c.closing.Err() == nil {
		left := sources[:0]
		for _, s := range sources {
			n, more := c.copySome(&s, then)
			if copied += n; more {
				left = append(left, s)
			}
			c.pause(time.Duration(float64(copied)/copyRate*float64(time.Second)) - time.Since(begun))
		}
		sources = left
	}
	m := &c.company
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.copies.Reset(max(d-time.Since(begun), minCopyTime/2))
	}
}

// confirmCopies asks each instance that this one takes over from what it holds, and renews the leases of what there are copies of. It
// returns the others. Each has a share of the room in proportion to its slots.
func (c *Cache[K, V]) confirmCopies() (sources []copySource) {
	if c.store.Isolated() {
		return nil
	}
	room, each := c.store.CopyBudget()
	type owner struct {
		peer  Peer
		slots *Slots
	}
	var owners []owner
	total := 0
	for p, slots := range c.cfg.Peers.Preceding() {
		owners = append(owners, owner{p, slots})
		total += slots.Len()
	}
	for _, o := range owners {
		if c.strangers.contains(o.peer) {
			continue
		}
		share := int64(float64(room) * float64(o.slots.Len()) / float64(total))
		if s := c.confirmFrom(o.peer, o.slots, share, each); len(s.keys) > 0 {
			sources = append(sources, s)
		}
	}
	return sources
}

// confirmFrom is confirmCopies for one instance, whose copies may take room, and in general take so much each.
func (c *Cache[K, V]) confirmFrom(p Peer, slots *Slots, room, each int64) copySource {
	s := copySource{peer: p}
	for cursor := uint64(0); c.closing.Err() == nil; {
		until := after(c.store.Now(), c.cfg.MirrorTTL) // from here on, whatever it answers
		r, err := c.list(p, slots, cursor)
		if err != nil || len(r.Versions) != len(r.Keys) {
			return s
		}
		if mutant.On(mutant.CopyFromReceipt) {
			until = after(c.store.Now(), c.cfg.MirrorTTL)
		}
		for i, key := range r.Keys {
			cost, ok := c.store.Confirm(key, r.Versions[i], until)
			if !ok {
				cost = each + int64(len(key))
				s.keys, s.versions = append(s.keys, key), append(s.versions, r.Versions[i])
			}
			if room -= cost; room < 0 || len(s.keys) == maxWanted {
				return s
			}
		}
		if cursor = r.Next; cursor == 0 {
			return s
		}
	}
	return s
}

// copySome makes copies of a few of s's keys, which it takes from the list. It returns how many bytes they have, and whether to go on.
func (c *Cache[K, V]) copySome(s *copySource, then memory.Instant) (bytes int, more bool) {
	n := min(len(s.keys), pullKeys)
	var flights []*flight[V]
	versions := make(map[*flight[V]]uint64, n)
	for i, key := range s.keys[:n] {
		if c.inDoubt(key) && !mutant.On(mutant.CopiesDuringHold) {
			continue
		}
		// A flight, so that a fence detaches it, and that there is none during a hold. Nobody waits for it.
		f := c.store.BeginRefresh(c.store.Now(), memory.Copying, key, func() *flight[V] {
			return memory.NewFlight[V](c.closing, memory.Copying, key)
		})
		switch {
		case f == nil:
		case c.owner(key) != s.peer && !mutant.On(mutant.TakesFromForgotten):
			// Only now: had it left before, who invalidates could have done without it, and have this instance forget it. If it leaves after
			// this, a fence that does without it finds the flight.
			c.store.Settle(f, nil, errNotCopied)
		default:
			flights, versions[f] = append(flights, f), s.versions[i]
		}
	}
	s.keys, s.versions = s.keys[n:], s.versions[n:]
	more = len(s.keys) > 0
	if len(flights) == 0 {
		return 0, more
	}
	ctx, cancel := context.WithTimeout(c.closing, pullTimeout)
	defer cancel()
	sent, asked, answered := c.store.Now(), len(flights), false
	rest := c.peekEach(ctx, s.peer, flights, func(f *flight[V], a *Answer) bool {
		answered = true
		it := c.handedOver(s.peer, f, a, sent)
		if it == nil {
			return false
		}
		if mutant.On(mutant.CopyFromReceipt) {
			sent = c.store.Now()
		}
		it.Copy, it.Lease = true, after(sent, c.cfg.MirrorTTL)
		bytes += len(a.Value)
		if !c.store.Keep(f, it, versions[f], then) {
			more = false
		}
		return true
	})
	for _, f := range rest {
		c.store.Settle(f, nil, errNotCopied)
	}
	return bytes, more && (answered || asked == 0)
}

var errNotCopied = errors.New("cache: the owner does not have it any more")

// fromCopies settles those of flights that this instance has a copy of, and returns the others, which are to be loaded. What it settles
// them with lasts as long as the copy's lease: whether this instance owns the key, or has taken over from one that is back before long, is not
// known here. If it owns it, promote sees to the rest.
func (c *Cache[K, V]) fromCopies(flights []*flight[V], h how) []*flight[V] {
	if c.cfg.Peers == nil || h.reload || h.behind || h.uncached {
		return flights
	}
	left := flights[:0:0]
	for _, f := range flights {
		if it := c.store.TakeOver(f.Key); it != nil {
			c.count.promoted.Add(1)
			c.store.Pass(f, it, nil) // it is stored already
		} else {
			left = append(left, f)
		}
	}
	return left
}

// promote makes this instance's own what it has copies of and owns now.
func (c *Cache[K, V]) promote() {
	for _, key := range c.store.Copies() {
		if c.owner(key) == nil && c.store.Promote(key) {
			c.count.promoted.Add(1)
		}
	}
}
