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

// Who asked another instance and leaves, leaves those who wait with it the call that is under way: the owner's load
// is neither cancelled nor doubled.
func TestG2WhoAskedLeavesTheCallToThoseWhoWait(t *testing.T) {
	for name, first := range map[string]func(ctx context.Context, f *fleet, keys []string) error{
		"Get": func(ctx context.Context, f *fleet, keys []string) error {
			_, err := f.caches[1].Get(ctx, keys[0])
			return err
		},
		"GetMany": func(ctx context.Context, f *fleet, keys []string) error {
			_, err := f.caches[1].GetMany(ctx, keys)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, 3, nil, func(f *fleet) {
				f.origin.takes(10 * time.Second)
				keys := []string{f.ownedBy(0), f.ownedBy(2)}
				begin := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
					defer cancel()
					if err := first(ctx, f, keys); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
						t.Errorf("the first: %v after %v, want to leave after 1 s", err, time.Since(begin))
					}
				})
				synctest.Wait()
				for _, key := range keys {
					wg.Go(func() {
						if v := f.get(1, key); v != key+"@0" || time.Since(begin) != 10*time.Second {
							t.Errorf("who waits: %q after %v, want it after 10 s", v, time.Since(begin))
						}
					})
				}
				wg.Wait()
				for i, key := range []int{0, 2} {
					f.loads(keys[i], 1)
					if n := f.Counts(1, key).Gets; n != 1 {
						t.Errorf("%d requests to %d, want 1", n, key)
					}
				}
			})
		})
	}
}

// When the last one who waits has left, the owner's load is cancelled, whoever asked for it.
func TestG2TheLastWhoLeavesEndsTheCall(t *testing.T) {
	for _, order := range [][]time.Duration{{time.Second, 3 * time.Second}, {3 * time.Second, time.Second}} {
		inFleet(t, 2, nil, func(f *fleet) {
			f.origin.takes(time.Hour)
			key := f.ownedBy(0)
			var wg sync.WaitGroup
			for _, patience := range order { // the first one asks
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(f.t.Context(), patience)
					defer cancel()
					_, _ = f.caches[1].Get(ctx, key)
				})
				synctest.Wait()
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if n := f.caches[0].Stats().Flights; n != 1 {
				t.Errorf("%d loads while one still waits, want 1", n)
			}
			wg.Wait()
			synctest.Wait()
			for i, c := range f.caches {
				if n := c.Stats().Flights; n != 0 {
					t.Errorf("%d flights at %d after all have left", n, i)
				}
			}
			f.loads(key, 1)
		})
	}
}

// Those who come while somebody asks wait for the same answer.
func TestG1JoinsOfAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &fakePeer{addr: "owner"}
		owner.get = func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			time.Sleep(time.Second)
			return value("V")(ctx, req, deliver)
		}
		c, _ := asking(t, stringConfig{}, owner, nil)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { wantGet(t, c, "k", "V") })
			wg.Go(func() { wantMany(t, c, "k", map[string]string{"k": "V"}, nil) })
		}
		wg.Wait()
		if s := c.Stats(); owner.calls.Load() != 1 || s.Joins != 9 || s.Flights != 0 {
			t.Errorf("%d requests, %d joins, %d flights; want 1, 9, 0", owner.calls.Load(), s.Joins, s.Flights)
		}
	})
}

func TestAContextThatHasEndedAsksNobody(t *testing.T) {
	owner := &fakePeer{addr: "owner", get: value("V")}
	c, o := asking(t, stringConfig{}, owner, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, "k"); err != context.Canceled {
		t.Errorf("Get: %v", err)
	}
	var me *cache.ManyError
	if got, err := c.GetMany(ctx, []string{"a", "b"}); len(got) != 0 || !errors.As(err, &me) || me.Errors["a"] != context.Canceled || me.Errors["b"] != context.Canceled {
		t.Errorf("GetMany = %v, %v", got, err)
	}
	if s := c.Stats(); owner.calls.Load() != 0 || o.count("k") != 0 || s.Flights != 0 {
		t.Errorf("%d requests, %d loads, %d flights", owner.calls.Load(), o.count("k"), s.Flights)
	}
}

// An answer that expired on its way is asked for once more, and the same instance has a newer one.
func TestG7ALateAnswerIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &fakePeer{addr: "owner"}
		owner.get = func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			slow := owner.calls.Load() == 1
			for i, key := range req.Keys {
				if slow && key != "quick" {
					time.Sleep(4 * time.Second)
				}
				deliver(i, cache.Answer{Value: fmt.Appendf(nil, "%s of call %d", key, owner.calls.Load()), TTL: 3 * time.Second})
			}
			return nil
		}
		c, o := asking(t, stringConfig{}, owner, nil)
		wantMany(t, c, "quick slow", map[string]string{"quick": "quick of call 1", "slow": "slow of call 2"}, nil)
		owner.calls.Store(0)
		wantGet(t, c, "k", "k of call 2")
		wantLoads(t, o, "k", 0)
	})
}

// A transport that answers a key twice, or one that was not asked for, gives no usable answer.
func TestG8AnswersThatMakeNoSenseAreNone(t *testing.T) {
	for _, bad := range [][]int{{0, 0}, {2}, {-1}} {
		owner := &fakePeer{addr: "owner", get: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			for _, i := range bad {
				deliver(i, cache.Answer{Value: []byte("V")})
			}
			return errDown
		}}
		c, _ := asking(t, stringConfig{}, owner, nil)
		want := map[string]string{"a": "a#1", "b": "b#1"}
		if bad[0] == 0 {
			want["a"] = "V"
		}
		wantMany(t, c, "a b", want, nil)
		if s := c.Stats(); s.FetchFailures != 1 {
			t.Errorf("%v: %d failures, want 1", bad, s.FetchFailures)
		}
	}
}

// An owner that does not answer in time is not taken for one that is gone: the time is up.
func TestG5TheTimeOfAFetchIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &fakePeer{addr: "owner", get: func(ctx context.Context, _ *cache.GetRequest, _ func(int, cache.Answer)) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		c, o := asking(t, stringConfig{LoadTimeout: 10 * time.Second}, owner, nil)
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Get(t.Context(), "k"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 15*time.Second {
				t.Errorf("Get: %v after %v", err, time.Since(begin))
			}
		})
		wg.Go(func() {
			wantMany(t, c, "a b", map[string]string{}, map[string]error{"a": context.DeadlineExceeded, "b": context.DeadlineExceeded})
		})
		wg.Wait()
		synctest.Wait()
		if s := c.Stats(); s.FetchFailures != 0 || s.Takeovers != 0 || s.LastResorts != 0 || o.count("k") != 0 || s.Flights != 0 {
			t.Errorf("%+v", s)
		}
	})
}
