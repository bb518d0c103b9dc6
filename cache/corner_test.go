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
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

func TestG5LongestLoadTimeout(t *testing.T) {
	inFleet(t, 2, func(_ int, c *config) { c.LoadTimeout = math.MaxInt64 }, func(f *fleet) {
		f.get(0, f.ownedBy(1))
	})
}

func TestG6SizesThatAreNone(t *testing.T) {
	c := open(t, stringConfig{MaxBytes: cache.MinMaxBytes, Load: func(_ context.Context, key string) (cache.Entry[string], error) {
		e := cache.Entry[string]{Value: strings.Repeat("v", 1000)}
		switch key {
		case "huge":
			e.Size = math.MaxInt64
		case "negative":
			e.Size = math.MinInt64
		}
		return e, nil
	}})
	for _, key := range []string{"huge", "negative"} {
		if _, err := c.Get(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	for i := range 1000 {
		if _, err := c.Get(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if s := c.Stats(); s.Bytes < 0 || s.Bytes > s.MaxBytes || s.Entries*1000 > cache.MinMaxBytes {
		t.Errorf("%d bytes, %d entries of 1000 bytes in %d", s.Bytes, s.Entries, s.MaxBytes)
	}
}

// A load that was fenced stores nothing, and so it evicts nothing.
func TestG6FencedLoadEvictsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, stringConfig{MaxBytes: cache.MinMaxBytes, Load: func(_ context.Context, key string) (cache.Entry[string], error) {
			if key == "big" {
				time.Sleep(time.Second)
				return cache.Entry[string]{Value: strings.Repeat("v", 14_000)}, nil
			}
			return cache.Entry[string]{Value: strings.Repeat("v", 700)}, nil
		}})
		for i := range 60 {
			if _, err := c.Get(t.Context(), fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		}
		before := c.Stats().Entries
		got := make(chan error, 1)
		go func() { _, err := c.Get(t.Context(), "big"); got <- err }()
		synctest.Wait()
		if err := c.Remove(t.Context(), "big"); err != nil {
			t.Error(err)
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
		if after := c.Stats().Entries; after != before {
			t.Errorf("%d of %d values are left", after, before)
		}
	})
}

// What was stored was evicted, has expired, or is there.
func TestStatsAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, stringConfig{MaxBytes: cache.MinMaxBytes, TTL: time.Second, Load: func(context.Context, string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: strings.Repeat("v", 10_000)}, nil
		}})
		for i := range 12 {
			if i == 6 {
				time.Sleep(2 * time.Second)
			}
			if _, err := c.Get(t.Context(), fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		}
		if s := c.Stats(); int(s.Evictions+s.Expired)+s.Entries != 12 || s.Expired == 0 {
			t.Errorf("of 12, %d were evicted, %d have expired, %d are there", s.Evictions, s.Expired, s.Entries)
		}
	})
}

// Everyone who waits at Close gets ErrClosed, whatever their loader makes of the end of its context.
func TestCloseOfARunOfManyKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, stringConfig{Load: loadNothing[string], LoadMany: func(ctx context.Context, _ []string) (map[string]cache.Entry[string], error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		var keys []string
		for n := range 3000 {
			keys = append(keys, fmt.Sprint(n))
		}
		got := make(chan error, 1)
		go func() { _, err := c.GetMany(t.Context(), keys); got <- err }()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		var me *cache.ManyError
		if !errors.As(<-got, &me) || len(me.Errors) != len(keys) {
			t.Fatalf("%v", me)
		}
		for key, err := range me.Errors {
			if !errors.Is(err, cache.ErrClosed) {
				t.Fatalf("%q: %v", key, err)
			}
		}
	})
}

// Who asks for many keys that everybody has just left still asks for them together.
func TestGetManyAfterAnAbandonedOneLoadsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		c := open(t, stringConfig{Load: loadNothing[string], LoadMany: func(ctx context.Context, keys []string) (map[string]cache.Entry[string], error) {
			calls++
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				time.Sleep(10 * time.Millisecond) // it takes a moment to end
				return nil, ctx.Err()
			}
			entries := make(map[string]cache.Entry[string])
			for _, key := range keys {
				entries[key] = cache.Entry[string]{Value: key}
			}
			return entries, nil
		}})
		var keys []string
		for n := range 500 {
			keys = append(keys, fmt.Sprint(n))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := c.GetMany(ctx, keys); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the first: %v", err)
		}
		begin := time.Now()
		if got, err := c.GetMany(t.Context(), keys); err != nil || len(got) != len(keys) {
			t.Errorf("%d values, %v", len(got), err)
		}
		if d := time.Since(begin); d > time.Second || calls != 2 {
			t.Errorf("it took %v and %d calls", d, calls)
		}
	})
}

