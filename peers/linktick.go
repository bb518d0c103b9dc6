package peers

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// tick looks after the link, and returns in how long that is due again: not until a call begins, if that is 0. It ends calls whose
// time is up, has somebody read where nobody does, sends a ping where calls wait and nothing comes, and fails the link
// if nothing has come since one.
func (l *link) tick(now time.Duration) (next time.Duration) {
	cfg := &l.p.pool.cfg
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return 0
	}
	if !l.reading {
		l.reading = true
		go l.background() // until the link is used again, or fails
	}
	if len(l.free) == len(l.calls) { // also those that nobody waits for any more: callers may have little patience, all of them
		l.dormant = true
		l.mu.Unlock()
		return 0
	}
	ready := l.expireLocked(now)
	dead := l.pinged > 0 && now-l.pinged >= cfg.PingTimeout
	if l.pinged == 0 && now-l.heard >= cfg.PingAfter {
		l.pinged = now
		l.frameLocked(wire.TypePing, 0, nil, nil)
	}
	over := l.overLocked()
	l.flushBehindAndUnlock() // other peers must not wait for this one
	wake(ready)
	if over {
		l.fail(errRetired)
		return 0
	}
	if dead {
		err := l.p.fault(ErrUnreachable, fmt.Sprintf("did not answer a ping within %v", cfg.PingTimeout), nil)
		l.p.verdict(final, err)
		l.fail(err)
		return 0
	}
	return min(linkTick, cfg.PingAfter/2, cfg.PingTimeout/2)
}

// expireLocked ends the calls whose time is up, and returns those to wake. mu must be held.
func (l *link) expireLocked(now time.Duration) (ready []*call) {
	for id := range l.calls {
		c := l.calls[id].call
		if c == nil || now < c.deadline {
			continue
		}
		c.err = context.DeadlineExceeded
		l.withdrawLocked(c)
		if l.unparkLocked(c) {
			ready = append(ready, c)
		}
	}
	return ready
}

// withdrawLocked has the peer end a call that nobody waits for any more. Its number is free once the reply has
// ended. mu must be held.
func (l *link) withdrawLocked(c *call) {
	l.pending--
	l.calls[c.id].call = nil
	if l.dropLongLocked(c.id) {
		l.releaseLocked(c.id)
		return
	}
	l.frameLocked(wire.TypeCancel, c.id, nil, nil)
}
