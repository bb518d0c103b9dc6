package cache_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A visit is a Get at some time after the beginning.
type visit struct {
	at   time.Duration
	want string
}

func TestG7Freshness(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		name   string
		cfg    stringConfig
		entry  cache.Entry[string] // what the loader says
		visits []visit
		loads  int
	}{
		{"no TTL", stringConfig{}, cache.Entry[string]{}, []visit{{0, "k#1"}, {1e6 * time.Hour, "k#1"}}, 1},
		{"TTL", stringConfig{TTL: 10 * s}, cache.Entry[string]{}, []visit{{0, "k#1"}, {10*s - 1, "k#1"}, {10 * s, "k#2"}}, 2},
		{"the entry's TTL is shorter", stringConfig{TTL: 10 * s}, cache.Entry[string]{TTL: s}, []visit{{0, "k#1"}, {s - 1, "k#1"}, {s, "k#2"}}, 2},
		{"the entry's TTL is longer", stringConfig{TTL: s}, cache.Entry[string]{TTL: 10 * s}, []visit{{0, "k#1"}, {10*s - 1, "k#1"}, {10 * s, "k#2"}}, 2},
		{"the entry alone has a TTL", stringConfig{}, cache.Entry[string]{TTL: s}, []visit{{0, "k#1"}, {s - 1, "k#1"}, {s, "k#2"}}, 2},
		{"the entry is not to be kept", stringConfig{TTL: 10 * s}, cache.Entry[string]{TTL: -1}, []visit{{0, "k#1"}, {0, "k#2"}, {0, "k#3"}}, 3},
		{"not kept, with Stale", stringConfig{TTL: s, Stale: s}, cache.Entry[string]{TTL: -1}, []visit{{0, "k#1"}, {0, "k#2"}}, 2},
		// Each visit in the stale window gets what was loaded behind the one before it.
		{"Stale", stringConfig{TTL: 10 * s, Stale: 5 * s}, cache.Entry[string]{}, []visit{{0, "k#1"}, {10 * s, "k#1"}, {11 * s, "k#2"}, {25*s - 1, "k#2"}}, 3},
		{"past Stale", stringConfig{TTL: 10 * s, Stale: 5 * s}, cache.Entry[string]{}, []visit{{0, "k#1"}, {15 * s, "k#2"}}, 2},
		{"the entry's Stale is longer", stringConfig{TTL: 10 * s, Stale: s}, cache.Entry[string]{Stale: 9 * s}, []visit{{0, "k#1"}, {19*s - 1, "k#1"}}, 2},
		{"the entry has no Stale", stringConfig{TTL: 10 * s, Stale: 5 * s}, cache.Entry[string]{Stale: -1}, []visit{{0, "k#1"}, {10 * s, "k#2"}}, 2},
		{"the entry's TTL with the Config's Stale", stringConfig{TTL: 10 * s, Stale: 5 * s}, cache.Entry[string]{TTL: s}, []visit{{0, "k#1"}, {6*s - 1, "k#1"}}, 2},
		{"the entry alone has both", stringConfig{}, cache.Entry[string]{TTL: s, Stale: s}, []visit{{0, "k#1"}, {2*s - 1, "k#1"}}, 2},
		{"TTL without end", stringConfig{TTL: cache.Forever}, cache.Entry[string]{}, []visit{{0, "k#1"}, {1e6 * time.Hour, "k#1"}}, 1},
		{"TTL and Stale that overflow", stringConfig{TTL: math.MaxInt64 - 1, Stale: math.MaxInt64, Jitter: 0.001}, cache.Entry[string]{}, []visit{{0, "k#1"}, {1e6 * time.Hour, "k#1"}}, 1},
		{"Stale that overflows", stringConfig{TTL: s, Stale: math.MaxInt64}, cache.Entry[string]{}, []visit{{0, "k#1"}, {1e6 * time.Hour, "k#1"}, {1e6*time.Hour + s/2, "k#2"}}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Hour) // so that no instant is 0 by chance
				o := source{entry: tt.entry}
				tt.cfg.Load = o.load
				c := open(t, tt.cfg)
				begin := time.Now()
				for _, v := range tt.visits {
					time.Sleep(v.at - time.Since(begin))
					if got, err := c.Get(t.Context(), "k"); got != v.want || err != nil {
						t.Errorf("after %v: %q, %v; want %q", v.at, got, err, v.want)
					}
					synctest.Wait() // for a refresh behind
				}
				wantLoads(t, &o, "k", tt.loads)
			})
		})
	}
}