// A loader's own Gets do not set the Trace of the Get that it loads for.
func TestTraceIsOfOneGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := open(t, stringConfig{Load: func(context.Context, string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: "v"}, nil
		}})
		outer := open(t, stringConfig{TTL: time.Second, Stale: time.Minute, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			if err := inner.Remove(ctx, key); err != nil {
				return cache.Entry[string]{}, err
			}
			v, err := inner.Get(ctx, key)
			return cache.Entry[string]{Value: v}, err
		}})
		if _, err := outer.Get(t.Context(), "k"); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * time.Second)
		var trace cache.Trace
		if _, err := outer.Get(cache.WithTrace(t.Context(), &trace), "k"); err != nil { // stale
			t.Error(err)
		}
		synctest.Wait()
		if trace != (cache.Trace{}) {
			t.Errorf("a hit in memory is traced as %+v", trace)
		}
	})
}

// What a loader wraps is the loader's error: a panic, or a failure of its own.
func TestG3ErrorsThatLoadersWrapKeepTheirMeaning(t *testing.T) {
	nested := fmt.Errorf("user: %w", &cache.RemoteError{Peer: "other", Status: cache.StatusNotFound, Message: "no profile"})
	for name, load := range map[string]func() error{
		"panic": func() error { panic(nested) },
		"error": func() error {
			return fmt.Errorf("user: %w", &cache.RemoteError{Status: cache.StatusLoadFailed, Message: "no db"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 2, func(_ int, c *config) {
				c.Load = func(context.Context, string) (cache.Entry[string], error) { return cache.Entry[string]{}, load() }
			}, func(f *fleet) {
				_, err := f.caches[0].Get(f.t.Context(), f.ownedBy(1))
				if err == nil || errors.Is(err, cache.ErrNotFound) || !strings.Contains(err.Error(), "user: ") {
					f.t.Errorf("err = %v", err)
				}
			})
		})
	}
}

// A loader whose error is singleflight's own is called once, like any other.
func TestErrAbandonedOfALoader(t *testing.T) {
	var loads atomic.Int64
	c := open(t, stringConfig{Load: func(context.Context, string) (cache.Entry[string], error) {
		loads.Add(1)
		return cache.Entry[string]{}, singleflight.ErrAbandoned
	}})
	if _, err := c.Get(t.Context(), "k"); !errors.Is(err, singleflight.ErrAbandoned) || loads.Load() != 1 {
		t.Errorf("%v after %d loads", err, loads.Load())
	}
}

// The end of the serving side's context is no answer of the loader's.
func TestG2ServingSideLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &fakePeers{t: t, owners: []cache.Peer{nil}}
		open(t, stringConfig{Name: "n", Peers: p, Load: func(context.Context, string) (cache.Entry[string], error) {
			time.Sleep(time.Second)
			return cache.Entry[string]{Value: "v"}, nil
		}})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := p.responder("n").Get(ctx, &cache.GetRequest{Cache: "n", Keys: []string{"k"}}, func(_ int, a cache.Answer) {
			t.Errorf("delivered %+v", a)
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		time.Sleep(time.Second)
	})
}

// An acknowledgement that comes with the end of the call's time is too late: holds elsewhere may have run out.
func TestG4LateAcknowledgement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := &fakePeer{addr: "late", fence: func(context.Context, *cache.FenceRequest) error {
			time.Sleep(time.Second)
			return nil
		}}
		c := open(t, stringConfig{Name: "n", Peers: &fakePeers{t: t, owners: []cache.Peer{nil, late}}, Load: loadNothing[string]})
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var ue *cache.UnreachedError
		if err := c.Remove(ctx, "k"); !errors.As(err, &ue) {
			t.Errorf("err = %v", err)
		}
	})
}
