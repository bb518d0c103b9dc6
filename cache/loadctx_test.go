package cache_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// The context of a load does what one of package context's own does, although little of it is there until somebody asks.
func TestG2TheContextOfALoadIsAsGoodAsAnyOther(t *testing.T) {
	cause := func(ctx context.Context) error { return context.Cause(ctx) }
	causeOfChild := func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		<-ctx.Done()
		return context.Cause(ctx)
	}
	errOnly := func(ctx context.Context) error { return ctx.Err() }
	for _, tt := range []struct {
		name          string
		patience      time.Duration // of the one who waits; the LoadTimeout is 4 s
		asks          time.Duration // when the loader first asks for what has become of its context
		look          func(context.Context) error
		want          error
		wantAbandoned bool
	}{
		{"under way", 10 * time.Second, time.Second, errOnly, nil, false},
		{"left before it asks", time.Second, 2 * time.Second, errOnly, context.Canceled, false},
		{"left before it asks for the cause", time.Second, 2 * time.Second, cause, nil, true},
		{"left while a child waits", time.Second, 0, causeOfChild, nil, true},
		{"timed out before it asks", 10 * time.Second, 5 * time.Second, errOnly, context.DeadlineExceeded, false},
		{"timed out before it asks for the cause", 10 * time.Second, 5 * time.Second, cause, context.DeadlineExceeded, false},
		{"timed out while a child waits", 10 * time.Second, 0, causeOfChild, context.DeadlineExceeded, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := make(chan error, 1)
				c := open(t, stringConfig{LoadTimeout: 4 * time.Second, Load: func(ctx context.Context, _ string) (cache.Entry[string], error) {
					time.Sleep(tt.asks)
					got <- tt.look(ctx)
					return cache.Entry[string]{}, nil
				}})
				ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
				defer cancel()
				_, _ = c.Get(ctx, "k")
				switch err := <-got; {
				case tt.wantAbandoned && (err == nil || errors.Is(err, context.Canceled)): // it says who has left
					t.Errorf("the cause is %v, want that it was abandoned", err)
				case !tt.wantAbandoned && err != tt.want:
					t.Errorf("%v, want %v", err, tt.want)
				}
			})
		})
	}
}

// What a loader derives from its context takes no goroutine, as it would where package context does not know its own.
func TestAChildOfALoadsContextTakesNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := open(t, stringConfig{Load: func(ctx context.Context, _ string) (cache.Entry[string], error) {
			before := runtime.NumGoroutine()
			for range 100 {
				_, cancel := context.WithCancel(ctx)
				defer cancel()
			}
			if more := runtime.NumGoroutine() - before; more > 50 {
				t.Errorf("%d goroutines more", more)
			}
			return cache.Entry[string]{Value: "v"}, nil
		}})
		wantGet(t, c, "k", "v")
	})
}

// A loader's context is over when the load is, for whoever still has it.
func TestTheContextOfALoadEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var early, late context.Context
		c := open(t, stringConfig{Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			if key == "early" {
				_ = ctx.Done()
				early = ctx
			}
			late = ctx
			return cache.Entry[string]{Value: "v"}, nil
		}})
		wantGet(t, c, "early", "v")
		wantGet(t, c, "late", "v")
		synctest.Wait()
		for name, ctx := range map[string]context.Context{"asked for in the load": early, "not asked for": late} {
			if err := ctx.Err(); err != context.Canceled {
				t.Errorf("%s: %v", name, err)
			}
			select {
			case <-ctx.Done():
			default:
				t.Errorf("%s: it is not done", name)
			}
		}
	})
}
