package peers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// heap returns the memory that is in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A client that asks for much and reads nothing makes the server hold no more than its limits, and holds up nobody
// else; when the server's patience is over it is cut off.
func TestG11SessionThatDoesNotRead(t *testing.T) {
	const size, gets = 1 << 20, 200
	shared := make([]byte, size)
	var loads atomic.Int64
	for _, from := range []string{"memory", "the loader"} {
		n := rawNode(t, func(c *Config) { c.MaxInFlight, c.ReadTimeout = 32, 500*time.Millisecond })
		a := newNode(t, nil)
		if err := errors.Join(n.Set(Member{URL: a.Self()}), a.Set(Member{URL: n.Self()})); err != nil {
			t.Fatal(err)
		}
		n.attach(t, responder{
			hit: func(_, key string) (cache.Answer, bool) {
				if key == "k" {
					return cache.Answer{Value: []byte(key)}, true
				}
				return cache.Answer{Value: shared}, from == "memory"
			},
			get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
				v := make([]byte, size)
				time.Sleep(time.Millisecond) // whoever read the request reads on, and does not write
				loads.Add(1)
				deliver(0, cache.Answer{Value: v})
				return nil
			},
		})
		an := a.to(t, n.Self())
		mustGet(t, an, "k")
		loads.Store(0)
		before := heap()
		l := dialRaw(t, n)
		for i := range gets {
			l.write(frame(wire.TypeRequest, uint64(i), getRequest(t, fmt.Sprint("large", i))))
			if from == "the loader" { // one after the other, so that they are not too many at once
				until(t, "the load", func() bool {
					s := n.Stats()
					return loads.Load()+int64(s.RejectedLimit) > int64(i) || s.Connections == 1
				})
			}
		}
		s := sessionOf(n, l.nc)
		until(t, "the server to be stuck", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.writing && len(s.long) > 0 || s.err != nil
		})
		for range 20 { // the connection of somebody else
			mustGet(t, an, "k")
		}
		if grown := heap() - before; grown > (32+8)*size {
			t.Errorf("values from %s: %d MiB are held for a client that does not read", from, grown>>20)
		}
		s.mu.Lock()
		calls, waiting := len(s.calls), s.out.size
		s.mu.Unlock()
		if waiting > outLimit+writeSize || calls > 32 {
			t.Errorf("values from %s: %d calls and %d bytes wait", from, calls, waiting)
		}
		until(t, "the server to give up", func() bool { return n.Stats().Connections == 1 })
		if n.Stats().InFlight != 0 {
			t.Errorf("values from %s: %+v", from, n.Stats())
		}
		l.nc.Close()
	}
}

// As many Gets as MaxCallsPerPeer are under way; further ones wait for their turn, on their contexts. Invalidations
// do not wait for them.
func TestLinkMaxCallsPerPeer(t *testing.T) {
	_, b, ab := upgradedPair(t, func(c *Config) { c.MaxCallsPerPeer = 2 })
	asked, release := make(chan struct{}, 10), make(chan struct{})
	b.attach(t, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		if q.Keys[0] != "first" {
			asked <- struct{}{}
			<-release
		}
		deliver(0, cache.Answer{})
		return nil
	}})
	l := linkOf(t, ab)
	done := make(chan error, 6)
	for range 3 {
		go func() { done <- verbs["get"](context.Background(), ab) }()
		go func() { done <- verbs["fence"](context.Background(), ab) }()
	}
	receive(t, asked, "a call")
	receive(t, asked, "a second call")
	for verb, call := range verbs {
		if verb != "get" {
			if err := call(t.Context(), ab); err != nil {
				t.Errorf("%s: %v", verb, err)
			}
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if err := call(ctx, ab); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", verb, err)
		}
		cancel()
	}
	as := ab.Get(&cache.GetRequest{Cache: "c", Keys: []string{"k"}}, 5*time.Millisecond)
	_, _, err := as.Next(t.Context())
	wantErr(t, err, context.DeadlineExceeded)
	as.Close()
	if len(asked) > 0 {
		t.Error("more calls than MaxCallsPerPeer are under way")
	}
	close(release)
	for range cap(done) {
		if err := receive(t, done, "a call"); err != nil {
			t.Error(err)
		}
	}
	if len(l.calls) > 2+urgentConns {
		t.Errorf("%d calls were under way", len(l.calls))
	}
	atRest(t, l, b)
}

