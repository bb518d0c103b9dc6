package cache_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

func inlineCache(t *testing.T, load func(ctx context.Context, key string) (string, error)) *cache.Cache[string, string] {
	t.Helper()
	c, err := cache.New(cache.Config[string, string]{Load: cache.LoadFunc(load), InlineLoads: true, LoadTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// goroutine returns the calling goroutine's number.
func goroutine() string {
	b := make([]byte, 32)
	return string(b[:runtime.Stack(b, false)][:20])
}

func TestInlineLoadsRunWhereTheContextCannotEnd(t *testing.T) {
	var on string
	c := inlineCache(t, func(context.Context, string) (string, error) {
		on = goroutine()
		return "v", nil
	})
	if v, err := c.Get(context.Background(), "a"); v != "v" || err != nil || on != goroutine() {
		t.Errorf("%q, %v, on %q, want %q", v, err, on, goroutine())
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if v, err := c.Get(ctx, "b"); v != "v" || err != nil || on == goroutine() {
		t.Errorf("%q, %v, on the caller's goroutine, who may leave", v, err)
	}
	if loads := c.Stats().Loads; loads != 2 {
		t.Errorf("%d loads", loads)
	}
}

// Those who join an inline load share what it brings, and leave on their own contexts.
func TestG2InlineLoadsAreJoinedAndLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inlineCache(t, func(ctx context.Context, _ string) (string, error) {
			time.Sleep(10 * time.Second)
			return "v", ctx.Err()
		})
		var wg sync.WaitGroup
		begun := time.Now()
		wg.Go(func() {
			if v, err := c.Get(context.Background(), "k"); v != "v" || err != nil {
				t.Errorf("who loads: %q, %v", v, err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if v, err := c.Get(context.Background(), "k"); v != "v" || err != nil {
				t.Errorf("who waits: %q, %v", v, err)
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if _, err := c.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Second {
				t.Errorf("who leaves: %v after %v", err, time.Since(begun))
			}
		})
		wg.Wait()
		if loads := c.Stats().Loads; loads != 1 {
			t.Errorf("%d loads", loads)
		}
	})
}

func TestInlineLoadsEndWithTheirContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inlineCache(t, func(ctx context.Context, _ string) (string, error) {
			if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) != time.Minute {
				t.Errorf("the deadline is in %v", time.Until(deadline))
			}
			<-ctx.Done()
			return "", ctx.Err()
		})
		begun := time.Now()
		if _, err := c.Get(context.Background(), "k"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		time.AfterFunc(time.Second, func() { c.Close() })
		begun = time.Now()
		if _, err := c.Get(context.Background(), "k"); err == nil || time.Since(begun) != time.Second {
			t.Errorf("%v after %v, want the end of what Close ends", err, time.Since(begun))
		}
	})
}

// Whoever waits for an inline load is not held by a loader that heeds nothing, even if it is the loader itself that waits.
func TestG5InlineLoadsHoldNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := inlineCache(t, func(context.Context, string) (string, error) {
			<-release
			return "late", nil
		})
		begun := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = c.Get(context.Background(), "k") })
		synctest.Wait()
		time.Sleep(time.Second)
		for name, get := range map[string]func() error{
			"Get":     func() error { _, err := c.Get(context.Background(), "k"); return err },
			"GetMany": func() error { _, err := c.GetMany(context.Background(), []string{"k", "k"}); return err },
		} {
			wg.Go(func() {
				if err := get(); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Minute {
					t.Errorf("%s: %v after %v", name, err, time.Since(begun))
				}
			})
		}
		time.Sleep(2 * time.Minute)
		close(release)
		wg.Wait()

		var itself *cache.Cache[string, string]
		itself = inlineCache(t, func(_ context.Context, key string) (string, error) { return itself.Get(context.Background(), key) })
		begun = time.Now()
		if _, err := itself.Get(context.Background(), "k"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != time.Minute {
			t.Errorf("a loader that waits for itself: %v after %v", err, time.Since(begun))
		}
	})
}

func TestG3InlineLoadsThatCrash(t *testing.T) {
	c := inlineCache(t, func(_ context.Context, key string) (string, error) {
		if key == "exits" {
			runtime.Goexit()
		}
		panic("no " + key)
	})
	func() {
		defer func() {
			if pe, ok := recover().(*singleflight.PanicError); !ok || pe.Value != "no a" {
				t.Error("the caller does not panic with what the loader panicked with")
			}
		}()
		_, err := c.Get(context.Background(), "a")
		t.Errorf("Get returned %v", err)
	}()
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, err := c.Get(context.Background(), "exits")
		t.Errorf("Get returned %v", err)
	}()
	<-over
	if s := c.Stats(); s.LoadPanics != 2 || s.Loads != 2 {
		t.Errorf("%d panics of %d loads", s.LoadPanics, s.Loads)
	}
}

// The values of the caller's context are the loader's, and its context derives as any other.
func TestLoadContext(t *testing.T) {
	type tenant struct{}
	for _, inline := range []bool{false, true} {
		c, err := cache.New(cache.Config[string, string]{InlineLoads: inline, Load: cache.LoadFunc(func(ctx context.Context, _ string) (string, error) {
			child, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			deadline, _ := child.Deadline()
			if own, ok := ctx.Deadline(); !ok || deadline != own {
				t.Errorf("inline %v: a child ends %v, and the context %v", inline, deadline, own)
			}
			if err := errors.Join(ctx.Err(), child.Err()); err != nil {
				t.Error(err)
			}
			return ctx.Value(tenant{}).(string), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if v, err := c.Get(context.WithValue(context.Background(), tenant{}, "t1"), "k"); v != "t1" || err != nil {
			t.Errorf("inline %v: %q, %v", inline, v, err)
		}
	}
}
