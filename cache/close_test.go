package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// calls are all methods that return an error, with no key and with some.
var calls = map[string]func(context.Context, *stringCache) error{
	"Get":       func(ctx context.Context, c *stringCache) error { _, err := c.Get(ctx, "k"); return err },
	"Refresh":   func(ctx context.Context, c *stringCache) error { _, err := c.Refresh(ctx, "k"); return err },
	"GetMany":   func(ctx context.Context, c *stringCache) error { _, err := c.GetMany(ctx, []string{"k"}); return err },
	"GetMany 0": func(ctx context.Context, c *stringCache) error { _, err := c.GetMany(ctx, nil); return err },
	"Set":       func(ctx context.Context, c *stringCache) error { return c.Set(ctx, "k", cache.Entry[string]{}) },
	"Remove":    func(ctx context.Context, c *stringCache) error { return c.Remove(ctx, "k") },
	"Remove 0":  func(ctx context.Context, c *stringCache) error { return c.Remove(ctx) },
	"Clear":     func(ctx context.Context, c *stringCache) error { return c.Clear(ctx) },
}

func TestCloseEndsEveryMethodAndIsIdempotent(t *testing.T) {
	var o source
	peers := &fakePeers{t: t}
	c := open(t, stringConfig{Load: o.load, Name: "users", Peers: peers})
	wantGet(t, c, "k", "k#1")
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for name, call := range calls {
		if err := call(t.Context(), c); err != cache.ErrClosed {
			t.Errorf("%s returns %v, want ErrClosed", name, err)
		}
	}
	wantPeek(t, c, "k", "")
	wantLoads(t, &o, "k", 1)
	if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 {
		t.Errorf("%d entries with %d bytes are left", s.Entries, s.Bytes)
	}
	if peers.responder("users") != nil {
		t.Error("other instances can still ask it")
	}
}

func TestCloseConcurrently(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load, TTL: 1, Stale: time.Hour})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 300 {
				if v, err := c.Get(t.Context(), fmt.Sprint(i)); err != nil && err != cache.ErrClosed {
					t.Errorf("Get = %q, %v", v, err)
				}
				if w == 0 && i == 200 {
					_ = c.Close()
				}
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Entries != 0 || s.Flights != 0 {
		t.Errorf("%d entries, %d flights after Close", s.Entries, s.Flights)
	}
}

// All who wait, for whatever, get ErrClosed at once, and the loads' contexts end.
func TestCloseReleasesWhoWaits(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		for _, fenced := range []string{"", "Remove", "Clear", "Set"} {
			t.Run(fmt.Sprintf("the loader heeds its context: %v, invalidated by %q", heeds, fenced), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					begin := time.Now()
					var mu sync.Mutex
					loads, cancelled := 0, 0
					c, err := cache.New(stringConfig{MaxLoads: 2, LoadTimeout: time.Minute, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
						mu.Lock()
						loads++
						mu.Unlock()
						<-ctx.Done()
						mu.Lock()
						if time.Since(begin) == time.Second {
							cancelled++
						}
						mu.Unlock()
						if !heeds {
							time.Sleep(time.Hour)
						}
						return cache.Entry[string]{}, ctx.Err()
					}})
					if err != nil {
						t.Fatal(err)
					}
					var wg sync.WaitGroup
					for _, call := range []string{"Get", "Get", "Refresh", "GetMany"} {
						wg.Go(func() {
							err := calls[call](t.Context(), c)
							if !errors.Is(err, cache.ErrClosed) || time.Since(begin) != time.Second {
								t.Errorf("%s: %v after %v; want ErrClosed after 1 s", call, err, time.Since(begin))
							}
						})
					}
					for i := range 3 { // more than MaxLoads
						wg.Go(func() {
							_, err := c.Get(t.Context(), fmt.Sprint(i))
							if err != cache.ErrClosed || time.Since(begin) != time.Second {
								t.Errorf("another key: %v after %v; want ErrClosed after 1 s", err, time.Since(begin))
							}
						})
					}
					synctest.Wait()
					if fenced != "" {
						if err := calls[fenced](t.Context(), c); err != nil {
							t.Error(err)
						}
					}
					time.Sleep(time.Second)
					if err := c.Close(); err != nil || time.Since(begin) != time.Second {
						t.Errorf("Close: %v after %v", err, time.Since(begin)-time.Second)
					}
					wg.Wait()
					synctest.Wait()
					mu.Lock()
					// One that waited for its turn may get it while the others end.
					if cancelled != loads || loads < 2 {
						t.Errorf("the contexts of %d of %d loads ended with Close, want all of at least 2", cancelled, loads)
					}
					mu.Unlock()
					time.Sleep(2 * time.Hour)
					if s := c.Stats(); s.Flights != 0 || cancelled != loads {
						t.Errorf("%d flights and %d loads in the end; want 0 and %d", s.Flights, loads, cancelled)
					}
				})
			})
		}
	}
}

func TestCloseEndsARefreshBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{}
		c := open(t, stringConfig{Load: o.load, TTL: time.Second, Stale: time.Minute})
		wantGet(t, c, "k", "k#1")
		time.Sleep(time.Second)
		o.set(func(o *source) { o.took = time.Hour })
		begin := time.Now()
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		if s := c.Stats(); s.Flights != 1 {
			t.Errorf("%d flights, want 1", s.Flights)
		}
		_ = c.Close()
		synctest.Wait()
		if s := c.Stats(); s.Flights != 0 || s.LoadErrors != 1 || time.Since(begin) != 0 {
			t.Errorf("%d flights, %d loads ended by Close; want 0 and 1", s.Flights, s.LoadErrors)
		}
	})
}
