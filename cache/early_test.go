package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// hurry calls get every millisecond until it has had a value of c's refreshed early, for at most d, and reports whether it did.
func hurry(c *cache.Cache[string, string], d time.Duration, get func()) bool {
	before := c.Stats().EarlyRefreshes
	for begin := time.Now(); time.Since(begin) < d; time.Sleep(time.Millisecond) {
		if get(); c.Stats().EarlyRefreshes > before {
			return true
		}
	}
	return false
}

func TestG1OneEarlyRefreshAtATimeAndNobodyWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: 2 * time.Second}
		c := open(t, stringConfig{TTL: 20 * time.Second, Load: o.load})
		wantGet(t, c, "k", "k#1")
		stored := time.Now()
		get := func() {
			before := time.Now()
			wantGet(t, c, "k", "k#1")
			if time.Since(before) != 0 {
				t.Errorf("a Get took %v", time.Since(before))
			}
		}
		if !hurry(c, 20*time.Second, get) || time.Since(stored) < 10*time.Second {
			t.Fatalf("refreshed after %v, want it in the second half of 20 s", time.Since(stored))
		}
		for begun := time.Now(); time.Since(begun) < 2*time.Second; time.Sleep(time.Millisecond) {
			get()
		}
		synctest.Wait()
		wantGet(t, c, "k", "k#2")
		wantLoads(t, &o, "k", 2)
		if s := c.Stats(); s.Refreshes != 1 || s.EarlyRefreshes != 1 || s.StaleHits != 0 || s.Misses != 1 {
			t.Errorf("%+v; want one refresh, and one miss", s)
		}
		// What it brought has all of its time before it.
		time.Sleep(10*time.Second - time.Millisecond)
		if hurry(c, 5*time.Millisecond, func() { wantGet(t, c, "k", "k#2") }) {
			t.Error("it was refreshed again in the first half of its time")
		}
	})
}

// What is asked for in the last moment only, or when it is over, joins the refresh.
func TestG1WhoComesTooLateJoinsTheEarlyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: 2 * time.Second}
		c := open(t, stringConfig{TTL: 10 * time.Second, Load: o.load})
		wantGet(t, c, "k", "k#1")
		end := time.Now().Add(10 * time.Second)
		time.Sleep(9900 * time.Millisecond)
		if !hurry(c, time.Second/10, func() { wantGet(t, c, "k", "k#1") }) {
			t.Fatal("it was not refreshed")
		}
		begun := time.Now()
		time.Sleep(time.Until(end))
		wantGet(t, c, "k", "k#2")
		if time.Since(begun) != 2*time.Second {
			t.Errorf("the value came %v after the refresh began, want 2 s", time.Since(begun))
		}
		wantLoads(t, &o, "k", 2)
	})
}

func TestG7AFailedEarlyRefreshLeavesTheValueUntilItsTimeIsOver(t *testing.T) {
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprint("LoadMany: ", many), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := source{took: 2 * time.Second}
				cfg := stringConfig{TTL: 20 * time.Second, Load: o.load}
				keys := []string{"k"}
				if many {
					keys, cfg.LoadMany = []string{"k", "l"}, o.loadMany
				}
				c := open(t, cfg)
				if _, err := c.GetMany(t.Context(), keys); err != nil {
					t.Fatal(err)
				}
				stored := time.Now()
				down := errors.New("the origin is down")
				o.set(func(o *source) { o.fails, o.took = down, time.Millisecond })
				for time.Since(stored) < 20*time.Second {
					if got, err := c.GetMany(t.Context(), keys); got["k"] != "k#1" || err != nil {
						t.Fatalf("after %v: %q, %v", time.Since(stored), got, err)
					}
					time.Sleep(time.Millisecond)
				}
				if n := o.count("k"); n < 4 || n > 12 {
					t.Errorf("%d loads; want one a second at most in the last half of the time, and not one each Get", n)
				}
				if v, err := c.Get(t.Context(), "k"); err != down {
					t.Errorf("past its time: %q, %v; want the loader's error", v, err)
				}
			})
		})
	}
}

// A fence that comes while a value is refreshed early keeps what that brings from being stored.
func TestG4AnEarlyRefreshThatBeganBeforeARemoveIsNotStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: 2 * time.Second}
		c := open(t, stringConfig{TTL: 20 * time.Second, Load: o.load})
		wantGet(t, c, "k", "k#1")
		if !hurry(c, 20*time.Second, func() { wantGet(t, c, "k", "k#1") }) {
			t.Fatal("it was not refreshed")
		}
		time.Sleep(time.Second)
		if err := c.Remove(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		wantGet(t, c, "k", "k#3")
		time.Sleep(time.Second)
		wantPeek(t, c, "k", "k#3")
	})
}

