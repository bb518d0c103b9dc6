package peers

import (
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

const (
	// copyLimit is the length up to which a value is copied beside the frames that are written together. A longer
	// one is gathered by the system.
	copyLimit = 4 << 10

	// Whoever writes looks maxLooks times at most whether others append, and maxIdleLooks times in vain.
	maxLooks     = 64
	maxIdleLooks = 3

	// keptBuffer is the largest buffer that a connection keeps for the next write.
	keptBuffer = 256 << 10
)

// A duplex is one end of an upgraded connection, in what both ends have in common: it writes frames. Whoever appends one and
// finds nobody writing, writes: with one system call for all that was appended meanwhile. A link is the client's
// end, a session the server's.
type duplex struct {
	nc       net.Conn
	gathers  bool          // nc can write several pieces at once
	patience time.Duration // how long a write may take
	now      func() time.Duration
	writeBy  time.Duration // the deadline that nc has; the writer's

	// mu guards the fields below, and those of the link or session around. Nothing is
	// waited for under it, and no other lock is taken.
	mu      sync.Mutex
	out     outbox // waits to be written
	spare   outbox
	writing bool           // somebody writes, and will write what is appended meanwhile
	long    []*longMessage // on their way in parts, taking turns
	room    chan struct{}  // closed when out is taken; nil if nobody waits for that
	err     error          // why the connection is of no use any more
}

// An outbox is bytes to be written: buf, with the pieces of refs in between, which are not copied.
type outbox struct {
	buf  []byte
	refs []ref
	size int
}

type ref struct {
	at int // in buf
	b  []byte
}

// A longMessage is sent in parts. Its payload is head and tail.
type longMessage struct {
	typ        wire.Type
	call       uint64
	head, tail []byte
	off        int
	flow       *flow
	sent       func() // called with mu held when the last part was appended; may be nil
}

// A flow counts what was sent of a call's payloads and not credited.
type flow struct{ unacked int }

func (f *flow) open() bool { return f.unacked < wire.Window }

func newDuplex(nc net.Conn, patience time.Duration, now func() time.Duration) duplex {
	_, gathers := nc.(*net.TCPConn)
	return duplex{nc: nc, gathers: gathers, patience: patience, now: now}
}

// frameLocked appends a frame with the payload head and tail. mu must be held.
func (d *duplex) frameLocked(typ wire.Type, call uint64, head, tail []byte) {
	o := &d.out
	before := len(o.buf)
	o.buf = wire.AppendFrameHead(o.buf, typ, call, len(head)+len(tail))
	o.buf = append(o.buf, head...)
	d.tailLocked(tail)
	o.size += len(o.buf) - before
}

// tailLocked appends bytes, by reference if they are many; then it counts them, and its caller counts what it appended to
// buf otherwise. mu must be held.
func (d *duplex) tailLocked(tail []byte) {
	o := &d.out
	if len(tail) <= copyLimit || !d.gathers {
		o.buf = append(o.buf, tail...)
		return
	}
	o.refs = append(o.refs, ref{len(o.buf), tail})
	o.size += len(tail)
}

// grantLocked appends credit for n bytes of a call. mu must be held.
func (d *duplex) grantLocked(call uint64, n int) {
	before := len(d.out.buf)
	d.out.buf = wire.AppendCredit(d.out.buf, call, n)
	d.out.size += len(d.out.buf) - before
}

// longLocked begins to send a message that is longer than a frame, in parts. mu must be held.
func (d *duplex) longLocked(m *longMessage) {
	m.head = append([]byte(nil), m.head...)
	d.long = append(d.long, m)
}

// partLocked appends one part of the message whose turn it is, of those that have credit. mu must be held.
func (d *duplex) partLocked() {
	for i, m := range d.long {
		if !m.flow.open() {
			continue
		}
		total := len(m.head) + len(m.tail)
		n := min(wire.PartSize, total-m.off)
		o := &d.out
		before := len(o.buf)
		if m.off == 0 {
			o.buf = wire.AppendFirst(o.buf, m.typ, m.call, n, total)
		} else {
			o.buf = wire.AppendFrameHead(o.buf, wire.TypePart, m.call, n)
		}
		from, to := m.off, m.off+n
		if h := len(m.head); from < h {
			o.buf = append(o.buf, m.head[from:min(to, h)]...)
			from = min(to, h)
		}
		if h := len(m.head); from < to {
			d.tailLocked(m.tail[from-h : to-h])
		}
		o.size += len(o.buf) - before
		m.off = to
		m.flow.unacked += n
		d.long = append(d.long[:i], d.long[i+1:]...)
		if to < total {
			d.long = append(d.long, m)
		} else if m.sent != nil {
			m.sent()
		}
		return
	}
}

// dropLongLocked forgets the rest of the message of a call. It returns true if nothing of it was sent. mu must be held.
func (d *duplex) dropLongLocked(call uint64) (unsent bool) {
	for i, m := range d.long {
		if m.call == call {
			d.long = append(d.long[:i], d.long[i+1:]...)
			return m.off == 0
		}
	}
	return false
}

// mayPartLocked reports whether a part of a message may be sent. mu must be held.
func (d *duplex) mayPartLocked() bool {
	for _, m := range d.long {
		if m.flow.open() {
			return true
		}
	}
	return false
}

// beginLocked reports whether there is something to write and nobody writes. Then its caller must flush.
// mu must be held.
func (d *duplex) beginLocked() bool {
	if d.writing || d.err != nil || d.out.size == 0 && !d.mayPartLocked() {
		return false
	}
	d.writing = true
	return true
}

// gather lets others run for as long as they append: one write for all is cheaper than one for each, by far. Those who append may
// run on another processor, so that nothing new at one look means little.
func (d *duplex) gather() {
	d.mu.Lock()
	size := d.out.size
	d.mu.Unlock()
	for looks, idle := 0, 0; looks < maxLooks && idle < maxIdleLooks; looks++ {
		runtime.Gosched()
		d.mu.Lock()
		grown := d.out.size
		d.mu.Unlock()
		if idle++; grown != size {
			size, idle = grown, 0
		}
	}
}

// flush writes until nothing is left. beginLocked returned true to its caller.
func (d *duplex) flush() { d.flushWhile(func() bool { return true }) }

// flushWhile is flush while mayLocked, which is called with mu held, allows it. It returns false if it did not: then
// somebody else must flush.
func (d *duplex) flushWhile(mayLocked func() bool) (done bool) {
	var o outbox
	for {
		d.mu.Lock()
		d.recycleLocked(&o)
		if d.err != nil || d.out.size == 0 && !d.mayPartLocked() {
			d.writing = false
			d.mu.Unlock()
			return true
		}
		if !mayLocked() {
			d.mu.Unlock()
			return false
		}
		o = d.takeLocked()
		d.mu.Unlock()
		if err := d.write(&o); err != nil {
			d.stop(err)
		}
	}
}

// takeLocked takes what waits, and a part of a message that is long. mu must be held.
func (d *duplex) takeLocked() outbox {
	d.partLocked()
	o := d.out
	d.out, d.spare = d.spare, outbox{}
	d.wakeLocked()
	return o
}

// recycleLocked keeps o's memory for the next take. mu must be held.
func (d *duplex) recycleLocked(o *outbox) {
	if cap(o.buf) > keptBuffer || cap(o.buf) <= cap(d.spare.buf) {
		return
	}
	clear(o.refs)
	d.spare = outbox{buf: o.buf[:0], refs: o.refs[:0]}
}

// wakeLocked wakes those who wait for room. mu must be held.
func (d *duplex) wakeLocked() {
	if d.room != nil {
		close(d.room)
		d.room = nil
	}
}

// roomLocked returns what is closed when there may be room again. mu must be held.
func (d *duplex) roomLocked() <-chan struct{} {
	if d.room == nil {
		d.room = make(chan struct{})
	}
	return d.room
}

// write writes o. It is bounded by patience, give or take a half.
func (d *duplex) write(o *outbox) error {
	if now := d.now(); d.writeBy-now < d.patience {
		d.writeBy = now + d.patience*3/2
		if err := d.nc.SetWriteDeadline(time.Now().Add(d.patience * 3 / 2)); err != nil {
			return err
		}
	}
	if len(o.refs) == 0 {
		_, err := d.nc.Write(o.buf)
		return err
	}
	pieces := make(net.Buffers, 0, 2*len(o.refs)+1)
	at := 0
	for _, r := range o.refs {
		if r.at > at {
			pieces = append(pieces, o.buf[at:r.at])
			at = r.at
		}
		pieces = append(pieces, r.b)
	}
	if at < len(o.buf) {
		pieces = append(pieces, o.buf[at:])
	}
	_, err := pieces.WriteTo(d.nc)
	return err
}

// stop closes the connection for err, if it is not closed yet: then first is true.
func (d *duplex) stop(err error) (first bool) {
	if err == nil {
		err = errRetired
	}
	d.mu.Lock()
	first = d.err == nil
	if first {
		d.err = err
	}
	d.long = nil
	d.wakeLocked()
	d.mu.Unlock()
	if first {
		d.nc.Close()
	}
	return first
}
