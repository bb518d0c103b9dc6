package peerstest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

func TestDropRequests(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.SetFaults(0, 1, peerstest.Faults{DropRequests: true})
		h.fails(func() error { return h.fence(context.Background(), 0, 1) }, detection, false)
		h.fails(func() error { return h.fence(context.Background(), 0, 1) }, 0, true)
		h.noted()
		h.answers(1, 0) // the other direction is another link
		h.SetFaults(0, 1, peerstest.Faults{})
		h.answers(0, 1)
	})
}

// A lost reply means that the request was executed.
func TestDropReplies(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.SetFaults(0, 1, peerstest.Faults{DropReplies: true})
		h.fails(func() error { return h.store(context.Background(), 0, 1) }, detection, false)
		h.noted("1 store k")
		if c := h.Counts(0, 1); c.Stores != 1 || c.Lost != 1 {
			t.Errorf("Counts are %+v; want 1 Store, 1 Lost", c)
		}
	})
}

func TestDelays(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.SetFaultsAll(peerstest.Faults{RequestDelay: peerstest.Delay(3 * time.Second), ReplyDelay: peerstest.Delay(5 * time.Second)})
		h.answers(0, 1) // longer than the detection: it is slow, not dead
		if took := time.Since(h.began); took != 8*time.Second {
			t.Errorf("Get took %v; want 8 s", took)
		}
		h.noted("1 get [k]")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.store(ctx, 0, 1); err != context.DeadlineExceeded {
			t.Errorf("Store: %v", err)
		}
		time.Sleep(time.Minute)
		h.noted() // a message on its way does not outlive its call
	})
}

// Delays of many answers pass at the same time, and in order.
func TestDelaysOverlap(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		delays := []time.Duration{4 * time.Second, time.Second, 9 * time.Second, 2 * time.Second}
		next := 0
		h.SetFaults(0, 1, peerstest.Faults{ReplyDelay: func() time.Duration {
			next++
			return delays[next-1]
		}})
		var came []string
		err := peerstest.Get(t.Context(), h.Instance(0).Peer(1), &cache.GetRequest{Cache: "c", Keys: []string{"a", "b", "c"}}, func(i int, _ cache.Answer) {
			came = append(came, fmt.Sprint(i, " ", time.Since(h.began)))
		})
		if want := "0 4s, 1 4s, 2 9s"; err != nil || strings.Join(came, ", ") != want {
			t.Errorf("answers came %v, error %v; want %v", came, err, want)
		}
		if took := time.Since(h.began); took != 9*time.Second {
			t.Errorf("Get took %v; want 9 s", took)
		}
	})
}

func TestDelayBetween(t *testing.T) {
	draw := func(seed uint64) (all []time.Duration) {
		delay := peerstest.DelayBetween(seed, 5, 8)
		for range 100 {
			all = append(all, delay())
		}
		return all
	}
	a := draw(1)
	if !slices.Equal(a, draw(1)) || slices.Equal(a, draw(2)) {
		t.Errorf("the delays are not those of their seed")
	}
	slices.Sort(a)
	if got := slices.Compact(a); !slices.Equal(got, []time.Duration{5, 6, 7, 8}) {
		t.Errorf("the delays are %v", got)
	}
	if d := peerstest.DelayBetween(1, 3, 3)(); d != 3 {
		t.Errorf("the delay is %v", d)
	}
	mustPanic(t, func() { peerstest.DelayBetween(1, 2, 1) })
}

func TestDuplicateRequests(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.SetFaults(0, 1, peerstest.Faults{DuplicateRequests: true})
		h.answers(0, 1)
		h.noted("1 get [k]", "1 get [k]")
		if err := h.fence(t.Context(), 0, 1); err != nil {
			t.Error(err)
		}
		h.noted("1 fence 7", "1 fence 7")
		if err := h.store(t.Context(), 0, 1); err != nil {
			t.Error(err)
		}
		if err := h.Instance(0).Peer(1).Release(t.Context(), &cache.ReleaseRequest{Cache: "c", ID: 7}); err != nil {
			t.Error(err)
		}
		h.noted("1 store k", "1 release 7")
	})
}

func TestDuplicateReplies(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		h.SetFaults(0, 1, peerstest.Faults{DuplicateReplies: true})
		answers := 0
		err := peerstest.Get(t.Context(), h.Instance(0).Peer(1), &cache.GetRequest{Cache: "c", Keys: []string{"a", "b"}}, func(int, cache.Answer) { answers++ })
		synctest.Wait()
		if err != nil || answers != 2 {
			t.Errorf("%d answers, error %v; want 2", answers, err)
		}
		// Two answers and the end, each once at once and once late.
		if c := h.Counts(0, 1); c.Discarded != 6 {
			t.Errorf("%d replies were discarded; want 6", c.Discarded)
		}
	})
}

func TestCounts(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		p := h.Instance(0).Peer(1)
		_ = peerstest.Get(t.Context(), p, &cache.GetRequest{Cache: "c", Keys: []string{"a", "b", "c"}}, func(int, cache.Answer) {})
		h.answers(0, 1)
		_ = h.fence(t.Context(), 0, 1)
		_ = h.store(t.Context(), 0, 1)
		_ = p.Release(t.Context(), &cache.ReleaseRequest{Cache: "c"})
		h.answers(2, 1)
		want := peerstest.Counts{Gets: 2, Keys: 4, Fences: 1, Releases: 1, Stores: 1}
		if got := h.Counts(0, 1); got != want || got.Requests() != 5 {
			t.Errorf("Counts are %+v; want %+v", got, want)
		}
		want.Gets, want.Keys = 3, 5
		if got := h.CountsAll(); got != want {
			t.Errorf("CountsAll is %+v; want %+v", got, want)
		}
	})
}

// Faults, states and views change under load, and no call is lost without an error.
func TestChangesUnderLoad(t *testing.T) {
	bubble(t, 4, func(t *testing.T, h *harness) {
		h.SetFaultsAll(peerstest.Faults{RequestDelay: peerstest.DelayBetween(1, 0, time.Second), ReplyDelay: peerstest.DelayBetween(2, 0, time.Second)})
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 50 {
					from, to := w%4, (w+1+i%3)%4
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*100*time.Millisecond)
					value, err := h.get(ctx, from, to)
					cancel()
					if (err == nil) != (value == h.Instance(to).Self()) && err == nil {
						t.Errorf("value %q, error %v", value, err)
					}
				}
			})
		}
		for i := range 20 {
			time.Sleep(700 * time.Millisecond)
			switch i % 5 {
			case 0:
				h.Partition([]int{0, i % 4})
				h.SetView(i%4, 0, 1)
			case 1:
				h.Heal()
				h.SetFaults(0, 1, peerstest.Faults{DropReplies: true, DuplicateRequests: true})
			case 2:
				h.Hang(2)
				h.SetFaults(0, 1, peerstest.Faults{DuplicateReplies: true})
			case 3:
				h.Resume(2)
				h.SetViewAll(0, 1, 2, 3)
			case 4:
				h.Restart(3)
				h.attach(3)
			}
		}
		wg.Wait()
	})
}