func TestG7OneRefreshAtATimeAndNobodyWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, loads atomic.Int32
		c := open(t, stringConfig{TTL: 10 * time.Second, Stale: time.Minute, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			if running.Add(1) > 1 {
				t.Error("two loads at a time")
			}
			defer running.Add(-1)
			n := loads.Add(1)
			return cache.Entry[string]{Value: fmt.Sprint(n)}, pause(ctx, 3*time.Second)
		}})
		wantGet(t, c, "k", "1")
		time.Sleep(10 * time.Second)
		for begin := time.Now(); time.Since(begin) < 3*time.Second; time.Sleep(100 * time.Millisecond) {
			before := time.Now()
			wantGet(t, c, "k", "1")
			if time.Since(before) != 0 {
				t.Errorf("a Get of a stale value took %v", time.Since(before))
			}
		}
		time.Sleep(time.Millisecond)
		wantGet(t, c, "k", "2")
		if s := c.Stats(); loads.Load() != 2 || s.Refreshes != 1 || s.StaleHits != 30 || s.Hits != 1 {
			t.Errorf("%d loads; %+v; want 2 loads, 1 refresh, 30 stale hits and 1 hit", loads.Load(), s)
		}
	})
}

// A refresh outlives the Get that began it, and has its values.
func TestG2ARefreshBehindHasItsCallersValuesAndNotItsCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refreshed := false
		c := open(t, stringConfig{TTL: time.Second, Stale: time.Minute, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			if ctx.Value(ctxKey{}) != nil {
				refreshed = true
			}
			return cache.Entry[string]{Value: key}, pause(ctx, time.Second)
		}})
		wantGet(t, c, "k", "k")
		time.Sleep(2 * time.Second)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "refresher"))
		if _, err := c.Get(ctx, "k"); err != nil {
			t.Error(err)
		}
		cancel()
		time.Sleep(1500 * time.Millisecond)
		wantGet(t, c, "k", "k")
		if s := c.Stats(); !refreshed || s.Hits != 1 || s.LoadErrors != 0 {
			t.Errorf("refreshed: %v, %d fresh hits, %d errors; want a refresh with its caller's values", refreshed, s.Hits, s.LoadErrors)
		}
	})
}

func TestG7AFailedRefreshLeavesTheStaleValueUntilItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		c := open(t, stringConfig{TTL: 10 * time.Second, Stale: 20 * time.Second, Load: o.load})
		begin := time.Now()
		wantGet(t, c, "k", "k#1")
		down := errors.New("the origin is down")
		o.set(func(o *source) { o.fails = down })
		time.Sleep(10 * time.Second)
		for time.Since(begin) < 30*time.Second {
			wantGet(t, c, "k", "k#1")
			time.Sleep(250 * time.Millisecond)
		}
		synctest.Wait()
		if n := o.count("k") - 1; n != 20 {
			t.Errorf("%d refreshes in 20 s, want one a second, and not one each Get", n)
		}
		if v, err := c.Get(t.Context(), "k"); err != down {
			t.Errorf("past TTL + Stale: %q, %v; want the loader's error", v, err)
		}
		wantPeek(t, c, "k", "")
		o.set(func(o *source) { o.fails = nil })
		wantGet(t, c, "k", "k#23")
	})
}

