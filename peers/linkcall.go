package peers

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// A call is one request that travels on a link, and its reply. It implements cache.Answers.
type call struct {
	wake chan struct{} // holds one: there is something to look at. It stays the call's, whoever uses that: see wake
	callState
}

type callState struct {
	l       *link
	id      uint64
	payload []byte // of the request: kept, for it may have to be sent once more
	timeout time.Duration
	keys    int
	urgent  bool // it is no Get: loads must not hold it up
	began   time.Duration
	once    bool          // it is not sent again, nor counted, if the link breaks
	again   cache.Answers // the call that takes this one's place, since the link broke; written under mu

	// Guarded by the link's mu.

	deadline    time.Duration // by the pool's clock
	queue       []wire.Keyed  // answers that came; those before head were taken
	head        int
	taken       int           // answers that Next returned
	lent        *wire.Chunk   // that the value of the last of them is in; nil if its receiver owns it. Not guarded: the user's
	seen        []bool        // of a call for several keys: which were answered
	left        int           // keys that were not answered
	notices     int           // that a load is queued: one for each key at most
	err         error         // nil until the call has ended: io.EOF then, or why it failed
	flow        flow          // of the request
	owed        int           // bytes that came and were not credited
	credited    time.Duration // when credit was given last
	answersThen uint64        // link.answers at that time
	queued      int           // bytes of values in queue
	interrupted bool
	waits       bool // its user is parked, and so it is in the link's list
	leads       bool // its user has been given the reading role
	prev, next  *call
}

var calls = sync.Pool{New: func() any { return &call{wake: make(chan struct{}, 1)} }}

// newCall returns a call for q, or an error if q breaks a limit.
func newCall(p *peer, q *wire.Request) (*call, error) {
	c := calls.Get().(*call)
	q.Epoch = p.pool.Epoch()
	var err error
	c.payload, err = wire.AppendRequest(c.payload[:0], q)
	if err == nil {
		err = p.checkRequest(len(c.payload))
	}
	if err != nil {
		c.release()
		return nil, p.fault(ErrTooLarge, "was not sent the request", err)
	}
	c.timeout = q.Timeout
	c.keys, c.urgent = q.Answers(), q.Verb != wire.Get
	c.left = c.keys
	if c.keys > 1 {
		c.seen = append(c.seen[:0], make([]bool, c.keys)...)
	}
	return c, nil
}

// release gives the call back for the next one.
func (c *call) release() {
	c.giveBack()
	for i := range c.queue {
		c.queue[i].Chunk.Release()
	}
	if cap(c.payload) > copyLimit || cap(c.queue) > 256 {
		return // it was a large one
	}
	clear(c.queue)
	c.callState = callState{payload: c.payload, queue: c.queue[:0], seen: c.seen}
	select {
	case <-c.wake:
	default:
	}
	calls.Put(c)
}

// Next implements cache.Answers.
func (c *call) Next(ctx context.Context) (int, cache.Answer, error) {
	if c.again != nil {
		return c.again.Next(ctx)
	}
	c.giveBack()
	l := c.l
	l.mu.Lock()
	for {
		if c.head < len(c.queue) {
			k := c.takeLocked()
			l.leaveAndUnlock(c)
			c.lent, k.Borrowed = k.Chunk, k.Chunk != nil
			if k.Long != nil {
				k.Value = k.Long.Payload()
			}
			return k.Index, k.Answer, nil
		}
		if err := c.err; err != nil {
			l.leaveAndUnlock(c)
			return c.failed(ctx, err)
		}
		if err := ctx.Err(); err != nil {
			l.leaveAndUnlock(c)
			return 0, cache.Answer{}, err
		}
		if c.leads || !l.reading {
			c.leads, l.reading = false, true
			l.mu.Unlock()
			l.lead(ctx, c)
			l.mu.Lock()
			continue
		}
		l.parked.add(c)
		l.mu.Unlock()
		if done := ctx.Done(); done == nil {
			<-c.wake
		} else {
			select {
			case <-c.wake:
			case <-done:
			}
		}
		l.mu.Lock()
		if c.waits {
			l.parked.remove(c)
		}
	}
}

// giveBack gives the memory back that the last answer's value is in.
func (c *call) giveBack() {
	c.lent.Release()
	c.lent = nil
}

