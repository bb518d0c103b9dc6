package cache

import (
	"context"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// maxWaiting bounds the loads that wait for their turn. Each of them has a goroutine and a timer, and an instance that asks
// for many keys may have many of them waiting by one request.
const maxWaiting = 1 << 16

// takeTurn waits until flights may be loaded, which is at once if fewer than MaxLoads loads are under way. The turn is
// given back by taking an element from loads; there is none with an error.
func (c *Cache[K, V]) takeTurn(ctx context.Context, flights []*flight[V]) error {
	if ctx.Err() != nil { // nobody waits any more
		return fmt.Errorf("cache: the load of %q did not begin: %w", flights[0].Key, context.Cause(ctx))
	}
	select {
	case c.loads <- struct{}{}:
		return nil
	default:
	}
	for _, f := range flights {
		f.SetQueued(true)
	}
	defer c.waiting.Add(-1)
	if c.waiting.Add(1) > c.maxWaiting {
		c.count.overloads.Add(uint64(len(flights)))
		return c.overloaded(flights[0].Key)
	}
	select {
	case c.loads <- struct{}{}:
		if ctx.Err() == nil {
			for _, f := range flights {
				f.SetQueued(false)
			}
			return nil
		}
		<-c.loads // nobody waits any more, though there is a turn
	case <-ctx.Done():
	}
	if c.closed.Load() {
		return ErrClosed
	}
	c.count.overloads.Add(uint64(len(flights)))
	return c.overloaded(flights[0].Key)
}

// wait waits for f on ctx. Who leaves at a deadline before the load has had its turn is told so. A caller who came at since, and joined
// what was begun before, does not get what has a tag that was invalidated in between: as from a flight that was on its way out, the
// error is singleflight.ErrAbandoned, and the caller comes again.
func (c *Cache[K, V]) wait(ctx context.Context, f *flight[V], since memory.Seq) (*item[V], error) {
	it, err := f.Wait(ctx)
	if err == nil && f.Seq() < since && !mutant.On(mutant.JoinsAcrossTags) && c.store.Invalid(it, f.Seq()) {
		return nil, singleflight.ErrAbandoned
	}
	switch {
	case err != context.DeadlineExceeded || !f.Queued():
		return it, err
	case f.Kind() == memory.Fill:
		return it, c.overloaded(f.Key)
	}
	return it, fmt.Errorf("%w: the load of %q had no turn in time at its owner (MaxLoads): raise MaxLoads if the origin can bear more, or ask for less", ErrOverloaded, f.Key)
}

// overloaded is the error of a load of key that had no turn.
func (c *Cache[K, V]) overloaded(key string) error {
	return fmt.Errorf("%w: the load of %q had no turn in time, with %d under way (MaxLoads) and %d waiting: "+
		"raise MaxLoads if the origin can bear more, or ask for less", ErrOverloaded, key, c.cfg.MaxLoads, c.waiting.Load())
}

// overload is the type of ErrOverloaded, which is a context.DeadlineExceeded as well.
type overload struct{}

func (overload) Error() string { return "cache: overloaded" }

func (overload) Unwrap() error { return context.DeadlineExceeded }
