package peerstest_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// call makes one random call at a node.
func (w *world) call(rng *rand.Rand, n *node) {
	c := n.cache.Load()
	if c == nil {
		return
	}
	ctx, cancel := context.Background(), context.CancelFunc(func() {})
	if rng.IntN(4) == 0 {
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rng.IntN(2000))*time.Millisecond)
	}
	defer cancel()
	keys := []string{"a", "b", "c"}
	key := keys[rng.IntN(len(keys))]
	begun := time.Now()
	defer func() { w.checkTime(ctx, begun) }()
	op := rng.IntN(21)
	if w.kind.calm || w.kind.quiet && !w.isCut() {
		op %= 14
	}
	switch {
	case op < 12:
		w.get(ctx, n, c, key)
	case op < 14:
		w.getMany(ctx, n, c, keys)
	case op < 17:
		w.invalidate(n, []string{key}, func([]string) error { return w.remove(ctx, c, n.index, key) })
	case op < 19:
		w.invalidate(n, []string{key}, func(values []string) error {
			return c.Set(ctx, key, cache.Entry[string]{Value: values[0], Tags: tagsOf(key)})
		})
	case op < 20:
		tag := []string{"x", "y", "z"}[rng.IntN(3)]
		w.invalidate(n, tagged[tag], func([]string) error { return c.RemoveTag(ctx, tag) })
	case rng.IntN(3) > 0:
		w.invalidate(n, keys, func([]string) error { return c.Remove(ctx, keys...) })
	default:
		w.invalidate(n, keys, func([]string) error { return c.Clear(ctx) })
	}
}

// isCut reports whether messages are being lost.
func (w *world) isCut() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cuts > 0
}

func (w *world) get(ctx context.Context, n *node, c *cache.Cache[string, string], key string) {
	o := w.observe(n, key)
	v, err := c.Get(cache.WithTrace(ctx, &o.trace), key)
	w.check(ctx, o, v, err)
}

func (w *world) getMany(ctx context.Context, n *node, c *cache.Cache[string, string], keys []string) {
	var os []*observation
	for _, key := range keys {
		o := w.observe(n, key)
		o.othersFloor = 0 // nobody can tell from the call what was in memory
		os = append(os, o)
	}
	values, err := c.GetMany(ctx, keys)
	var many *cache.ManyError
	if err != nil && !errors.As(err, &many) {
		w.check(ctx, os[0], "", err)
		return
	}
	for _, o := range os {
		if v, ok := values[o.key]; ok {
			w.check(ctx, o, v, nil)
		} else {
			w.check(ctx, o, "", many.Errors[o.key])
		}
	}
}

// removing are the Removes that are under way, for a fleet that coalesces them.
type removing struct {
	mu    sync.Mutex
	calls map[string]*removal
}

type removal struct {
	done chan struct{}
	err  error
}

func (w *world) remove(ctx context.Context, c *cache.Cache[string, string], at int, key string) error {
	if !w.broken.coalescesRemoves {
		return c.Remove(ctx, key)
	}
	r := &w.removes
	id := string(rune('0'+at)) + key
	r.mu.Lock()
	if call := r.calls[id]; call != nil {
		r.mu.Unlock()
		<-call.done
		return call.err
	}
	if r.calls == nil {
		r.calls = make(map[string]*removal)
	}
	call := &removal{done: make(chan struct{})}
	r.calls[id] = call
	r.mu.Unlock()
	call.err = c.Remove(ctx, key)
	r.mu.Lock()
	delete(r.calls, id)
	r.mu.Unlock()
	close(call.done)
	return call.err
}
