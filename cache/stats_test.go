package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Each step changes the figures that it names, and no others.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		c := open(t, stringConfig{TTL: 10 * time.Second, Stale: 10 * time.Second, MaxBytes: cache.MinMaxBytes, Load: o.load})
		ctx := t.Context()
		var sum cache.Stats
		check := func(step string, change func(*cache.Stats)) {
			t.Helper()
			synctest.Wait()
			change(&sum)
			got := c.Stats()
			sum.MaxBytes, sum.Bytes = cache.MinMaxBytes, got.Bytes // Bytes has tests of its own
			if got != sum {
				t.Errorf("%s:\ngot  %+v\nwant %+v", step, got, sum)
			}
			sum = got // the next step is judged by itself
		}
		check("at first", func(*cache.Stats) {})
		_, _ = c.Get(ctx, "a")
		check("a miss", func(s *cache.Stats) { s.Misses++; s.Loads++; s.Entries++ })
		_, _ = c.Get(ctx, "a")
		check("a hit", func(s *cache.Stats) { s.Hits++ })
		_, _ = c.Refresh(ctx, "a")
		check("Refresh", func(s *cache.Stats) { s.Loads++ })
		_, _ = c.GetMany(ctx, []string{"a", "b", "c"})
		check("GetMany", func(s *cache.Stats) { s.Hits++; s.Misses += 2; s.Loads += 2; s.Entries += 2 })
		_ = c.Set(ctx, "d", cache.Entry[string]{Value: "D"})
		check("Set", func(s *cache.Stats) { s.Sets++; s.Entries++ })
		_ = c.Remove(ctx, "c", "d", "x")
		check("Remove", func(s *cache.Stats) { s.Removes += 3; s.Entries -= 2 })
		_ = c.Set(ctx, "b", cache.Entry[string]{Value: strings.Repeat("b", cache.MinMaxBytes)})
		check("Set of what is too large", func(s *cache.Stats) { s.Sets++; s.Rejected++; s.Entries-- })
		time.Sleep(10 * time.Second)
		_, _ = c.Get(ctx, "a")
		check("a stale hit", func(s *cache.Stats) { s.StaleHits++; s.Refreshes++; s.Loads++ })
		time.Sleep(20 * time.Second)
		o.set(func(o *source) { o.fails = errors.New("no luck") })
		_, _ = c.Get(ctx, "a")
		check("an error, of what has expired", func(s *cache.Stats) { s.Misses++; s.Expired++; s.Loads++; s.LoadErrors++; s.Entries-- })
		o.set(func(o *source) { o.fails = cache.ErrNotFound })
		_, _ = c.Get(ctx, "a")
		check("not found", func(s *cache.Stats) { s.Misses++; s.Loads++ })
		o.set(func(o *source) { o.fails, o.took = nil, time.Second })
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _, _ = c.Get(ctx, "a") })
		}
		check("a load under way", func(s *cache.Stats) { s.Misses += 3; s.Loads++; s.Joins += 2; s.Flights++ })
		wg.Wait()
		check("which ends", func(s *cache.Stats) { s.Flights--; s.Entries++ })
		_ = c.Clear(ctx)
		check("Clear", func(s *cache.Stats) { s.Clears++; s.Entries-- })
		if got := c.Stats().Bytes; got != 0 {
			t.Errorf("%d bytes are held by nothing", got)
		}
	})
}

func TestStatsOfAPanic(t *testing.T) {
	c := open(t, stringConfig{Load: func(context.Context, string) (cache.Entry[string], error) { panic("no luck") }})
	ends(func() { _, _ = c.Get(t.Context(), "a") })
	s := c.Stats()
	s.MaxBytes = 0
	if want := (cache.Stats{Misses: 1, Loads: 1, LoadPanics: 1}); s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}
