package peers

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

const (
	// directLimit is how many bytes of requests may be unanswered so that a caller writes its own: what is not answered may
	// not have been read, and no more than this fits into a connection for certain. Beyond it a goroutine writes, since a caller that is stuck
	// in a write cannot leave.
	directLimit = 32 << 10

	// maxRounds is how often a caller writes for others before it goes its way.
	maxRounds = 4

	// linkTick is how often a link is looked after while calls are under way.
	linkTick = 100 * time.Millisecond
)

// errBroken says that a connection broke.
var errBroken = errors.New("peers: the connection broke")

// A link is an upgraded connection to a peer, as its client: any number of calls at a time.
//
// There is no goroutine for each call, and none that reads. Of those who wait for an answer one has the reading role: it reads for
// all of them until its own answer is there, and passes the role on. So a lone caller reads its own answer, without
// a switch to another goroutine. If a reader has waited for readerPatience it leaves the role to a goroutine, which has it until no call is
// under way any more; and so does a link that nobody uses, so that its end is noticed.
type link struct {
	duplex // whose mu guards what is said to be guarded here
	p      *peer

	features wire.Features

	// For whoever has the reading role.

	in      *wire.Reader
	batch   []delivery
	ready   []*call
	partial map[uint64]*wire.Message
	readBy  time.Duration // the deadline that nc has; 0: none

	// Guarded by mu.

	calls        []slot // by number
	free         []uint32
	pending      int // calls that have not ended, nor were closed
	pendingBytes int // of requests of calls that have not ended
	parked       callList
	answers      uint64        // that came
	creditsLater bool          // a timer will credit what came
	reading      bool          // somebody has the reading role
	slots        chan struct{} // closed when a number is free again; nil if nobody waits for that
	retired      bool          // takes no new calls; it is closed when the last one has ended
	dormant      bool          // nobody looks after it
	heard        time.Duration // when something came last, or the link was woken
	failed       bool
	pinged       time.Duration // when a ping was sent that nothing came after; 0: none was
}

// A slot is what becomes of a call's number.
type slot struct {
	call *call // nil if it is free, or the call was closed and the reply has not ended yet
	busy bool
	size int // of the request
}

// delivery is something that came for a call.
type delivery struct {
	call  uint64
	typ   wire.Type
	keyed wire.Keyed
	end   wire.End
	n     int // bytes of a part, or of a credit
}

func newLink(p *peer, nc net.Conn, rd io.Reader, features wire.Features) *link {
	return &link{
		duplex:   newDuplex(nc, p.pool.cfg.ReadTimeout, p.pool.now),
		p:        p,
		features: features,
		in:       wire.NewLendingReader(rd),
		partial:  map[uint64]*wire.Message{},
		dormant:  true,
		heard:    p.pool.now(),
	}
}

// usableLocked reports whether new calls may be begun. mu must be held.
func (l *link) usableLocked() bool { return l.err == nil && !l.retired }

// overLocked reports whether the link is to be closed: it takes no new calls, and nobody waits for any. mu must be held.
func (l *link) overLocked() bool { return l.retired && l.pending == 0 }

// start begins a call whose request is in c. It returns false if the link takes none.
func (l *link) start(c *call, timeout time.Duration) bool {
	l.mu.Lock()
	if !l.usableLocked() || !l.numberLocked(c) {
		l.mu.Unlock()
		return false
	}
	if l.pending++; l.pending == 1 && l.dormant {
		l.wakeUpLocked()
	}
	c.l, c.began = l, l.now()
	c.deadline = cache.Forever
	if timeout < cache.Forever-c.began {
		c.deadline = c.began + timeout
	}
	l.pendingBytes += len(c.payload)
	if len(c.payload) <= wire.MaxPayload {
		l.frameLocked(wire.TypeRequest, c.id, c.payload, nil)
	} else {
		l.longLocked(&longMessage{typ: wire.TypeRequest, call: c.id, tail: c.payload, flow: &c.flow})
	}
	l.flushAndUnlock(l.pending > 1)
	return true
}

// flushAndUnlock writes what is there to be written, if nobody else does, and in no case waits for the other end. mu must
// be held, and is not afterwards.
func (l *link) flushAndUnlock(crowded bool) {
	begin := l.beginLocked()
	l.mu.Unlock()
	if !begin {
		return
	}
	if crowded {
		l.gather()
	}
	rounds := 0
	done := l.flushWhile(func() bool {
		rounds++
		return rounds <= maxRounds && l.pendingBytes <= directLimit && len(l.long) == 0
	})
	if !done {
		go l.flushAll() // ends with the connection, or when there is nothing to write
		return
	}
	l.noticeFailure()
}

