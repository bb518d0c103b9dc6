package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

func TestG1OneLoadInTheFleet(t *testing.T) {
	for _, n := range []int{1, 3, 7} {
		t.Run(fmt.Sprint(n, " instances"), func(t *testing.T) {
			inFleet(t, n, nil, func(f *fleet) {
				f.origin.takes(time.Second)
				f.SetFaultsAll(peerstest.Faults{
					RequestDelay: peerstest.DelayBetween(1, 0, 100*time.Millisecond),
					ReplyDelay:   peerstest.DelayBetween(2, 0, 100*time.Millisecond),
				})
				keys := make([]string, 20)
				for k := range keys {
					keys[k] = fmt.Sprint("key-", k)
				}
				var wg sync.WaitGroup
				for i := range n {
					for caller := range 20 {
						wg.Go(func() {
							time.Sleep(time.Duration(caller*10) * time.Millisecond)
							for _, key := range keys {
								wg.Go(func() {
									if v := f.get(i, key); v != key+"@0" {
										f.t.Errorf("Get(%q) = %q", key, v)
									}
								})
							}
							got, err := f.caches[i].GetMany(f.t.Context(), keys)
							if err != nil || len(got) != len(keys) {
								f.t.Errorf("GetMany: %d values, %v", len(got), err)
							}
						})
					}
				}
				wg.Wait()
				for _, key := range keys {
					f.loads(key, 1)
					if by := f.origin.loadedBy(key); by[0] != f.owners(key)[0] {
						f.t.Errorf("%q was loaded by %v, its owner is %d", key, by, f.owners(key)[0])
					}
				}
			})
		})
	}
}

// Callers that come and go never make two loads of a key run at a time.
func TestG1UnderCallersThatLeave(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		f.origin.takes(50 * time.Millisecond)
		key := f.ownedBy(0)
		var wg sync.WaitGroup
		for i := range 3 {
			for n := range 50 {
				wg.Go(func() {
					time.Sleep(time.Duration(n*7+i) * time.Millisecond)
					ctx, cancel := context.WithTimeout(f.t.Context(), time.Duration(n%9*5)*time.Millisecond)
					defer cancel()
					_, _ = f.caches[i].Get(ctx, key)
					if n%10 == 0 {
						_, _ = f.caches[i].Refresh(ctx, key)
					}
				})
			}
		}
		wg.Wait()
		if len(f.origin.overlaps) > 0 {
			f.t.Errorf("%d loads began while another ran", len(f.origin.overlaps))
		}
	})
}

func TestG2LeavingAcrossTheHop(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		f.origin.takes(10 * time.Second)
		key := f.ownedBy(0)
		begin := time.Now()
		get := func(i int, patience time.Duration, want error) {
			ctx, cancel := context.WithTimeout(f.t.Context(), patience)
			defer cancel()
			_, err := f.caches[i].Get(ctx, key)
			if !errors.Is(err, want) {
				f.t.Errorf("Get at %d: %v, want %v", i, err, want)
			}
			if want != nil && time.Since(begin) != patience {
				f.t.Errorf("Get at %d returned after %v, want %v", i, time.Since(begin), patience)
			}
		}
		// The first to come, on another instance, is the first to leave.
		var wg sync.WaitGroup
		wg.Go(func() { get(1, time.Second, context.DeadlineExceeded) })
		synctest.Wait()
		wg.Go(func() { get(1, 2*time.Second, context.DeadlineExceeded) })
		wg.Go(func() { get(2, time.Minute, nil) })
		wg.Go(func() { get(0, 3*time.Second, context.DeadlineExceeded) })
		wg.Wait()
		f.loads(key, 1)
	})
}

func TestG2CancelledWhenTheLastWaiterInTheFleetLeaves(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0)
		f.origin.takes(20 * time.Second)
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(f.t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				_, _ = f.caches[i].Get(ctx, key)
			})
		}
		wg.Wait()
		synctest.Wait()
		for i, c := range f.caches {
			if n := c.Stats().Flights; n != 0 {
				f.t.Errorf("%d flights at %d after everyone has left", n, i)
			}
		}
		if d := time.Since(begin); d != 3*time.Second {
			f.t.Errorf("it took %v", d)
		}
	})
}