// Requests over a limit are answered so, on a connection that goes on.
func TestG11SessionLimits(t *testing.T) {
	n := rawNode(t, func(c *Config) { c.MaxValueBytes, c.MaxInFlight = 1<<10, 1 })
	asked, release := make(chan struct{}, 1), make(chan struct{})
	n.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { asked <- struct{}{}; <-release; return nil }})
	l := dialRaw(t, n)
	first := wire.AppendFirst(nil, wire.TypeRequest, 1, 1, n.maxRequest()+1)
	l.write(first, []byte{1}, frame(wire.TypePart, 1, make([]byte, 1000))) // and a part that was on its way
	if code := l.code(1); code != wire.TooLarge {
		t.Errorf("a request that is too long: code %d", code)
	}
	giant := wire.AppendFirst(nil, wire.TypeRequest, 1, 1, 1<<60)
	l.write(giant, []byte{1})
	if code := l.code(1); code != wire.TooLarge {
		t.Errorf("a giant request: code %d", code)
	}
	fence := request(t, &wire.Request{Verb: wire.Fence, Timeout: cache.Forever, Fence: &cache.FenceRequest{Cache: "c", All: true}})
	l.write(frame(wire.TypeRequest, 1, fence))
	receive(t, asked, "the first request")
	l.write(frame(wire.TypeRequest, 2, fence), frame(wire.TypeRequest, 3, getRequest(t, "k")))
	for _, call := range []uint64{2, 3} {
		if code := l.code(call); code != wire.Overloaded {
			t.Errorf("a request over MaxInFlight: code %d", code)
		}
	}
	close(release)
	if code := l.code(1); code != wire.OK {
		t.Errorf("the first request: code %d", code)
	}
	l.write(frame(wire.TypeRequest, 4, request(t, &wire.Request{Verb: wire.Get, Get: &cache.GetRequest{Cache: "nobody's", Keys: []string{"k"}}})))
	if code := l.code(4); code != wire.UnknownCache {
		t.Errorf("another cache: code %d", code)
	}
	if s := n.Stats(); s.RejectedLimit != 4 || s.Connections != 1 {
		t.Errorf("%+v", s)
	}
}

// Of requests that come in parts a client has no more under way than two of the longest.
func TestG11SessionRequestsInParts(t *testing.T) {
	n := rawNode(t, func(c *Config) { c.MaxValueBytes = 1 << 10 })
	n.attach(t, responder{})
	l := dialRaw(t, n)
	before := heap()
	for call := range uint64(1000) {
		l.write(wire.AppendFirst(nil, wire.TypeRequest, call, 1, n.maxRequest()), []byte{1})
	}
	l.write(frame(wire.TypePing, 0, nil))
	credits, refused := 0, 0
	for f := l.next(); f.Type != wire.TypePong; f = l.next() {
		switch f.Type {
		case wire.TypeCredit:
			credits++
		case wire.TypeEnd:
			refused++
		}
	}
	if credits == 0 || credits > 2 || refused+credits != 1000 {
		t.Errorf("of 1000 long requests %d are taken and %d refused", credits, refused)
	}
	if grown := heap() - before; grown > 8<<20 {
		t.Errorf("%d MiB are held for requests that have not come", grown>>20)
	}
	// One that is given up makes room.
	l.write(frame(wire.TypeCancel, 0, nil))
	if code := l.code(0); code != wire.Timeout {
		t.Errorf("given up: code %d", code)
	}
	l.write(wire.AppendFirst(nil, wire.TypeRequest, 0, 1, n.maxRequest()), []byte{1})
	if f := l.next(); f.Type != wire.TypeCredit {
		t.Errorf("the next one is answered by a frame of type %d", f.Type)
	}
}

// A client has a few connections: the oldest is closed for one more.
func TestG11SessionsPerClient(t *testing.T) {
	n := rawNode(t, nil)
	n.attach(t, responder{})
	k := knockingAt(n)
	var links []*rawLink
	for range 3 * maxSessionsPerClient {
		k.cred.number++
		k.sign(t, n)
		_, nc, br := k.send(t, n)
		until(t, "the session", func() bool { return sessionOf(n, nc) != nil }) // so that they are in order
		links = append(links, &rawLink{t, nc, wire.NewReader(br)})
	}
	other := dialRaw(t, n)
	for i, l := range links[:2*maxSessionsPerClient] {
		if !l.ended() {
			t.Errorf("connection %d of one client is there", i)
		}
	}
	for _, l := range append(links[2*maxSessionsPerClient:], other) {
		l.write(frame(wire.TypePing, 0, nil))
		if f := l.next(); f.Type != wire.TypePong {
			t.Errorf("frame of type %d", f.Type)
		}
	}
	if c := n.Stats().Connections; c != maxSessionsPerClient+1 {
		t.Errorf("%d connections", c)
	}
}

// A server that takes the request to upgrade and says nothing: calls leave on their contexts.
func TestUpgradeThatIsNotAnswered(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{})
	held := make(chan struct{})
	var knocks atomic.Int64
	b.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			knocks.Add(1)
			select {
			case <-held:
			case <-r.Context().Done():
			}
		}
		b.Pool.ServeHTTP(w, r)
	})
	for verb, call := range verbs {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		if err := call(ctx, ab); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", verb, err)
		}
		cancel()
	}
	until(t, "the request", func() bool { return knocks.Load() > 0 })
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { mustGet(t, ab, "k") })
	}
	close(held)
	wg.Wait()
	isUpgraded(t, ab)
	if n := knocks.Load(); n != 1 {
		t.Errorf("the upgrade is asked for %d times", n)
	}
}
