package cache

import (
	"context"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// GetMany returns the values of keys, as Get would, with one request to each owner and one LoadMany
// there, if there is one. If some keys fail, it returns the values of all others and a *ManyError.
// Keys that are given twice count once. If a loader panics in this process, so does GetMany; on
// another instance, that is the error of its keys.
func (c *Cache[K, V]) GetMany(ctx context.Context, keys []K) (map[K]V, error) {
	if c.closed.Load() {
		return nil, ErrClosed
	}
	r := results[K, V]{values: make(map[K]V, len(keys))}
	missing := make([]missed, 0, len(keys)) // at first, all of them once
	for _, k := range keys {
		var zero V
		if r.values[k] = zero; len(r.values) > len(missing) {
			missing = append(missing, missed{key: string(k)})
		}
	}
	missing = c.getMany(ctx, missing, &r)
	for len(missing) > 0 {
		missing = c.findMany(ctx, missing, &r)
	}
	singleflight.Rethrow(r.thrown)
	if len(r.errs) > 0 {
		for key := range r.errs {
			delete(r.values, K(key))
		}
		return r.values, &ManyError{Errors: r.errs}
	}
	return r.values, nil
}

// getMany gets what is in memory, and returns the keys that are not.
func (c *Cache[K, V]) getMany(ctx context.Context, keys []missed, r *results[K, V]) []missed {
	missing := keys[:0]
	now := c.store.Now()
	var behind []due
	for _, m := range keys {
		if err := c.check(m.key); err != nil {
			r.add(m.key, nil, err)
			continue
		}
		it, refresh := c.store.GetAt(now, m.key)
		if refresh {
			behind = append(behind, due{m.key, now < it.Fresh})
		}
		if it != nil {
			r.add(m.key, it, nil)
		} else {
			missing = append(missing, m)
		}
	}
	if behind != nil {
		c.refreshBehind(ctx, behind...)
	}
	return missing
}

// missed is a key that is not in memory.
type missed struct {
	key   string
	owner int // an index; see byOwner
}

// byOwner divides missing by owner. own are the keys of this instance.
func (c *Cache[K, V]) byOwner(missing []missed) (own []string, others []*group[V]) {
	owners := []Peer{nil}
	counts := make([]int, 1, 8)
	index := map[Peer]int{nil: 0}
	last := 0
	for i, m := range missing {
		p := c.owner(m.key)
		if p != owners[last] {
			var known bool
			if last, known = index[p]; !known {
				last = len(owners)
				index[p] = last
				owners, counts = append(owners, p), append(counts, 0)
			}
		}
		counts[last]++
		missing[i].owner = last
	}
	all := make([]string, len(missing)) // for all, one after the other
	keys := make([][]string, len(owners))
	for o, n := range counts {
		keys[o], all = all[:0:n], all[n:]
	}
	for _, m := range missing {
		keys[m.owner] = append(keys[m.owner], m.key)
	}
	for o := 1; o < len(owners); o++ {
		others = append(others, &group[V]{owner: owners[o], keys: keys[o]})
	}
	return keys[0], others
}

// findMany gets items that are not in memory, from all owners at the same time: it begins all, and then takes what
// comes, owner by owner, while loads of this instance's own keys run. It returns the keys that are to be asked for
// again.
func (c *Cache[K, V]) findMany(ctx context.Context, missing []missed, r *results[K, V]) (again []missed) {
	if err := ctx.Err(); err != nil {
		for _, m := range missing {
			r.add(m.key, nil, err)
		}
		return nil
	}
	c.awaitJoin(ctx)
	own, groups := c.byOwner(missing)
	again = missing[:0]
	var fills *fills[V]
	returned := false
	defer func() {
		if !returned { // a Codec or the Carrier called Goexit: this leaves
			c.leave(fills, groups)
		}
	}()
	if len(own) > 0 {
		fills = c.beginFills(ctx, own, how{})
	}
	for _, g := range groups {
		c.beginGroup(ctx, g, r)
	}
	for _, g := range groups {
		if g.call.answers != nil {
			c.guard(g.walk.flights, &g.call, func() { c.finish(ctx, &g.walk, &g.call) })
		}
	}
	for _, g := range groups {
		for g.waited < len(g.flights) {
			f := g.flights[g.waited]
			g.waited++
			it, err := c.wait(ctx, f, g.since)
			if err == singleflight.ErrAbandoned { // it was on its way out when we joined, or too old for us
				again = append(again, missed{key: f.Key})
				continue
			}
			r.add(f.Key, it, err)
		}
	}
	if fills != nil {
		c.collect(ctx, fills, func(i int, it *item[V], err error) { r.add(own[i], it, err) })
	}
	returned = true
	return again
}

// A group is a fetch of many keys from one owner.
type group[V any] struct {
	owner   Peer
	keys    []string
	since   memory.Seq
	run     singleflight.Run // of the flights that it starts
	flights []*flight[V]     // that it waits for
	waited  int              // of flights
	walk    walk[V]          // of those that it started
	call    call[V]
}

// beginGroup joins or starts the flights of g, and asks the owner for those that it starts. It waits for nothing.
func (c *Cache[K, V]) beginGroup(ctx context.Context, g *group[V], r *results[K, V]) {
	g.run.Init(ctx)
	now := c.store.Now()
	g.since = c.store.TagSeqAt(now)
	g.walk = c.newWalk(now, nil, how{})
	slab := make([]flight[V], len(g.keys))
	lists := make([]*flight[V], 2*len(g.keys))
	g.flights = lists[:0:len(g.keys)]
	mine := lists[len(g.keys):len(g.keys)]
	for i, key := range g.keys {
		it, f, started := c.store.Begin(now, memory.Fetch, key, false, func() *flight[V] {
			slab[i].Init(&g.run, memory.Fetch, key)
			return &slab[i]
		})
		switch {
		case it != nil:
			r.add(key, it, nil)
			continue
		case f == nil:
			r.add(key, nil, ErrClosed)
			continue
		case started:
			mine = append(mine, f)
		default:
			c.count.joins.Add(1)
		}
		g.flights = append(g.flights, f)
	}
	g.walk.flights = mine
	if len(mine) == 0 {
		return
	}
	if c.strangers.contains(g.owner) {
		c.fetchBehind(g.walk, nil)
		return
	}
	c.guard(mine, &g.call, func() {
		g.walk.carried = c.inject(ctx)
		g.call = c.send(now, &g.walk, mine, g.owner, false)
	})
}

// leave leaves what findMany waits for, when its goroutine is ending. Others may be waiting.
func (c *Cache[K, V]) leave(fills *fills[V], groups []*group[V]) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, g := range groups {
		if g.call.answers != nil {
			c.fetchBehind(g.walk, &g.call)
		}
		for _, f := range g.flights[g.waited:] {
			_, _ = f.Wait(ctx)
		}
	}
	if fills == nil {
		return
	}
	for _, f := range fills.flights {
		if f != nil {
			_, _ = f.Wait(ctx)
		}
	}
}

// results collects what comes of keys.
type results[K ~string, V any] struct {
	values map[K]V          // has every key; a zero value for those that nothing has come of yet, or an error
	errs   map[string]error // of those that failed
	thrown error            // a panic or Goexit of a loader
}

func (r *results[K, V]) add(key string, it *item[V], err error) {
	if err == nil {
		err = it.Err()
	}
	if err == nil {
		r.values[K(key)] = it.Value
		return
	}
	if r.errs == nil {
		r.errs = make(map[string]error)
	}
	r.errs[key] = err
	if _, ok := err.(*singleflight.PanicError); ok || singleflight.IsGoexit(err) {
		r.thrown = err
	}
}
