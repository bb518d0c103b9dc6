package cache_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Close ends the calls that are under way, and whoever waits gets ErrClosed at once.
func TestCloseEndsFetches(t *testing.T) {
	for name, call := range map[string]func(ctx context.Context, c *stringCache) error{
		"Get":     func(ctx context.Context, c *stringCache) error { _, err := c.Get(ctx, "k"); return err },
		"Refresh": func(ctx context.Context, c *stringCache) error { _, err := c.Refresh(ctx, "k"); return err },
		"GetMany": func(ctx context.Context, c *stringCache) error {
			_, err := c.GetMany(ctx, []string{"k", "l"})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left := 0
				owner := &fakePeer{addr: "owner", get: func(ctx context.Context, _ *cache.GetRequest, _ func(int, cache.Answer)) error {
					<-ctx.Done()
					left++
					return ctx.Err()
				}}
				c, o := asking(t, stringConfig{}, owner, nil)
				begin := time.Now()
				var wg sync.WaitGroup
				for range 3 { // one asks, two join
					synctest.Wait()
					wg.Go(func() {
						if err := call(t.Context(), c); !errors.Is(err, cache.ErrClosed) || time.Since(begin) != time.Second {
							t.Errorf("%v after %v; want ErrClosed after 1 s", err, time.Since(begin))
						}
					})
				}
				time.Sleep(time.Second)
				_ = c.Close()
				wg.Wait()
				synctest.Wait()
				if left != 1 || owner.calls.Load() != 1 || o.count("k") != 0 {
					t.Errorf("%d of %d calls have ended, %d loads; want 1, 1, 0", left, owner.calls.Load(), o.count("k"))
				}
			})
		})
	}
}

// uninterruptedPeer hides that its Answers have an Interrupt.
type uninterruptedPeer struct{ *fakePeer }

type onlyAnswers struct{ cache.Answers }

func (p uninterruptedPeer) Get(req *cache.GetRequest, timeout time.Duration) cache.Answers {
	return onlyAnswers{p.fakePeer.Get(req, timeout)}
}

// Where a call cannot be interrupted, who asked gets ErrClosed when it is over, and who joined gets it at once.
func TestCloseWhereACallCannotBeInterrupted(t *testing.T) {
	for _, answer := range []error{nil, errDown} {
		synctest.Test(t, func(t *testing.T) {
			owner := &fakePeer{addr: "owner", get: func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
				time.Sleep(5 * time.Second)
				if answer != nil {
					return answer
				}
				return value("V")(ctx, req, deliver)
			}}
			c, o := asking(t, stringConfig{}, uninterruptedPeer{owner}, nil)
			begin := time.Now()
			var wg sync.WaitGroup
			for _, want := range []time.Duration{5 * time.Second, time.Second} {
				wg.Go(func() {
					if _, err := c.Get(t.Context(), "k"); err != cache.ErrClosed || time.Since(begin) != want {
						t.Errorf("%v after %v; want ErrClosed after %v", err, time.Since(begin), want)
					}
				})
				synctest.Wait()
			}
			time.Sleep(time.Second)
			_ = c.Close()
			wg.Wait()
			if s := c.Stats(); o.count("k") != 0 || s.Takeovers != 0 || s.Flights != 0 {
				t.Errorf("%d loads, %d takeovers, %d flights after Close", o.count("k"), s.Takeovers, s.Flights)
			}
		})
	}
}
