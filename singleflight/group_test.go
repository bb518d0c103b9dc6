package singleflight_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

type group = singleflight.Group[string, int]

// sleep waits for d or for ctx, as a loader that heeds its context does.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func TestDoRunsOnceForAllCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var runs, shared atomic.Int32
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				v, joined, err := g.Do(t.Context(), "k", func(ctx context.Context, _ *singleflight.Ticket) (int, error) {
					runs.Add(1)
					return 7, sleep(ctx, time.Second)
				})
				if v != 7 || err != nil {
					t.Errorf("Do = %d, %v", v, err)
				}
				if joined {
					shared.Add(1)
				}
			})
		}
		wg.Wait()
		if runs.Load() != 1 || shared.Load() != 99 {
			t.Errorf("%d runs, %d callers joined; want 1 and 99", runs.Load(), shared.Load())
		}
	})
}

func TestDoRunsAgainAfterwards(t *testing.T) {
	var g group
	for want := range 3 {
		v, shared, err := g.Do(t.Context(), "k", func(context.Context, *singleflight.Ticket) (int, error) { return want, nil })
		if v != want || shared || err != nil {
			t.Errorf("Do = %d, %v, %v; want %d", v, shared, err, want)
		}
	}
}

func TestDoReturnsTheError(t *testing.T) {
	var g group
	want := errors.New("no luck")
	if _, _, err := g.Do(t.Context(), "k", func(context.Context, *singleflight.Ticket) (int, error) { return 0, want }); err != want {
		t.Errorf("err = %v, want %v", err, want)
	}
}

type valueKey struct{}

func TestG2ContextHasTheFirstCallersValuesAndNobodysCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		first, leave := context.WithTimeout(context.WithValue(t.Context(), valueKey{}, "first"), time.Second)
		defer leave()
		fn := func(ctx context.Context, _ *singleflight.Ticket) (int, error) {
			if got := ctx.Value(valueKey{}); got != "first" {
				t.Errorf("value = %v, want the first caller's", got)
			}
			if _, ok := ctx.Deadline(); ok {
				t.Error("the context has a caller's deadline")
			}
			return 7, sleep(ctx, 3*time.Second)
		}
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _, err := g.Do(first, "k", fn)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
				t.Errorf("first: %v after %v; want to leave at its deadline of 1 s", err, time.Since(begin))
			}
		})
		synctest.Wait()
		wg.Go(func() {
			v, shared, err := g.Do(context.WithValue(t.Context(), valueKey{}, "second"), "k", fn)
			if v != 7 || !shared || err != nil || time.Since(begin) != 3*time.Second {
				t.Errorf("second: %d, %v, %v after %v; want the result after 3 s", v, shared, err, time.Since(begin))
			}
		})
		wg.Wait()
	})
}

func TestG2CancelledWhenTheLastWaiterLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		begin := time.Now()
		var ended time.Duration
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Second)
				defer cancel()
				_, _, err := g.Do(ctx, "k", func(ctx context.Context, _ *singleflight.Ticket) (int, error) {
					<-ctx.Done()
					ended = time.Since(begin)
					return 0, ctx.Err()
				})
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("err = %v", err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		synctest.Wait()
		if ended != 3*time.Second {
			t.Errorf("the call was cancelled after %v, want 3 s", ended)
		}
	})
}

// Who comes while an abandoned call is on its way out does not inherit its cancellation, and does not
// run beside it.
func TestWhoComesAfterAnAbandonedCallGetsAResult(t *testing.T) {
	for _, tt := range []struct {
		name     string
		dying    func(context.Context) (int, error) // what an abandoned call does for another second
		want     int
		wantRuns int32
	}{
		{"it fails", func(ctx context.Context) (int, error) { return 0, ctx.Err() }, 2, 2},
		{"it succeeds all the same", func(context.Context) (int, error) { return 1, nil }, 1, 1},
		{"it panics", func(context.Context) (int, error) { panic("late") }, 2, 2},
		{"it calls Goexit", func(context.Context) (int, error) { runtime.Goexit(); return 0, nil }, 2, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g group
				var runs, running atomic.Int32
				fn := func(ctx context.Context, _ *singleflight.Ticket) (int, error) {
					if running.Add(1) != 1 {
						t.Error("two calls of one key at a time")
					}
					defer running.Add(-1)
					if runs.Add(1) > 1 {
						return 2, sleep(ctx, time.Second)
					}
					<-ctx.Done()
					time.Sleep(time.Second)
					return tt.dying(ctx)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if _, _, err := g.Do(ctx, "k", fn); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("first: %v", err)
				}
				v, _, err := g.Do(t.Context(), "k", fn)
				if v != tt.want || err != nil || runs.Load() != tt.wantRuns {
					t.Errorf("second: %d, %v after %d runs; want %d after %d", v, err, runs.Load(), tt.want, tt.wantRuns)
				}
			})
		})
	}
}

