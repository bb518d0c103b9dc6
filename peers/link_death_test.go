package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// cut breaks every connection that n has accepted.
func (n *node) cut() {
	for _, s := range n.allSessions() {
		s.nc.Close()
	}
}

// A connection that breaks fails its calls at once. A Get of which nothing was answered is sent once more, and so is a Release;
// a Store and a Fence are not.
func TestLinkBreaksInMidCall(t *testing.T) {
	for verb, want := range map[string]int64{"get": 2, "release": 2, "store": 1, "fence": 1} {
		for _, always := range []bool{false, true} {
			_, b, ab := upgradedPair(t, nil)
			var asked atomic.Int64
			serve := func(ctx context.Context) error {
				if asked.Add(1) == 1 || always {
					b.cut()
					<-ctx.Done()
				}
				return ctx.Err()
			}
			b.attach(t, responder{
				hit: func(_, key string) (cache.Answer, bool) { return cache.Answer{}, key == "first" },
				get: func(ctx context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
					err := serve(ctx)
					if err == nil {
						deliver(0, cache.Answer{})
					}
					return err
				},
				fence:   func(ctx context.Context, _ *cache.FenceRequest) error { return serve(ctx) },
				release: func(ctx context.Context, _ *cache.ReleaseRequest) error { return serve(ctx) },
				store:   func(ctx context.Context, _ *cache.StoreRequest) error { return serve(ctx) },
			})
			linkOf(t, ab)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			err := verbs[verb](ctx, ab)
			cancel()
			if n := asked.Load(); n != want {
				t.Errorf("%s, always %v: it was sent %d times, want %d", verb, always, n, want)
			}
			if ok := want == 2 && !always; ok != (err == nil) {
				t.Errorf("%s, always %v: %v", verb, always, err)
			} else if !ok {
				wantErr(t, err, ErrUnreachable, errBroken)
			}
			if s := ab.pool.Stats().Peers[0]; !s.Up {
				t.Errorf("%s: one connection that breaks takes a peer down: %+v", verb, s)
			}
		}
	}
}

// A Get that was answered in part is not sent again: who asks for the rest knows what it has.
func TestLinkBreaksAfterAnAnswer(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	var asked atomic.Int64
	b.attach(t, responder{get: func(ctx context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
		asked.Add(1)
		deliver(0, cache.Answer{Value: []byte("v")})
		<-ctx.Done()
		return ctx.Err()
	}, hit: func(_, key string) (cache.Answer, bool) { return cache.Answer{}, key == "first" }})
	linkOf(t, ab)
	delivered := 0
	err := ask(t.Context(), ab, &cache.GetRequest{Cache: "c", Keys: []string{"k", "l"}}, func(int, cache.Answer) {
		delivered++
		b.cut()
	})
	wantErr(t, err, ErrUnreachable, errBroken)
	if asked.Load() != 1 || delivered != 1 {
		t.Errorf("it was sent %d times, %d answers were delivered", asked.Load(), delivered)
	}
}

// Connections that break all the time cost nobody a Get.
func TestLinkBreaksUnderLoad(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{})
	linkOf(t, ab)
	var wg sync.WaitGroup
	var gets atomic.Int64
	var done atomic.Bool
	for c := range 8 {
		wg.Go(func() {
			for i := 0; !done.Load(); i++ {
				key := fmt.Sprint(c, "/", i)
				a, err := get(t.Context(), ab, key)
				// One that was sent twice in vain, or as often as takes a peer down, has its error.
				if err != nil && !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrPeerDown) || err == nil && string(a[0].Value) != key {
					t.Errorf("%q: %q, %v", key, a[0].Value, err)
				}
				gets.Add(1)
			}
		})
	}
	for range 20 {
		before := gets.Load()
		until(t, "calls", func() bool { return gets.Load() > before+20 })
		b.cut()
	}
	done.Store(true)
	wg.Wait()
	until(t, "the peer to be up", func() bool { c, _, _ := ab.health.state(); return c == nil })
	mustGet(t, ab, "k")
	atRest(t, ab.link.Load(), b)
	if n := len(ab.links()); n != 1 {
		t.Errorf("%d connections are kept", n)
	}
}

