package cache_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// inParts loads a value whose first part is there after a second, and all of it after ten.
func inParts(loads *atomic.Int32, fails error) func(context.Context, string) (cache.Entry[string], error) {
	return func(ctx context.Context, key string) (cache.Entry[string], error) {
		loads.Add(1)
		err := pause(ctx, time.Second)
		return cache.Entry[string]{Value: "part", Tags: []string{"tag"}, Rest: func(ctx context.Context) (cache.Entry[string], error) {
			if err := pause(ctx, 9*time.Second); err != nil {
				return cache.Entry[string]{}, err
			}
			return cache.Entry[string]{Value: "all", Tags: []string{"tag"}}, fails
		}}, err
	}
}

func TestRestGivesWhatThereIs(t *testing.T) {
	var loads atomic.Int32
	inFleet(t, 3, func(_ int, c *config) { c.Load = inParts(&loads, nil); c.MaxLoads = 1 }, func(f *fleet) {
		key := f.ownedBy(0)
		begun := time.Now()
		var wg sync.WaitGroup
		for _, c := range f.caches {
			for range 3 {
				wg.Go(func() { wantGet(f.t, c, key, "part") })
			}
		}
		wg.Wait()
		if took := time.Since(begun); took != time.Second {
			f.t.Errorf("those who waited had what there was after %v, want 1s", took)
		}
		time.Sleep(4 * time.Second)
		for _, c := range f.caches {
			wantGet(f.t, c, key, "part")
			if _, ok := c.Peek(key); ok {
				f.t.Errorf("a part is kept")
			}
		}
		if took := time.Since(begun); took != 5*time.Second {
			f.t.Errorf("those who came later waited for %v", took-5*time.Second)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		for _, c := range f.caches {
			wantGet(f.t, c, key, "all")
		}
		if loads.Load() != 1 {
			f.t.Errorf("%d loads, want 1", loads.Load())
		}
	})
}

// An invalidation while Rest runs: what it returns is not stored, and nobody gets what there was before.
func TestG4RestThatWasOvertaken(t *testing.T) {
	for name, invalidate := range map[string]func(c *cache.Cache[string, string], key string) error{
		"Remove": func(c *cache.Cache[string, string], key string) error { return c.Remove(context.Background(), key) },
		"RemoveTag": func(c *cache.Cache[string, string], key string) error {
			return c.RemoveTag(context.Background(), "tag")
		},
		"Clear": func(c *cache.Cache[string, string], key string) error { return c.Clear(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			var loads atomic.Int32
			inFleet(t, 2, func(_ int, c *config) { c.Load = inParts(&loads, nil) }, func(f *fleet) {
				key := f.ownedBy(0)
				wantGet(f.t, f.caches[1], key, "part")
				time.Sleep(time.Second)
				if err := invalidate(f.caches[1], key); err != nil {
					f.t.Fatal(err)
				}
				wantGet(f.t, f.caches[1], key, "part")
				if loads.Load() != 2 {
					f.t.Errorf("%d loads, want a second one for who came after the %s", loads.Load(), name)
				}
				time.Sleep(8 * time.Second) // the first one has ended
				synctest.Wait()
				if v, ok := f.caches[0].Peek(key); ok {
					f.t.Errorf("%q is kept, of a load that began before the %s", v, name)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if v, ok := f.caches[0].Peek(key); !ok || v != "all" {
					f.t.Errorf("Peek = %q, %v; want what the second load brought", v, ok)
				}
			})
		})
	}
}

func TestRestThatFailsKeepsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var loads atomic.Int32
		c := open(t, stringConfig{Load: inParts(&loads, errors.New("cut short"))})
		for want := range int32(2) {
			wantGet(t, c, "k", "part")
			if loads.Load() != want+1 {
				t.Errorf("%d loads, want %d", loads.Load(), want+1)
			}
			time.Sleep(10 * time.Second)
			synctest.Wait()
		}
	})
}

func TestG3RestThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		c := open(t, stringConfig{Load: func(context.Context, string) (cache.Entry[string], error) {
			loads++
			return cache.Entry[string]{Value: "part", Rest: func(context.Context) (cache.Entry[string], error) { panic("rest") }}, nil
		}})
		for range 2 {
			wantGet(t, c, "k", "part")
			synctest.Wait()
		}
		if loads != 2 {
			t.Errorf("%d loads, want 2: the key is free again", loads)
		}
	})
}

// Rest is not ended by its callers' leaving, nor by LoadTimeout: by Close alone.
func TestRestEndsWithClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		c := open(t, stringConfig{LoadTimeout: time.Second, Load: func(context.Context, string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: "part", Rest: func(ctx context.Context) (cache.Entry[string], error) {
				<-ctx.Done()
				ended <- ctx.Err()
				return cache.Entry[string]{}, ctx.Err()
			}}, nil
		}})
		wantGet(t, c, "k", "part")
		time.Sleep(time.Hour)
		wantGet(t, c, "k", "part")
		select {
		case err := <-ended:
			t.Errorf("it was ended: %v", err)
		default:
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != context.Canceled {
			t.Errorf("after Close: %v", err)
		}
	})
}

func TestRestWhereThereMayBeNone(t *testing.T) {
	rest := func(context.Context) (cache.Entry[string], error) { return cache.Entry[string]{Value: "all"}, nil }
	c := open(t, stringConfig{
		Load: func(context.Context, string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: "part", Rest: func(context.Context) (cache.Entry[string], error) {
				return cache.Entry[string]{Value: "more", Rest: rest}, nil
			}}, nil
		},
		LoadMany: func(context.Context, []string) (map[string]cache.Entry[string], error) {
			return map[string]cache.Entry[string]{"a": {Value: "part", Rest: rest}, "b": {Value: "all"}}, nil
		},
	})
	if err := c.Set(t.Context(), "k", cache.Entry[string]{Rest: rest}); err == nil || !strings.Contains(err.Error(), "Rest") {
		t.Errorf("Set: %v", err)
	}
	got, err := c.GetMany(t.Context(), []string{"a", "b"})
	var many *cache.ManyError
	if !errors.As(err, &many) || many.Errors["a"] == nil || many.Errors["b"] != nil || got["b"] != "all" {
		t.Errorf("GetMany = %v, %v", got, err)
	}
	wantGet(t, c, "k", "part")
	if v, ok := c.Peek("k"); ok {
		t.Errorf("%q is kept", v)
	}
}