func TestG3PanicReachesEveryWaiterAndWedgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		cause := errors.New("cause")
		var caught atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				defer func() {
					pe, ok := recover().(*singleflight.PanicError)
					if !ok || pe.Value != cause || !errors.Is(pe, cause) {
						t.Errorf("recovered %v", pe)
						return
					}
					if !strings.Contains(string(pe.Stack), "panicker") {
						t.Errorf("the stack is not the function's:\n%s", pe.Stack)
					}
					caught.Add(1)
				}()
				_, _, _ = g.Do(t.Context(), "k", func(ctx context.Context, _ *singleflight.Ticket) (int, error) {
					time.Sleep(time.Second)
					return panicker(cause)
				})
			})
		}
		wg.Wait()
		if caught.Load() != 10 {
			t.Errorf("%d of 10 callers panicked", caught.Load())
		}
		if v, _, err := g.Do(t.Context(), "k", func(context.Context, *singleflight.Ticket) (int, error) { return 7, nil }); v != 7 || err != nil {
			t.Errorf("afterwards: %d, %v", v, err)
		}
	})
}

func panicker(v any) (int, error) { panic(v) }

func TestG3GoexitReachesEveryWaiterAndWedgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var exited atomic.Int32
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				returned := false
				defer func() {
					if r := recover(); r != nil {
						t.Errorf("recovered %v", r)
					}
					if !returned {
						exited.Add(1)
					}
				}()
				_, _, _ = g.Do(t.Context(), "k", func(context.Context, *singleflight.Ticket) (int, error) {
					time.Sleep(time.Second)
					runtime.Goexit()
					return 0, nil
				})
				returned = true
			})
		}
		wg.Wait()
		if exited.Load() != 10 {
			t.Errorf("%d of 10 callers exited", exited.Load())
		}
		if v, _, err := g.Do(t.Context(), "k", func(context.Context, *singleflight.Ticket) (int, error) { return 7, nil }); v != 7 || err != nil {
			t.Errorf("afterwards: %d, %v", v, err)
		}
	})
}

func TestDetach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var stored []int
		load := func(v int, d time.Duration) (int, error) {
			got, _, err := g.Do(t.Context(), "k", func(ctx context.Context, ticket *singleflight.Ticket) (int, error) {
				err := sleep(ctx, d)
				committed := ticket.Commit(func() { stored = append(stored, v) })
				if committed == ticket.Detached() {
					t.Errorf("call %d: committed %v, detached %v", v, committed, ticket.Detached())
				}
				return v, err
			})
			return got, err
		}
		if g.Detach("k") {
			t.Error("Detach of a key without a call reports one")
		}
		var wg sync.WaitGroup
		for range 2 { // both wait for the first call
			wg.Go(func() {
				if v, err := load(1, 3*time.Second); v != 1 || err != nil {
					t.Errorf("waiter of the detached call: %d, %v; want its result", v, err)
				}
			})
		}
		synctest.Wait()
		if !g.Detach("k") {
			t.Error("Detach does not report the call")
		}
		for range 2 { // both wait for the second, which ends first
			wg.Go(func() {
				if v, err := load(2, time.Second); v != 2 || err != nil {
					t.Errorf("caller after Detach: %d, %v; want a call of its own", v, err)
				}
			})
		}
		wg.Wait()
		if len(stored) != 1 || stored[0] != 2 {
			t.Errorf("stored %v, want only what was not detached", stored)
		}
	})
}

// The end of a detached call must not free the key of the one that came after it.
func TestDetachedCallLeavesItsSuccessorAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g group
		var runs atomic.Int32
		do := func(d time.Duration) {
			_, _, _ = g.Do(t.Context(), "k", func(ctx context.Context, _ *singleflight.Ticket) (int, error) {
				runs.Add(1)
				return 0, sleep(ctx, d)
			})
		}
		var wg sync.WaitGroup
		wg.Go(func() { do(time.Second) })
		synctest.Wait()
		g.Detach("k")
		wg.Go(func() { do(3 * time.Second) })
		time.Sleep(2 * time.Second) // the first has ended, the second has not
		wg.Go(func() { do(time.Second) })
		wg.Wait()
		if runs.Load() != 2 {
			t.Errorf("%d runs, want 2: the third caller joins the second call", runs.Load())
		}
	})
}

func TestDoPrefersAResultToAnEndedContext(t *testing.T) {
	run := singleflight.NewRun(t.Context())
	c := singleflight.NewCall[int](run)
	c.Settle(7, nil)
	if c.Settle(8, nil) {
		t.Error("a second Settle counts")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := c.Wait(ctx); v != 7 || err != nil {
		t.Errorf("Wait = %d, %v", v, err)
	}
}

// A Run with many Calls ends when nobody waits for any of them, settled ones aside.
func TestRunOfManyCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run := singleflight.NewRun(t.Context())
		a, b := singleflight.NewCall[int](run), singleflight.NewCall[int](run)
		a.Settle(1, nil)
		if v, err := a.Wait(t.Context()); v != 1 || err != nil || run.Context().Err() != nil {
			t.Errorf("a: %d, %v; run: %v", v, err, run.Context().Err())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("b: %v", err)
		}
		if run.Context().Err() == nil {
			t.Error("the run goes on although nobody waits")
		}
	})
}

func TestManyKeysUnderRace(t *testing.T) {
	var g singleflight.Group[int, int]
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				key := (i + j) % 5
				ctx, cancel := context.WithCancel(t.Context())
				if j%3 == 0 {
					cancel()
				}
				if j%7 == 0 {
					g.Detach(key)
				}
				v, _, err := g.Do(ctx, key, func(context.Context, *singleflight.Ticket) (int, error) {
					runtime.Gosched()
					return key, nil
				})
				if err == nil && v != key || err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("Do(%d) = %d, %v", key, v, err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
}
