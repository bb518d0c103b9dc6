package peerstest

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// An execution runs one request at its Responder.
type execution func(ctx context.Context, r cache.Responder, deliver func(int, cache.Answer)) error

// A call is a request on its way and its replies on their way back. The caller's goroutine waits for what
// arrives (wait); a goroutine of the call's own carries the request and runs the Responder
// (serve); for a Get, one more carries the answers while the Responder runs (carry).
type call struct {
	link *link
	run  execution
	key  *hitKey // what Hit is asked for before run; nil: nothing

	// Written before serve starts, only read after.
	request  Message
	lives    [2]int        // of from and to; the call is lost if either dies
	budget   time.Duration // what was left of the caller's deadline when the request was sent
	bounded  bool          // whether there was a deadline
	due      time.Time     // when the request arrives
	out      *outbox
	overDone context.CancelFunc

	// ctx ends when the call is over. It carries nothing of the caller's.
	ctx context.Context

	// broken says that a message of this call was lost: like everything behind it in its connection. lost is
	// closed then. Guarded by the fleet's mu.
	broken bool
	lost   chan struct{}

	// replies has room for everything that arrive lets through, so that sending never blocks.
	replies chan reply

	mu      sync.Mutex // guards the fields below
	arrived []bool     // which answers, by key
	queued  []bool     // likewise: word that the load is queued
	ended   bool       // no more replies are taken: the last has arrived, or the caller has left
}

// A reply is an answer, or the end of the call if index is negative.
type reply struct {
	message Message
	silent  bool // interceptors do not see it
	due     time.Time
	index   int
	answer  cache.Answer
	err     error
}

// call makes one call. deliver is nil for all but Get.
func (l *link) call(ctx context.Context, m Message, key *hitKey, deliver func(int, cache.Answer), run execution) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	keys := 0
	if m.Kind == KindGet {
		keys = len(m.Keys)
	}
	c := &call{
		link: l, run: run, key: key,
		lost: make(chan struct{}), replies: make(chan reply, 2*keys+1), arrived: make([]bool, keys), queued: make([]bool, keys),
	}
	m.From, m.To = l.from.index, l.to.index
	faults, again, err := c.begin(m)
	if again {
		l.from.tellMet(l)
	}
	if err != nil {
		return err
	}
	if deadline, ok := ctx.Deadline(); ok {
		c.budget, c.bounded = time.Until(deadline), true
	}
	c.ctx, c.overDone = context.WithCancel(context.Background())
	c.due = time.Now().Add(faults.delay(false))
	c.out = newOutbox(c.request, keys, l.replyDelay)
	go c.serve()
	return c.wait(ctx, deliver)
}

// begin enters the call into the fleet's books, or returns why it fails at once. again says that the other end can be reached again.
func (c *call) begin(m Message) (faults Faults, again bool, err error) {
	l := c.link
	l.fleet.mu.Lock()
	defer l.fleet.mu.Unlock()
	if l.found && !l.blockedLocked() {
		l.found, again = false, true
	}
	if err := l.refuseLocked(); err != nil {
		l.counts.Refused++
		return Faults{}, again, err
	}
	l.fleet.calls++
	m.Call = l.fleet.calls
	c.request = m
	c.lives = [2]int{l.from.lives, l.to.lives}
	l.counts.sentLocked(m)
	return l.faults, again, nil
}

// refuseLocked returns why a call fails at once, if it does. The fleet's mu must be held.
func (l *link) refuseLocked() error {
	switch {
	case l.from.stopped:
		return l.unreachable("the caller, " + l.from.name + ", is stopped")
	case l.found, l.marked:
		return l.down()
	case l.to.stopped:
		l.found = true
		return l.unreachable("connection refused")
	}
	return nil
}

// sentLocked counts a request. The fleet's mu must be held.
func (c *Counts) sentLocked(m Message) {
	switch m.Kind {
	case KindGet:
		c.Gets++
		c.Keys += len(m.Keys)
	case KindFence:
		c.Fences++
	case KindRelease:
		c.Releases++
	case KindStore:
		c.Stores++
	case KindHello:
		c.Hellos++
	case KindList:
		c.Lists++
	}
}

// replyDelay returns how long the next reply takes.
func (l *link) replyDelay() time.Duration {
	faults := l.currentFaults()
	return faults.delay(true)
}

func (l *link) currentFaults() Faults {
	l.fleet.mu.Lock()
	defer l.fleet.mu.Unlock()
	return l.faults
}

// wait returns what the caller gets. It runs on the caller's goroutine, and so does deliver: no answer
// can come after the call has returned, nor two at a time.
func (c *call) wait(ctx context.Context, deliver func(int, cache.Answer)) error {
	defer c.end()
	var dog watchdog
	defer dog.stop()
	lost := c.lost
	for {
		if err := ctx.Err(); err != nil { // before replies that are there as well: the same every time
			return err
		}
		s := c.look()
		if s.dead {
			return c.link.unreachable("connection lost")
		}
		dog.set(s.blocked || lost == nil, s.detection)
		select {
		case <-ctx.Done():
		case <-s.changed:
		case <-lost:
			lost = nil
		case r := <-c.replies:
			if r.index < 0 {
				return c.result(ctx, r.err)
			}
			r.answer.Value = bytes.Clone(r.answer.Value) // interceptors may have kept the other
			deliver(r.index, r.answer)
		case <-dog.bark():
			c.link.foundDead()
			return c.link.unreachable(fmt.Sprintf("no answer within %v", s.detection))
		}
	}
}

// result returns the caller's error if err is what the Responder returned.
func (c *call) result(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	// The serving context ends with the caller's, and an error that it caused can be here before the caller's
	// context says that it ended.
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) {
		return context.DeadlineExceeded
	}
	return c.link.flatten(err)
}

// end makes the call over: what arrives from now on is discarded.
func (c *call) end() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.overDone()
}

// arrive hands r to the caller, unless the call is over or r came before.
func (c *call) arrive(r reply) {
	if !c.accept(r) {
		c.link.count(Counts{Discarded: 1})
	}
}

func (c *call) accept(r reply) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	arrived := c.arrived
	if r.answer.Status == cache.StatusQueued {
		arrived = c.queued
	}
	switch {
	case c.ended, r.index >= 0 && (arrived[r.index] || c.arrived[r.index]):
		return false
	case r.index >= 0:
		arrived[r.index] = true
	default:
		c.ended = true
	}
	c.replies <- r
	return true
}

// A watchdog is a timer that runs while something is wrong.
type watchdog struct{ timer *time.Timer }

// set starts the timer if it is not running, or stops it.
func (w *watchdog) set(wrong bool, d time.Duration) {
	switch {
	case !wrong || d <= 0:
		w.stop()
	case w.timer == nil:
		w.timer = time.NewTimer(d)
	}
}

func (w *watchdog) stop() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// bark returns a channel that something comes from when the time is up.
func (w *watchdog) bark() <-chan time.Time {
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}
