package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A gauge counts what runs at a time, and takes a second each time.
type gauge struct{ now, most, total atomic.Int32 }

func (g *gauge) run(ctx context.Context) error {
	n := g.now.Add(1)
	defer g.now.Add(-1)
	g.total.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
	return pause(ctx, time.Second)
}

func TestMaxLoadsBoundsLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gauge
		c := open(t, stringConfig{MaxLoads: 3, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: key}, g.run(ctx)
		}})
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 12 {
			wg.Go(func() { wantGet(t, c, fmt.Sprint(i), fmt.Sprint(i)) })
		}
		wg.Go(func() { _, _ = c.GetMany(t.Context(), []string{"a", "b", "c"}) })
		wg.Wait()
		if g.most.Load() != 3 || time.Since(begin) != 5*time.Second {
			t.Errorf("%d loads at a time, %v for 15 of them; want 3 and 5 s", g.most.Load(), time.Since(begin))
		}
	})
}

func TestMaxLoadsCountsALoadManyAsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gauge
		c := open(t, stringConfig{MaxLoads: 2, Load: loadNothing[string], LoadMany: func(ctx context.Context, keys []string) (map[string]cache.Entry[string], error) {
			return nil, g.run(ctx)
		}})
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				var keys []string
				for j := range 10 {
					keys = append(keys, fmt.Sprint(i, " ", j))
				}
				_, _ = c.GetMany(t.Context(), keys)
			})
		}
		wg.Wait()
		if g.most.Load() != 2 || g.total.Load() != 6 || time.Since(begin) != 3*time.Second {
			t.Errorf("%d of %d calls at a time, %v; want 2 of 6, 3 s", g.most.Load(), g.total.Load(), time.Since(begin))
		}
	})
}

// A loader that fails, panics or ignores its context gives its turn back when it returns, and not before.
func TestMaxLoadsTurnsAreGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gauge
		c := open(t, stringConfig{MaxLoads: 1, LoadTimeout: time.Hour, Load: func(_ context.Context, key string) (cache.Entry[string], error) {
			err := g.run(context.Background()) // whatever becomes of our context
			if key == "panics" {
				panic(key)
			}
			if key == "fails" {
				err = errors.New(key)
			}
			return cache.Entry[string]{Value: key}, err
		}})
		begin := time.Now()
		var wg sync.WaitGroup
		for _, key := range []string{"left", "fails", "panics"} {
			wg.Go(func() {
				stay := time.Minute
				if key == "left" {
					stay = 500 * time.Millisecond
				}
				ctx, cancel := context.WithTimeout(t.Context(), stay)
				defer cancel()
				ends(func() { _, _ = c.Get(ctx, key) })
			})
			synctest.Wait()
		}
		wantGet(t, c, "last", "last")
		wg.Wait()
		if g.most.Load() != 1 || time.Since(begin) != 4*time.Second {
			t.Errorf("%d loads at a time, done after %v; want 1 and 4 s", g.most.Load(), time.Since(begin))
		}
	})
}

func TestMaxLoadsWaitersLeaveOnTheirContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		c := open(t, stringConfig{MaxLoads: 1, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			loads.Add(1)
			return cache.Entry[string]{Value: key}, pause(ctx, 10*time.Second)
		}})
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { wantGet(t, c, "first", "first") })
		synctest.Wait()
		for i := range 5 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				_, err := c.Get(ctx, fmt.Sprint(i))
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Duration(i+1)*time.Second {
					t.Errorf("%d: %v after %v", i, err, time.Since(begin))
				}
			})
		}
		wg.Wait()
		if loads.Load() != 1 {
			t.Errorf("%d loads, want 1: nobody waits for the others any more", loads.Load())
		}
		if s := c.Stats(); s.Loads != 1 || s.Flights != 0 {
			t.Errorf("%d loads, %d flights; want 1 and 0", s.Loads, s.Flights)
		}
	})
}

func TestMaxLoadsWaitCountsTowardsLoadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := open(t, stringConfig{MaxLoads: 1, LoadTimeout: 4 * time.Second, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			<-release // ignores its context, so that its turn does not end
			return cache.Entry[string]{Value: key}, nil
		}})
		begin := time.Now()
		var wg sync.WaitGroup
		for _, key := range []string{"first", "second"} {
			wg.Go(func() {
				_, err := c.Get(t.Context(), key)
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 4*time.Second {
					t.Errorf("%s: %v after %v; want DeadlineExceeded after 4 s", key, err, time.Since(begin))
				}
				if key == "second" && (err == nil || !strings.Contains(err.Error(), "MaxLoads") || !strings.Contains(err.Error(), `"second"`)) {
					t.Errorf("the error does not say that MaxLoads is to blame: %v", err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		close(release)
	})
}

func TestG2LoadManyIsCancelledWhenTheLastWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var ended time.Duration
		c := open(t, stringConfig{Load: loadNothing[string], LoadMany: func(ctx context.Context, _ []string) (map[string]cache.Entry[string], error) {
			<-ctx.Done()
			ended = time.Since(begin)
			return nil, ctx.Err()
		}})
		var wg sync.WaitGroup
		for i, keys := range []string{"a b c", "b c", "c"} {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				if _, err := c.GetMany(ctx, strings.Fields(keys)); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v", err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		synctest.Wait()
		if ended != 3*time.Second {
			t.Errorf("cancelled after %v, want 3 s", ended)
		}
	})
}
