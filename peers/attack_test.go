package peers

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A man in the middle lets a Store be executed, swallows the reply, and has another member of the fleet refuse
// the Store's own signature, with a proof. The Store must not be sent again for it.
func TestG11StoreIsNotSentTwiceForAnothersRefusal(t *testing.T) {
	for _, corrupt := range []bool{false, true} {
		m := &middleman{base: newTransport(t), corrupt: corrupt}
		nodes := make([]*node, 3)
		var members []Member
		for i := range nodes {
			nodes[i] = newNode(t, func(c *Config) {
				if i == 0 {
					c.Client = &http.Client{Transport: m}
				}
			})
			members = append(members, Member{URL: nodes[i].Self()})
		}
		for _, n := range nodes {
			if err := n.Set(members...); err != nil {
				t.Fatal(err)
			}
		}
		m.oracle = nodes[2].Self()
		var stored atomic.Int64
		nodes[1].attach(t, responder{store: func(context.Context, *cache.StoreRequest) error { stored.Add(1); return nil }})
		err := verbs["store"](t.Context(), nodes[0].to(t, nodes[1].Self()))
		if n := stored.Load(); n != 1 || err == nil {
			t.Errorf("corrupt %v: stored %d times, err %v", corrupt, n, err)
		}
	}
}

type middleman struct {
	base    http.RoundTripper
	oracle  string // a member that the store is not for
	corrupt bool   // the challenge
	done    atomic.Bool
}

func (m *middleman) RoundTrip(r *http.Request) (*http.Response, error) {
	r, body := withBody(r)
	resp, err := m.base.RoundTrip(r)
	auth := r.Header.Get(headerAuth)
	if err != nil || auth == "" || !isStore(body) || m.done.Swap(true) {
		return resp, err
	}
	resp.Body.Close()
	if m.corrupt {
		raw, err := base64url.DecodeString(auth)
		if err != nil {
			return nil, err
		}
		raw[0] ^= 0xff
		auth = base64url.EncodeToString(raw)
	}
	q, err := http.NewRequestWithContext(r.Context(), http.MethodPost, m.oracle, nil)
	if err != nil {
		return nil, err
	}
	q.Header = r.Header.Clone()
	q.Header.Set(headerAuth, auth)
	return m.base.RoundTrip(q)
}

func isStore(body []byte) bool {
	payload, err := wire.RequestFrame(body)
	return err == nil && wire.Verb(payload[0]) == wire.Store
}

// Requests that read the clock early and come late open no window for a replay.
func TestG11NoReplayInARaceWithTheClock(t *testing.T) {
	c := newChallenger()
	for i := range maxSeen - 1 {
		at := time.Duration(i % 900)
		ch := c.issue(at)
		c.use(&ch, at, 1, 999)
	}
	victim, other := c.issue(1005), c.issue(950)
	if why := c.use(&victim, 1005, 1, 1010); why != "" {
		t.Fatal(why)
	}
	c.use(&other, 950, 1, 1000) // overflows, with a time that has passed
	if why := c.use(&victim, 1005, 1, 1020); why == "" {
		t.Error("replayed after the overflow")
	}

	c = newChallenger()
	ch, late := c.issue(0), c.issue(challengeLife-5)
	if why := c.use(&ch, 0, 1, time.Second); why != "" {
		t.Fatal(why)
	}
	c.use(&late, challengeLife-5, 1, challengeLife+1) // sweeps
	if why := c.use(&ch, 0, 1, challengeLife-1); why == "" {
		t.Error("replayed after the sweep")
	}
}

// A peer that comes back into the view does not sign with numbers that it has used.
func TestG11NumbersAreNotUsedAgain(t *testing.T) {
	tap := &wiretap{base: newTransport(t)}
	a, b, ab := pair(t, func(c *Config) { c.Client = &http.Client{Transport: tap} })
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	var before, after credential
	before.parseAuth(tap.last().header.Get(headerAuth))
	if err := errors.Join(a.Set(), a.Set(Member{URL: b.Self()})); err != nil {
		t.Fatal(err)
	}
	mustGet(t, a.to(t, b.Self()), "k")
	after.parseAuth(tap.last().header.Get(headerAuth))
	if before.number == after.number {
		t.Errorf("number %d is used again", after.number)
	}
}

// A burst of first calls is one session at the other end.
func TestG11BurstIsOneSession(t *testing.T) {
	_, b, ab := pair(t, nil)
	b.attach(t, responder{})
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() { mustGet(t, ab, "k") })
	}
	wg.Wait()
	b.challenger.mu.Lock()
	defer b.challenger.mu.Unlock()
	if n := len(b.challenger.seen); n > 4 {
		t.Errorf("%d sessions", n)
	}
}

func TestG11NoPasswordInErrors(t *testing.T) {
	n := newNode(t, nil)
	for _, url := range []string{"http://u:hunter2@10.0.0.1", "ftp://u:hunter2@10.0.0.1", "http://u:hunter2@10.0.0.1:x", "u:hunter2@host"} {
		if err := n.Set(Member{URL: url}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Set: %v", err)
		}
	}
}

// Loads that are waited for do not hold up an invalidation.
func TestG4FenceOvertakesSlowGets(t *testing.T) {
	_, b, ab := pair(t, nil)
	b.attach(t, responder{get: func(ctx context.Context, _ *cache.GetRequest, _ func(int, cache.Answer)) error {
		<-ctx.Done()
		return ctx.Err()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range cap(ab.slots) {
		wg.Go(func() { get(ctx, ab, "slow") })
	}
	until(t, "the Gets are under way", func() bool { return len(ab.slots) == cap(ab.slots) })
	for _, verb := range []string{"fence", "release", "store"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		if err := verbs[verb](ctx, ab); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		cancel()
	}
	cancel()
	wg.Wait()
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// That this machine cannot open a connection for a ping says nothing of the peer, whose calls go on.
func TestG8OwnShortageIsNotThePeersFailure(t *testing.T) {
	base := newTransport(t)
	var short atomic.Bool
	tried := make(chan struct{}, 100)
	_, b, ab := pair(t, func(c *Config) {
		quick(c)
		c.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if short.Load() {
				select {
				case tried <- struct{}{}:
				default:
				}
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.EMFILE}
			}
			return base.RoundTrip(r)
		})}
	})
	serving, release := make(chan struct{}), make(chan struct{})
	b.attach(t, responder{get: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
		close(serving)
		<-release
		deliver(0, cache.Answer{Value: []byte("v")})
		return nil
	}})
	done := make(chan error, 1)
	go func() { _, err := get(t.Context(), ab, "k"); done <- err }()
	<-serving
	short.Store(true)
	<-tried
	<-tried // the one before has been judged
	close(release)
	if err := <-done; err != nil {
		t.Errorf("a call on a good connection: %v", err)
	}
}
