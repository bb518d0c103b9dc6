package cache

import (
	"context"
	"sync"

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
	byOwner := make(map[Peer][]string)
	missing := make(map[string]struct{})
	for _, k := range keys {
		key := string(k)
		_, got := r.values[k]
		_, failed := r.errs[key]
		_, missed := missing[key]
		if got || failed || missed {
			continue
		}
		if err := c.check(key); err != nil {
			r.add(key, nil, err)
			continue
		}
		it, refresh := c.store.Get(key)
		if refresh {
			c.refreshBehind(ctx, key)
		}
		if it != nil {
			r.add(key, it, nil)
		} else {
			missing[key] = struct{}{}
			p := c.owner(key)
			byOwner[p] = append(byOwner[p], key)
		}
	}
	c.findMany(ctx, byOwner, &r)
	singleflight.Rethrow(r.thrown)
	if len(r.errs) > 0 {
		return r.values, &ManyError{Errors: r.errs}
	}
	return r.values, nil
}

// findMany gets items that are not in memory, from all owners at the same time.
func (c *Cache[K, V]) findMany(ctx context.Context, byOwner map[Peer][]string, r *results[K, V]) {
	var wg sync.WaitGroup
	for p, keys := range byOwner {
		run := func() {
			c.many(ctx, kindFor(p, how{}), keys, how{}, func(i int, it *item[V], err error) { r.add(keys[i], it, err) })
		}
		if len(byOwner) == 1 {
			run()
		} else {
			wg.Go(run)
		}
	}
	wg.Wait()
}

// results collects what comes of keys.
type results[K ~string, V any] struct {
	// mu guards what follows.
	mu     sync.Mutex
	values map[K]V
	errs   map[string]error
	thrown error // a panic or Goexit of a loader
}

func (r *results[K, V]) add(key string, it *item[V], err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		err = it.Err
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