// flushBehindAndUnlock is flushAndUnlock for those who may not even write. mu must be held, and is not afterwards.
func (l *link) flushBehindAndUnlock() {
	begin := l.beginLocked()
	l.mu.Unlock()
	if begin {
		go l.flushAll() // as above
	}
}

func (l *link) flushAll() {
	l.flush()
	l.noticeFailure()
}

// noticeFailure ends the calls of a link whose connection broke under a write.
func (l *link) noticeFailure() {
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err != nil {
		l.fail(err)
	}
}

// numberLocked gives c a number. It returns false if too many calls are under way. mu must be held.
func (l *link) numberLocked(c *call) bool {
	size := len(c.payload)
	if l.fullLocked(c.urgent) {
		return false
	}
	if n := len(l.free); n > 0 {
		c.id = uint64(l.free[n-1])
		l.free = l.free[:n-1]
		l.calls[c.id] = slot{c, true, size}
		return true
	}
	c.id = uint64(len(l.calls))
	l.calls = append(l.calls, slot{c, true, size})
	return true
}

// fullLocked reports whether too many calls are under way for another one. Some places are for those that
// are urgent: loads must not hold up invalidations. mu must be held.
func (l *link) fullLocked(urgent bool) bool {
	limit := l.p.pool.cfg.MaxCallsPerPeer
	if urgent {
		limit += urgentConns
	}
	return len(l.calls)-len(l.free) >= limit
}

// releaseLocked frees the number of a call whose reply has ended. mu must be held.
func (l *link) releaseLocked(id uint64) {
	l.pendingBytes -= l.calls[id].size
	l.calls[id] = slot{}
	l.free = append(l.free, uint32(id))
	l.dropLongLocked(id)
	if l.slots != nil {
		close(l.slots)
		l.slots = nil
	}
}

// wakeUpLocked has the monitor look after the link again. mu must be held.
func (l *link) wakeUpLocked() {
	l.dormant = false
	l.heard = l.now()
	l.pinged = 0
	l.p.pool.monitor.poke()
}

// slot returns what is closed when the link may take another call, nil if it does.
func (l *link) slot(urgent bool) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.usableLocked() || !l.fullLocked(urgent) {
		return nil
	}
	if l.slots == nil {
		l.slots = make(chan struct{})
	}
	return l.slots
}

// retire has the link take no more calls. It is closed when those that it has have ended.
func (l *link) retire() {
	l.mu.Lock()
	l.retired = true
	over := l.overLocked()
	l.mu.Unlock()
	l.p.unlink(l)
	if over {
		l.fail(errRetired)
	}
}

var errRetired = errors.New("peers: the connection is not needed any more")

// fail closes the link and ends every call with err.
func (l *link) fail(err error) {
	l.stop(err)
	l.p.unlink(l)
	l.mu.Lock()
	if l.failed {
		l.mu.Unlock()
		return
	}
	l.failed, err = true, l.err
	lost := 0
	var ready []*call
	for id := range l.calls {
		if c := l.calls[id].call; c != nil {
			lost++
			l.endLocked(c, l.lost(err))
			if l.unparkLocked(c) {
				ready = append(ready, c)
			}
		}
	}
	l.calls, l.free = nil, nil
	if l.slots != nil {
		close(l.slots)
		l.slots = nil
	}
	l.mu.Unlock()
	wake(ready)
	l.p.linkFailed(l, err, lost)
}

// lost returns the error of a call that was under way when the link failed with err.
func (l *link) lost(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return l.p.fault(ErrUnreachable, "was lost while it was asked", fmt.Errorf("%w: %w", errBroken, notContexts(err)))
}

// endLocked ends a call. mu must be held.
func (l *link) endLocked(c *call, err error) {
	c.err = err
	l.pending--
	l.releaseLocked(c.id)
}

// unparkLocked takes c out of those that wait. It returns true if c must be woken. mu must be held.
func (l *link) unparkLocked(c *call) bool {
	if !c.waits {
		return false
	}
	l.parked.remove(c)
	return true
}

// wake wakes those who wait for calls. A call that is used for something else by now takes that
// for what it is, an occasion to look.
func wake(ready []*call) {
	for _, c := range ready {
		c.rouse()
	}
}

// A callList is a list of calls whose users wait, in the order in which they began to.
type callList struct{ last *call }

func (s *callList) add(c *call) {
	c.waits = true
	c.prev, c.next = s.last, nil
	if s.last != nil {
		s.last.next = c
	}
	s.last = c
}

func (s *callList) remove(c *call) {
	c.waits = false
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		s.last = c.prev
	}
	if c.prev != nil {
		c.prev.next = c.next
	}
	c.prev, c.next = nil, nil
}
