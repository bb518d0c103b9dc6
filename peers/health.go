package peers

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

const (
	// maxFailures is how many calls have to fail in a row for the peer to be down.
	maxFailures = 3

	// A peer that went down is probed after minBackoff, and then after twice the last wait each time, up
	// to maxBackoff. Each wait is drawn from one to two and a half times that.
	minBackoff = 100 * time.Millisecond
	maxBackoff = 2 * time.Second
)

// health is what a Pool knows of a peer: whether it is up, and which calls wait for it. It is a state
// machine of its own, driven by the calls and by the monitor, with the time passed in.
//
// A peer is up, or down for a cause. Up becomes down when a call finds nobody listening or is refused
// for good (a failure that is final), when maxFailures calls in a row have failed, or when a ping is
// not answered; then all calls that wait for the peer are cancelled, with the cause, unless it is only
// leaving. A ping is sent when a call has been waiting for pingAfter and nothing was heard from the peer
// meanwhile, whether or not that call still waits: callers with short deadlines would otherwise
// pay them for ever to a peer that swallows everything. Down becomes up when a ping is answered.
// Nothing else does that.
//
// Why this is not sony/gobreaker or failsafe-go/circuitbreaker: both recover by
// experiment with the users' calls. After its Timeout, gobreaker is half-open and lets MaxRequests calls
// through; a CircuitBreaker of failsafe-go does so after its delay. With a peer that swallows everything, that
// is a caller's whole deadline in each such window, for as long as the peer is gone. Neither
// knows the calls that wait, so neither can fail them when the peer is found to be down. What
// would be left of either, with probes and cancelling beside it, is a counter of failures.
type health struct {
	url       string
	pingAfter time.Duration

	mu sync.Mutex
	// mu guards the fields below. Nothing else is locked, and nothing is waited for, under it.

	cause    error  // what calls get while it is down; nil while it is up
	closed   bool   // cause is for ever
	run      uint64 // how often it went down
	failures int    // in a row
	lastErr  error

	calls       map[*waiting]struct{}
	silentSince time.Time // since when something was waited for and nothing was heard; zero if nothing is
	heardAt     time.Time

	watched bool // the monitor looks after it
	gone    bool // it left the view
	pinging bool
	pinged  time.Time     // when the last ping was sent
	probeAt time.Time     // while down: when the next ping is due
	backoff time.Duration // the last wait; 0 since a call was answered
}

// waiting is a call that waits for a peer.
type waiting struct {
	cancel context.CancelCauseFunc
	run    uint64 // health.run when it began
}

// A verdict is what a call says of the peer's health.
type verdict int

const (
	unknown  verdict = iota // the caller left, or nothing was sent
	answered                // the peer answered, whatever it was
	failed                  // it gave no answer, or nonsense
	final                   // and so would it to any other call
)

// begin registers a call, which is cancelled when the peer goes down. It fails if it
// is down. If watch is true, the caller must hand the peer to the monitor.
func (h *health) begin(now time.Time, cancel context.CancelCauseFunc) (w *waiting, watch bool, down error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause != nil {
		return nil, false, h.cause
	}
	w = &waiting{cancel, h.run}
	if h.calls == nil {
		h.calls = map[*waiting]struct{}{}
	}
	h.calls[w] = struct{}{}
	if h.silentSince.IsZero() {
		h.silentSince = now
	}
	watch = !h.watched
	h.watched = true
	return w, watch, nil
}

// heard notes that something came from the peer.
func (h *health) heard(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heardLocked(now)
}

func (h *health) heardLocked(now time.Time) {
	h.heardAt = now
	h.silentSince = time.Time{}
	if len(h.calls) > 0 {
		h.silentSince = now
	}
}

// end ends a call. It reports whether the peer went down by it.
func (h *health) end(now time.Time, w *waiting, v verdict, err error) (down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.calls, w)
	// A call that was under way when the peer went down says nothing of how it is now.
	if w.run != h.run {
		return false
	}
	return h.noteLocked(now, v, err)
}

// note is end for what was found out without a call that begin knows. It reports whether the peer went down by it.
func (h *health) note(now time.Time, v verdict, err error) (down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.noteLocked(now, v, err)
}

func (h *health) noteLocked(now time.Time, v verdict, err error) (down bool) {
	if h.cause != nil {
		return false
	}
	switch v {
	case answered:
		h.failures, h.backoff = 0, 0
		h.heardLocked(now)
	case failed, final:
		h.lastErr = err
		if h.failures++; v == final || h.failures >= maxFailures {
			h.goDownLocked(now, err)
			return true
		}
		if len(h.calls) == 0 {
			h.silentSince = time.Time{}
		}
	}
	return false
}

