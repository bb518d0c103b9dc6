package peers

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A servedCall is a request that a goroutine serves, or whose last answer is on its way in parts.
type servedCall struct {
	s      *session
	id     uint64
	cancel context.CancelFunc
	size   int // of the request

	// Guarded by the session's mu.

	flow    flow
	running bool          // a goroutine serves it
	inParts bool          // an answer is on its way in parts
	end     *wire.End     // to be sent after that; nil if the answer ends the reply, or is not the last
	over    bool          // its client does not wait any more
	since   time.Duration // when credit came last, or was waited for first
	stall   *time.Timer   // looks whether any comes; nil if nothing waits for it
	woken   chan struct{} // closed when the goroutine should look again; nil if it does not wait
}

// partly says which keys of a get have been answered already.
type partly struct {
	answered []bool
	left     int
	sent     int // bytes of values
}

// handed is a request that is handed to a goroutine.
type handed struct {
	payload []byte
	owned   bool
	long    *wire.Message // the request, if it came in parts
	noted   bool          // its epoch was
	done    *partly       // nil if no key was answered
}

func (h *handed) size() int {
	if h.long != nil {
		return h.long.Total()
	}
	return len(h.payload)
}

// handOff has a request served by a goroutine of its own, which ends when the cache has answered; its context ends with the
// connection, when the client cancels, and when the request's time is up.
func (s *session) handOff(id uint64, h handed) error {
	p := s.pool
	ctx, cancel := context.WithCancel(s.ctx)
	c := &servedCall{s: s, id: id, size: h.size(), running: true, cancel: cancel}
	if h.done != nil {
		c.flow.unacked = h.done.sent
	}
	tooMany := p.traffic.inFlight.Add(1) > int64(p.cfg.MaxInFlight)
	s.mu.Lock()
	twice := s.calls[id] != nil
	tooMany = tooMany || s.memory > 0 && s.memory+c.size > 2*p.maxRequest()
	if !twice && !tooMany {
		s.memory += c.size
		s.calls[id] = c
	}
	s.mu.Unlock()
	if !twice && !tooMany {
		if h.long == nil && !h.owned {
			h.payload = bytes.Clone(h.payload)
		}
		go c.run(ctx, &h)
		return nil
	}
	cancel()
	p.traffic.inFlight.Add(-1)
	if twice {
		return errTwice
	}
	p.traffic.rejectedLimit.Add(1)
	s.end(id, wire.Overloaded, "")
	return nil
}

// run serves the request in h.
func (c *servedCall) run(ctx context.Context, h *handed) {
	defer c.cancel()
	s, p := c.s, c.s.pool
	finished := false
	defer func() {
		if !finished { // something of the program's called runtime.Goexit
			c.finish(&wire.End{Code: wire.Failed, Epoch: p.Epoch(), Message: "the goroutine ended"})
		}
	}()
	if h.long != nil {
		h.payload = h.long.Payload()
		h.long = nil
	}
	q, err := wire.DecodeRequest(h.payload)
	var code wire.Code
	var message string
	if err != nil {
		p.traffic.rejectedGarbage.Add(1)
		if code = wire.BadRequest; errors.Is(err, wire.ErrUnsupported) {
			code = wire.Unsupported
		}
		message = err.Error()
	} else {
		if !h.noted {
			p.noteEpoch(s.from, q.Epoch)
		}
		var index []int
		if h.done != nil {
			index = h.done.leave(q.Get)
		}
		own := p.maxRequest()
		maxValue := uint64(own)
		if q.Verb == wire.Get {
			maxValue, own = q.MaxValue, p.cfg.MaxValueBytes
		}
		code, message = p.execute(ctx, s.from, s.client, q, func(i int, a cache.Answer) {
			if index != nil {
				i = index[i]
			}
			fit(&a, maxValue, own)
			c.answer(ctx, i, &a)
		})
	}
	finished = true
	c.finish(&wire.End{Code: code, Epoch: p.Epoch(), Message: message})
}

// leave leaves those keys of req that were not answered, and returns what their indexes were.
func (d *partly) leave(req *cache.GetRequest) []int {
	index := make([]int, 0, d.left)
	keys := make([]string, 0, d.left)
	for i, k := range req.Keys {
		if !d.answered[i] {
			index, keys = append(index, i), append(keys, k)
		}
	}
	req.Keys = keys
	return index
}

// answer sends an answer when there is credit and room for it. It blocks on ctx.
func (c *servedCall) answer(ctx context.Context, index int, a *cache.Answer) {
	s := c.s
	head := wire.AppendAnswerHead(make([]byte, 0, 64+len(a.Message)), index, a)
	for {
		s.mu.Lock()
		wait := c.obstacleLocked()
		if wait == nil {
			break
		}
		s.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			return
		}
	}
	if s.err == nil && !c.over {
		if len(head)+len(a.Value) <= wire.MaxPayload {
			c.flow.unacked += len(a.Value)
			s.frameLocked(wire.TypeAnswer, c.id, head, a.Value)
		} else {
			c.inParts = true
			c.watchLocked()
			s.longLocked(&longMessage{typ: wire.TypeAnswer, call: c.id, head: head, tail: a.Value, flow: &c.flow, sent: c.sentLocked})
		}
	}
	s.writeAndUnlock()
}

