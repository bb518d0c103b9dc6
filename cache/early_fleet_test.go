package cache_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// A crowd asks for one key at random times, at all instances of a fleet.
type crowd struct {
	rate   float64       // a second, at each instance
	lasts  time.Duration // how long they come
	hop    time.Duration // what a message takes each way: who takes longer than both waits for a load
	asked  atomic.Int64
	waited atomic.Int64
}

// run returns when all have their value.
func (c *crowd) run(f *fleet, key string) {
	f.SetFaultsAll(peerstest.Faults{RequestDelay: peerstest.Delay(c.hop), ReplyDelay: peerstest.Delay(c.hop)})
	var wg sync.WaitGroup
	begin := time.Now()
	for i := range f.caches {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			for time.Since(begin) < c.lasts {
				time.Sleep(time.Duration(rng.ExpFloat64() / c.rate * float64(time.Second)))
				wg.Go(func() {
					came := time.Now()
					f.get(i, key)
					c.asked.Add(1)
					if time.Since(came) > 2*c.hop {
						c.waited.Add(1)
					}
				})
			}
		})
	}
	wg.Wait()
}

// A hot key is loaded hardly more often than its TTL ends, and hardly anyone waits for that: without early refreshes,
// 2 % of the callers would, who come while a load runs.
func TestG1EarlyRefreshesOfAHotKey(t *testing.T) {
	const ttl, takes, ttls = 10 * time.Second, 200 * time.Millisecond, 30
	for _, tt := range []struct {
		name  string
		stale time.Duration
		loads float64
		waits float64
	}{
		{"without Stale", 0, 1.15, 0.001},
		{"with Stale", 5 * time.Second, 1.15, 0},
		{"without early refreshes", -1, 1, 0.025},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inFleet(t, 10, func(_ int, c *config) { c.TTL, c.Stale = ttl, tt.stale }, func(f *fleet) {
				key := f.ownedBy(0)
				f.origin.takes(takes)
				f.get(0, key)
				crowd := crowd{rate: 50, lasts: ttls * ttl, hop: time.Millisecond / 2}
				crowd.run(f, key)
				loads := float64(f.origin.loads(key)) / ttls
				waits := float64(crowd.waited.Load()) / float64(crowd.asked.Load())
				t.Logf("%.3f loads a TTL, %.4f %% of %d callers wait", loads, 100*waits, crowd.asked.Load())
				if loads > tt.loads || waits > tt.waits {
					t.Errorf("%.3f loads a TTL, %.4f %% of callers wait; want at most %v and %v %%", loads, 100*waits, tt.loads, 100*tt.waits)
				}
				if s := f.caches[0].Stats(); (s.EarlyRefreshes > 0) != (tt.stale >= 0) || len(f.origin.overlaps) > 0 {
					t.Errorf("%d early refreshes, %d loads at a time with another", s.EarlyRefreshes, len(f.origin.overlaps))
				}
				for i, c := range f.caches {
					if s := c.Stats(); i > 0 && s.EarlyRefreshes+s.Loads > 0 {
						t.Errorf("%d, which owns nothing, has loaded %d times", i, s.Loads)
					}
				}
			})
		})
	}
}