func TestG3PanicsAcrossTheHop(t *testing.T) {
	for name, bang := range map[string]func(){
		"panic":  func() { panic("bang") },
		"Goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			armed := true
			inFleet(t, 3, func(_ int, c *config) {
				load := c.Load
				c.Load = func(ctx context.Context, key string) (cache.Entry[string], error) {
					if armed {
						time.Sleep(time.Second)
						bang()
					}
					return load(ctx, key)
				}
			}, func(f *fleet) {
				key := f.ownedBy(0)
				var wg sync.WaitGroup
				for i := 1; i < 3; i++ {
					wg.Go(func() {
						_, err := f.caches[i].Get(f.t.Context(), key)
						var re *cache.RemoteError
						if !errors.As(err, &re) || re.Status != cache.StatusLoadPanicked || re.Peer != "instance-0" {
							f.t.Errorf("Get at %d: %v", i, err)
						}
						if name == "panic" && !strings.Contains(err.Error(), "bang") {
							f.t.Errorf("the error does not say what happened: %v", err)
						}
					})
				}
				wg.Go(func() {
					returned := false
					defer func() {
						_, panicked := recover().(*singleflight.PanicError)
						if returned || panicked != (name == "panic") {
							f.t.Errorf("local waiter: returned %v, panicked %v", returned, panicked)
						}
					}()
					_, _ = f.caches[0].Get(f.t.Context(), key)
					returned = true
				})
				wg.Wait()
				armed = false
				for i := range 3 {
					if v := f.get(i, key); v != key+"@0" {
						f.t.Errorf("afterwards: %q", v)
					}
				}
			})
		})
	}
}

// Whatever two instances believe about each other, nobody waits for ever, and a key costs at most a load for each.
func TestG5InstancesThatDisagreeOnTheOwner(t *testing.T) {
	for _, views := range [][][]int{
		{{1}, {0}},                 // each takes the other for the owner
		{{0}, {1}},                 // each takes itself for the owner
		{{1, 2}, {0, 2}, {0, 1}},   // nobody is in their own view
		{{0, 1}, {1, 2}, {2, 0}},   // round and round
		{{}, {0}, {1}},             // nobody is there
		{{0, 1, 2}, {1, 2}, {2}},   // a list that shrinks
		{{3}, {3}, {3}, {0, 1, 2}}, // one knows better than all others
	} {
		t.Run(fmt.Sprint(views), func(t *testing.T) {
			inFleet(t, len(views), nil, func(f *fleet) {
				for i, view := range views {
					f.SetView(i, view...)
				}
				f.origin.takes(time.Second)
				begin := time.Now()
				keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
				var wg sync.WaitGroup
				for i := range views {
					for range 3 {
						for _, key := range keys {
							wg.Go(func() { f.get(i, key) })
						}
						wg.Go(func() {
							if _, err := f.caches[i].GetMany(f.t.Context(), keys); err != nil {
								f.t.Errorf("GetMany at %d: %v", i, err)
							}
						})
					}
				}
				wg.Wait()
				if d := time.Since(begin); d > 3*time.Second {
					f.t.Errorf("it took %v for loads of 1 s", d)
				}
				for _, key := range keys {
					if n := f.origin.loads(key); n > len(views) {
						f.t.Errorf("%d loads of %q by %v", n, key, f.origin.loadedBy(key))
					}
				}
			})
		})
	}
}

// Without a deadline, every call returns by the library's own.
func TestG5ReturnsWithoutADeadline(t *testing.T) {
	const timeout = 10 * time.Second
	inFleet(t, 3, func(_ int, c *config) { c.LoadTimeout = timeout }, func(f *fleet) {
		f.SetDetection(0) // nobody finds out that messages are lost
		f.SetFaultsAll(peerstest.Faults{DropReplies: true})
		key := f.ownedBy(0)
		calls := map[string]func(c *cache.Cache[string, string]) error{
			"Get": func(c *cache.Cache[string, string]) error { _, err := c.Get(f.t.Context(), key); return err },
			"GetMany": func(c *cache.Cache[string, string]) error {
				_, err := c.GetMany(f.t.Context(), []string{key, "x", "y"})
				return err
			},
			"Refresh": func(c *cache.Cache[string, string]) error { _, err := c.Refresh(f.t.Context(), key); return err },
			"Set": func(c *cache.Cache[string, string]) error {
				return c.Set(f.t.Context(), key, cache.Entry[string]{Value: "v"})
			},
			"Remove": func(c *cache.Cache[string, string]) error { return c.Remove(f.t.Context(), key) },
			"Clear":  func(c *cache.Cache[string, string]) error { return c.Clear(f.t.Context()) },
		}
		for name, call := range calls {
			begin := time.Now()
			err := call(f.caches[1])
			if d := time.Since(begin); d > 2*timeout {
				f.t.Errorf("%s took %v", name, d)
			}
			if err == nil {
				f.t.Errorf("%s succeeded without a reply", name)
			}
		}
	})
}

