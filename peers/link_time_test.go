package peers

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// Who reads for all leaves when its context ends, and somebody else reads.
func TestLinkReaderLeavesByItsContext(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	release := make(chan struct{})
	b.attach(t, responder{get: func(ctx context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		select {
		case <-release:
			deliver(0, cache.Answer{Value: []byte(q.Keys[0])})
		case <-ctx.Done():
		}
		return ctx.Err()
	}, hit: func(_, key string) (cache.Answer, bool) { return cache.Answer{Value: []byte(key)}, key[0] == 'f' }})
	l := linkOf(t, ab)
	slowest := time.Hour
	for range 20 { // the quickest of some, since machines stall
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan time.Time, 1)
		go func() { _, err := get(ctx, ab, "leaves"); wantErr(t, err, context.Canceled); left <- time.Now() }()
		until(t, "the call", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.pending == 1 })
		began := time.Now()
		cancel()
		slowest = min(slowest, receive(t, left, "the call that left").Sub(began))
	}
	if slowest > 10*readerPatience {
		t.Errorf("a caller leaves %v after its context ended", slowest)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 8 {
		wg.Go(func() {
			if i%2 == 0 {
				_, err := get(ctx, ab, "leaves")
				wantErr(t, err, context.Canceled)
			} else {
				mustGet(t, ab, "stays")
			}
		})
	}
	until(t, "the calls", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.pending == 8 })
	mustGet(t, ab, "fast")
	cancel()
	mustGet(t, ab, "fast")
	close(release)
	wg.Wait()
	atRest(t, l, b)
}

// What ends a call at this end ends the context of the cache at the other: G2 across the hop.
func TestG2LinkCancels(t *testing.T) {
	for name, end := range map[string]func(a *node, as cache.Answers, p *peer){
		"Close":                  func(_ *node, as cache.Answers, _ *peer) { as.Close() },
		"the Pool's Close":       func(a *node, _ cache.Answers, _ *peer) { a.Pool.Close() },
		"the connection's death": func(_ *node, _ cache.Answers, p *peer) { p.link.Load().nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			a, b, ab := upgradedPair(t, nil)
			asked := make(chan context.Context, 1)
			b.attach(t, responder{get: func(ctx context.Context, q *cache.GetRequest, _ func(int, cache.Answer)) error {
				asked <- ctx
				<-ctx.Done()
				return ctx.Err()
			}, hit: func(_, key string) (cache.Answer, bool) { return cache.Answer{}, key == "first" }})
			linkOf(t, ab)
			as := ab.Get(&cache.GetRequest{Cache: "c", Keys: []string{"k"}}, cache.Forever)
			ctx := receive(t, asked, "the request")
			if _, ok := ctx.Deadline(); ok || ctx.Err() != nil {
				t.Errorf("a call without a deadline has one, or has ended: %v", ctx.Err())
			}
			end(a, as, ab)
			receive(t, ctx.Done(), "the end of the context at the other side")
			if name != "Close" {
				as.Close()
			}
		})
	}
}

// A call's time ends it, at both ends, also if the peer never answers and all is well with the connection.
func TestLinkTimeout(t *testing.T) {
	_, b, ab := upgradedPair(t, quick)
	var pings atomic.Int64
	cancelled := make(chan uint64, 10)
	b.takeOver(t, func(e *rawEnd) {
		e.serveFrames(func(f wire.Frame) []byte {
			switch f.Type {
			case wire.TypePing:
				pings.Add(1)
				return frame(wire.TypePong, 0, f.Payload)
			case wire.TypeCancel:
				cancelled <- f.Call
				return endFrame(f.Call, wire.Timeout)
			}
			return nil
		})
	})
	as := ab.Get(&cache.GetRequest{Cache: "c", Keys: []string{"k"}}, 300*time.Millisecond) // makes the connection
	_, _, err := as.Next(t.Context())
	wantErr(t, err, context.DeadlineExceeded)
	as.Close()
	isUpgraded(t, ab)
	receive(t, cancelled, "the word that it was given up")
	began := time.Now()
	as = ab.Get(&cache.GetRequest{Cache: "c", Keys: []string{"k"}}, 100*time.Millisecond)
	_, _, err = as.Next(t.Context())
	wantErr(t, err, context.DeadlineExceeded)
	as.Close()
	if d := time.Since(began); d < 100*time.Millisecond || pings.Load() == 0 {
		t.Errorf("it ended after %v and %d pings", d, pings.Load())
	}
	receive(t, cancelled, "the word that it was given up")
	if s := ab.pool.Stats().Peers[0]; !s.Up || s.InFlight != 0 {
		t.Errorf("%+v", s)
	}
}

// The other end knows how much time a request has.
func TestLinkDeadlineIsTheRequests(t *testing.T) { bothWays(t, testLinkDeadlineIsTheRequests) }

func testLinkDeadlineIsTheRequests(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	left := make(chan time.Duration, 1)
	tell := func(ctx context.Context) {
		d, ok := ctx.Deadline()
		if !ok {
			left <- 0
			return
		}
		left <- time.Until(d)
	}
	b.attach(t, responder{
		get: func(ctx context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			tell(ctx)
			deliver(0, cache.Answer{})
			return nil
		},
		fence:   func(ctx context.Context, _ *cache.FenceRequest) error { tell(ctx); return nil },
		release: func(ctx context.Context, _ *cache.ReleaseRequest) error { tell(ctx); return nil },
		store:   func(ctx context.Context, _ *cache.StoreRequest) error { tell(ctx); return nil },
	})
	for verb, call := range verbs {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := call(ctx, ab); err != nil {
			t.Error(err)
		}
		cancel()
		if d := receive(t, left, "the request"); d <= 0 || d > time.Minute {
			t.Errorf("%s: %v are left of a minute", verb, d)
		}
		if err := call(t.Context(), ab); err != nil {
			t.Error(err)
		}
		if d := receive(t, left, "the request"); d != 0 {
			t.Errorf("%s: %v are left of for ever", verb, d)
		}
	}
}

// A request whose time is up where it is served is answered so.
func TestSessionEndsRequestsByTheirTime(t *testing.T) {
	n := rawNode(t, nil)
	n.attach(t, responder{get: func(ctx context.Context, _ *cache.GetRequest, _ func(int, cache.Answer)) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	l := dialRaw(t, n)
	l.write(frame(wire.TypeRequest, 3, request(t, &wire.Request{Verb: wire.Get, Timeout: 5 * time.Millisecond, Get: &cache.GetRequest{Cache: "c", Keys: []string{"k"}}})))
	if code := l.code(3); code != wire.Timeout {
		t.Errorf("code %d", code)
	}
	l.write(frame(wire.TypeRequest, 3, getRequest(t, "k")), frame(wire.TypeCancel, 3, nil), frame(wire.TypeCancel, 3, nil), frame(wire.TypeCancel, 99, nil))
	if code := l.code(3); code != wire.Timeout {
		t.Errorf("cancelled: code %d", code)
	}
	l.write(frame(wire.TypePing, 0, []byte("x")))
	if f := l.next(); f.Type != wire.TypePong || string(f.Payload) != "x" {
		t.Errorf("a second end: frame of type %d", f.Type)
	}
}
