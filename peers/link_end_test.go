package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A peer that leaves the view is let go, and answers what it was asked before.
func TestLinkToAPeerThatLeaves(t *testing.T) {
	a, b, ab := upgradedPair(t, nil)
	asked, release := make(chan struct{}), make(chan struct{})
	b.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { close(asked); <-release; return nil }})
	linkOf(t, ab)
	done := make(chan error, 1)
	go func() { done <- verbs["fence"](context.Background(), ab) }()
	receive(t, asked, "the request")
	if err := a.Set(); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := receive(t, done, "the call"); err != nil {
		t.Error(err)
	}
	until(t, "the end of the connection", func() bool { return b.Stats().Connections == 0 && len(ab.links()) == 0 })
}

// An http.Server that shuts down sends its clients away: what they have asked is answered, and no call breaks off.
func TestG8LinkServerShutsDown(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	asked, release := make(chan struct{}), make(chan struct{})
	b.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { close(asked); <-release; return nil }})
	l := linkOf(t, ab)
	done := make(chan error, 1)
	go func() { done <- verbs["fence"](context.Background(), ab) }()
	receive(t, asked, "the request")
	var wg sync.WaitGroup
	var over atomic.Bool
	var gets atomic.Int64
	for c := range 4 {
		wg.Go(func() {
			for i := 0; !over.Load(); i++ {
				key := fmt.Sprint(c, "/", i)
				_, err := get(t.Context(), ab, key)
				// New connections are refused, and after that the peer is down.
				if errors.Is(err, errBroken) || err != nil && !errors.Is(err, ErrUnreachable) && !errors.Is(err, ErrPeerDown) {
					t.Errorf("%q: %v", key, err)
				}
				gets.Add(1)
			}
		})
	}
	until(t, "load", func() bool { return gets.Load() > 100 })
	if err := b.srv.Config.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	until(t, "the client to be told", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.retired })
	until(t, "the peer to be down", func() bool { c, _, _ := ab.health.state(); return c != nil })
	over.Store(true)
	wg.Wait()
	close(release)
	if err := receive(t, done, "the call that was under way"); err != nil {
		t.Errorf("a call that was taken before: %v", err)
	}
	until(t, "the end of the connection", func() bool { return b.Stats().Connections == 0 })
}

// Drain sends clients away, and waits until what they have asked is answered.
func TestDrain(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	b.attach(t, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		if q.Keys[0] == "slow" {
			asked <- struct{}{}
			<-release
		}
		deliver(0, cache.Answer{Value: []byte(q.Keys[0])})
		return nil
	}})
	linkOf(t, ab)
	done := make(chan error, 1)
	go func() { _, err := get(context.Background(), ab, "slow"); done <- err }()
	receive(t, asked, "the request")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantErr(t, b.Pool.Drain(ctx), context.DeadlineExceeded)
	drained := make(chan error, 1)
	go func() { drained <- b.Pool.Drain(context.Background()) }()
	until(t, "the client to be sent away", func() bool { how, _, _, _ := ab.transport(); return how != "upgraded" })
	mustGet(t, ab, "k") // is served on, by POST
	if how, _, _, _ := ab.transport(); how != "post" {
		t.Errorf("asked by way of %q", how)
	}
	select {
	case err := <-drained:
		t.Errorf("Drain returns %v while a request is served", err)
	default:
	}
	close(release)
	if err := receive(t, drained, "Drain"); err != nil {
		t.Error(err)
	}
	if err := receive(t, done, "the call"); err != nil {
		t.Error(err)
	}
	until(t, "the end of the connection", func() bool { return b.Stats().Connections == 0 })
}

// Drain waits for answers that are on their way, too.
func TestDrainWaitsForLongAnswers(t *testing.T) {
	n := rawNode(t, nil)
	n.attach(t, responder{hit: func(string, string) (cache.Answer, bool) {
		return cache.Answer{Value: make([]byte, 2*wire.Window)}, true
	}})
	l := dialRaw(t, n)
	l.write(frame(wire.TypeRequest, 1, getRequest(t, "k")))
	credit := len(l.next().Payload) // the first part
	got := credit
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	wantErr(t, n.Pool.Drain(ctx), context.DeadlineExceeded)
	drained := make(chan error, 1)
	go func() { drained <- n.Pool.Drain(t.Context()) }()
	for got < 2*wire.Window {
		l.write(wire.AppendCredit(nil, 1, credit))
		for {
			f := l.next()
			if f.Type == wire.TypeGoAway {
				continue
			}
			credit = len(f.Payload)
			got += credit
			break
		}
	}
	if err := receive(t, drained, "Drain"); err != nil {
		t.Error(err)
	}
}

