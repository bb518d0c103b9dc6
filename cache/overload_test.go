package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// busy has c's only turn taken, by a load that goes on for as long as the test lets it.
func busy(t *testing.T, c *cache.Cache[string, string]) {
	go func() { _, _ = c.Get(context.WithoutCancel(t.Context()), "busy") }()
	synctest.Wait()
}

// until returns a context that ends in d.
func until(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func wantOverloaded(t *testing.T, err error, key string) {
	t.Helper()
	if !errors.Is(err, cache.ErrOverloaded) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v; want ErrOverloaded and DeadlineExceeded", err)
		return
	}
	for _, want := range []string{fmt.Sprintf("%q", key), "MaxLoads", "raise"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %s: %v", want, err)
		}
	}
}

func TestG8WhoHasNoTurnByItsDeadlineIsToldSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Hour}
		c := open(t, stringConfig{MaxLoads: 1, LoadTimeout: 2 * time.Hour, Load: o.load})
		busy(t, c)
		begin := time.Now()
		var wg sync.WaitGroup
		for _, after := range []time.Duration{0, time.Second} { // one begins the load, the other joins it
			wg.Go(func() {
				time.Sleep(after)
				_, err := c.Get(until(t, 3*time.Second), "k")
				wantOverloaded(t, err, "k")
				if d := time.Since(begin); d != after+3*time.Second {
					t.Errorf("left after %v", d)
				}
			})
		}
		wg.Go(func() {
			_, err := c.GetMany(until(t, 3*time.Second), []string{"l", "m"})
			var many *cache.ManyError
			if !errors.As(err, &many) || len(many.Errors) != 2 {
				t.Fatalf("GetMany: %v", err)
			}
			for key, err := range many.Errors {
				wantOverloaded(t, err, key)
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if _, err := c.Get(ctx, "n"); err != context.Canceled {
				t.Errorf("who was cancelled: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := c.Get(until(t, 3*time.Second), "busy"); err != context.DeadlineExceeded {
				t.Errorf("who waits for a load that has begun: %v", err)
			}
		})
		time.Sleep(time.Second / 2)
		if s := c.Stats(); s.Waiting != 4 || s.Overloads != 0 {
			t.Errorf("%d wait, %d had no turn; want 4 and 0", s.Waiting, s.Overloads)
		}
		wg.Wait()
		synctest.Wait()
		if s := c.Stats(); s.Waiting != 0 || s.Overloads != 4 || s.Loads != 1 || s.Flights != 1 {
			t.Errorf("%d wait, %d had no turn, %d loads, %d flights; want 0, 4, 1, 1", s.Waiting, s.Overloads, s.Loads, s.Flights)
		}
	})
}

func TestG8WhoHasNoTurnByLoadTimeoutIsToldSo(t *testing.T) {
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprint("LoadMany: ", many), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				var o source
				cfg := stringConfig{MaxLoads: 1, LoadTimeout: 4 * time.Second, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
					<-release // does not heed its context
					return cache.Entry[string]{Value: key}, nil
				}}
				if many {
					cfg.LoadMany = o.loadMany
				}
				c := open(t, cfg)
				busy(t, c)
				got, err := c.GetMany(t.Context(), []string{"k", "l"})
				var failed *cache.ManyError
				if !errors.As(err, &failed) || len(failed.Errors) != 2 {
					t.Fatalf("GetMany: %q, %v", got, err)
				}
				for _, err := range failed.Errors {
					if !errors.Is(err, cache.ErrOverloaded) || !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("err = %v", err)
					}
				}
				close(release)
			})
		})
	}
}

// More than so many do not wait: they are told at once.
func TestG8TheQueueForTurnsIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Hour}
		c := open(t, stringConfig{MaxLoads: 1, LoadTimeout: 10 * time.Hour, Load: o.load})
		cache.SetMaxWaiting(c, 2)
		busy(t, c)
		var wg sync.WaitGroup
		for _, key := range []string{"a", "b"} {
			wg.Go(func() { wantGet(t, c, key, key+"#1") })
			synctest.Wait()
		}
		begin := time.Now()
		_, err := c.Get(t.Context(), "c")
		wantOverloaded(t, err, "c")
		if time.Since(begin) != 0 {
			t.Errorf("it took %v", time.Since(begin))
		}
		wg.Wait() // the two have their turns
		wantGet(t, c, "c", "c#1")
		if s := c.Stats(); s.Overloads != 1 || s.Waiting != 0 {
			t.Errorf("%d had no turn, %d wait; want 1 and 0", s.Overloads, s.Waiting)
		}
	})
}

