package peerstest_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

func TestHoldRequest(t *testing.T) {
	bubble(t, 3, func(t *testing.T, h *harness) {
		hold := h.Hold(func(m peerstest.Message) bool { return m.Kind == peerstest.KindFence && m.To == 2 && !m.Reply })
		done := make(chan error, 1)
		go func() { done <- errors.Join(h.fence(t.Context(), 0, 1), h.fence(t.Context(), 0, 2)) }()
		m, err := hold.Await(t.Context())
		if err != nil || m.From != 0 || m.Fence != 7 || !slices.Equal(m.Keys, []string{"k"}) || m.Cache != "c" {
			t.Errorf("Await returned %v, %v", m, err)
		}
		h.answers(0, 2) // nothing else is held
		h.noted("1 fence 7", "2 get [k]")
		hold.Release()
		if err := <-done; err != nil {
			t.Error(err)
		}
		h.noted("2 fence 7")
		hold.Release()
		hold.Drop() // too late
		if err := h.fence(t.Context(), 0, 2); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if m, err := hold.Await(ctx); err != context.DeadlineExceeded {
			t.Errorf("Await returned %v, %v; want no more messages", m, err)
		}
	})
}

func TestHoldReply(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		hold := h.Hold(func(m peerstest.Message) bool { return m.Reply && m.Answer != nil && m.Keys[0] == "b" })
		var answers []int
		done := make(chan error, 1)
		go func() {
			done <- peerstest.Get(t.Context(), h.Instance(0).Peer(1), &cache.GetRequest{Cache: "c", Keys: []string{"a", "b"}}, func(i int, a cache.Answer) {
				answers = append(answers, i)
				clear(a.Value)
			})
		}()
		m, err := hold.Await(t.Context())
		if err != nil || string(m.Answer.Value) != "instance-1" {
			t.Errorf("Await returned %v, %v", m, err)
		}
		synctest.Wait()
		if len(answers) != 1 {
			t.Errorf("answers %v came while one is held", answers)
		}
		hold.Release()
		if err := <-done; err != nil || len(answers) != 2 {
			t.Errorf("answers %v, error %v", answers, err)
		}
		if string(m.Answer.Value) != "instance-1" {
			t.Errorf("the caller changed its answer, and the message has become %q", m.Answer.Value)
		}
	})
}

func TestHoldDrop(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		hold := h.Hold(func(m peerstest.Message) bool { return true })
		time.AfterFunc(time.Minute, hold.Drop)
		h.fails(func() error { return h.fence(context.Background(), 0, 1) }, time.Minute+detection, false)
		h.noted()
		if _, err := hold.Await(t.Context()); err != nil {
			t.Errorf("Await after Drop: %v", err)
		}
		h.answers(0, 1) // nothing blocks the link
	})
}

// Several goroutines may await; each message goes to one of them.
func TestHoldManyWaiters(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		hold := h.Hold(func(m peerstest.Message) bool { return !m.Reply })
		var waiters, callers sync.WaitGroup
		calls := make([]bool, 9)
		for range 8 {
			waiters.Go(func() {
				m, err := hold.Await(t.Context())
				if err != nil || calls[m.Call] {
					t.Errorf("Await returned %v, %v", m, err)
				}
				calls[m.Call] = true
			})
			callers.Go(func() { h.answers(0, 1) })
		}
		waiters.Wait()
		hold.Release()
		callers.Wait()
	})
}

// A held message goes with its caller.
func TestHoldLeaver(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		hold := h.Hold(func(m peerstest.Message) bool { return !m.Reply })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.store(ctx, 0, 1); err != context.DeadlineExceeded {
			t.Error(err)
		}
		synctest.Wait()
		hold.Release()
		h.noted()
	})
}

// An interceptor that returns nil after the call lets a request arrive late, and no reply.
func TestInterceptLate(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		late := make(chan struct{})
		remove := h.Intercept(func(ctx context.Context, m peerstest.Message) error {
			<-late // whatever ctx says
			return nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.store(ctx, 0, 1); err != context.DeadlineExceeded {
			t.Error(err)
		}
		remove()
		h.noted()
		close(late)
		h.noted("1 store k")
		if c := h.Counts(0, 1); c.Discarded != 1 || c.Lost != 0 {
			t.Errorf("Counts are %+v; want 1 Discarded", c)
		}
	})
}

func TestInterceptSeesEverything(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		var mu sync.Mutex
		var seen []string
		remove := h.Intercept(func(_ context.Context, m peerstest.Message) error {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, m.String())
			return nil
		})
		_ = peerstest.Get(t.Context(), h.Instance(0).Peer(1), &cache.GetRequest{Cache: "c", Keys: []string{"a", "b"}}, func(int, cache.Answer) {})
		_ = h.Instance(1).Peer(0).Fence(t.Context(), &cache.FenceRequest{Cache: "c", ID: 9, All: true})
		_ = h.Instance(0).Peer(1).Release(t.Context(), &cache.ReleaseRequest{Cache: "nothing", ID: 9, Keys: []string{"k"}})
		_ = peerstest.Get(t.Context(), h.Instance(0).Peer(1), &cache.GetRequest{Cache: "c"}, nil)
		remove()
		remove()
		h.answers(0, 1)
		want := []string{
			`#1 0->1 Get "c" ["a" "b"]`,
			`#1 0<-1 Get "c" ["a"] status 0, 10 bytes`,
			`#1 0<-1 Get "c" ["b"] status 0, 10 bytes`,
			`#2 1->0 Fence "c" all fence 9`,
			`#2 1<-0 Fence "c" all fence 9`,
			`#3 0->1 Release "nothing" ["k"] fence 9`,
			`#3 0<-1 Release "nothing" ["k"] fence 9: cache: the instance has no cache of this name`,
			`#4 0->1 Get "c"`,
			`#4 0<-1 Get "c"`,
		}
		if !slices.Equal(seen, want) {
			t.Errorf("seen:\n%q\nwant:\n%q", seen, want)
		}
	})
}

// A fault that comes while a message is held counts when it is let go.
func TestFaultWhileHeld(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		hold := h.Hold(func(m peerstest.Message) bool { return !m.Reply })
		done := make(chan error, 1)
		go func() { done <- h.store(context.Background(), 0, 1) }()
		if _, err := hold.Await(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Partition([]int{0})
		hold.Release()
		h.fails(func() error { return <-done }, detection, false)
		h.noted()
	})
}
