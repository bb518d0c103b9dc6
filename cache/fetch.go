package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

const (
	// maxTries is how many instances may fail to answer a fetch before it loads as a last resort. Those that are known
	// to be down, or not to run this cache, do not count: to skip them costs nothing.
	maxTries = 3

	// hopTime is what a fetch may take beyond the LoadTimeout at the other end.
	hopTime = 5 * time.Second
)

// A walk gets the items of flights of one run from the instances that own their keys, or from those that take over, in
// the order that Peers gives; if that comes to this instance, it takes over itself.
type walk[V any] struct {
	flights []*flight[V] // that are not settled
	h       how
	carried map[string]string
	until   memory.Instant // when its time is up

	failed []Peer // gave no usable answer
	tries  int
}

// newWalk returns a walk that begins now.
func (c *Cache[K, V]) newWalk(now memory.Instant, flights []*flight[V], h how) walk[V] {
	h.asked = now
	return walk[V]{flights: flights, h: h, until: after(now, c.fetchLimit())}
}

// fetchLimit is how long a fetch may take.
func (c *Cache[K, V]) fetchLimit() time.Duration {
	return max(c.cfg.LoadTimeout, c.cfg.LoadTimeout+hopTime) // the sum may overflow
}

// left is how much time a walk has left, Forever if that has no end.
func (c *Cache[K, V]) left(w *walk[V]) time.Duration {
	if w.until == memory.Never {
		return Forever
	}
	return time.Duration(w.until - c.store.Now())
}

// fetchHere begins a fetch of f now, whose key owner owns, on its caller's goroutine, and ends it there if the first
// instance that is asked answers before ctx ends. Else a goroutine goes on where this left.
func (c *Cache[K, V]) fetchHere(ctx context.Context, now memory.Instant, f *flight[V], owner Peer, h how) {
	w := c.newWalk(now, f.Alone(), h)
	p := owner
	if c.strangers.contains(p) {
		if p, _ = c.next(f.Key, nil); p == nil {
			c.fetchBehind(w, nil)
			return
		}
	}
	var a call[V]
	c.guard(w.flights, &a, func() {
		w.carried = c.inject(ctx)
		a = c.send(now, &w, w.flights, p, p != owner)
		if p != owner || h.reload {
			c.finish(ctx, &w, &a)
			return
		}
		place := c.watch(f, &a)
		c.finish(ctx, &w, &a)
		place.leave(f)
	})
}

// guard calls do, which asks for flights by a on a caller's goroutine, where the Carrier may panic, and a Codec call
// runtime.Goexit. That must not keep others waiting.
func (c *Cache[K, V]) guard(flights []*flight[V], a *call[V], do func()) {
	returned := false
	defer func() {
		if r := recover(); !returned {
			a.close()
			c.fail(unsettled(flights), singleflight.Crash(r))
		}
	}()
	do()
	returned = true
}

// finish takes the answers of a, which is all that w has done yet, on a caller's goroutine. What is not settled when
// that is over, a goroutine goes on with.
func (c *Cache[K, V]) finish(ctx context.Context, w *walk[V], a *call[V]) {
	if a.watch() {
		err := c.take(ctx, a)
		a.unwatch()
		switch {
		case err == nil && a.late == 0, a.hedged():
			c.timed(w, a)
		case err != nil && ctx.Err() != nil: // the caller leaves; others may be waiting
			c.fetchBehind(*w, a)
			return
		case !c.closed.Load():
			c.note(w, c.outcome(a, err))
			c.fetchBehind(*w, nil)
		}
	} // else Close has settled the flights, as it has if it comes between
	a.close()
}

// fetchBehind goes on with w on a goroutine of its own, and with a call of w's that is under way, if a is not nil.
func (c *Cache[K, V]) fetchBehind(w walk[V], a *call[V]) {
	var under *call[V]
	if a != nil {
		under = new(call[V])
		*under = *a
		a.answers = nil // which are the goroutine's now
	}
	flights := unsettled(w.flights)
	w.flights = flights
	t := &fetching[K, V]{launched: launched[K, V]{c: c, flights: flights}, w: w, under: under}
	t.launch(t, flights[0].Run(), c.store.Now(), c.left(&w))
}

// fetch does all of a walk. It settles each flight, or returns the error for those that it has not settled.
func (c *Cache[K, V]) fetch(ctx context.Context, w *walk[V], under *call[V]) error {
	if under != nil {
		c.note(w, c.await(ctx, under))
	} else if w.tries == 0 && w.failed == nil {
		w.carried = c.inject(ctx)
	}
	for w.tries < maxTries && len(w.flights) > 0 && ctx.Err() == nil && c.left(w) > 0 && c.round(ctx, w) {
	}
	if len(w.flights) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cache: fetch of %q: %w", w.flights[0].Key, err)
	}
	if c.left(w) <= 0 { // a call has ended by its timeout, a moment before ctx
		return tookTooLong(w.flights[0].Key, c.fetchLimit(), "")
	}
	c.count.lastResorts.Add(uint64(len(w.flights)))
	c.fillHere(ctx, w.flights, how{reload: w.h.reload, uncached: true})
	return nil
}

