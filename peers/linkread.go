package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// readerPatience is how long a caller reads, at least, before it leaves that to a goroutine; so it notices up to twice
// as late that it was cancelled. To watch a context while one reads would cost each call.
const readerPatience = 2 * time.Millisecond

// lead reads for everybody until there is something for c, and then passes the role on. Its caller has the
// reading role.
func (l *link) lead(ctx context.Context, c *call) {
	for {
		if !l.bound() {
			return
		}
		if err := l.read(); errors.Is(err, os.ErrDeadlineExceeded) {
			go l.background()
			return
		} else if err != nil {
			l.fail(err)
			return
		}
		l.mu.Lock()
		if c.head < len(c.queue) || c.err != nil || ctx.Err() != nil {
			next := l.passLocked()
			l.mu.Unlock()
			next.rouse()
			return
		}
		l.mu.Unlock()
	}
}

// passLocked passes the reading role on to who came last, since that one will wait longest, and returns whom
// to wake. Its caller has the role. mu must be held.
func (l *link) passLocked() *call {
	next := l.parked.last
	if next == nil {
		l.reading = false // whoever comes next takes it
		return nil
	}
	l.parked.remove(next)
	next.leads = true
	return next
}

// bound sees to it that a read ends, within readerPatience and twice that. It returns false if the link has failed.
func (l *link) bound() bool {
	now := l.now()
	if l.readBy-now >= readerPatience {
		return true
	}
	l.readBy = now + 2*readerPatience
	if err := l.nc.SetReadDeadline(time.Now().Add(2 * readerPatience)); err != nil {
		l.fail(err)
		return false
	}
	return true
}

// background reads until no call is under way, or for ever while the link is dormant. It has the reading role.
func (l *link) background() {
	l.readBy = 0
	err := l.nc.SetReadDeadline(time.Time{})
	for err == nil {
		if err = l.read(); err != nil {
			break
		}
		l.mu.Lock()
		if l.pending == 0 && !l.dormant {
			l.reading = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
	}
	l.fail(err)
}

// read reads once, and delivers what came as a whole.
func (l *link) read() error {
	if err := l.in.Fill(); err != nil {
		return err
	}
	l.batch = l.batch[:0]
	var control bool
	for {
		f, owned, ok, err := l.in.Next()
		if err != nil {
			return l.garbage(err)
		}
		if !ok {
			break
		}
		c, err := l.take(f, owned)
		if err != nil {
			return err
		}
		control = control || c
	}
	return l.deliver(control)
}

// take adds what f brings to the batch. control says that the frame is not about a call.
func (l *link) take(f wire.Frame, owned bool) (control bool, err error) {
	d := delivery{call: f.Call, typ: f.Type}
	switch f.Type {
	case wire.TypeAnswer:
		k, err := wire.DecodeAnswer(f.Payload)
		if err != nil {
			return false, l.garbage(err)
		}
		if !owned && len(k.Value) > 0 {
			if k.Chunk = l.in.Keep(); k.Chunk == nil {
				k.Value = bytes.Clone(k.Value)
			}
		}
		return false, l.takeAnswer(f.Call, k)
	case wire.TypeEnd:
		if d.end, err = wire.DecodeEnd(f.Payload); err != nil {
			return false, l.garbage(err)
		}
		l.p.epochs.note(l.p.pool, l.p.url, d.end.Epoch)
		delete(l.partial, f.Call) // of a call that was cancelled
	case wire.TypeCredit:
		if d.n, err = wire.DecodeCredit(f.Payload); err != nil {
			return false, l.garbage(err)
		}
	case wire.TypeAnswer | wire.FirstPart, wire.TypeEnd | wire.FirstPart, wire.TypePart:
		return false, l.takePart(f, owned)
	case wire.TypePing:
		if len(f.Payload) > wire.MaxPing {
			return false, l.garbage(fmt.Errorf("a ping of %d bytes", len(f.Payload)))
		}
		l.mu.Lock()
		if l.out.size <= outLimit { // else it does not read; it sees that there is life
			l.frameLocked(wire.TypePong, 0, f.Payload, nil)
		}
		l.mu.Unlock()
		return true, nil
	case wire.TypeGoAway:
		l.p.pool.log.Debug("peers: peer is leaving", "peer", l.p.url)
		l.retire()
		return true, nil
	default: // a pong, or what is not known yet
		return true, nil
	}
	l.batch = append(l.batch, d)
	return false, nil
}

// takePart takes a part of a message, and the message once it is whole.
func (l *link) takePart(f wire.Frame, owned bool) error {
	m, came := l.partial[f.Call], len(f.Payload)
	var err error
	switch {
	case f.Type == wire.TypePart && m == nil:
		return nil // of something that is not known yet
	case f.Type != wire.TypePart && m != nil:
		err = errors.New("a message begins within another one of the same call")
	case m != nil:
		err = m.Add(f.Payload, owned)
	case !l.underWay(f.Call):
		err = errNoSuchCall
	default:
		if m, err = wire.NewMessage(f.Type, f.Payload, l.p.pool.maxRequest()+wire.AnswerOverhead); err == nil {
			l.partial[f.Call] = m
			came = m.Came()
		}
	}
	if err != nil {
		return l.garbage(err)
	}
	l.batch = append(l.batch, delivery{call: f.Call, typ: wire.TypePart, n: came})
	if !m.Whole() {
		return nil
	}
	delete(l.partial, f.Call)
	if m.Type != wire.TypeAnswer {
		_, err = l.take(wire.Frame{Type: m.Type, Call: f.Call, Payload: m.Payload()}, true)
		return err
	}
	k, err := wire.DecodeLongAnswer(m)
	if err != nil {
		return l.garbage(err)
	}
	return l.takeAnswer(f.Call, k)
}

// takeAnswer adds an answer to the batch.
func (l *link) takeAnswer(call uint64, k wire.Keyed) error {
	if k.Last {
		l.p.epochs.note(l.p.pool, l.p.url, k.Epoch)
	}
	l.batch = append(l.batch, delivery{call: call, typ: wire.TypeAnswer, keyed: k})
	return nil
}

var errNoSuchCall = errors.New("a frame for a call that is not under way")

// underWay reports whether the reply to a call has not ended.
func (l *link) underWay(id uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return id < uint64(len(l.calls)) && l.calls[id].busy
}

// deliver hands the batch to the calls, and wakes those who wait for them.
func (l *link) deliver(control bool) error {
	l.ready = l.ready[:0]
	now := l.now()
	worst, worstErr := answered, error(nil)
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return l.err // which is not written any more
	}
	l.heard, l.pinged = now, 0
	for i := range l.batch {
		d := &l.batch[i]
		if d.call >= uint64(len(l.calls)) || !l.calls[d.call].busy {
			if d.typ == wire.TypeCredit {
				continue // for a request that was answered before it was read to its end
			}
			l.mu.Unlock()
			return l.giveUp(errNoSuchCall)
		}
		v, err := l.deliverLocked(d)
		if v != answered {
			worst, worstErr = v, err
		}
		if v == failed { // what else it says is not to be trusted
			l.mu.Unlock()
			return l.giveUp(err)
		}
	}
	clear(l.batch)
	over := l.overLocked()
	if control || l.out.size > 0 || len(l.long) > 0 {
		l.flushAndUnlock(false)
	} else {
		l.mu.Unlock()
	}
	wake(l.ready)
	clear(l.ready)
	if worst != answered {
		l.p.verdict(worst, worstErr)
	}
	if over {
		l.fail(errRetired)
	}
	return nil
}