func TestG7WhatIsRefreshedEarly(t *testing.T) {
	took := func(c *stringConfig) { c.TTL = 10 * time.Second }
	for _, tt := range []struct {
		name   string
		change func(*stringConfig)
		source *source
		early  bool
	}{
		{"a value", took, &source{took: time.Second}, true},
		{"a value of its own TTL", func(*stringConfig) {}, &source{took: time.Second, entry: cache.Entry[string]{TTL: 10 * time.Second}}, true},
		{"with Jitter", func(c *stringConfig) { c.TTL, c.Jitter = 10*time.Second, 0.01 }, &source{took: time.Second}, true},
		{"with Stale", func(c *stringConfig) { c.TTL, c.Stale = 10*time.Second, time.Minute }, &source{took: time.Second}, true},
		{"that there is none", func(c *stringConfig) { c.Negative = 10 * time.Second }, &source{took: time.Second, fails: cache.ErrNotFound}, true},
		{"not if its load takes no time", took, &source{}, false},
		{"not with a negative Stale", func(c *stringConfig) { c.TTL, c.Stale = 10*time.Second, -1 }, &source{took: time.Second}, false},
		{"not if the entry's Stale is negative", took, &source{took: time.Second, entry: cache.Entry[string]{Stale: -1}}, false},
		{"if the entry's Stale alone is not", func(c *stringConfig) { c.TTL, c.Stale = 10*time.Second, -1 }, &source{took: time.Second, entry: cache.Entry[string]{Stale: 1}}, true},
		{"not that there is none, with a negative Stale", func(c *stringConfig) { c.Negative, c.Stale = 10*time.Second, -1 }, &source{took: time.Second, fails: cache.ErrNotFound}, false},
		{"not what does not expire", func(*stringConfig) {}, &source{took: time.Second}, false},
		{"not what was not kept", func(*stringConfig) {}, &source{took: time.Second, entry: cache.Entry[string]{TTL: -1}}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := stringConfig{Load: tt.source.load}
				tt.change(&cfg)
				c := open(t, cfg)
				get := func() { _, _ = c.Get(t.Context(), "k") }
				get()
				if got := hurry(c, 9800*time.Millisecond, get); got != tt.early {
					t.Errorf("refreshed early: %v, want %v", got, tt.early)
				}
			})
		})
	}
}

// What was given by Set, or has a lease, is not refreshed early: nobody knows what its load takes, or whose it is.
func TestG7WhatSetGaveAndWhatWasTakenOverIsNotRefreshedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Second}
		cfg := stringConfig{TTL: 10 * time.Second, Load: o.load}
		c := open(t, cfg)
		if err := c.Set(t.Context(), "k", cache.Entry[string]{Value: "set"}); err != nil {
			t.Fatal(err)
		}
		if hurry(c, 9900*time.Millisecond, func() { wantGet(t, c, "k", "set") }) {
			t.Error("what Set gave was refreshed early")
		}
		owner := &fakePeer{addr: "owner", get: failing(errDown)}
		c, _ = asking(t, cfg, owner, nil)
		wantGet(t, c, "k", "k#1")
		if hurry(c, 9900*time.Millisecond, func() { wantGet(t, c, "k", "k#1") }) {
			t.Error("what was taken over was refreshed early")
		}
	})
}

// Those that one LoadMany brought are refreshed by one, if they are asked for together.
func TestG1EarlyRefreshesOfManyKeysAreOneLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls, keys := 0, []string{"a", "b", "c", "d"}
		c := open(t, stringConfig{TTL: 20 * time.Second, Load: loadNothing[string], LoadMany: func(ctx context.Context, keys []string) (map[string]cache.Entry[string], error) {
			calls++
			got := make(map[string]cache.Entry[string])
			for _, k := range keys {
				got[k] = cache.Entry[string]{Value: k}
			}
			return got, pause(ctx, time.Second)
		}})
		get := func() {
			if got, err := c.GetMany(t.Context(), keys); len(got) != len(keys) || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		get()
		if !hurry(c, 20*time.Second, get) {
			t.Fatal("they were not refreshed")
		}
		time.Sleep(2 * time.Second)
		if s := c.Stats(); calls != 2 || s.EarlyRefreshes != 4 || s.Loads != 8 {
			t.Errorf("%d calls of LoadMany, %d early refreshes, %d loads; want 2, 4, 8", calls, s.EarlyRefreshes, s.Loads)
		}
	})
}

// Other instances' requests have a value refreshed as callers here do, be they answered by Hit or by Get.
func TestG1EarlyRefreshForOtherInstances(t *testing.T) {
	for _, byHit := range []bool{true, false} {
		t.Run(fmt.Sprint("Hit: ", byHit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := source{took: time.Second}
				c, r := serving(t, stringConfig{TTL: 20 * time.Second, Load: o.load})
				request(t, t.Context(), r, cache.GetRequest{}, "k")
				declined := 0
				ask := func() {
					if byHit {
						if a, ok := hit(r, "k"); ok {
							if a.TTL <= 0 || string(a.Value) != "k#1" {
								t.Errorf("answer: %+v", a)
							}
							return
						}
						declined++
					}
					if a := request(t, t.Context(), r, cache.GetRequest{}, "k")[0]; string(a.Value) != "k#1" || a.Loaded {
						t.Errorf("answer: %+v", a)
					}
				}
				if !hurry(c, 19*time.Second, ask) {
					t.Fatal("it was not refreshed")
				}
				for range 10 {
					ask()
				}
				if byHit && declined != 1 {
					t.Errorf("Hit left %d requests to Get, want the one that has it refreshed", declined)
				}
				time.Sleep(time.Second)
				synctest.Wait()
				wantLoads(t, &o, "k", 2)
			})
		})
	}
}

// Who only looks does not have anything refreshed.
func TestG7PeeksRefreshNothingEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Second}
		c, r := serving(t, stringConfig{TTL: 10 * time.Second, Load: o.load})
		request(t, t.Context(), r, cache.GetRequest{}, "k")
		if hurry(c, 9*time.Second, func() {
			wantPeek(t, c, "k", "k#1")
			request(t, t.Context(), r, cache.GetRequest{Peek: true}, "k")
		}) {
			t.Error("it was refreshed")
		}
	})
}
