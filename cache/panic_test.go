package cache_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// A misfit is a loader that takes a second, and then does not return as long as it is to misbehave.
type misfit struct {
	misbehave func()
}

func (m *misfit) load(ctx context.Context, key string) (cache.Entry[string], error) {
	time.Sleep(time.Second)
	if m.misbehave != nil {
		m.misbehave()
	}
	return cache.Entry[string]{Value: key}, nil
}

func (m *misfit) loadMany(ctx context.Context, keys []string) (map[string]cache.Entry[string], error) {
	time.Sleep(time.Second)
	if m.misbehave != nil {
		m.misbehave()
	}
	entries := make(map[string]cache.Entry[string])
	for _, k := range keys {
		entries[k] = cache.Entry[string]{Value: k}
	}
	return entries, nil
}

var errCause = errors.New("cause")

func panicsInTheLoader() { panic(errCause) }

// wantPanic checks that fn panics with what panicsInTheLoader does.
func wantPanic(t *testing.T, fn func()) {
	t.Helper()
	returned, r := ends(fn)
	pe, ok := r.(*singleflight.PanicError)
	if returned || !ok || pe.Value != errCause || !errors.Is(pe, errCause) {
		t.Errorf("returned: %v, recovered: %v; want the loader's panic", returned, r)
		return
	}
	if !strings.Contains(string(pe.Stack), "panicsInTheLoader") {
		t.Errorf("the stack is not the loader's:\n%s", pe.Stack)
	}
}

// wantGoexit checks that fn calls runtime.Goexit.
func wantGoexit(t *testing.T, fn func()) {
	t.Helper()
	if returned, r := ends(fn); returned || r != nil {
		t.Errorf("returned: %v, recovered: %v; want runtime.Goexit", returned, r)
	}
}

func TestG3ALoaderThatDoesNotReturnReachesEveryWaiterAndWedgesNothing(t *testing.T) {
	for _, bad := range []struct {
		name      string
		misbehave func()
		want      func(*testing.T, func())
	}{
		{"panic", panicsInTheLoader, wantPanic},
		{"Goexit", runtime.Goexit, wantGoexit},
	} {
		for _, tt := range []struct {
			name string
			call func(ctx context.Context, c *cache.Cache[string, string]) // of "a", and perhaps "b"
			many bool
		}{
			{"Get", func(ctx context.Context, c *cache.Cache[string, string]) { _, _ = c.Get(ctx, "a") }, false},
			{"Refresh", func(ctx context.Context, c *cache.Cache[string, string]) { _, _ = c.Refresh(ctx, "a") }, false},
			{"GetMany", func(ctx context.Context, c *cache.Cache[string, string]) { _, _ = c.GetMany(ctx, []string{"a", "b"}) }, false},
			{"LoadMany", func(ctx context.Context, c *cache.Cache[string, string]) { _, _ = c.GetMany(ctx, []string{"a", "b"}) }, true},
		} {
			t.Run(bad.name+" in "+tt.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := misfit{misbehave: bad.misbehave}
					cfg := stringConfig{Load: m.load, MaxLoads: 2}
					if tt.many {
						cfg.LoadMany = m.loadMany
					}
					c := open(t, cfg)
					var wg sync.WaitGroup
					for range 10 {
						wg.Go(func() { bad.want(t, func() { tt.call(t.Context(), c) }) })
					}
					wg.Wait()
					if s := c.Stats(); s.LoadPanics == 0 || s.Flights != 0 || s.Entries != 0 {
						t.Errorf("%d panics, %d flights, %d entries afterwards", s.LoadPanics, s.Flights, s.Entries)
					}
					m.misbehave = nil
					wantGet(t, c, "a", "a")
					wantGet(t, c, "b", "b")
				})
			})
		}
	}
}

// The panic of a load that everybody has left is nobody's but the log's.
func TestG3APanicThatNobodyWaitsForIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := misfit{misbehave: panicsInTheLoader}
		c := open(t, stringConfig{Name: "users", Load: m.load, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("err = %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for _, want := range []string{"cache=users", "key=k", "panicsInTheLoader"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, &log)
			}
		}
	})
}

func TestG3AFailedRefreshBehindIsLoggedAndTheStaleValueServed(t *testing.T) {
	for _, tt := range []struct {
		name      string
		misbehave func()
		logged    string
	}{
		{"panic", panicsInTheLoader, "panicsInTheLoader"},
		{"Goexit", runtime.Goexit, "Goexit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				var m misfit
				c := open(t, stringConfig{Load: m.load, TTL: 10 * time.Second, Stale: time.Minute, Logger: slog.New(slog.NewTextHandler(&log, nil))})
				wantGet(t, c, "k", "k")
				m.misbehave = tt.misbehave
				time.Sleep(20 * time.Second)
				for range 5 {
					wantGet(t, c, "k", "k")
					time.Sleep(2 * time.Second)
				}
				synctest.Wait()
				if s := c.Stats(); s.LoadPanics != 5 || s.StaleHits != 5 || !strings.Contains(log.String(), tt.logged) {
					t.Errorf("%d panics, %d served stale; want 5 of each, logged:\n%s", s.LoadPanics, s.StaleHits, &log)
				}
				m.misbehave = nil
				wantGet(t, c, "k", "k")
				time.Sleep(2 * time.Second)
				wantGet(t, c, "k", "k")
				if s := c.Stats(); s.Hits != 1 {
					t.Errorf("%d hits, want 1: the last refresh worked", s.Hits)
				}
			})
		})
	}
}

// SizeOf belongs to the loader's part: what it panics with goes the same way.
func TestG3APanicOfSizeOfWedgesNothing(t *testing.T) {
	var o source
	bad := true
	c := open(t, stringConfig{Load: o.load, SizeOf: func(string) int64 {
		if bad {
			panicsInTheLoader()
		}
		return 1
	}})
	wantPanic(t, func() { _, _ = c.Get(t.Context(), "k") })
	bad = false
	wantGet(t, c, "k", "k#2")
}
