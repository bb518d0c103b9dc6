package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// load calls the loader for flights, and settles each of them, or returns the error for those that it has not
// settled. They were begun then. This is the only place that calls the loader.
func (c *Cache[K, V]) load(ctx context.Context, begun memory.Instant, flights []*flight[V], h how) error {
	if h.takeover {
		c.takesOver(flights)
	}
	if flights = c.peek(ctx, c.fromCopies(flights, h), h); len(flights) == 0 {
		return nil
	}
	if c.loads != nil {
		if err := c.takeTurn(ctx, flights); err != nil {
			if h.behind {
				c.warnNotRefreshed(flights[0].Key, err)
			}
			return err
		}
		defer func() { <-c.loads }()
	}
	if c.loads != nil || c.cfg.Peers != nil { // else there was nothing to wait for
		begun = c.store.Now()
	}
	if len(flights) > 1 {
		return c.loadMany(ctx, begun, flights, h)
	}
	c.count.loads.Add(1)
	e, err := c.cfg.Load(ctx, K(flights[0].Key))
	if err == nil && e.Rest != nil {
		e, err = c.rest(ctx, flights[0], e)
	}
	c.settleLoaded(flights[0], e, err, begun, h)
	return nil
}

// rest gives those who wait for f what there is so far, and returns what is to be kept.
func (c *Cache[K, V]) rest(ctx context.Context, f *flight[V], e Entry[V]) (Entry[V], error) {
	e.TTL = -1
	early := new(item[V])
	if err := c.makeItem(early, f.Key, e, nil, memory.Never, how{}); err != nil {
		return e, err
	}
	f.SettleEarly(early)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(c.closing, cancel)()
	defer cancel()
	last, err := e.Rest(ctx)
	if err == nil && last.Rest != nil {
		err = errRest
	}
	return last, err
}

// errRest is the error of an Entry that has a Rest and must not.
var errRest = errors.New("cache: the Entry has a Rest: only one that Load returns may have one, and not that of another Rest")

func (c *Cache[K, V]) loadMany(ctx context.Context, begun memory.Instant, flights []*flight[V], h how) error {
	keys := make([]K, len(flights))
	for i, f := range flights {
		keys[i] = K(f.Key)
	}
	c.count.loads.Add(uint64(len(keys)))
	entries, whole := c.cfg.LoadMany(ctx, keys)
	var failed *ManyError
	if whole != nil && !errors.As(whole, &failed) {
		c.count.loadErrors.Add(uint64(len(keys)))
		for _, f := range flights {
			c.settle(f, nil, whole, h)
		}
		return nil
	}
	for _, f := range flights {
		var err error
		e, ok := entries[K(f.Key)]
		if e.Rest != nil {
			err = errRest
		}
		if failed != nil && err == nil {
			err = failed.Errors[f.Key]
		}
		switch {
		case ok || err != nil:
		case failed != nil:
			c.count.loadErrors.Add(1)
			c.settle(f, nil, whole, h) // it says nothing of this key, so it is no proof that there is none
			continue
		default:
			err = ErrNotFound
		}
		c.settleLoaded(f, e, err, begun, h)
	}
	return nil
}

// settleLoaded ends a flight with what the loader returned for it, which was called then.
func (c *Cache[K, V]) settleLoaded(f *flight[V], e Entry[V], err error, begun memory.Instant, h how) {
	it := f.Item()
	if err = c.makeItem(it, f.Key, e, err, begun, h); err != nil {
		it = nil
	}
	c.settle(f, it, err, h)
}

// settle ends a flight with what was loaded for it.
func (c *Cache[K, V]) settle(f *flight[V], it *item[V], err error, h how) {
	if err != nil && h.behind {
		c.warnNotRefreshed(f.Key, err)
	}
	if h.uncached && !mutant.On(mutant.CachesLastResort) {
		c.store.Pass(f, it, err)
		return
	}
	c.store.Settle(f, it, err)
}

func (c *Cache[K, V]) warnNotRefreshed(key string, err error) {
	c.warn("cache: a value was not refreshed; it is served on", "key", key, "error", err)
}