// obstacleLocked returns nil if an answer may be sent, and otherwise what is closed when it may be so. The session's mu
// must be held.
func (c *servedCall) obstacleLocked() <-chan struct{} {
	switch {
	case c.s.err != nil || c.over:
		return nil
	case c.inParts || !c.flow.open():
		if c.woken == nil {
			c.watchLocked()
			c.woken = make(chan struct{})
		}
		return c.woken
	case c.s.out.size > outLimit:
		return c.s.roomLocked()
	}
	return nil
}

// wakeLocked wakes the goroutine that serves the call. The session's mu must be held.
func (c *servedCall) wakeLocked() {
	if c.woken != nil {
		close(c.woken)
		c.woken = nil
	}
}

// sentLocked is called when the last part of an answer was taken to be written. The session's mu must be held.
func (c *servedCall) sentLocked() {
	c.inParts = false
	c.wakeLocked()
	if c.running {
		return
	}
	if c.end != nil {
		c.s.endLocked(c.id, c.end)
	}
	c.s.removeLocked(c)
}

// finish ends the call, now or when what is on its way in parts was sent.
func (c *servedCall) finish(e *wire.End) {
	s := c.s
	s.mu.Lock()
	c.running = false
	if c.over {
		e = &wire.End{Code: wire.Timeout, Epoch: e.Epoch}
	}
	if c.inParts && s.err == nil {
		c.end = e
	} else {
		s.endLocked(c.id, e)
		s.removeLocked(c)
	}
	s.writeAndUnlock()
}

// withdraw ends a call that its client does not wait for any more. Each has an end.
func (s *session) withdraw(id uint64) {
	if s.partial[id] != nil {
		s.dropPartial(id)
		s.end(id, wire.Timeout, "")
		return
	}
	s.mu.Lock()
	c := s.calls[id]
	if c != nil { // else its reply has ended meanwhile
		c.cutLocked()
	}
	s.mu.Unlock()
	if c != nil {
		c.cancel()
	}
}

// cutLocked sends nothing more of a call but its end. The session's mu must be held.
func (c *servedCall) cutLocked() {
	s := c.s
	c.over = true
	c.inParts = false
	s.dropLongLocked(c.id)
	c.wakeLocked()
	if !c.running {
		s.endLocked(c.id, &wire.End{Code: wire.Timeout, Epoch: s.pool.Epoch()})
		s.removeLocked(c)
	}
}

// creditTime is how long a client may give no credit to a call that waits for some. Then the call is ended: it
// holds values, and its place among MaxInFlight.
const creditTime = time.Minute

// watchLocked sees to it that a call that waits for credit does not do so for ever. The session's mu must be held.
func (c *servedCall) watchLocked() {
	c.since = c.s.now()
	if c.stall == nil {
		c.stall = time.AfterFunc(c.s.pool.creditTime, c.stalled)
	}
}

// stalled ends the call if it has waited for credit for creditTime.
func (c *servedCall) stalled() {
	s := c.s
	s.mu.Lock()
	c.stall = nil
	if s.calls[c.id] != c || !c.inParts && c.flow.open() {
		s.mu.Unlock()
		return
	}
	if left := c.since + s.pool.creditTime - s.now(); left > 0 {
		c.stall = time.AfterFunc(left, c.stalled)
		s.mu.Unlock()
		return
	}
	c.cutLocked()
	s.writeAndUnlock()
	c.cancel()
}

// credited adds to what may be sent of a call.
func (s *session) credited(id uint64, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.calls[id]; c != nil {
		c.flow.unacked = max(c.flow.unacked-n, 0)
		c.since = s.now()
		c.wakeLocked()
	}
}

// removeLocked takes a call whose reply has ended out of the books. mu must be held.
func (s *session) removeLocked(c *servedCall) {
	if s.calls[c.id] != c {
		return
	}
	delete(s.calls, c.id)
	s.memory -= c.size
	if c.stall != nil {
		c.stall.Stop()
	}
	s.pool.traffic.inFlight.Add(-1)
}

// abandon takes those calls out of the books that no goroutine serves, for the connection has ended.
func (s *session) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if !c.running {
			s.removeLocked(c)
		}
	}
}

// writeAndUnlock writes what is there to be written, if nobody else does. mu must be held, and is not afterwards.
func (s *session) writeAndUnlock() {
	begin := s.beginLocked()
	s.mu.Unlock()
	s.write(begin)
}

// write writes if begin is true, and closes a session that has nothing left to do.
func (s *session) write(begin bool) {
	if begin {
		s.flush()
	}
	s.mu.Lock()
	done := s.doneLocked()
	s.mu.Unlock()
	if done {
		s.stop(errRetired)
	}
}

// doneLocked reports whether the session is to be closed and everything that it had to say has been written. mu must be held.
func (s *session) doneLocked() bool {
	return s.closing && len(s.calls) == 0 && s.out.size == 0 && !s.writing
}

// goAway tells the client to begin no more calls: it closes the connection when none is under way. If closing is true,
// the session does.
func (s *session) goAway(closing bool) {
	s.mu.Lock()
	if !s.leaving {
		s.leaving = true
		s.frameLocked(wire.TypeGoAway, 0, nil, nil)
	}
	s.closing = s.closing || closing
	begin := s.beginLocked()
	s.mu.Unlock()
	go s.write(begin) // ends when it is written, or a write has taken too long
}