// takeLocked takes the next answer, which there is. mu must be held.
func (c *call) takeLocked() wire.Keyed {
	k := c.queue[c.head]
	c.queue[c.head] = wire.Keyed{}
	if c.head++; c.head == len(c.queue) {
		c.queue, c.head = c.queue[:0], 0
	}
	if k.Status != cache.StatusQueued {
		c.taken++
	}
	c.queued -= k.Bytes()
	if c.err == nil {
		c.l.creditLocked(c)
	}
	return k
}

// leaveAndUnlock passes the reading role on if c was given it, and writes credit that c's taking left. mu must be
// held, and is not afterwards.
func (l *link) leaveAndUnlock(c *call) {
	var ready *call
	if c.leads {
		c.leads = false
		ready = l.passLocked()
	}
	if l.out.size > 0 {
		l.flushAndUnlock(false)
	} else {
		l.mu.Unlock()
	}
	ready.rouse()
}

func (c *call) rouse() {
	if c != nil {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
}

// failed returns err, unless the link broke before anything of the reply was taken, and the request may be sent again.
func (c *call) failed(ctx context.Context, err error) (int, cache.Answer, error) {
	p := c.l.p
	if !c.once && c.taken == 0 && mayRepeat(wire.Get, err) {
		if q, derr := wire.DecodeRequest(c.payload); derr == nil {
			left := c.timeout
			if left != cache.Forever {
				left -= p.pool.now() - c.began
			}
			again := cache.GoGet(p.getAgain, q.Get, left)
			c.l.mu.Lock()
			c.again = again
			interrupted := c.interrupted
			c.l.mu.Unlock()
			if interrupted {
				interrupt(again)
			}
			return again.Next(ctx)
		}
	}
	if !c.once && err != io.EOF {
		p.failures.Add(1)
	}
	return 0, cache.Answer{}, err
}

// Close implements cache.Answers.
func (c *call) Close() {
	if c.again != nil {
		c.again.Close()
	}
	l := c.l
	l.mu.Lock()
	if c.err != nil {
		l.mu.Unlock()
		c.release()
		return
	}
	c.err = io.EOF
	l.withdrawLocked(c)
	over := l.overLocked()
	l.flushAndUnlock(false)
	if over {
		l.fail(errRetired)
	}
	c.release()
}

// Interrupt ends the call, and has Next return an error at once, or within readerPatience if it reads.
func (c *call) Interrupt() {
	l := c.l
	l.mu.Lock()
	c.interrupted = true
	again := c.again
	var ready *call
	if c.err == nil {
		c.err = errInterrupted
		l.withdrawLocked(c)
		if l.unparkLocked(c) {
			ready = c
		}
	}
	over := l.overLocked()
	l.flushBehindAndUnlock()
	ready.rouse()
	if over {
		go l.fail(errRetired) // which takes other locks
	}
	if again != nil {
		interrupt(again)
	}
}

func interrupt(a cache.Answers) {
	if i, ok := a.(singleflight.Interrupter); ok {
		i.Interrupt()
	}
}

var errInterrupted = errors.New("peers: the call was interrupted")

const (
	// A call whose answer comes in parts is credited once in creditPause only while the link answers others, busyAnswers of them
	// since the last time: so one large value takes 64 MiB/s of what the small ones could have. All that it costs at
	// either end, copies, memory and its collection, would otherwise be felt by everyone.
	creditPause = 4 * time.Millisecond
	busyAnswers = 8
)

// creditLocked credits what came of c, if enough of it was taken, or sees to it that it is credited later. mu must be held.
func (l *link) creditLocked(c *call) {
	if c.owed < wire.Window/4 || c.queued >= wire.Window {
		return
	}
	now := l.now()
	if l.answers-c.answersThen >= busyAnswers && now-c.credited < creditPause {
		if !l.creditsLater {
			l.creditsLater = true
			time.AfterFunc(creditPause, l.creditAll)
		}
		return
	}
	c.credited, c.answersThen = now, l.answers
	l.grantLocked(c.id, c.owed)
	c.owed = 0
}

// creditAll credits what had to wait.
func (l *link) creditAll() {
	l.mu.Lock()
	l.creditsLater = false
	for i := range l.calls {
		if c := l.calls[i].call; c != nil && c.err == nil {
			l.creditLocked(c)
		}
	}
	l.flushAndUnlock(false)
}