// makeItem makes the zero item one of what a loader returned for key that was called then, memory.Never if none was. That there is no value
// is an item, too; another error is none, and is returned.
func (c *Cache[K, V]) makeItem(it *item[V], key string, e Entry[V], err error, begun memory.Instant, h how) error {
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			c.count.loadErrors.Add(1)
			return err
		}
		it.Size, it.Loaded = int64(len(err.Error())), true
		it.With(memory.Extra{Err: err})
		if c.cfg.Negative > 0 && !h.uncached {
			now := c.store.Now()
			it.Fresh = after(now, c.jittered(c.cfg.Negative))
			it.Until = it.Fresh
			it.Lease = c.lease(begun, h)
			it.Took = took(now, begun, c.cfg.Stale, h)
		}
		return nil
	}
	if n := tagBytes(e.Tags); n > MaxTagBytes {
		c.count.loadErrors.Add(1)
		return &TagError{Key: key, Bytes: n}
	}
	it.Value, it.Size, it.Loaded = e.Value, c.sizeOf(e), true
	it.With(memory.Extra{Tags: memory.PackTags(e.Tags)})
	if ttl, stale := c.freshness(e); ttl > 0 && (!h.uncached || mutant.On(mutant.CachesLastResort)) {
		it.Fresh, it.Until = memory.Never, memory.Never
		if ttl < Forever { // else it need not ask for the time
			now := c.store.Now()
			it.Fresh = after(now, ttl)
			it.Until = after(it.Fresh, max(stale, 0))
			it.Took = took(now, begun, stale, h)
		}
		it.Lease = c.lease(begun, h)
	}
	return nil
}

// took returns how long a load took that began then and has ended now, 0 if what it brought is not to be refreshed early:
// the program does not want that, or this instance has taken over from one that is asked again when the lease is over.
// The wait for its turn does not count: where that is long, earlier refreshes would make it longer.
func took(now, begun memory.Instant, stale time.Duration, h how) memory.Took {
	if stale < 0 || h.takeover {
		return 0
	}
	return memory.TookFor(time.Duration(now - begun))
}

// lease returns until when an item may be served that was true then, without asking those who come before this instance in the key's
// order: for ever, unless this instance has just taken over from them. Then they may be back, or
// be there for others all the time, and know better.
func (c *Cache[K, V]) lease(then memory.Instant, h how) memory.Instant {
	if h.takeover {
		return after(then, max(c.cfg.MirrorTTL, 0))
	}
	return memory.Never
}

// renew renews the lease of what was taken over, from when those who come before were asked once more: had they been asked a moment later, they might
// have answered. That others ask in vain renews nothing, since this instance may reach them.
func (c *Cache[K, V]) renew(key string, h how) {
	if h.takeover {
		c.store.Renew(key, c.lease(h.asked, h))
	}
}

// freshness returns how long e is fresh, Forever if it does not expire, zero or less if it is not to be kept, and
// how much longer it may be served, negative if it is not to be refreshed early either.
func (c *Cache[K, V]) freshness(e Entry[V]) (ttl, stale time.Duration) {
	ttl, stale = c.cfg.TTL, c.cfg.Stale
	if e.TTL != 0 {
		ttl = e.TTL
	}
	if e.Stale != 0 {
		stale = e.Stale
	}
	if ttl == 0 {
		return Forever, 0
	}
	return c.jittered(ttl), stale
}

func (c *Cache[K, V]) jittered(ttl time.Duration) time.Duration {
	if c.cfg.Jitter == 0 || ttl <= 0 || ttl == Forever {
		return ttl
	}
	return max(ttl-time.Duration(rand.Float64()*c.cfg.Jitter*float64(ttl)), 1)
}

func (c *Cache[K, V]) sizeOf(e Entry[V]) int64 {
	if e.Size > 0 {
		return e.Size
	}
	return c.cfg.SizeOf(e.Value)
}

// after returns the Instant d after t, Never if that is too far.
func after(t memory.Instant, d time.Duration) memory.Instant {
	if d >= time.Duration(memory.Never-t) {
		return memory.Never
	}
	return t + memory.Instant(d)
}
