package peers

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long tests wait for what should happen at once.
const patience = 20 * time.Second

var testSecret = []byte("0123456789abcdef0123456789abcdef")

// A node is an instance with a real server on the loopback.
type node struct {
	*Pool
	srv *httptest.Server
	// handler, if it is set, takes the Pool's place.
	handler atomic.Pointer[http.HandlerFunc]
	over    chan struct{}
	// upgrades lets connections be upgraded; else something in between takes the header away.
	upgrades atomic.Bool
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !n.upgrades.Load() {
		r.Header.Del("Upgrade")
	}
	if h := n.handler.Load(); h != nil {
		(*h)(w, r)
		return
	}
	n.Pool.ServeHTTP(w, r)
}

func (n *node) handle(h http.HandlerFunc) {
	if h == nil {
		n.handler.Store(nil)
		return
	}
	n.handler.Store(&h)
}

// hang makes the node take requests and never answer.
func (n *node) hang() {
	n.handle(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-r.Context().Done():
		case <-n.over:
		}
	})
}

// kill does what SIGKILL does: connections break, and nobody listens.
func (n *node) kill() {
	n.srv.Listener.Close()
	n.srv.CloseClientConnections()
	for _, s := range n.allSessions() { // which the server does not know any more
		s.stop(io.EOF)
	}
}

// newNode starts an instance with the test's Secret. edit changes its Config before.
func newNode(t testing.TB, edit func(*Config)) *node {
	t.Helper()
	n := newUnstarted()
	n.start(t, "http://", edit)
	return n
}

func newUnstarted() *node {
	n := &node{over: make(chan struct{})}
	n.srv = httptest.NewUnstartedServer(n)
	n.srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	return n
}

func (n *node) start(t testing.TB, scheme string, edit func(*Config)) {
	t.Helper()
	cfg := Config{Self: scheme + n.srv.Listener.Addr().String(), Secret: testSecret}
	if edit != nil {
		edit(&cfg)
	}
	pool, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Pool = pool
	if scheme == "https://" {
		n.srv.StartTLS()
	} else {
		n.srv.Start()
	}
	t.Cleanup(func() {
		close(n.over)
		pool.Close()
		n.srv.CloseClientConnections()
		n.srv.Close()
	})
}

// newNodes starts n instances that know each other.
func newNodes(t testing.TB, n int, edit func(*Config)) []*node {
	t.Helper()
	nodes := make([]*node, n)
	var members []Member
	for i := range nodes {
		nodes[i] = newNode(t, edit)
		members = append(members, Member{URL: nodes[i].Self()})
	}
	for _, n := range nodes {
		if err := n.Set(members...); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// quick makes pings come soon.
func quick(c *Config) { c.PingAfter, c.PingTimeout = 20*time.Millisecond, time.Second }

// to returns n as from reaches it.
func (n *node) to(t testing.TB, other string) *peer {
	t.Helper()
	p := n.view.Load().peers[other]
	if p == nil {
		t.Fatalf("%s does not know %s", n.Self(), other)
	}
	return p
}

// responder is a cache.Responder made of functions; nil ones succeed, and get answers each key with itself.
type responder struct {
	hit     func(version, key string) (cache.Answer, bool)
	get     func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error
	fence   func(context.Context, *cache.FenceRequest) error
	release func(context.Context, *cache.ReleaseRequest) error
	store   func(context.Context, *cache.StoreRequest) error
}

func (r responder) Hit(version, key string) (a cache.Answer, ok bool) {
	if r.hit != nil {
		return r.hit(version, key)
	}
	return a, false
}

func (r responder) Met(_, _ []cache.Peer) {}

func (r responder) Moved() {}

func (r responder) List(context.Context, *cache.ListRequest) (*cache.ListReply, error) {
	return &cache.ListReply{}, nil
}

func (r responder) Hello(context.Context, *cache.HelloRequest) (*cache.HelloReply, error) {
	return &cache.HelloReply{Life: 1}, nil
}

func (r responder) Get(ctx context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
	if r.get != nil {
		return r.get(ctx, q, deliver)
	}
	for i, k := range q.Keys {
		deliver(i, cache.Answer{Value: []byte(k), TTL: time.Minute})
	}
	return nil
}

func (r responder) Fence(ctx context.Context, q *cache.FenceRequest) error {
	if r.fence != nil {
		return r.fence(ctx, q)
	}
	return nil
}

func (r responder) Release(ctx context.Context, q *cache.ReleaseRequest) error {
	if r.release != nil {
		return r.release(ctx, q)
	}
	return nil
}

func (r responder) Store(ctx context.Context, q *cache.StoreRequest) error {
	if r.store != nil {
		return r.store(ctx, q)
	}
	return nil
}

func (n *node) attach(t testing.TB, r cache.Responder) {
	t.Helper()
	if _, err := n.Attach("c", r); err != nil {
		t.Fatal(err)
	}
}

// get asks p for keys of the cache "c" and returns the answers.
func get(ctx context.Context, p cache.Peer, keys ...string) ([]cache.Answer, error) {
	answers := make([]cache.Answer, len(keys))
	err := ask(ctx, p, &cache.GetRequest{Cache: "c", Keys: keys}, func(i int, a cache.Answer) { answers[i] = a })
	return answers, err
}

// ask makes a call and hands its answers to deliver.
func ask(ctx context.Context, p cache.Peer, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	timeout := cache.Forever
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d)
	}
	as := p.Get(req, timeout)
	defer as.Close()
	for {
		i, a, err := as.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		a.Own()
		deliver(i, a)
	}
}

// verbs are all calls that a peer has.
var verbs = map[string]func(context.Context, cache.Peer) error{
	"get": func(ctx context.Context, p cache.Peer) error { _, err := get(ctx, p, "k"); return err },
	"fence": func(ctx context.Context, p cache.Peer) error {
		return p.Fence(ctx, &cache.FenceRequest{Cache: "c", ID: 1, Keys: []string{"k"}, Hold: time.Second})
	},
	"release": func(ctx context.Context, p cache.Peer) error {
		return p.Release(ctx, &cache.ReleaseRequest{Cache: "c", ID: 1, Keys: []string{"k"}})
	},
	"store": func(ctx context.Context, p cache.Peer) error {
		return p.Store(ctx, &cache.StoreRequest{Cache: "c", Key: "k", Value: []byte("v"), TTL: time.Minute})
	},
}

func mustGet(t testing.TB, p cache.Peer, key string) {
	t.Helper()
	a, err := get(t.Context(), p, key)
	if err != nil || string(a[0].Value) != key {
		t.Fatalf("get %q: %q, %v", key, a[0].Value, err)
	}
}

// mustAnswer gets a value of that size.
func mustAnswer(t testing.TB, p cache.Peer, size int) {
	t.Helper()
	a, err := get(t.Context(), p, "k")
	if err != nil || len(a[0].Value) != size {
		t.Fatalf("%d bytes, %v", len(a[0].Value), err)
	}
}

func wantErr(t testing.TB, err error, kinds ...error) {
	t.Helper()
	for _, k := range kinds {
		if !errors.Is(err, k) {
			t.Errorf("got error %v, want %v", err, k)
		}
	}
}

// receive returns what comes from c.
func receive[T any](t testing.TB, c <-chan T, what string) (v T) {
	t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v = <-c:
	case <-timer.C:
		t.Fatalf("still waiting for %s", what)
	}
	return v
}

// until waits for what no event tells of.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still waiting for %s", what)
		}
	}
}