// round asks the instances that are next for the keys of w, at the same time. It returns false if there are none.
func (c *Cache[K, V]) round(ctx context.Context, w *walk[V]) bool {
	groups, orphans := c.group(w)
	if len(groups) == 0 {
		return false
	}
	outcomes := make([]outcome[V], 0, len(groups)+1)
	var mu sync.Mutex // guards outcomes
	var wg sync.WaitGroup
	for p, flights := range groups {
		run := func() {
			if p == nil {
				c.fillHere(ctx, flights, w.h)
				return
			}
			a := c.send(c.store.Now(), w, flights, p, c.owner(flights[0].Key) != p)
			o := c.await(ctx, &a)
			mu.Lock()
			defer mu.Unlock()
			outcomes = append(outcomes, o)
		}
		if len(groups) == 1 {
			run()
		} else {
			wg.Go(run)
		}
	}
	wg.Wait()
	c.note(w, append(outcomes, outcome[V]{left: orphans})...)
	return true
}

// An outcome is what came of one call.
type outcome[V any] struct {
	left   []*flight[V] // that are not settled
	failed Peer         // nil if it gave no error
	try    bool         // it counts as a try
}

// note makes w go on after calls that were made at the same time. They are one try of each key, however
// many failed.
func (c *Cache[K, V]) note(w *walk[V], outcomes ...outcome[V]) {
	tried := false
	w.flights = nil
	for _, o := range outcomes {
		w.flights = append(w.flights, o.left...)
		if o.failed != nil {
			w.failed = append(w.failed, o.failed)
		}
		tried = tried || o.try
	}
	if tried {
		w.tries++
	}
}

// next returns the instance that is next to be asked for key after those that failed: nil and true if it is this one,
// false if nobody in the view is left.
func (c *Cache[K, V]) next(key string, failed []Peer) (p Peer, ok bool) {
	for p := range c.cfg.Peers.Owners(key) {
		if p == nil || !slices.Contains(failed, p) && !c.strangers.contains(p) {
			return p, true
		}
	}
	return nil, false
}

// group divides w's flights by the instance that is next to be asked for their keys. orphans are those that
// nobody in the view is left for.
func (c *Cache[K, V]) group(w *walk[V]) (groups map[Peer][]*flight[V], orphans []*flight[V]) {
	groups = make(map[Peer][]*flight[V], 1)
	for _, f := range w.flights {
		if p, ok := c.next(f.Key, w.failed); ok {
			groups[p] = append(groups[p], f)
		} else {
			orphans = append(orphans, f)
		}
	}
	return groups, orphans
}

// fillHere fills on this instance.
func (c *Cache[K, V]) fillHere(ctx context.Context, flights []*flight[V], h how) {
	if !h.uncached {
		h.takeover = true
		c.count.takeovers.Add(uint64(len(flights)))
	}
	keys := make([]string, len(flights))
	for i, f := range flights {
		keys[i] = f.Key
	}
	queued := func(i int) { flights[i].SetQueued(true) }
	c.many(ctx, keys, h, queued, func(i int, it *item[V], err error) {
		if it != nil {
			c.renew(keys[i], h)
		}
		c.store.Pass(flights[i], it, err) // the fill has stored it, if it was to be stored
	})
}

// inject returns what the program wants carried of ctx.
func (c *Cache[K, V]) inject(ctx context.Context) map[string]string {
	if c.cfg.Carry == nil {
		return nil
	}
	return c.cfg.Carry.Inject(ctx)
}

// isTry reports whether it counts as a try that p left keys unanswered, with err or because its
// answers came too late, and takes note of it.
func (c *Cache[K, V]) isTry(p Peer, err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, ErrUnknownCache), errors.Is(err, ErrVersionMismatch):
		c.strangers.add(p)
		c.warn("cache: an instance does not run this cache; asking the next one", "peer", p.Addr(), "error", err)
		return false
	case errors.Is(err, ErrPeerDown):
		return false
	}
	c.count.fetchFailures.Add(1)
	c.warn("cache: an instance did not answer; asking the next one", "peer", p.Addr(), "error", err)
	return true
}

// warn logs what may happen to many callers at the same time, at most once a second.
func (c *Cache[K, V]) warn(what string, args ...any) {
	now := int64(c.store.Now())
	if due := c.warnAt.Load(); now >= due && c.warnAt.CompareAndSwap(due, now+int64(time.Second)) {
		c.cfg.Logger.Warn(what, append(args, "cache", c.cfg.Name)...)
	}
}
