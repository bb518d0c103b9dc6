package peerstest

import (
	"context"
	"time"
)

// A state is what stands between the two ends of a call at one moment.
type state struct {
	dead      bool // one end died since the call began
	blocked   bool // nothing can come through now
	detection time.Duration
	changed   <-chan struct{} // closed when this may no longer hold
}

// look returns the state of the call's link.
func (c *call) look() state {
	f := c.link.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	return state{c.deadLocked(), c.link.blockedLocked(), f.detection, f.changed}
}

// deadLocked reports whether an end of the call died since it began. The fleet's mu must be held.
func (c *call) deadLocked() bool {
	return c.lives != [2]int{c.link.from.lives, c.link.to.lives}
}

// blockedLocked reports whether a ping over the link would get no answer now. The fleet's mu must be held.
func (l *link) blockedLocked() bool {
	return l.to.stopped || l.cutLocked() || l.hungLocked() || l.faults.DropRequests || l.faults.DropReplies
}

// cutLocked reports whether a partition separates both ends. The fleet's mu must be held.
func (l *link) cutLocked() bool { return l.from.group != l.to.group }

// hungLocked reports whether messages wait in the link. The fleet's mu must be held.
func (l *link) hungLocked() bool { return l.from.hung || l.to.hung }

// foundDead makes calls fail at once while something blocks the link.
func (l *link) foundDead() {
	l.fleet.mu.Lock()
	defer l.fleet.mu.Unlock()
	l.found = l.blockedLocked()
}

// cross takes a message over the link: its delay, its faults, and what the test does to it. It returns whether
// the message arrives. Messages that arrive at an instance that hangs wait; they and delayed ones
// are dropped when the call is over.
func (c *call) cross(m Message, due time.Time, silent bool) bool {
	if !c.sleep(due) || !c.pass(m.Reply) {
		return c.stray(m)
	}
	if silent {
		return true
	}
	interceptors := c.link.fleet.interceptors()
	for _, i := range interceptors {
		if err := i.run(c.ctx, m); err != nil {
			c.lose()
			return c.stray(m)
		}
	}
	// What blocked the message may have let the link change. A request that the test let go
	// after its call was over arrives late.
	return len(interceptors) == 0 || c.pass(m.Reply)
}

// stray notes that m did not arrive. It returns false.
func (c *call) stray(m Message) bool {
	if m.Reply && c.ctx.Err() != nil {
		c.link.count(Counts{Discarded: 1})
	}
	return false
}

// sleep waits until due, and returns false if the call is over before.
func (c *call) sleep(due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return c.ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// pass returns whether the link lets a message of this direction through, and
// waits while an instance hangs.
func (c *call) pass(reply bool) bool {
	for {
		through, hung := c.tryPass(reply)
		if hung == nil {
			return through
		}
		select {
		case <-hung:
		case <-c.ctx.Done():
			return false
		}
	}
}

// tryPass returns whether a message gets through, or a channel that is closed when that has to be asked again.
func (c *call) tryPass(reply bool) (through bool, hung <-chan struct{}) {
	l := c.link
	l.fleet.mu.Lock()
	defer l.fleet.mu.Unlock()
	if c.broken || c.deadLocked() || l.cutLocked() || l.faults.drops(reply) {
		c.loseLocked()
		return false, nil
	}
	if l.hungLocked() {
		return false, l.fleet.changed
	}
	return true, nil
}

// lose loses a message, and with it all that follow in the call.
func (c *call) lose() {
	c.link.fleet.mu.Lock()
	defer c.link.fleet.mu.Unlock()
	c.loseLocked()
}

// loseLocked is lose. The fleet's mu must be held.
func (c *call) loseLocked() {
	if c.ctx.Err() != nil {
		return // nobody waits for it
	}
	c.link.counts.Lost++
	if !c.broken {
		c.broken = true
		close(c.lost)
	}
}

// serving returns the context that the request is executed on: it has what was left of the caller's deadline when
// the request was sent, counted from now, and ends with the call.
func (c *call) serving() (context.Context, context.CancelFunc) {
	if c.bounded {
		return context.WithTimeout(c.ctx, c.budget)
	}
	return context.WithCancel(c.ctx)
}
