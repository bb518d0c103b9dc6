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

func TestGetLoadsOnAMissAndNotOnAHit(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load})
	for range 3 {
		wantGet(t, c, "a", "a#1")
		wantGet(t, c, "b", "b#1")
	}
	wantLoads(t, &o, "a", 1)
	wantLoads(t, &o, "b", 1)
}

func TestG1OneLoadForAllWhoAskAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Second}
		c := open(t, stringConfig{Load: o.load})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { wantGet(t, c, "k", "k#1") })
		}
		wg.Wait()
		wantLoads(t, &o, "k", 1)
		if s := c.Stats(); s.Loads != 1 || s.Joins != 99 {
			t.Errorf("%d loads and %d joins, want 1 and 99", s.Loads, s.Joins)
		}
	})
}

type ctxKey struct{}

func TestG2TheLoadHasTheFirstCallersValuesAndNobodysCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		c := open(t, stringConfig{LoadTimeout: 10 * time.Second, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			if got := ctx.Value(ctxKey{}); got != "first" {
				t.Errorf("value = %v, want the first caller's", got)
			}
			if d, ok := ctx.Deadline(); !ok || d.Sub(begin) != 10*time.Second {
				t.Errorf("deadline after %v, want LoadTimeout and no caller's", d.Sub(begin))
			}
			return cache.Entry[string]{Value: key}, pause(ctx, 3*time.Second)
		}})
		var wg sync.WaitGroup
		get := func(name string, deadline, takes time.Duration, wantErr error) {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), ctxKey{}, name), deadline)
				defer cancel()
				_, err := c.Get(ctx, "k")
				if !errors.Is(err, wantErr) || time.Since(begin) != takes {
					t.Errorf("%s: %v after %v; want %v after %v", name, err, time.Since(begin), wantErr, takes)
				}
			})
			synctest.Wait()
		}
		get("first", time.Second, time.Second, context.DeadlineExceeded)
		get("second", 5*time.Second, 3*time.Second, nil)
		get("third", 2*time.Second, 2*time.Second, context.DeadlineExceeded)
		wg.Wait()
		wantPeek(t, c, "k", "k")
	})
}

func TestG2TheLoadIsCancelledWhenTheLastWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		loads := 0
		c := open(t, stringConfig{Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			loads++
			if loads > 1 {
				return cache.Entry[string]{Value: "second"}, nil
			}
			<-ctx.Done()
			if time.Since(begin) != 3*time.Second {
				t.Errorf("cancelled after %v, want 3 s", time.Since(begin))
			}
			return cache.Entry[string]{}, ctx.Err()
		}})
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				if _, err := c.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v", err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		wantGet(t, c, "k", "second") // it does not inherit the cancellation
	})
}

// Who comes while a load that everybody left is on its way out waits for that, and not for its result.
func TestG2WhoComesAfterAllHaveLeftGetsAValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		c := open(t, stringConfig{Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			if loads++; loads == 1 {
				<-ctx.Done()
				time.Sleep(time.Second)
				return cache.Entry[string]{}, ctx.Err()
			}
			return cache.Entry[string]{Value: "second"}, nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("first: %v", err)
		}
		wantGet(t, c, "k", "second")
		if loads != 2 {
			t.Errorf("%d loads, want 2", loads)
		}
	})
}

func TestG5LoadTimeoutHoldsWhateverTheLoaderDoes(t *testing.T) {
	for _, heeds := range []bool{true, false} {
		t.Run(fmt.Sprintf("heeds its context: %v", heeds), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var loads atomic.Int32
				c := open(t, stringConfig{LoadTimeout: 4 * time.Second, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
					switch n := loads.Add(1); {
					case n > 1:
						return cache.Entry[string]{Value: "second"}, nil
					case heeds:
						return cache.Entry[string]{}, pause(ctx, time.Hour)
					}
					time.Sleep(time.Hour)
					return cache.Entry[string]{Value: "too late"}, nil
				}})
				var wg sync.WaitGroup
				for range 3 {
					wg.Go(func() {
						_, err := c.Get(t.Context(), "k")
						if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 4*time.Second {
							t.Errorf("%v after %v; want DeadlineExceeded after 4 s", err, time.Since(begin))
						}
					})
				}
				wg.Wait()
				wantGet(t, c, "k", "second")
				if time.Since(begin) != 4*time.Second {
					t.Errorf("a later Get waited until %v", time.Since(begin))
				}
				time.Sleep(2 * time.Hour) // what comes too late changes nothing
				wantPeek(t, c, "k", "second")
			})
		})
	}
}

func TestG5ALateLoadSaysWhatTookTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, stringConfig{LoadTimeout: time.Second, Load: func(context.Context, string) (cache.Entry[string], error) {
			time.Sleep(time.Hour)
			return cache.Entry[string]{}, nil
		}})
		_, err := c.Get(t.Context(), "some key")
		for _, want := range []string{`"some key"`, "longer than 1s"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not say %s: %v", want, err)
			}
		}
		time.Sleep(time.Hour)
	})
}

func TestG8TheLoadersErrorPassesAsItIsAndIsNotCached(t *testing.T) {
	o := source{fails: errors.New("no luck")}
	c := open(t, stringConfig{Load: o.load, TTL: time.Minute, Stale: time.Minute, Negative: time.Minute})
	for i := range 3 {
		if v, err := c.Get(t.Context(), "k"); err != o.fails || v != "" {
			t.Errorf("Get = %q, %v; want the very error", v, err)
		}
		wantLoads(t, &o, "k", i+1)
	}
	o.set(func(o *source) { o.fails = nil })
	wantGet(t, c, "k", "k#4")
}

func TestG12KeysAreAnyBytes(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load})
	keys := []string{
		"", " ", ".", "..", "/", "a//b", "a b", "a+b", "a%20b", "?a=b#c", "\x00", "\xff\xfe", "ключ", "a\nb",
		strings.Repeat("k", cache.MaxKeyBytes),
	}
	for _, key := range keys {
		wantGet(t, c, key, key+"#1")
		wantPeek(t, c, key, key+"#1")
	}
	all, err := c.GetMany(t.Context(), keys)
	if err != nil || len(all) != len(keys) {
		t.Errorf("GetMany = %d values, %v; want %d", len(all), err, len(keys))
	}
	for _, key := range keys {
		wantLoads(t, &o, key, 1)
	}
}

func TestG12TooLongAKeyIsAKeyError(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load})
	key := strings.Repeat("k", cache.MaxKeyBytes+1)
	for name, call := range map[string]func() error{
		"Get":     func() error { _, err := c.Get(t.Context(), key); return err },
		"Refresh": func() error { _, err := c.Refresh(t.Context(), key); return err },
		"Set":     func() error { return c.Set(t.Context(), key, cache.Entry[string]{}) },
		"Remove":  func() error { return c.Remove(t.Context(), "k", key) },
		"GetMany": func() error { _, err := c.GetMany(t.Context(), []string{"k", key}); return err },
	} {
		err := call()
		var ke *cache.KeyError
		if !errors.As(err, &ke) || len(ke.Key) > 100 || !strings.Contains(err.Error(), "16385 bytes") || !strings.Contains(err.Error(), "digest") {
			t.Errorf("%s: %.300v; want a short KeyError that says how to mend it", name, err)
		}
	}
	wantLoads(t, &o, key, 0)
	wantPeek(t, c, key, "")
	wantPeek(t, c, "k", "k#1") // GetMany got the other one
}

func TestHitAllocatesNothing(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load, TTL: time.Hour})
	ctx := t.Context()
	wantGet(t, c, "k", "k#1")
	if n := testing.AllocsPerRun(1000, func() { _, _ = c.Get(ctx, "k") }); n != 0 {
		t.Errorf("a hit allocates %v times", n)
	}
}

func TestTraceSaysWhereTheValueWasFound(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load})
	trace := func(call func(context.Context, string) (string, error)) cache.Trace {
		var tr cache.Trace
		if _, err := call(cache.WithTrace(t.Context(), &tr), "k"); err != nil {
			t.Error(err)
		}
		return tr
	}
	loaded := cache.Trace{Loaded: true}
	if got := trace(c.Get); got != loaded {
		t.Errorf("a miss: %+v, want %+v", got, loaded)
	}
	if got := trace(c.Get); got != (cache.Trace{}) {
		t.Errorf("a hit: %+v, want nothing", got)
	}
	if got := trace(c.Refresh); got != loaded {
		t.Errorf("Refresh: %+v, want %+v", got, loaded)
	}
}

func TestGetWithAnEndedContextDoesNotLoad(t *testing.T) {
	loaded := false
	c := open(t, stringConfig{Load: func(context.Context, string) (cache.Entry[string], error) {
		loaded = true
		return cache.Entry[string]{}, nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, "k"); !errors.Is(err, context.Canceled) || loaded {
		t.Errorf("Get: %v, loaded %v", err, loaded)
	}
}
