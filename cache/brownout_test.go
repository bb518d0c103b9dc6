package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A brownOut is an origin that answers at once, then late and often with an error, and then at once again. It does
// not heed contexts: a load of it goes on when nobody wants it any more.
type brownOut struct {
	begin, end time.Time
	slow       time.Duration
	running    []gauge // by instance
	within     atomic.Int64
	all        atomic.Int64
}

var errBrownOut = errors.New("the origin is overloaded")

func (b *brownOut) load(i int, key string) (cache.Entry[string], error) {
	g := &b.running[i]
	n := g.now.Add(1)
	defer g.now.Add(-1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	b.all.Add(1)
	if now := time.Now(); now.Before(b.begin) || !now.Before(b.end) {
		time.Sleep(20 * time.Millisecond)
		return cache.Entry[string]{Value: key}, nil
	}
	nth := b.within.Add(1)
	time.Sleep(b.slow)
	if nth%2 == 0 {
		return cache.Entry[string]{}, errBrownOut
	}
	return cache.Entry[string]{Value: key}, nil
}

// When the origin is slow and fails, no instance asks it for more than MaxLoads values at a time, and the fleet no more often
// than it was asked; nobody is kept past a deadline; and when the origin is well again, so is the fleet.
func TestG8BrownOut(t *testing.T) {
	const instances, maxLoads, patience, lasts = 10, 4, 2 * time.Second, 60 * time.Second
	for _, stale := range []time.Duration{0, 10 * time.Second} {
		t.Run(fmt.Sprint("Stale ", stale), func(t *testing.T) {
			b := brownOut{slow: 3 * time.Second, running: make([]gauge, instances)}
			inFleet(t, instances, func(i int, c *config) {
				c.MaxLoads, c.TTL, c.Stale, c.LoadTimeout = maxLoads, 2*time.Second, stale, 20*time.Second
				c.Load = func(_ context.Context, key string) (cache.Entry[string], error) { return b.load(i, key) }
			}, func(f *fleet) {
				begin := time.Now()
				b.begin, b.end = begin.Add(10*time.Second), begin.Add(40*time.Second)
				var asked, overloaded, failed, late atomic.Int64
				var wg sync.WaitGroup
				for i, c := range f.caches {
					wg.Go(func() {
						rng := rand.New(rand.NewPCG(uint64(i), 1))
						for time.Since(begin) < lasts {
							time.Sleep(time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond)))
							key := fmt.Sprint("key-", rng.IntN(300))
							wg.Go(func() {
								came := time.Now()
								ctx, cancel := context.WithTimeout(f.t.Context(), patience)
								defer cancel()
								v, err := c.Get(ctx, key)
								asked.Add(1)
								switch {
								case time.Since(came) > patience:
									f.t.Errorf("a caller waited %v", time.Since(came))
								case err == nil && v != key:
									f.t.Errorf("Get(%q) = %q", key, v)
								case errors.Is(err, cache.ErrOverloaded):
									overloaded.Add(1)
								case err != nil:
									failed.Add(1)
								}
								if err != nil && came.After(b.end.Add(b.slow+patience)) {
									late.Add(1)
								}
							})
						}
					})
				}
				wg.Wait()
				time.Sleep(b.slow)
				for i := range b.running {
					if most := b.running[i].most.Load(); most > maxLoads {
						f.t.Errorf("%d loads at a time at %d, %d allowed", most, i, maxLoads)
					}
				}
				f.t.Logf("%d asked, %d loads, %d of them in the brown-out; %d overloaded, %d failed otherwise", asked.Load(), b.all.Load(), b.within.Load(), overloaded.Load(), failed.Load())
				if most := int64(instances * maxLoads * (30/3 + 1)); b.within.Load() > most || b.all.Load() > asked.Load() {
					f.t.Errorf("%d loads in the brown-out, %d in all; want no more than %d, and %d", b.within.Load(), b.all.Load(), most, asked.Load())
				}
				if overloaded.Load() == 0 || failed.Load() == 0 || late.Load() > 0 {
					f.t.Errorf("%d overloaded, %d failed otherwise, %d after the origin was well again", overloaded.Load(), failed.Load(), late.Load())
				}
				for i, c := range f.caches {
					if s := c.Stats(); s.FetchFailures+s.Takeovers+s.LastResorts > 0 || s.Waiting+s.Flights > 0 {
						f.t.Errorf("at %d: %+v; want nobody to have loaded for another, or to be waiting still", i, s)
					}
				}
			})
		})
	}
}