func TestG8NextInTheKeysOrderTakesOver(t *testing.T) {
	inFleet(t, 4, nil, func(f *fleet) {
		defer f.Intercept(lose(peerstest.KindList))() // nobody has copies of what the dead one held
		f.origin.takes(time.Second)
		var keys []string
		for k := range 60 {
			keys = append(keys, fmt.Sprint("key-", k))
		}
		for i := range 4 {
			for _, key := range keys {
				f.get(i, key)
			}
		}
		const dead = 2
		f.Stop(dead)
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 4 {
			for _, key := range keys {
				if i != dead {
					wg.Go(func() { f.get(i, key) })
				}
			}
			if i != dead {
				wg.Go(func() {
					if _, err := f.caches[i].GetMany(f.t.Context(), keys); err != nil {
						f.t.Errorf("GetMany at %d: %v", i, err)
					}
				})
			}
		}
		wg.Wait()
		if d := time.Since(begin); d > time.Second {
			f.t.Errorf("it took %v for loads of 1 s", d)
		}
		reloaded := 0
		for _, key := range keys {
			owners := f.owners(key)
			want := []int{owners[0]}
			if owners[0] == dead && f.origin.loads(key) > 1 { // else it was mirrored where it went
				want = append(want, owners[1])
				reloaded++
			}
			if by := f.origin.loadedBy(key); !slices.Equal(by, want) {
				f.t.Errorf("%q was loaded by %v, want %v", key, by, want)
			}
		}
		if reloaded == 0 {
			f.t.Error("the instance that died owned nothing")
		}
	})
}

func TestG8SlowOwnerIsBounded(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0, 1)
		f.Hang(0)
		begin := time.Now()
		if v := f.get(2, key); v != key+"@0" {
			f.t.Errorf("Get = %q", v)
		}
		if d := time.Since(begin); d != peerstest.DefaultDetection {
			f.t.Errorf("it took %v", d)
		}
		if by := f.origin.loadedBy(key); !slices.Equal(by, []int{1}) {
			f.t.Errorf("loaded by %v, want 1, who is next", by)
		}
		begin = time.Now()
		other := f.ownedBy(0, 2)
		f.get(2, other)
		if d := time.Since(begin); d != 0 {
			f.t.Errorf("an instance that is known to be down cost %v", d)
		}
		f.Resume(0)
	})
}

func TestFamilyOwnersErrorIsNotRetriedElsewhere(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		f.origin.fails(func(string) error { return errors.New("database is down") })
		key := f.ownedBy(0)
		_, err := f.caches[1].Get(f.t.Context(), key)
		var re *cache.RemoteError
		if !errors.As(err, &re) || re.Peer != "instance-0" || !strings.Contains(err.Error(), "database is down") {
			f.t.Errorf("err = %v", err)
		}
		f.loads(key, 1)
	})
}

func TestFamilyNotFoundSurvivesTheHop(t *testing.T) {
	inFleet(t, 3, func(_ int, c *config) { c.Negative = time.Minute }, func(f *fleet) {
		f.origin.fails(func(key string) error { return fmt.Errorf("user %q: %w", key, cache.ErrNotFound) })
		key := f.ownedBy(0)
		for range 5 { // at the owner from its memory, elsewhere from a mirror
			for i := range 3 {
				_, err := f.caches[i].Get(f.t.Context(), key)
				if !errors.Is(err, cache.ErrNotFound) || !strings.Contains(err.Error(), "user ") {
					f.t.Errorf("Get at %d: %v", i, err)
				}
			}
		}
		f.loads(key, 1)
	})
}
