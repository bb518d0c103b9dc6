package cache

import (
	"context"
	"errors"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// peekTimeout bounds what a load waits for an instance that had its keys before.
const peekTimeout = 250 * time.Millisecond

// peek asks those instances for the keys of flights that owned them before this one, and settles the flights of those that they
// have. It returns the others, which are to be loaded.
func (c *Cache[K, V]) peek(ctx context.Context, flights []*flight[V], h how) []*flight[V] {
	if c.cfg.Peers == nil || h.reload || h.behind {
		return flights
	}
	asked := make(map[Peer]bool)
	for {
		groups, rest := c.byFormer(flights, asked)
		if len(groups) == 0 {
			return flights
		}
		for p, group := range groups {
			asked[p] = true
			rest = append(rest, c.peekNow(ctx, p, group, h)...)
		}
		if flights = rest; len(flights) == 0 || ctx.Err() != nil {
			return flights
		}
	}
}

// byFormer divides flights by the instance that is to be asked first, of those that were not asked yet. What is being invalidated is
// not peeked at: the other one may not have heard of it.
func (c *Cache[K, V]) byFormer(flights []*flight[V], asked map[Peer]bool) (groups map[Peer][]*flight[V], rest []*flight[V]) {
	for _, f := range flights {
		var first Peer
		for p := range c.cfg.Peers.Former(f.Key) {
			if !asked[p] && !c.strangers.contains(p) {
				first = p
				break
			}
		}
		if first == nil || c.inDoubt(f.Key) {
			rest = append(rest, f)
			continue
		}
		if groups == nil {
			groups = make(map[Peer][]*flight[V], 1)
		}
		groups[first] = append(groups[first], f)
	}
	return groups, rest
}

// inDoubt reports whether key is being invalidated, or was not long ago and not everywhere: then others may have what is old.
func (c *Cache[K, V]) inDoubt(key string) bool {
	return c.store.Held(key) || c.journal.doubts(key, c.store.Now()) && !mutant.On(mutant.PeeksDuringHold) && !mutant.On(mutant.PeeksInDoubt)
}

// peekNow is peekAt before a load, which is not to be held up for long.
func (c *Cache[K, V]) peekNow(ctx context.Context, p Peer, flights []*flight[V], h how) (rest []*flight[V]) {
	ctx, cancel := context.WithTimeout(ctx, peekTimeout)
	defer cancel()
	c.count.peeks.Add(uint64(len(flights)))
	rest = c.peekAt(ctx, p, flights, h, func(int) {})
	c.count.peekHits.Add(uint64(len(flights) - len(rest)))
	return rest
}

// peekAt asks p for the keys of flights, settles those that it has, and returns the others. It calls got with the length of
// each value. It blocks on ctx, which must have a deadline.
func (c *Cache[K, V]) peekAt(ctx context.Context, p Peer, flights []*flight[V], h how, got func(int)) (rest []*flight[V]) {
	sent := c.store.Now()
	return c.peekEach(ctx, p, flights, func(f *flight[V], a *Answer) bool {
		it := c.handedOver(p, f, a, sent)
		if it == nil {
			return false
		}
		it.Lease = c.lease(sent, h)
		got(len(a.Value))
		c.settle(f, it, nil, h)
		return true
	})
}

// peekEach asks p for the keys of flights, and calls take with what it says of each. It returns those that take, or p, has done nothing
// for. It blocks on ctx, which must have a deadline.
func (c *Cache[K, V]) peekEach(ctx context.Context, p Peer, flights []*flight[V], take func(*flight[V], *Answer) bool) (rest []*flight[V]) {
	req := &GetRequest{Cache: c.cfg.Name, Version: c.cfg.Version, Peek: true}
	for _, f := range flights {
		req.Keys = append(req.Keys, f.Key)
	}
	deadline, _ := ctx.Deadline()
	answers := p.Get(req, time.Until(deadline))
	defer answers.Close()
	left := append([]*flight[V](nil), flights...)
	for range flights {
		i, a, err := answers.Next(ctx)
		if err != nil || i < 0 || i >= len(left) || left[i] == nil {
			if errors.Is(err, ErrUnknownCache) || errors.Is(err, ErrVersionMismatch) {
				c.strangers.add(p)
			}
			break
		}
		f := left[i]
		if left[i] = nil; !take(f, &a) {
			left[i] = f
		}
	}
	return unsettled(left)
}

// handedOver makes an item of this instance's own of what p, which owned f's key before, says of it in answer to a
// request that was sent then. It returns nil if p has nothing that is fresh, or that may be old: a tag of it is being invalidated, or was since f
// began, or not everywhere.
func (c *Cache[K, V]) handedOver(p Peer, f *flight[V], a *Answer, sent memory.Instant) *item[V] {
	if a.TTL <= 0 {
		return nil
	}
	it, extra := &item[V]{Size: a.Size}, memory.Extra{Peer: p.Addr(), Tags: memory.PackTags(a.Tags)}
	switch a.Status {
	case StatusOK:
		if c.decode(it, a) != nil {
			return nil
		}
	case StatusNotFound:
		extra.Err = &RemoteError{Peer: p.Addr(), Status: a.Status, Message: a.Message}
		it.Size = int64(len(a.Message))
	default:
		return nil
	}
	it.With(extra)
	it.Fresh = after(sent, a.TTL)
	it.Until = after(it.Fresh, max(a.Stale, 0))
	now := c.store.Now()
	if it.Fresh <= now || c.store.TagsHeld(it.Tags()) || c.store.Invalid(it, f.Seq()) || c.journal.doubtsTags(it.Tags(), now) {
		return nil
	}
	return it
}
