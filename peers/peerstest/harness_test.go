package peerstest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// bubble runs test in a synctest bubble, with a fleet of n instances that answer each key with their names.
func bubble(t *testing.T, n int, test func(t *testing.T, h *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &harness{T: t, Fleet: peerstest.NewFleet(n), began: time.Now()}
		for i := range n {
			h.attach(i)
		}
		test(t, h)
	})
}

type harness struct {
	*testing.T
	*peerstest.Fleet
	began time.Time

	mu  sync.Mutex // guards log
	log []string
}

// attach gives instance i a Responder that notes what it is asked.
func (h *harness) attach(i int) {
	h.Helper()
	_, err := h.Instance(i).Attach("c", peerstest.Responder{
		GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			h.note("%d get %v", i, req.Keys)
			for j := range req.Keys {
				deliver(j, cache.Answer{Value: []byte(h.Instance(i).Self()), TTL: time.Minute})
			}
			return nil
		},
		FenceFunc: func(_ context.Context, req *cache.FenceRequest) error {
			h.note("%d fence %d", i, req.ID)
			return nil
		},
		ReleaseFunc: func(_ context.Context, req *cache.ReleaseRequest) error {
			h.note("%d release %d", i, req.ID)
			return nil
		},
		StoreFunc: func(_ context.Context, req *cache.StoreRequest) error {
			h.note("%d store %s", i, req.Key)
			return nil
		},
	})
	if err != nil {
		h.Fatal(err)
	}
}

func (h *harness) note(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// noted checks what the Responders were asked since the last time.
func (h *harness) noted(want ...string) {
	h.Helper()
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	if fmt.Sprint(h.log) != fmt.Sprint(want) {
		h.Errorf("the Responders were asked %q; want %q", h.log, want)
	}
	h.log = nil
}

// get asks for one key.
func (h *harness) get(ctx context.Context, from, to int) (string, error) {
	var value string
	err := peerstest.Get(ctx, h.Instance(from).Peer(to), &cache.GetRequest{Cache: "c", Keys: []string{"k"}}, func(_ int, a cache.Answer) {
		value = string(a.Value)
	})
	return value, err
}

func (h *harness) fence(ctx context.Context, from, to int) error {
	return h.Instance(from).Peer(to).Fence(ctx, &cache.FenceRequest{Cache: "c", ID: 7, Keys: []string{"k"}})
}

func (h *harness) store(ctx context.Context, from, to int) error {
	return h.Instance(from).Peer(to).Store(ctx, &cache.StoreRequest{Cache: "c", Key: "k", Value: []byte("v")})
}

// answers checks that from reaches to.
func (h *harness) answers(from, to int) {
	h.Helper()
	if got, err := h.get(h.Context(), from, to); err != nil || got != h.Instance(to).Self() {
		h.Errorf("%d got %q from %d, error %v", from, got, to, err)
	}
}

// fails checks that a call fails after a time, with an instance that is known to be down or not.
func (h *harness) fails(call func() error, after time.Duration, down bool) {
	h.Helper()
	start := time.Now()
	err := call()
	if took := time.Since(start); took != after {
		h.Errorf("the call failed after %v; want %v", took, after)
	}
	if !errors.Is(err, peerstest.ErrUnreachable) || errors.Is(err, cache.ErrPeerDown) != down {
		h.Errorf("error %v; want ErrUnreachable, with ErrPeerDown: %t", err, down)
	}
}

// failsGet is fails for a Get.
func (h *harness) failsGet(from, to int, after time.Duration, down bool) {
	h.Helper()
	h.fails(func() error {
		_, err := h.get(context.Background(), from, to)
		return err
	}, after, down)
}
