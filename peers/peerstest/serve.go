package peerstest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// serve carries the request to its Responder, and runs it. It ends when the Responder has returned and its replies
// are carried, however long the caller has been gone.
func (c *call) serve() {
	if !c.cross(c.request, c.due, false) {
		return
	}
	if c.request.Kind == KindGet {
		go c.carry()
	} else {
		defer c.carry()
	}
	// Deferred, so that a Responder that panics or calls runtime.Goexit ends the call too.
	err := errors.New("the responder ended its goroutine")
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the responder panicked: %v", p)
		}
		c.out.end(err)
	}()
	err = c.execute()
}

// execute runs the Responder, twice if the link duplicates the request.
func (c *call) execute() error {
	if c.link.to.hear(c.link.from.index, c.lives[0]) && (c.request.Kind == KindHello || c.request.Kind == KindStore) {
		return errors.New("it has forgotten the sender")
	}
	r := c.link.to.responder(c.request.Cache)
	if r == nil {
		return cache.ErrUnknownCache
	}
	if c.key != nil && c.hit(r) {
		return nil
	}
	ctx, cancel := c.serving()
	defer cancel()
	if c.link.currentFaults().DuplicateRequests {
		switch c.request.Kind {
		case KindGet:
			go c.repeat(r)
		case KindFence:
			if err := c.run(ctx, r, nil); err != nil {
				return err
			}
		}
	}
	return c.run(ctx, r, c.out.put)
}

// A hitKey is the one key that Hit is asked for, and its Version.
type hitKey struct{ version, key string }

// hit asks r's Hit, and sends its answer if there is one. As in a transport that reads into a buffer, the bytes of both
// strings change when Hit has returned.
func (c *call) hit(r cache.Responder) bool {
	version, key := []byte(c.key.version), []byte(c.key.key)
	a, ok := r.Hit(unsafe.String(unsafe.SliceData(version), len(version)), unsafe.String(unsafe.SliceData(key), len(key)))
	for _, b := range [][]byte{version, key} {
		for i := range b {
			b[i] = '#'
		}
	}
	if ok {
		c.out.put(0, a)
	}
	return ok
}

// repeat runs a Get once more, and discards what comes of it.
func (c *call) repeat(r cache.Responder) {
	ctx, cancel := c.serving()
	defer cancel()
	defer func() { _ = recover() }() // it is reported for the first delivery, if it is the request's fault
	_ = c.run(ctx, r, func(int, cache.Answer) { c.link.count(Counts{Discarded: 1}) })
}

// carry takes replies to the caller, in order, until the last.
func (c *call) carry() {
	var again []reply
	for last := false; !last; {
		r := c.out.take()
		last = r.index < 0
		if !c.cross(r.message, r.due, r.silent) {
			continue
		}
		c.arrive(r)
		if c.link.currentFaults().DuplicateReplies {
			c.arrive(r)
			again = append(again, r)
		}
	}
	if len(again) == 0 {
		return
	}
	<-c.ctx.Done()
	for _, r := range again {
		c.arrive(r)
	}
}

// An outbox is the Responder's end of a call. Putting into it never blocks.
type outbox struct {
	request Message
	delay   func() time.Duration
	wake    chan struct{} // has a token if there may be something to take

	mu       sync.Mutex // guards the fields below
	busy     bool       // an answer is being put
	answered []bool
	queued   []bool // the Responder said that the key's load waits
	left     int    // keys not yet answered
	breach   error  // what the Responder did first against its contract
	queue    []reply
	ended    bool
	last     time.Time // when the last reply of the queue is due
}

func newOutbox(request Message, keys int, delay func() time.Duration) *outbox {
	return &outbox{
		request: request, delay: delay, wake: make(chan struct{}, 1),
		answered: make([]bool, keys), queued: make([]bool, keys), left: keys,
	}
}

// put sends an answer. It is the deliver function of the Responder's Get.
func (o *outbox) put(i int, a cache.Answer) {
	if !o.enter(i, a.Status == cache.StatusQueued) {
		return
	}
	a.Value = bytes.Clone(a.Value)
	m := o.request
	m.Reply, m.Keys, m.Answer = true, o.request.Keys[i:i+1:i+1], &a
	o.push(reply{message: m, index: i, answer: a})
}

// enter admits an answer for key i, or word that its load is queued, if the contract does.
func (o *outbox) enter(i int, queued bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.ended:
		panic("peerstest: a Responder called deliver after its Get had returned")
	case i < 0 || i >= len(o.answered):
		o.breachLocked("the responder answered key %d of %d", i, len(o.answered))
	case o.answered[i]:
		o.breachLocked("the responder answered key %d twice", i)
	case o.busy:
		o.breachLocked("the responder called deliver concurrently")
	case queued && o.queued[i]:
		o.breachLocked("the responder said twice that key %d is queued", i)
	case queued:
		o.busy, o.queued[i] = true, true
		return true
	default:
		o.busy, o.answered[i] = true, true
		o.left--
		return true
	}
	return false
}

// breachLocked notes the first breach of the contract. o.mu must be held.
func (o *outbox) breachLocked(format string, args ...any) {
	if o.breach == nil {
		o.breach = fmt.Errorf(format, args...)
	}
}

// end sends what the Responder returned.
func (o *outbox) end(err error) {
	err = o.close(err)
	m := o.request
	m.Reply, m.Keys, m.Err = true, nil, err
	if m.Kind != KindGet {
		m.Keys = o.request.Keys
	}
	silent := err == nil && m.Kind == KindGet && len(o.request.Keys) > 0
	o.push(reply{message: m, silent: silent, index: -1, err: err})
}

// close lets no more answers in, and returns what the call returns.
func (o *outbox) close(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	if o.busy {
		o.breachLocked("the responder returned while it called deliver")
	}
	switch {
	case o.breach != nil:
		return o.breach
	case err == nil && o.left > 0:
		return fmt.Errorf("the responder left %d of %d keys without an answer", o.left, len(o.answered))
	}
	return err
}

// push queues r behind those that are there.
func (o *outbox) push(r reply) {
	due := time.Now().Add(o.delay()) // without o.mu: it is a function of the test
	o.mu.Lock()
	defer o.mu.Unlock()
	if due.Before(o.last) {
		due = o.last
	}
	r.due, o.last = due, due
	o.queue = append(o.queue, r)
	o.busy = false
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take waits for the next reply and removes it.
func (o *outbox) take() reply {
	for {
		if r, ok := o.next(); ok {
			return r
		}
		<-o.wake
	}
}

func (o *outbox) next() (r reply, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return r, false
	}
	r, o.queue = o.queue[0], o.queue[1:]
	return r, true
}
