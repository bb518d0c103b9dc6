package cache

import (
	"context"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// how says what is special about a look-up.
type how struct {
	reload   bool           // load even what memory has
	uncached bool           // a last resort: this instance is not one that keeps the key
	behind   bool           // a refresh that nobody waits for
	takeover bool           // the keys are owned by an instance that does not answer
	asked    memory.Instant // when the walk began that asks others
}

// kindFor returns the kind of flight that gets a key from its owner, nil being this instance.
func kindFor(owner Peer, h how) memory.Kind {
	switch {
	case owner == nil:
		return memory.Fill
	case h.reload:
		return memory.Refetch
	}
	return memory.Fetch
}

// one returns the item of key, which owner owns, from a flight that it joins or starts now.
func (c *Cache[K, V]) one(ctx context.Context, now memory.Instant, owner Peer, key string, h how) (*item[V], error) {
	kind := kindFor(owner, h)
	since := c.store.TagSeqAt(now)
	for {
		it, f, started := c.store.Begin(now, kind, key, h.reload, func() *flight[V] {
			return memory.NewFlight[V](ctx, kind, key)
		})
		switch {
		case it != nil:
			return found(it), nil
		case f == nil:
			return nil, ErrClosed
		case !started:
			c.count.joins.Add(1)
		case kind == memory.Fill && c.cfg.InlineLoads && ctx.Done() == nil:
			c.fillInline(now, f, h)
		case kind == memory.Fill:
			c.fill(f.Run(), now, f.Alone(), h)
		default:
			c.fetchHere(ctx, now, f, owner, h)
		}
		it, err := c.wait(ctx, f, since)
		if err == singleflight.ErrAbandoned { // it was on its way out when we joined, or too old for us
			now = c.store.Now()
			continue
		}
		return it, err
	}
}

// fills are the flights that load many keys, and what was found in their place.
type fills[V any] struct {
	keys    []string
	h       how
	since   memory.Seq
	queued  func(i int)  // is told of loads that wait for their turn, if it is not nil
	told    []bool       // by index in keys: queued was called
	items   []*item[V]   // by index in keys; nil: wait for the flight
	flights []*flight[V] // likewise; nil and no item: the cache is closed
}

// many fills many keys: it calls each with what came of every key, as that comes, and never concurrently. It calls queued of each whose load
// is found to wait for its turn, once.
func (c *Cache[K, V]) many(ctx context.Context, keys []string, h how, queued func(i int), each func(i int, it *item[V], err error)) {
	b := c.beginFills(ctx, keys, h)
	if c.loads != nil {
		b.queued = queued
	}
	c.collect(ctx, b, each)
}

// beginFills joins or starts the flights that fill keys. Those that it starts run as one if there is a LoadMany.
func (c *Cache[K, V]) beginFills(ctx context.Context, keys []string, h how) *fills[V] {
	now := c.store.Now()
	b := &fills[V]{keys: keys, h: h, since: c.store.TagSeqAt(now), items: make([]*item[V], len(keys)), flights: make([]*flight[V], len(keys))}
	together := c.cfg.LoadMany != nil
	shared := singleflight.NewRun(ctx)
	var mine []*flight[V]
	for i, key := range keys {
		it, f, started := c.store.Begin(now, memory.Fill, key, h.reload, func() *flight[V] {
			if !together {
				return memory.NewFlight[V](ctx, memory.Fill, key)
			}
			f := new(flight[V])
			f.Init(shared, memory.Fill, key)
			return f
		})
		b.items[i], b.flights[i] = found(it), f
		switch {
		case started && together:
			mine = append(mine, f)
		case started:
			c.fill(f.Run(), now, f.Alone(), h)
		case f != nil:
			c.count.joins.Add(1)
		}
	}
	if len(mine) > 0 {
		c.fill(shared, now, mine, h)
	}
	return b
}

// collect waits for the flights of keys that have no item.
func (c *Cache[K, V]) collect(ctx context.Context, b *fills[V], each func(i int, it *item[V], err error)) {
	settled := make(chan int, len(b.keys)) // room for all: nobody blocks who settles a flight
	waiting := 0
	for i, f := range b.flights {
		switch {
		case b.items[i] != nil:
			each(i, b.items[i], nil)
		case f == nil:
			each(i, nil, ErrClosed)
		default:
			waiting++
			f.Then(func() { settled <- i })
		}
	}
	var again []int // were on their way out when we joined, or too old for us
	take := func(i int) {
		it, err := c.wait(ctx, b.flights[i], b.since)
		b.flights[i] = nil
		if err == singleflight.ErrAbandoned {
			again = append(again, i)
			return
		}
		each(i, it, err)
	}
	look := newQueueLook(b.queued != nil && waiting > 0)
	defer look.stop()
	for ended := false; waiting > 0 && !ended; {
		select {
		case i := <-settled:
			waiting--
			take(i)
		case <-ctx.Done():
			ended = true
		case <-look.due():
			look.again()
			b.tellQueued()
		}
	}
	for i, f := range b.flights {
		if f != nil { // ctx has ended: this leaves
			take(i)
		}
	}
	if len(again) > 0 {
		retry := make([]string, len(again))
		for j, i := range again {
			retry[j] = b.keys[i]
		}
		c.many(ctx, retry, b.h, nil, func(j int, it *item[V], err error) { each(again[j], it, err) })
	}
}

// found returns it as what was found in memory, whatever it was for those who waited for it.
func found[V any](it *item[V]) *item[V] {
	if it == nil || !it.Loaded {
		return it
	}
	copied := *it
	copied.Loaded = false
	return &copied
}

// due is a key whose item is to be refreshed: it is stale, or early if it is still fresh.
type due struct {
	key   string
	early bool
}

// refreshBehind starts a refresh of each of items, unless one is under way. Nobody waits for it.
func (c *Cache[K, V]) refreshBehind(ctx context.Context, items ...due) {
	own := make([]due, 0, len(items))
	for _, d := range items {
		if kind := kindFor(c.owner(d.key), how{}); kind != memory.Fill {
			c.refresh(ctx, kind, d)
		} else {
			own = append(own, d)
		}
	}
	c.refresh(ctx, memory.Fill, own...)
}

// refresh is refreshBehind with flights of one kind. Fills run as one if there is a LoadMany.
func (c *Cache[K, V]) refresh(ctx context.Context, kind memory.Kind, items ...due) {
	var shared *singleflight.Run
	if kind == memory.Fill && c.cfg.LoadMany != nil && len(items) > 1 {
		shared = singleflight.NewRun(ctx)
	}
	now, h := c.store.Now(), how{behind: true}
	var together []*flight[V]
	for _, d := range items {
		f := c.store.BeginRefresh(now, kind, d.key, func() *flight[V] {
			// The Wait that a flight's creator owes never comes, so it is not abandoned.
			if shared == nil {
				return memory.NewFlight[V](ctx, kind, d.key)
			}
			f := new(flight[V])
			f.Init(shared, kind, d.key)
			return f
		})
		if f == nil {
			continue
		}
		c.count.refreshes.Add(1)
		if d.early {
			c.count.earlyRefreshes.Add(1)
		}
		switch {
		case shared != nil:
			together = append(together, f)
		case kind == memory.Fill:
			c.fill(f.Run(), now, f.Alone(), h)
		default:
			c.fetchBehind(c.newWalk(now, f.Alone(), h), nil)
		}
	}
	if len(together) > 0 {
		c.fill(shared, now, together, h)
	}
}