// Close of the answering Pool: what it was asked before is answered, then the connection ends.
func TestCloseEndsSessions(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	asked, release := make(chan struct{}), make(chan struct{})
	b.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { close(asked); <-release; return nil }})
	l := linkOf(t, ab)
	done := make(chan error, 1)
	go func() { done <- verbs["fence"](context.Background(), ab) }()
	receive(t, asked, "the request")
	b.Pool.Close()
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrClosed)
	close(release)
	if err := receive(t, done, "the call that was taken before"); err != nil {
		t.Error(err)
	}
	until(t, "the end of the connection", func() bool { return b.Stats().Connections == 0 })
	until(t, "the end to be seen", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.failed })
}

// Whoever else is writing when the last answer is ready: it is written before the connection is closed.
func TestCloseWritesTheLastAnswer(t *testing.T) {
	n := rawNode(t, nil)
	asked, release := make(chan struct{}, 1), make(chan struct{})
	n.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { asked <- struct{}{}; <-release; return nil }})
	l := dialRaw(t, n)
	l.write(frame(wire.TypeRequest, 1, request(t, &wire.Request{Verb: wire.Fence, Timeout: cache.Forever, Fence: &cache.FenceRequest{Cache: "c", All: true}})))
	receive(t, asked, "the request")
	s := sessionOf(n, l.nc)
	s.mu.Lock()
	s.writing = true // somebody is
	s.mu.Unlock()
	n.Pool.Close()
	close(release)
	until(t, "the answer to be ready", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.calls) == 0 })
	s.write(true)
	if f := l.next(); f.Type != wire.TypeGoAway {
		t.Errorf("a frame of type %d", f.Type)
	}
	if code := l.code(1); code != wire.OK {
		t.Errorf("code %d", code)
	}
	if !l.ended() {
		t.Error("the connection is not closed")
	}
}

// Close of the asking Pool.
func TestCloseEndsLinks(t *testing.T) {
	a, b, ab := upgradedPair(t, nil)
	asked := make(chan struct{})
	b.attach(t, responder{fence: func(ctx context.Context, _ *cache.FenceRequest) error { close(asked); <-ctx.Done(); return ctx.Err() }})
	linkOf(t, ab)
	done := make(chan error, 1)
	go func() { done <- verbs["fence"](context.Background(), ab) }()
	receive(t, asked, "the request")
	as := ab.Get(&cache.GetRequest{Cache: "c", Keys: []string{"k"}}, cache.Forever)
	a.Pool.Close()
	wantErr(t, receive(t, done, "the call"), ErrClosed)
	for { // an answer that was there is taken yet
		_, _, err := as.Next(t.Context())
		if err == nil {
			continue
		}
		if err != io.EOF {
			wantErr(t, err, ErrClosed)
		}
		break
	}
	as.Close()
	until(t, "the end of the connection", func() bool { s := b.Stats(); return s.Connections == 0 && s.InFlight == 0 })
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrClosed)
}

// An attempt to upgrade that is under way when the Pool is closed comes to nothing.
func TestCloseDuringAnUpgrade(t *testing.T) {
	a, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{})
	knocked, held := make(chan struct{}), make(chan struct{})
	b.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			close(knocked)
			<-held
		}
		b.Pool.ServeHTTP(w, r)
	})
	done := make(chan error, 1)
	go func() { done <- verbs["get"](context.Background(), ab) }()
	receive(t, knocked, "the request to upgrade")
	go a.Pool.Close()
	wantErr(t, receive(t, done, "the call"), ErrClosed)
	close(held)
	until(t, "the end of the connection", func() bool { return b.Stats().Connections == 0 && len(ab.links()) == 0 })
}