// goDownLocked makes the peer down for err. A peer that is leaving may still answer what it was asked before.
func (h *health) goDownLocked(now time.Time, err error) {
	h.cause, h.lastErr = h.down(err), err
	h.run++
	h.failures = 0
	h.silentSince = time.Time{}
	// A peer that answers pings and fails calls is tried less and less often.
	h.backoff = max(minBackoff, min(2*h.backoff, maxBackoff))
	h.probeAt = now.Add(jittered(h.backoff))
	if !leaving(err) {
		h.cancelLocked()
	}
}

func (h *health) down(err error) error {
	return &Error{Peer: h.url, Kind: ErrPeerDown, Detail: "is down", Cause: err}
}

func (h *health) cancelLocked() {
	for w := range h.calls {
		w.cancel(h.cause)
	}
}

// leaving says that err may come from an instance that takes no new requests and finishes those that it
// has, as http.Server.Shutdown does. If it is dead instead, then its machine, which sent the refusal, breaks
// its connections as well, and nobody waits for it in vain.
func leaving(err error) bool {
	return errors.Is(err, ErrClosed) || errors.Is(err, syscall.ECONNREFUSED)
}

func jittered(d time.Duration) time.Duration {
	return d + rand.N(d*3/2)
}

// close makes every call fail with err, now and for ever.
func (h *health) close(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.cause, h.closed = err, true
	h.run++
	h.cancelLocked()
}

// A task is what the monitor has to do for a peer.
type task int

const (
	wait   task = iota // nothing before the time that comes with it
	ping               // send a ping; pong must follow
	forget             // nothing, until a call begins
)

// tick says what is to be done now. probes says whether pings to peers that are down may be sent, linked whether there
// are upgraded connections to look after. The zero time stands for when a ping or a call ends.
func (h *health) tick(now time.Time, probes, linked bool) (t task, down bool, next time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.pinging {
		return wait, false, time.Time{}
	}
	due := h.probeAt
	down = h.cause != nil
	switch {
	case len(h.calls) == 0 && linked && (h.gone || !down && h.silentSince.IsZero()):
		return wait, false, time.Time{}
	case len(h.calls) == 0 && (h.gone || !down && h.silentSince.IsZero()):
		// A peer that left the view is not probed. Who still holds it, tries it again.
		h.cause, h.watched, h.silentSince = nil, false, time.Time{}
		return forget, false, time.Time{}
	case !down:
		due = h.silentSince.Add(h.pingAfter)
	}
	if now.Before(due) {
		return wait, down, due
	}
	if down && !probes {
		return wait, down, time.Time{}
	}
	h.pinging, h.pinged = true, now
	return ping, down, time.Time{}
}

// pong ends a ping, which was answered if err is nil. It reports whether the peer went up or down by it.
func (h *health) pong(now time.Time, err error) (up, down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pinging = false
	switch {
	case h.closed:
	case err == errNothingSent && h.cause == nil:
		h.silentSince = now // try again later
	case err == nil && h.cause != nil:
		h.cause, h.failures = nil, 0
		h.heardLocked(now)
		return true, false
	case err == nil:
		h.heardLocked(now)
	case h.cause != nil:
		h.cause, h.lastErr = h.down(err), err
		if !leaving(err) {
			h.cancelLocked()
		}
		h.backoff = min(2*h.backoff, maxBackoff)
		h.probeAt = now.Add(jittered(h.backoff))
	case h.heardAt.After(h.pinged):
		// The ping was lost, or stood in a queue, and the peer answers others.
	default:
		h.goDownLocked(now, err)
		return false, true
	}
	return false, false
}

// state returns why the peer is down, or nil, how many calls wait for it, and its last error.
func (h *health) state() (cause error, calls int, lastErr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause, len(h.calls), h.lastErr
}

// downFor returns why the peer is down, nil if it is not.
func (h *health) downFor() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cause
}

// watch reports whether the caller must hand the peer to the monitor.
func (h *health) watch() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	fresh := !h.watched
	h.watched = true
	return fresh
}

// left reports whether the peer has left the view.
func (h *health) left() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone
}

// leave notes that the peer is not in the view any more.
func (h *health) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
}

// back notes that the peer is in the view again.
func (h *health) back() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = false
}

// hint notes that the peer asks this instance something: it may be back. It reports whether it is to be probed at once.
func (h *health) hint(now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cause == nil || h.closed || h.pinging || !h.probeAt.After(now) {
		return false
	}
	h.probeAt = now
	return true
}

// wasUp reports whether anything was ever heard from the peer.
func (h *health) wasUp() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.heardAt.IsZero()
}

// errNothingSent says that this machine is short of what it takes to send a ping. It says nothing of the peer.
var errNothingSent = errors.New("peers: nothing was sent")
