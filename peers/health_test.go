package peers

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A clock is a time that a test moves.
type clock struct{ now time.Time }

func (c *clock) forward(d time.Duration) time.Time {
	c.now = c.now.Add(d)
	return c.now
}

func newHealth() (*health, *clock) {
	return &health{url: "http://p", pingAfter: time.Second}, &clock{time.Now()}
}

// call begins a call and returns what cancelled it, if anything did.
func (h *health) call(t *testing.T, now time.Time) (*waiting, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	w, _, err := h.begin(now, cancel)
	if err != nil {
		t.Fatalf("a call cannot begin: %v", err)
	}
	return w, func() error { return context.Cause(ctx) }
}

var errTest = errors.New("broken")

func TestG8FailuresInARow(t *testing.T) {
	h, c := newHealth()
	for i := range 2 * maxFailures {
		w, _ := h.call(t, c.now)
		v := failed
		if i == maxFailures-1 {
			v = answered // one success forgives those before it
		}
		if down := h.end(c.now, w, v, errTest); down != (i == 2*maxFailures-1) {
			t.Fatalf("after call %d it is down: %v", i, down)
		}
	}
	_, _, err := h.begin(c.now, nil)
	wantErr(t, err, ErrPeerDown, errTest)
}

func TestG8FinalFailureCancelsEverything(t *testing.T) {
	h, c := newHealth()
	_, cause := h.call(t, c.now)
	old, _ := h.call(t, c.now)
	w, _ := h.call(t, c.now)
	if !h.end(c.now, w, final, errTest) {
		t.Fatal("it is not down")
	}
	wantErr(t, cause(), ErrPeerDown, errTest)
	// It comes back, and what became of older calls is of no interest.
	if up, _ := h.pong(c.now, nil); !up {
		t.Fatal("a pong does not bring it back")
	}
	if h.end(c.now, old, final, errTest) {
		t.Error("a call from before takes it down again")
	}
	h.call(t, c.now)
}

func TestG8ProbesBackOff(t *testing.T) {
	h, c := newHealth()
	w, _ := h.call(t, c.now)
	h.end(c.now, w, final, errTest)
	low := minBackoff
	for range 10 {
		task, down, next := h.tick(c.now, true, false)
		if task != wait || !down {
			t.Fatalf("task %v, down %v", task, down)
		}
		if d := next.Sub(c.now); d < low || d > low*5/2 {
			t.Fatalf("the next probe is in %v, want %v to %v", d, low, low*5/2)
		}
		if _, _, err := h.begin(c.now, nil); !errors.Is(err, ErrPeerDown) {
			t.Fatalf("a call is let through while it is down: %v", err)
		}
		c.now = next
		if task, _, _ := h.tick(c.now, false, false); task != wait {
			t.Fatal("a probe is sent though too many are")
		}
		if task, _, _ := h.tick(c.now, true, false); task != ping {
			t.Fatalf("no probe is sent when it is due")
		}
		if task, _, _ := h.tick(c.now, true, false); task != wait {
			t.Fatal("two probes at once")
		}
		h.pong(c.now, errTest)
		low = min(2*low, maxBackoff)
	}
	c.forward(time.Minute)
	h.tick(c.now, true, false)
	if up, _ := h.pong(c.now, nil); !up {
		t.Error("one pong does not bring it back")
	}
	if task, _, _ := h.tick(c.now, true, false); task != forget {
		t.Error("it is looked after though nobody waits")
	}
}

func TestG5SilenceIsPinged(t *testing.T) {
	h, c := newHealth()
	_, cause := h.call(t, c.now)
	w, _ := h.call(t, c.now)
	h.heard(c.forward(900 * time.Millisecond))
	if task, _, next := h.tick(c.forward(500*time.Millisecond), true, false); task != wait || next.Sub(c.now) != 500*time.Millisecond {
		t.Fatalf("%v, %v: what was heard does not count", task, next.Sub(c.now))
	}
	// A caller that gave up does not make the silence end.
	h.end(c.now, w, unknown, nil)
	if task, _, _ := h.tick(c.forward(500*time.Millisecond), true, false); task != ping {
		t.Fatal("silence is not pinged")
	}
	if _, down := h.pong(c.forward(time.Millisecond), nil); down {
		t.Fatal("a pong takes it down")
	}
	if task, _, _ := h.tick(c.forward(time.Second), true, false); task != ping {
		t.Fatal("the next silence is not pinged")
	}
	// A ping that is lost while other things are heard is no sign.
	h.heard(c.forward(time.Millisecond))
	if _, down := h.pong(c.forward(time.Millisecond), errTest); down {
		t.Fatal("a lost ping takes down a peer that answers")
	}
	if task, _, _ := h.tick(c.forward(time.Second), true, false); task != ping {
		t.Fatal("the third silence is not pinged")
	}
	if _, down := h.pong(c.forward(time.Millisecond), errTest); !down {
		t.Fatal("it is up without a pong")
	}
	wantErr(t, cause(), ErrPeerDown, errTest)
}

