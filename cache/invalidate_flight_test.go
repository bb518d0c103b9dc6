package cache_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// An invalidation of "k", and what Get returns afterwards if it ended while load 1 was under way.
var invalidations = []struct {
	name string
	do   func(context.Context, *stringCache) error
	want string
}{
	{"Remove", func(ctx context.Context, c *stringCache) error { return c.Remove(ctx, "k") }, "k#2"},
	{"Remove of many", func(ctx context.Context, c *stringCache) error { return c.Remove(ctx, "a", "k", "z") }, "k#2"},
	{"Clear", func(ctx context.Context, c *stringCache) error { return c.Clear(ctx) }, "k#2"},
	{"RemoveTag", func(ctx context.Context, c *stringCache) error { return c.RemoveTag(ctx, "tag of k", "tag of z") }, "k#2"},
	{"Set", func(ctx context.Context, c *stringCache) error {
		return c.Set(ctx, "k", cache.Entry[string]{Value: "set"})
	}, "set"},
	{"Set of what is not kept", func(ctx context.Context, c *stringCache) error {
		return c.Set(ctx, "k", cache.Entry[string]{Value: "set", TTL: -1})
	}, "k#2"},
}

func TestG4InvalidationOfWhatIsInMemoryOneInstance(t *testing.T) {
	for _, tt := range invalidations {
		t.Run(tt.name, func(t *testing.T) {
			o := source{tags: true}
			c := open(t, stringConfig{Load: o.load})
			wantGet(t, c, "k", "k#1")
			wantGet(t, c, "other", "other#1")
			if err := tt.do(t.Context(), c); err != nil {
				t.Error(err)
			}
			wantGet(t, c, "k", tt.want)
			if tt.name != "Clear" {
				wantPeek(t, c, "other", "other#1")
			} else {
				wantPeek(t, c, "other", "")
			}
		})
	}
}

func TestG4InvalidationOfALoadInFlightOneInstance(t *testing.T) {
	for _, tt := range invalidations {
		for name, begin := range map[string]func(context.Context, *stringCache) error{
			"Get":     func(ctx context.Context, c *stringCache) error { _, err := c.Get(ctx, "k"); return err },
			"Refresh": func(ctx context.Context, c *stringCache) error { _, err := c.Refresh(ctx, "k"); return err },
			"GetMany": func(ctx context.Context, c *stringCache) error {
				_, err := c.GetMany(ctx, []string{"k", "other"})
				return err
			},
		} {
			for _, many := range []bool{false, true} {
				t.Run(fmt.Sprint(tt.name, " against ", name, ", LoadMany: ", many), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						o := source{took: 2 * time.Second, tags: true}
						cfg := stringConfig{Load: o.load}
						if many {
							cfg.LoadMany = o.loadMany
						}
						c := open(t, cfg)
						var wg sync.WaitGroup
						for range 2 {
							wg.Go(func() {
								if err := begin(t.Context(), c); err != nil {
									t.Errorf("a waiter got %v, want its value", err)
								}
							})
						}
						time.Sleep(time.Second)
						if err := tt.do(t.Context(), c); err != nil {
							t.Error(err)
						}
						for range 2 { // they join each other, and not the load that is under way
							wg.Go(func() { wantGet(t, c, "k", tt.want) })
						}
						time.Sleep(time.Second)
						synctest.Wait()
						wantPeek(t, c, "k", map[string]string{"set": "set"}[tt.want]) // the first load has ended
						wg.Wait()
						wantPeek(t, c, "k", tt.want)
					})
				})
			}
		}
	}
}

func (o *source) loadMany(ctx context.Context, keys []string) (map[string]cache.Entry[string], error) {
	entries := make(map[string]cache.Entry[string])
	for i, k := range keys {
		o.mu.Lock()
		took := o.took
		if i > 0 {
			o.took = 0 // they take their time together
		}
		o.mu.Unlock()
		e, err := o.load(ctx, k)
		o.set(func(o *source) { o.took = took })
		if err != nil {
			return nil, err
		}
		entries[k] = e
	}
	return entries, nil
}

// The family's caches have the old value back after Remove has returned.
func TestFamilyRemoveBeatsLoadInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Second}
		c := open(t, stringConfig{Load: o.load})
		var wg sync.WaitGroup
		wg.Go(func() { wantGet(t, c, "k", "k#1") })
		synctest.Wait()
		if err := c.Remove(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		wg.Wait()
		wantPeek(t, c, "k", "")
		wantGet(t, c, "k", "k#2")
	})
}

// A refresh behind that is under way must not undo an invalidation either.
func TestG4InvalidationOfARefreshInFlightOneInstance(t *testing.T) {
	for _, tt := range invalidations {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := source{tags: true}
				c := open(t, stringConfig{Load: o.load, TTL: time.Second, Stale: time.Hour})
				wantGet(t, c, "k", "k#1")
				time.Sleep(time.Second)
				o.set(func(o *source) { o.took = time.Minute })
				wantGet(t, c, "k", "k#1")
				synctest.Wait()
				wantLoads(t, &o, "k", 2)
				o.set(func(o *source) { o.took = 0 })
				if err := tt.do(t.Context(), c); err != nil {
					t.Error(err)
				}
				want := strings.Replace(tt.want, "#2", "#3", 1)
				wantGet(t, c, "k", want)
				time.Sleep(2 * time.Minute)
				wantPeek(t, c, "k", want)
			})
		})
	}
}

func TestFamilyConcurrentSetsAreNotCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, stringConfig{Load: loadNothing[string]})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				if err := c.Set(t.Context(), "k", cache.Entry[string]{Value: fmt.Sprint(i)}); err != nil {
					t.Error(err)
				}
				own := fmt.Sprint("own ", i)
				if err := c.Set(t.Context(), own, cache.Entry[string]{Value: own}); err != nil {
					t.Error(err)
				}
				wantPeek(t, c, own, own)
			})
		}
		wg.Wait()
		if err := c.Set(t.Context(), "k", cache.Entry[string]{Value: "last"}); err != nil {
			t.Error(err)
		}
		wantPeek(t, c, "k", "last")
		if s := c.Stats(); s.Sets != 101 || s.Entries != 51 {
			t.Errorf("%d sets, %d entries; want 101 and 51", s.Sets, s.Entries)
		}
	})
}