func TestG7ARefreshThatFindsNothingDropsTheOldValue(t *testing.T) {
	for _, negative := range []time.Duration{0, time.Minute} {
		t.Run(fmt.Sprint("Negative ", negative), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o source
				c := open(t, stringConfig{TTL: time.Second, Stale: time.Hour, Negative: negative, Load: o.load})
				wantGet(t, c, "k", "k#1")
				o.set(func(o *source) { o.fails = cache.ErrNotFound })
				time.Sleep(2 * time.Second)
				wantGet(t, c, "k", "k#1")
				synctest.Wait()
				wantPeek(t, c, "k", "")
				if v, err := c.Get(t.Context(), "k"); err != cache.ErrNotFound {
					t.Errorf("Get = %q, %v; want ErrNotFound", v, err)
				}
			})
		})
	}
}

func TestG7Negative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{fails: fmt.Errorf("user 7 left in May: %w", cache.ErrNotFound)}
		c := open(t, stringConfig{TTL: time.Hour, Stale: time.Hour, Negative: 10 * time.Second, Load: o.load})
		begin := time.Now()
		for _, tt := range []struct {
			at    time.Duration
			loads int
		}{{0, 1}, {0, 1}, {10*time.Second - 1, 1}, {10 * time.Second, 2}, {15 * time.Second, 2}} {
			time.Sleep(tt.at - time.Since(begin))
			_, err := c.Get(t.Context(), "k")
			if !errors.Is(err, cache.ErrNotFound) || !strings.Contains(err.Error(), "user 7 left in May") {
				t.Errorf("after %v: %v; want the loader's words", tt.at, err)
			}
			wantLoads(t, &o, "k", tt.loads)
		}
		wantPeek(t, c, "k", "")
		if s := c.Stats(); s.LoadErrors != 0 || s.Entries != 1 {
			t.Errorf("%d errors, %d entries; want none and one", s.LoadErrors, s.Entries)
		}
	})
}

func TestNotFoundIsNotCachedWithoutNegative(t *testing.T) {
	o := source{fails: cache.ErrNotFound}
	c := open(t, stringConfig{TTL: time.Hour, Load: o.load})
	for i := range 3 {
		if _, err := c.Get(t.Context(), "k"); err != cache.ErrNotFound {
			t.Errorf("err = %v", err)
		}
		wantLoads(t, &o, "k", i+1)
	}
}

func TestG7JitterShortensAndSpreads(t *testing.T) {
	for _, negative := range []bool{false, true} {
		t.Run(fmt.Sprint("negative: ", negative), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const keys, ttl = 400, 100 * time.Second
				var o source
				cfg := stringConfig{TTL: ttl, Jitter: 0.25, Load: o.load}
				if negative {
					cfg.TTL, cfg.Negative, o.fails = 0, ttl, cache.ErrNotFound
				}
				c := open(t, cfg)
				begin := time.Now()
				var all []string
				for i := range keys {
					all = append(all, fmt.Sprint(i))
				}
				// expired asks for everything, and counts what is loaded anew.
				expired := func(at time.Duration) int {
					time.Sleep(at - time.Since(begin))
					before := c.Stats().Loads
					_, _ = c.GetMany(t.Context(), all)
					return int(c.Stats().Loads - before)
				}
				if n := expired(0); n != keys {
					t.Errorf("%d loads at first, want %d", n, keys)
				}
				if n := expired(75*time.Second - 1); n != 0 {
					t.Errorf("%d of %d expired before a quarter of the TTL was left", n, keys)
				}
				sum := 0
				for _, at := range []time.Duration{80 * time.Second, 85 * time.Second, 90 * time.Second, 95 * time.Second, 100 * time.Second} {
					n := expired(at)
					sum += n
					if n < keys/5*6/10 || n > keys/5*14/10 {
						t.Errorf("%d of %d expired in the 5 s before %v, want about a fifth", n, keys, at)
					}
				}
				if sum != keys {
					t.Errorf("%d of %d expired within the TTL", sum, keys)
				}
			})
		})
	}
}