// What an instance says of its load, no other one makes up for: the answer stands, and the instance is well.
func TestG8ErrOverloadedAcrossTheHop(t *testing.T) {
	inFleet(t, 3, func(_ int, c *config) { c.MaxLoads, c.LoadTimeout = 1, 4*time.Second }, func(f *fleet) {
		key, other := f.ownedBy(0, 1), f.ownedBy(0, 2)
		f.origin.delay = func(string) time.Duration {
			time.Sleep(10 * time.Second) // whatever becomes of its context: the turn is not given back before
			return 0
		}
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = f.caches[0].Get(f.t.Context(), other) })
		synctest.Wait()
		begin := time.Now()
		for _, i := range []int{1, 2} {
			wg.Go(func() {
				_, err := f.caches[i].Get(f.t.Context(), key)
				wantOverloaded(f.t, err, key)
				var remote *cache.RemoteError
				if !errors.As(err, &remote) || remote.Status != cache.StatusOverloaded || remote.Peer != f.Instance(0).Self() {
					f.t.Errorf("at %d: %#v", i, err)
				}
				if d := time.Since(begin); d != 4*time.Second {
					f.t.Errorf("at %d it took %v", i, d)
				}
			})
		}
		wg.Wait()
		f.loads(key, 0)
		for i, c := range f.caches {
			if s := c.Stats(); s.FetchFailures+s.Takeovers+s.LastResorts > 0 {
				f.t.Errorf("at %d: %+v", i, s)
			}
		}
		time.Sleep(10 * time.Second) // until the one load is over
	})
}

// A request whose own time ends while its load waits for a turn is answered all the same, as far as anybody listens.
func TestG8ARequestWhoseTimeEndsInTheQueueIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Hour}
		c, r := serving(t, stringConfig{MaxLoads: 1, LoadTimeout: 2 * time.Hour, Load: o.load})
		go func() {
			req := &cache.GetRequest{Cache: "served", Version: "v1", Keys: []string{"busy"}}
			_ = r.Get(context.Background(), req, func(int, cache.Answer) {})
		}()
		synctest.Wait()
		got := request(t, until(t, time.Second), r, cache.GetRequest{}, "k")[0]
		if got.Status != cache.StatusOverloaded || !strings.Contains(got.Message, "MaxLoads") {
			t.Errorf("answer: %+v", got)
		}
		synctest.Wait()
		if s := c.Stats(); s.Overloads != 1 {
			t.Errorf("%d had no turn", s.Overloads)
		}
	})
}

// Who asks an owner elsewhere, and leaves before the load there has had its turn, is told so as well, however he asks; who waits for a load that goes on is not.
func TestG8WhoAsksAnOverloadedOwnerIsToldSo(t *testing.T) {
	inFleet(t, 3, func(_ int, c *config) { c.MaxLoads, c.LoadTimeout = 1, time.Hour }, func(f *fleet) {
		key, more, downs := f.ownedBy(0, 2, 1), f.ownedBy(0, 1), f.ownedBy(2, 1)
		f.origin.takes(30 * time.Minute)
		for i := range 2 {
			go func() { _, _ = f.caches[i].Get(context.WithoutCancel(f.t.Context()), f.loading(i)) }()
		}
		synctest.Wait()
		f.Stop(2) // instance 1 takes over what it owned
		begin := time.Now()
		var wg sync.WaitGroup
		get := func(i int, key string, patience time.Duration) {
			wg.Go(func() {
				_, err := f.caches[i].Get(until(f.t, patience), key)
				wantOverloaded(f.t, err, key)
				if d := time.Since(begin); d != patience {
					f.t.Errorf("%q at %d: left after %v, want %v", key, i, d, patience)
				}
			})
		}
		get(1, key, time.Second)
		get(1, key, 2*time.Second) // joins it
		get(0, downs, time.Second)
		get(1, downs, time.Second)
		wg.Go(func() {
			_, err := f.caches[1].GetMany(until(f.t, time.Second), []string{more, more + "?"})
			var many *cache.ManyError
			if !errors.As(err, &many) || many.Errors[more] == nil {
				f.t.Fatalf("GetMany: %v", err)
			}
			wantOverloaded(f.t, many.Errors[more], more)
		})
		wg.Go(func() {
			if _, err := f.caches[1].Get(until(f.t, time.Second), f.loading(0)); err != context.DeadlineExceeded {
				f.t.Errorf("who waits for a load that has begun: %v", err)
			}
		})
		wg.Wait()
		time.Sleep(2 * time.Hour) // until the loads are over
	})
}

// loading is a key that instance i owns, and no other one that ownedBy returns.
func (f *fleet) loading(i int) string {
	for n := 0; ; n++ {
		if key := fmt.Sprint("loading-", n); f.owners(key)[0] == i {
			return key
		}
	}
}