// Callers with short deadlines find out too, all of them together.
func TestG5ShortDeadlinesArePinged(t *testing.T) {
	h, c := newHealth()
	for range 10 {
		w, _ := h.call(t, c.now)
		h.end(c.forward(100*time.Millisecond), w, unknown, context.DeadlineExceeded)
	}
	if task, _, _ := h.tick(c.now, true, false); task != ping {
		t.Error("calls that all gave up do not lead to a ping")
	}
}

// What an instance took before it began to shut down, it may still answer; if it falls silent, it does not.
func TestG8LeavingPeerFinishesItsCalls(t *testing.T) {
	for _, why := range []error{ErrClosed, syscall.ECONNREFUSED} {
		h, c := newHealth()
		_, cause := h.call(t, c.now)
		w, _ := h.call(t, c.now)
		if !h.end(c.now, w, final, why) {
			t.Fatalf("%v: it is up", why)
		}
		for range 3 {
			if task, _, _ := h.tick(c.forward(time.Minute), true, false); task != ping {
				t.Fatalf("%v: it is not probed", why)
			}
			h.pong(c.now, why)
		}
		if cause() != nil {
			t.Errorf("%v: a call that it took was cancelled: %v", why, cause())
		}
		h.tick(c.forward(time.Minute), true, false)
		h.pong(c.now, errTest)
		wantErr(t, cause(), ErrPeerDown, errTest)
	}
}

func TestG8ClosedPoolFinishesItsCalls(t *testing.T) { bothWays(t, testG8ClosedPoolFinishesItsCalls) }

func testG8ClosedPoolFinishesItsCalls(t *testing.T, pair pairing) {
	_, b, ab := pair(t, quick)
	asked, release := make(chan struct{}), make(chan struct{})
	b.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { close(asked); <-release; return nil }})
	done := make(chan error, 1)
	go func() { done <- verbs["fence"](context.Background(), ab) }()
	receive(t, asked, "the request")
	b.Pool.Close()
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrClosed)
	_, err = get(t.Context(), ab, "k")
	wantErr(t, err, ErrPeerDown)
	close(release)
	if err := receive(t, done, "the call that was taken before"); err != nil {
		t.Error(err)
	}
}

func TestPeersThatLeaveAreNotProbed(t *testing.T) {
	h, c := newHealth()
	w, _ := h.call(t, c.now)
	h.end(c.now, w, final, errTest)
	h.leave()
	if task, _, _ := h.tick(c.forward(time.Hour), true, false); task != forget {
		t.Error("a peer that left is probed")
	}
	h.call(t, c.now) // who holds it still, may try
}

// The owner is killed: its calls fail, then fail at once, the next in order takes over, and one probe brings
// it back, while no call of a user was spent on trying.
func TestG8OwnerKilled(t *testing.T) {
	nodes := newNodes(t, 3, quick)
	a := nodes[0]
	byURL := map[string]*node{}
	for _, n := range nodes {
		n.attach(t, responder{})
		byURL[n.Self()] = n
	}
	// A key whose owner and second are both others.
	key := ""
	for i := 0; key == ""; i++ {
		k, first := string(rune('a'+i)), ""
		for o := range a.Owners(k) {
			if o == nil {
				break
			}
			if first != "" {
				key = k
				break
			}
			first = o.Addr()
		}
	}
	var order []*peer
	for o := range a.Owners(key) {
		if o != nil {
			order = append(order, o.(*peer))
		}
	}
	mustGet(t, order[0], key)
	owner := byURL[order[0].url]
	var requests atomic.Int64
	owner.handle(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		panic(http.ErrAbortHandler) // the connection breaks without an answer
	})
	until(t, "the owner to be known as down", func() bool {
		_, err := get(t.Context(), order[0], key)
		if err == nil {
			t.Fatal("a dead owner answers")
		}
		return errors.Is(err, ErrPeerDown)
	})
	for range 100 {
		if _, err := get(t.Context(), order[0], key); !errors.Is(err, ErrPeerDown) {
			t.Fatalf("a call while it is down: %v", err)
		}
	}
	mustGet(t, order[1], key) // who takes over
	for _, s := range a.Stats().Peers {
		if s.Up != (s.URL != owner.Self()) || s.Up != (s.LastError == "") {
			t.Errorf("stats say %+v", s)
		}
	}
	served := owner.Stats().Served
	owner.handle(nil)
	until(t, "a probe to bring it back", func() bool { return a.Stats().up(owner.Self()) })
	if owner.Stats().Served != served+1 {
		t.Errorf("%d requests were served until it was back, want one ping", owner.Stats().Served-served)
	}
	mustGet(t, order[0], key)
}