// A process that is frozen is found out by a ping, all calls that wait for it fail then, and it is found again.
func TestG5LinkToAFrozenProcess(t *testing.T) {
	b, ab, proxy := throughProxy(t, func(c *Config) { c.PingAfter, c.PingTimeout = 50*time.Millisecond, 500*time.Millisecond })
	b.attach(t, responder{})
	linkOf(t, ab)
	thaw := proxy.freeze()
	began := time.Now()
	done := make(chan error, 8)
	for i := range cap(done) {
		go func() { done <- verbs[[]string{"get", "fence", "release", "store"}[i%4]](context.Background(), ab) }()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	_, err := get(ctx, ab, "k")
	wantErr(t, err, context.DeadlineExceeded)
	for range cap(done) {
		wantErr(t, receive(t, done, "a call to a process that is frozen"), ErrPeerDown)
	}
	if d := time.Since(began); d < 500*time.Millisecond || d > patience/2 {
		t.Errorf("it took %v", d)
	}
	_, err = get(t.Context(), ab, "k")
	wantErr(t, err, ErrPeerDown)
	if s := ab.pool.Stats().Peers[0]; s.Up || s.Transport != "" || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
	thaw()
	until(t, "it to be up", func() bool { c, _, _ := ab.health.state(); return c == nil })
	mustGet(t, ab, "k")
	if how, _, n, _ := ab.transport(); how != "upgraded" || n != 2 {
		t.Errorf("asked by way of %q, after %d upgrades", how, n)
	}
}

// A connection that swallows everything, while others do not.
func TestG5LinkThatIsSilent(t *testing.T) {
	_, b, ab := upgradedPair(t, func(c *Config) { c.PingAfter, c.PingTimeout = 50*time.Millisecond, 300*time.Millisecond })
	b.attach(t, responder{})
	b.takeOver(t, func(e *rawEnd) { io.Copy(io.Discard, e.nc) })
	wantErr(t, verbs["fence"](context.Background(), ab), ErrPeerDown, ErrUnreachable)
	b.handle(nil)
	until(t, "it to be up", func() bool { c, _, _ := ab.health.state(); return c == nil })
	mustGet(t, ab, "k")
	isUpgraded(t, ab)
}

// A connection that nobody uses is seen to end.
func TestLinkIdleEnds(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{})
	linkOf(t, ab)
	b.cut()
	until(t, "the end to be seen", func() bool { how, _, _, _ := ab.transport(); return how == "" && len(ab.links()) == 0 })
	if s := ab.pool.Stats().Peers[0]; !s.Up || s.Failures != 0 {
		t.Errorf("a connection that ends unused counts as a failure: %+v", s)
	}
	mustGet(t, ab, "k")
	if _, _, n, _ := ab.transport(); n != 2 {
		t.Errorf("%d upgrades", n)
	}
}

// A peer that is frozen is found to be down though no caller waits for long: who comes next does not pay for it.
func TestG8FrozenPeerAndImpatientCallers(t *testing.T) {
	b, ab, proxy := throughProxy(t, func(c *Config) { c.PingAfter, c.PingTimeout = 50*time.Millisecond, 200*time.Millisecond })
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	isUpgraded(t, ab)
	thaw := proxy.freeze()
	defer thaw()
	until(t, "the peer to be down", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		_, err := get(ctx, ab, "k")
		return errors.Is(err, ErrPeerDown)
	})
}

// A cache that ends the goroutine it is called on does not leave the call open.
func TestG3GoexitWhileServing(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{get: func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
		runtime.Goexit()
		return nil
	}})
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrFailed)
	until(t, "the call to be over", func() bool { return b.Stats().InFlight == 0 })
}
