package cache

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// how says what is special about a look-up.
type how struct {
	reload   bool // load even what memory has
	uncached bool // a last resort: this instance is not one that keeps the key
	behind   bool // a refresh that nobody waits for
	takeover bool // the keys are owned by an instance that does not answer
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

// one returns the item of key from the flight of that kind, which it joins or starts.
func (c *Cache[K, V]) one(ctx context.Context, kind memory.Kind, key string, h how) (*item[V], error) {
	for {
		it, f, started := c.store.Begin(kind, key, h.reload, func() *flight[V] {
			return memory.NewFlight[V](singleflight.NewRun(ctx), kind, key)
		})
		if it != nil {
			return found(it), nil
		}
		if f == nil {
			return nil, ErrClosed
		}
		if started {
			c.launch(f.Run, kind, []*flight[V]{f}, h)
		} else {
			c.count.joins.Add(1)
		}
		it, err := f.Wait(ctx)
		if err == singleflight.ErrAbandoned {
			continue // it was on its way out when we joined
		}
		return it, err
	}
}

// many is one for many keys: it calls each with what came of every key, as that comes, and never concurrently. The
// flights that it starts run as one where that is how their kind works: a fetch, or a fill with LoadMany.
func (c *Cache[K, V]) many(ctx context.Context, kind memory.Kind, keys []string, h how, each func(i int, it *item[V], err error)) {
	together := kind != memory.Fill || c.cfg.LoadMany != nil
	shared := singleflight.NewRun(ctx)
	items := make([]*item[V], len(keys))
	flights := make([]*flight[V], len(keys))
	var mine []*flight[V]
	for i, key := range keys {
		it, f, started := c.store.Begin(kind, key, h.reload, func() *flight[V] {
			if together {
				return memory.NewFlight[V](shared, kind, key)
			}
			return memory.NewFlight[V](singleflight.NewRun(ctx), kind, key)
		})
		items[i], flights[i] = found(it), f
		switch {
		case started && together:
			mine = append(mine, f)
		case started:
			c.launch(f.Run, kind, []*flight[V]{f}, h)
		case f != nil:
			c.count.joins.Add(1)
		}
	}
	if len(mine) > 0 {
		c.launch(shared, kind, mine, h)
	} else {
		shared.Cancel(context.Canceled)
	}
	c.collect(ctx, kind, keys, h, items, flights, each)
}

// collect waits for the flights of keys that have no item.
func (c *Cache[K, V]) collect(ctx context.Context, kind memory.Kind, keys []string, h how, items []*item[V], flights []*flight[V], each func(i int, it *item[V], err error)) {
	settled := make(chan int, len(keys)) // room for all: nobody blocks who settles a flight
	waiting := 0
	for i, f := range flights {
		switch {
		case items[i] != nil:
			each(i, items[i], nil)
		case f == nil:
			each(i, nil, ErrClosed)
		default:
			waiting++
			f.Then(func() { settled <- i })
		}
	}
	var again []int // were on their way out when we joined
	take := func(i int) {
		it, err := flights[i].Wait(ctx)
		flights[i] = nil
		if err == singleflight.ErrAbandoned {
			again = append(again, i)
			return
		}
		each(i, it, err)
	}
	for ended := false; waiting > 0 && !ended; waiting-- {
		select {
		case i := <-settled:
			take(i)
		case <-ctx.Done():
			ended = true
		}
	}
	for i, f := range flights {
		if f != nil { // ctx has ended: this leaves
			take(i)
		}
	}
	if len(again) > 0 {
		retry := make([]string, len(again))
		for j, i := range again {
			retry[j] = keys[i]
		}
		c.many(ctx, kind, retry, h, func(j int, it *item[V], err error) { each(again[j], it, err) })
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

// refreshBehind starts a refresh of a stale item, unless one is under way. Nobody waits for it.
func (c *Cache[K, V]) refreshBehind(ctx context.Context, key string) {
	c.refresh(ctx, kindFor(c.owner(key), how{}), key)
}

func (c *Cache[K, V]) refresh(ctx context.Context, kind memory.Kind, key string) {
	f := c.store.BeginRefresh(kind, key, func() *flight[V] {
		// The Wait that this flight's creator owes never comes, so it is not abandoned.
		return memory.NewFlight[V](singleflight.NewRun(ctx), kind, key)
	})
	if f != nil {
		c.count.refreshes.Add(1)
		c.launch(f.Run, kind, []*flight[V]{f}, how{behind: true})
	}
}

// hopTime is what a fetch may take beyond the LoadTimeout at the other end.
const hopTime = 5 * time.Second

// errUnsettled would be a bug: it is better returned than waited for.
var errUnsettled = errors.New("cache: internal error: a load ended without a result")

// launch runs flights that begin together on a goroutine of their own, which ends when the loader or the
// peers have returned. The flights are settled when their results are there, and at the latest when their time is up.
func (c *Cache[K, V]) launch(run *singleflight.Run, kind memory.Kind, flights []*flight[V], h how) {
	limit, work := c.cfg.LoadTimeout, c.load
	if kind != memory.Fill {
		limit, work = max(limit, limit+hopTime), c.fetch // the sum may overflow
	}
	rest := func(err error) {
		for _, f := range flights {
			if !f.Settled() {
				c.store.Settle(f, nil, err)
			}
		}
	}
	// The caller's values are the loader's, but not its Trace: that Get may be over when a loader Gets.
	ctx, cancel := context.WithTimeout(context.WithValue(run.Context(), traceKey{}, nil), limit)
	// Even if the work does not heed ctx, those who wait do not wait for longer.
	timer := time.AfterFunc(limit, func() {
		turn := ""
		if kind == memory.Fill && c.loads != nil {
			turn = fmt.Sprintf(" with the wait for its turn (MaxLoads: %d)", c.cfg.MaxLoads)
		}
		rest(fmt.Errorf("cache: the load of %q took longer than %v%s: %w", flights[0].Key, limit, turn, context.DeadlineExceeded))
	})
	singleflight.Go(func() (struct{}, error) {
		return struct{}{}, work(ctx, flights, h)
	}, func(_ struct{}, err error) {
		timer.Stop()
		var pe *singleflight.PanicError
		if errors.As(err, &pe) || singleflight.IsGoexit(err) {
			c.count.loadPanics.Add(1)
			c.cfg.Logger.Error("cache: the loader did not return", "cache", c.cfg.Name, "key", flights[0].Key, "error", err)
		}
		if err == nil {
			err = errUnsettled
		}
		rest(err)
		cancel()
		run.Cancel(context.Canceled)
	})
}