// giveUp fails the link, since what comes makes no sense, and only then wakes those who have their answers: they may
// ask again at once, and must not do so here.
func (l *link) giveUp(err error) error {
	err = l.garbage(err)
	l.fail(err)
	wake(l.ready)
	return err
}

// deliverLocked hands d to its call. The verdict is what that says of the peer, with its error. mu must be held.
func (l *link) deliverLocked(d *delivery) (verdict, error) {
	c := l.calls[d.call].call
	switch d.typ {
	case wire.TypeCredit:
		if c != nil {
			c.flow.unacked = max(c.flow.unacked-d.n, 0)
		}
		return answered, nil
	case wire.TypePart:
		if c != nil {
			c.owed += d.n
			l.creditLocked(c)
		}
		return answered, nil
	case wire.TypeEnd:
		if c == nil {
			l.releaseLocked(d.call)
			return answered, nil
		}
		v, err := l.p.codeError(d.end)
		if err == nil {
			if err = io.EOF; c.left > 0 {
				v, err = failed, l.nonsense("%d keys were not answered", c.left)
			}
		}
		l.endLocked(c, err)
		l.readyLocked(c)
		return v, err
	}
	k := &d.keyed
	if c == nil {
		k.Chunk.Release()
		if k.Last {
			l.releaseLocked(d.call)
		}
		return answered, nil
	}
	queued := k.Status == cache.StatusQueued
	if queued {
		c.notices++
	}
	if k.Index >= c.keys || c.keys > 1 && c.seen[k.Index] || c.left == 0 || c.notices > c.keys || queued && k.Last {
		return failed, l.nonsense("it answers key %d of %d, or answers it twice", k.Index, c.keys)
	}
	l.answerLocked(c, k)
	return answered, nil
}

func (l *link) nonsense(format string, args ...any) error {
	return l.p.fault(ErrProtocol, "sent a reply that makes no sense", fmt.Errorf(format, args...))
}

// answerLocked hands an answer to its call. mu must be held.
func (l *link) answerLocked(c *call, k *wire.Keyed) {
	if k.Status != cache.StatusQueued {
		if c.keys > 1 {
			c.seen[k.Index] = true
		}
		c.left--
		l.answers++
	}
	c.queue = append(c.queue, *k)
	c.queued += k.Bytes()
	if c.keys > 1 && k.Long == nil { // whose parts were counted
		c.owed += len(k.Value)
		l.creditLocked(c)
	}
	if k.Last {
		var err error = io.EOF
		if c.left > 0 {
			err = l.nonsense("%d keys were not answered", c.left)
		}
		l.endLocked(c, err)
	}
	l.readyLocked(c)
}

// readyLocked has c's user woken after the batch. mu must be held.
func (l *link) readyLocked(c *call) {
	if l.unparkLocked(c) {
		l.ready = append(l.ready, c)
	}
}

// garbage returns the error for what makes no sense; the link fails with it.
func (l *link) garbage(err error) error {
	l.p.pool.log.Warn("peers: a connection is closed: what comes makes no sense", "peer", l.p.url, "error", err)
	return l.p.fault(ErrProtocol, "sent what makes no sense", err)
}
