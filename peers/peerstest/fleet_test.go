package peerstest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

const detection = peerstest.DefaultDetection

func TestStopAndRestart(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		h.answers(0, 1)
		h.Stop(1)
		h.failsGet(0, 1, 0, false) // connection refused
		h.failsGet(0, 1, 0, true)
		h.failsGet(1, 0, 0, false)
		h.answers(0, 2)
		h.Restart(1)
		if _, err := h.get(t.Context(), 0, 1); !errors.Is(err, cache.ErrUnknownCache) {
			t.Errorf("Get of a new process without caches: %v; want ErrUnknownCache", err)
		}
		h.attach(1)
		h.answers(0, 1)
		h.answers(1, 0)
		h.Restart(1) // which runs
		if _, err := h.get(t.Context(), 0, 1); !errors.Is(err, cache.ErrUnknownCache) {
			t.Errorf("Get of a new process without caches: %v; want ErrUnknownCache", err)
		}
	})
}

// What an old process detaches is not what the new one attached.
func TestDetachOfAnotherLife(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		detach, err := h.Instance(1).Attach("other", peerstest.Responder{})
		if err != nil {
			t.Fatal(err)
		}
		h.Restart(1)
		if _, err := h.Instance(1).Attach("other", peerstest.Responder{}); err != nil {
			t.Fatal(err)
		}
		detach()
		detach()
		if err := h.Instance(0).Peer(1).Fence(t.Context(), &cache.FenceRequest{Cache: "other"}); err != nil {
			t.Errorf("Fence: %v", err)
		}
	})
}

func TestStopEndsServingContext(t *testing.T) {
	for _, victim := range []int{0, 1} {
		bubble(t, 2, func(t *testing.T, h *harness) {
			ended := make(chan error, 1)
			if _, err := h.Instance(1).Attach("slow", peerstest.Responder{
				FenceFunc: func(ctx context.Context, _ *cache.FenceRequest) error {
					<-ctx.Done()
					ended <- ctx.Err()
					return ctx.Err()
				},
			}); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() {
				done <- h.Instance(0).Peer(1).Fence(context.Background(), &cache.FenceRequest{Cache: "slow"})
			}()
			synctest.Wait()
			h.Stop(victim)
			h.fails(func() error { return <-done }, 0, false)
			<-ended
		})
	}
}

func TestHangAndResume(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		h.Hang(1)
		// A short one passes unnoticed, and what waits goes on.
		time.AfterFunc(detection/2, func() { h.Resume(1) })
		h.answers(0, 1)
		if took := time.Since(h.began); took != detection/2 {
			t.Errorf("the answer took %v; want %v", took, detection/2)
		}
		h.noted("1 get [k]")

		h.Hang(1)
		h.failsGet(0, 1, detection, false)
		h.failsGet(0, 1, 0, true)
		h.failsGet(2, 1, detection, false)
		h.failsGet(1, 0, detection, false)
		h.Resume(1)
		h.noted() // what waited is gone with its callers
		h.answers(0, 1)
		h.answers(1, 0)
	})
}

func TestCallersContextComesBeforeDetection(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.Hang(1)
		ctx, cancel := context.WithTimeout(t.Context(), detection/2)
		defer cancel()
		if _, err := h.get(ctx, 0, 1); err != context.DeadlineExceeded {
			t.Errorf("Get: %v; want the context's error", err)
		}
		if took := time.Since(h.began); took != detection/2 {
			t.Errorf("Get took %v; want %v", took, detection/2)
		}
	})
}

func TestPartition(t *testing.T) {
	bubble(t, 5, func(t *testing.T, h *harness) {
		h.Partition([]int{0, 1}, []int{2})
		h.answers(0, 1)
		h.answers(3, 4) // the rest is a group
		h.noted("1 get [k]", "4 get [k]")
		h.failsGet(0, 2, detection, false)
		h.failsGet(0, 2, 0, true)
		h.failsGet(2, 3, detection, false)
		h.noted()
		if c := h.Counts(0, 2); c.Gets != 1 || c.Refused != 1 || c.Lost != 1 {
			t.Errorf("Counts are %+v; want 1 Get, 1 Refused, 1 Lost", c)
		}
		h.Heal()
		h.answers(0, 2)
		h.answers(2, 3)
	})
}

