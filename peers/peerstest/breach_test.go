package peerstest_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// Nobody may answer after the end, or two keys at a time.
func TestBreachesOfDeliver(t *testing.T) {
	bubble(t, 2, func(t *testing.T, h *harness) {
		slow := make(chan struct{})
		h.SetFaults(0, 1, peerstest.Faults{ReplyDelay: func() time.Duration { <-slow; return 0 }})
		var kept func(int, cache.Answer)
		both := true
		if _, err := h.Instance(1).Attach("bad", peerstest.Responder{
			GetFunc: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
				kept = deliver
				go deliver(0, cache.Answer{})
				synctest.Wait() // until it is under way
				if both {
					deliver(1, cache.Answer{})
				}
				go close(slow)
				return nil
			},
		}); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"concurrently", "returned while"} {
			err := peerstest.Get(t.Context(), h.Instance(0).Peer(1), &cache.GetRequest{Cache: "bad", Keys: []string{"a", "b"}}, func(int, cache.Answer) {})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v; want one with %q", err, want)
			}
			mustPanic(t, func() { kept(0, cache.Answer{}) })
			both, slow = false, make(chan struct{})
		}
	})
}

// What a Responder does against its contract is reported to the caller.
func TestBreaches(t *testing.T) {
	ok := cache.Answer{}
	for _, test := range []struct {
		want string
		get  func(deliver func(int, cache.Answer)) error
	}{
		{"answered key 2 of 2", func(deliver func(int, cache.Answer)) error { deliver(2, ok); return nil }},
		{"answered key -1 of 2", func(deliver func(int, cache.Answer)) error { deliver(-1, ok); return nil }},
		{"answered key 0 twice", func(deliver func(int, cache.Answer)) error {
			deliver(0, ok)
			deliver(0, ok)
			deliver(1, ok)
			return nil
		}},
		{"left 1 of 2 keys without an answer", func(deliver func(int, cache.Answer)) error { deliver(1, ok); return nil }},
		{"ended its goroutine", func(func(int, cache.Answer)) error { runtime.Goexit(); return nil }},
		{"panicked: oh", func(func(int, cache.Answer)) error { panic("oh") }},
		{"own text", func(func(int, cache.Answer)) error { return errors.New("own text") }},
	} {
		bubble(t, 2, func(t *testing.T, h *harness) {
			if _, err := h.Instance(1).Attach("bad", peerstest.Responder{
				GetFunc: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
					return test.get(deliver)
				},
			}); err != nil {
				t.Fatal(err)
			}
			err := peerstest.Get(t.Context(), h.Instance(0).Peer(1), &cache.GetRequest{Cache: "bad", Keys: []string{"a", "b"}}, func(int, cache.Answer) {})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "instance-1") {
				t.Errorf("error %v; want one at instance-1 with %q", err, test.want)
			}
		})
	}
}