func (s Stats) up(url string) bool {
	for _, p := range s.Peers {
		if p.URL == url {
			return p.Up
		}
	}
	return false
}

// A dialer's time-out is not the end of the caller's context.
func TestG8TimeoutsOfTheTransport(t *testing.T) {
	_, _, ab := pair(t, nil)
	_, err := ab.transportError(&net.OpError{Op: "dial", Err: context.DeadlineExceeded})
	wantErr(t, err, ErrUnreachable)
	if errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "deadline exceeded") {
		t.Error(err)
	}
}

func TestG8NobodyListens(t *testing.T) { bothWays(t, testG8NobodyListens) }

func testG8NobodyListens(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	b.kill()
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrUnreachable)
	_, err = get(t.Context(), ab, "k")
	wantErr(t, err, ErrPeerDown, ErrUnreachable)
}

// A peer that takes everything and answers nothing.
func TestG5SilentPeer(t *testing.T) {
	_, b, ab := pair(t, func(c *Config) { c.PingAfter, c.PingTimeout = 50*time.Millisecond, 100*time.Millisecond })
	b.attach(t, responder{})
	b.hang()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	_, err := get(ctx, ab, "k")
	wantErr(t, err, context.DeadlineExceeded)
	// Without a deadline, by the pings; all calls at once.
	done := make(chan error, 8)
	for range cap(done) {
		go func() { done <- verbs["fence"](context.Background(), ab) }()
	}
	for range cap(done) {
		wantErr(t, receive(t, done, "a call to a peer that does not answer"), ErrPeerDown)
	}
	b.handle(nil)
	until(t, "it to be up", func() bool { c, _, _ := ab.health.state(); return c == nil })
	mustGet(t, ab, "k")
}

// A peer that is slow, and not silent, is waited for.
func TestG8SlowIsNotDown(t *testing.T) {
	_, b, ab := pair(t, quick)
	pings := make(chan struct{}, 100)
	release := make(chan struct{})
	b.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { <-release; return nil }})
	b.handle(func(w http.ResponseWriter, r *http.Request) {
		b.Pool.ServeHTTP(w, r)
		pings <- struct{}{} // whatever is answered while the fence is not
	})
	done := make(chan error, 1)
	go func() { done <- verbs["fence"](context.Background(), ab) }()
	for range 5 {
		receive(t, pings, "pings")
	}
	close(release)
	if err := receive(t, done, "the slow call"); err != nil {
		t.Errorf("a slow peer is taken for a dead one: %v", err)
	}
}

// Calls beyond MaxConnsPerPeer wait for their turn, on their contexts.
func TestMaxConnsPerPeer(t *testing.T) {
	_, b, ab := pair(t, func(c *Config) { c.MaxConnsPerPeer = 1; quick(c) })
	asked, release := make(chan struct{}, 4), make(chan struct{})
	b.attach(t, responder{get: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
		asked <- struct{}{}
		<-release
		deliver(0, cache.Answer{})
		return nil
	}})
	done := make(chan error, 2)
	for range 2 {
		go func() { done <- verbs["get"](context.Background(), ab) }()
	}
	receive(t, asked, "the first call")
	until(t, "the second call to wait", func() bool { _, n, _ := ab.health.state(); return n == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	wantErr(t, verbs["get"](ctx, ab), context.DeadlineExceeded)
	if len(asked) > 0 {
		t.Error("more calls than MaxConnsPerPeer are under way")
	}
	close(release)
	for range 2 {
		if err := receive(t, done, "a call"); err != nil {
			t.Error(err)
		}
	}
}