// A partition that comes while a Responder works is found by the time that pings take, not by the reply.
func TestPartitionMeanwhile(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		var served error
		if _, err := h.Instance(1).Attach("slow", peerstest.Responder{
			FenceFunc: func(ctx context.Context, _ *cache.FenceRequest) error {
				<-ctx.Done()
				served = ctx.Err()
				return nil
			},
		}); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { h.Partition([]int{0}) })
		h.fails(func() error {
			return h.Instance(0).Peer(1).Fence(context.Background(), &cache.FenceRequest{Cache: "slow"})
		}, time.Minute+detection, false)
		synctest.Wait()
		if served != context.Canceled {
			t.Errorf("the serving context's error is %v", served)
		}
	})
}

// A partition that heals in time loses what passed it, and harms nothing else.
func TestPartitionHealsInTime(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.SetFaults(0, 1, peerstest.Faults{ReplyDelay: peerstest.Delay(time.Minute)})
		time.AfterFunc(30*time.Second, func() { h.Partition([]int{0}) })
		time.AfterFunc(30*time.Second+detection/2, h.Heal)
		h.answers(0, 1)
	})
}

func TestDetectionOff(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.SetDetection(0)
		h.Partition([]int{0})
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			if _, err := h.get(ctx, 0, 1); err != context.DeadlineExceeded {
				t.Errorf("Get: %v; want the context's error", err)
			}
			cancel()
		}
		if took := time.Since(h.began); took != 2*time.Hour {
			t.Errorf("two calls took %v; want 2 h", took)
		}
	})
}

func TestMarkDown(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.MarkDown(0, 1, true)
		h.failsGet(0, 1, 0, true)
		h.answers(1, 0)
		h.noted("0 get [k]")
		h.MarkDown(0, 1, false)
		h.answers(0, 1)
	})
}

func TestViews(t *testing.T) {
	bubble(t, 4, func(t *testing.T, h *harness) {
		members := func(i int) string {
			var owners, others []string
			for p := range h.Instance(i).Owners("key") {
				if p == nil {
					owners = append(owners, "self")
				} else {
					owners = append(owners, p.Addr())
				}
			}
			for _, p := range h.Instance(i).Others() {
				if !h.Instance(i).Left(p) {
					others = append(others, p.Addr())
				}
			}
			return fmt.Sprintf("%d owners, others %v", len(owners), others)
		}
		want := func(i int, want string) {
			t.Helper()
			if got := members(i); got != want {
				t.Errorf("instance %d has %s; want %s", i, got, want)
			}
		}
		before := h.Instance(0).Others()[0]
		h.SetViewAll(1, 0)
		h.SetView(2, 0, 2, 2, 3)
		want(0, "2 owners, others [instance-1]")
		want(2, "3 owners, others [instance-0 instance-3]")
		want(3, "2 owners, others [instance-0 instance-1]") // not in its own view
		h.SetView(3)
		want(3, "0 owners, others []")
		if h.Instance(0).Others()[0] != before || h.Instance(0).Peer(1) != before {
			t.Errorf("instance 1 has become another Peer")
		}
		h.answers(0, 3) // who is in no view is there all the same
	})
}

func TestNames(t *testing.T) {
	fleet := peerstest.NewFleetOf("a", "b")
	if got := fleet.Instance(0).Others()[0].Addr() + fleet.Instance(0).Self() + fleet.Instance(1).Peer(0).Addr(); got != "baa" {
		t.Errorf("addresses are %q", got)
	}
	if peerstest.NewFleet(3).Instance(2).Self() != "instance-2" || fleet.Instance(1).Index() != 1 || fleet.Len() != 2 {
		t.Errorf("names or indexes are wrong")
	}
	if got := fmt.Sprint(fleet.Instance(1), fleet.Instance(0).Peer(1)); got != "b a->b" {
		t.Errorf("instances print as %q", got)
	}
	for _, names := range [][]string{{""}, {"a", "b", "a"}} {
		mustPanic(t, func() { peerstest.NewFleetOf(names...) })
	}
	mustPanic(t, func() { fleet.Counts(1, 1) })
	mustPanic(t, func() { fleet.SetView(0, 2) })
	if _, err := fleet.Instance(0).Attach("c", nil); err == nil {
		t.Errorf("a nil Responder was attached")
	}
}

func mustPanic(t *testing.T, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("no panic")
		}
	}()
	f()
}
