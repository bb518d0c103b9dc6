package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"time"
	"unsafe"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// writeSize is how much is written at once, about: more does not make it cheaper, and leaves the caches.
const writeSize = 128 << 10

// outLimit is how much may wait to be written to a connection before those who would add to it wait.
const outLimit = 256 << 10

// A session is an upgraded connection from another instance, as its server. One goroutine reads, and answers what a
// cache has in memory where it reads, with one write for all that was read at once. What may
// have to wait is handed to a goroutine of its own, up to Config.MaxInFlight of them in the Pool.
type session struct {
	duplex // whose mu guards what is said to be guarded here
	pool   *Pool
	server *http.Server // nil if not known
	from   string       // the client's URL
	client instanceID
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc

	// For the goroutine that reads.

	in       *wire.Reader
	partial  map[uint64]*wire.Message // requests that come in parts
	incoming int                      // bytes that they will have
	scratch  []byte
	found    []hit
	served   uint64
	epoch    uint64        // that came last
	heard    time.Duration // when the Pool was told that the client asks

	// Guarded by mu.

	calls      map[uint64]*servedCall
	scratchEnd []byte
	memory     int  // bytes of requests that are being read or served
	leaving    bool // the client was told to go away
	closing    bool // it is closed when no call is under way
}

// A hit is an answer from memory to one of several keys.
type hit struct {
	index int
	cache.Answer
}

func newSession(p *Pool, nc net.Conn, rd io.Reader, from string, client instanceID, srv *http.Server) *session {
	s := &session{
		duplex:  newDuplex(nc, p.cfg.ReadTimeout, p.now),
		pool:    p,
		server:  srv,
		from:    from,
		client:  client,
		in:      wire.NewReader(rd),
		partial: map[uint64]*wire.Message{},
		calls:   map[uint64]*servedCall{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// run serves until the connection ends.
func (s *session) run() {
	defer func() {
		if v := recover(); v != nil {
			s.pool.traffic.panics.Add(1)
			s.pool.log.Error("peers: serving a connection panicked", "from", s.from, "panic", v, "stack", string(debug.Stack()))
		}
		s.stop(errRetired)
		s.cancel()
		s.abandon()
		s.pool.forget(s)
	}()
	for {
		if err := s.in.Fill(); err != nil {
			return
		}
		if now := s.now(); now-s.heard > s.pool.viewWindow/8 || s.heard == 0 {
			s.heard = now
			s.pool.hear(s.from, s.client)
		}
		if err := s.frames(); err == errBroken {
			return
		} else if err != nil {
			s.pool.traffic.rejectedGarbage.Add(1)
			s.pool.log.Warn("peers: a connection is closed: what comes makes no sense", "from", s.from, "error", err)
			return
		}
		s.pool.traffic.served.Add(s.served)
		s.served = 0
		if !s.finish() {
			return
		}
	}
}

// frames takes all frames that have been read.
func (s *session) frames() error {
	for {
		f, owned, ok, err := s.in.Next()
		if err != nil || !ok {
			return err
		}
		if err := s.take(f, owned); err != nil {
			return err
		}
		s.mu.Lock()
		full := s.out.size >= writeSize
		s.mu.Unlock()
		if full && !s.finish() {
			return errBroken
		}
	}
}

// finish writes what is there to be written, and waits if that is too much. It returns false if the connection failed.
func (s *session) finish() bool {
	for {
		s.mu.Lock()
		switch {
		case s.err != nil:
			s.mu.Unlock()
			return false
		case s.beginLocked():
			inParts := s.mayPartLocked()
			s.mu.Unlock()
			if inParts {
				go s.write(true) // all that is credited; other requests must not wait for that
			} else {
				s.flush()
			}
		case s.out.size > outLimit:
			room := s.roomLocked()
			s.mu.Unlock()
			<-room // closed by whoever writes, and when the connection fails
		case s.doneLocked():
			s.mu.Unlock()
			return false
		default:
			s.mu.Unlock()
			return true
		}
	}
}

func (s *session) take(f wire.Frame, owned bool) error {
	switch f.Type {
	case wire.TypeRequest:
		return s.request(f.Call, f.Payload, owned)
	case wire.TypeRequest | wire.FirstPart, wire.TypePart:
		return s.takePart(f, owned)
	case wire.TypeCancel:
		s.withdraw(f.Call)
	case wire.TypeCredit:
		n, err := wire.DecodeCredit(f.Payload)
		if err != nil {
			return err
		}
		s.credited(f.Call, n)
	case wire.TypePing:
		if len(f.Payload) > wire.MaxPing {
			return fmt.Errorf("a ping of %d bytes", len(f.Payload))
		}
		s.mu.Lock()
		s.frameLocked(wire.TypePong, 0, f.Payload, nil)
		s.mu.Unlock()
	}
	return nil // what is not known yet is skipped
}

// takePart takes a part of a request, and the request once it is whole.
func (s *session) takePart(f wire.Frame, owned bool) error {
	m := s.partial[f.Call]
	var came int
	switch {
	case f.Type == wire.TypePart && m == nil:
		return nil // of a request that was refused, or cancelled
	case m != nil && f.Type != wire.TypePart:
		return errors.New("a request begins within another one of the same call")
	case m == nil && s.isServed(f.Call):
		return errTwice
	case m == nil:
		first, err := wire.NewMessage(f.Type, f.Payload, s.pool.maxRequest())
		if errors.Is(err, wire.ErrTooLarge) {
			s.pool.traffic.rejectedLimit.Add(1)
			s.end(f.Call, wire.TooLarge, fmt.Sprintf("it takes %d bytes at most", s.pool.maxRequest()))
			return nil
		}
		if err != nil {
			return err
		}
		if s.incoming > 0 && s.incoming+first.Cost() > 2*s.pool.maxRequest() {
			s.pool.traffic.rejectedLimit.Add(1)
			s.end(f.Call, wire.Overloaded, "")
			return nil
		}
		m, came = first, first.Came()
		s.partial[f.Call] = m
		s.incoming += m.Cost()
	default:
		if err := m.Add(f.Payload, owned); err != nil {
			return err
		}
		came = len(f.Payload)
	}
	if !m.Whole() {
		s.mu.Lock()
		s.grantLocked(f.Call, came)
		s.mu.Unlock()
		return nil
	}
	s.dropPartial(f.Call)
	s.served++
	if s.pool.closed.Load() {
		s.end(f.Call, wire.Closed, "")
		return nil
	}
	return s.handOff(f.Call, handed{long: m})
}

// isServed reports whether a call is being served.
func (s *session) isServed(id uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[id] != nil
}

func (s *session) dropPartial(id uint64) {
	s.incoming -= s.partial[id].Cost()
	delete(s.partial, id)
}

// request answers a request, or hands it to a goroutine.
func (s *session) request(id uint64, payload []byte, owned bool) error {
	s.served++
	if s.partial[id] != nil {
		return errTwice
	}
	if s.pool.closed.Load() {
		s.end(id, wire.Closed, "")
		return nil
	}
	v, ok := wire.ViewGet(payload)
	if !ok || v.Reload || v.Peek || v.Keys == 0 {
		return s.handOff(id, handed{payload: payload, owned: owned})
	}
	if v.Epoch != s.epoch || v.Epoch != s.pool.Epoch() {
		s.epoch = v.Epoch
		s.pool.noteEpoch(s.from, v.Epoch)
	}
	a := s.pool.attachment(alias(v.Cache))
	if a == nil {
		s.end(id, wire.UnknownCache, "")
		return nil
	}
	if v.Keys != 1 {
		return s.hits(a, id, &v, payload, owned)
	}
	key := v.Key()
	if v.Err() != nil {
		return s.handOff(id, handed{payload: payload, owned: owned})
	}
	// The strings alias what was read, and Hit keeps neither.
	ans, ok := a.r.Hit(alias(v.Version), alias(key))
	if !ok {
		return s.handOff(id, handed{payload: payload, owned: owned, noted: true})
	}
	fit(&ans, v.MaxValue, s.pool.cfg.MaxValueBytes)
	s.scratch = wire.AppendLastAnswerHead(s.scratch[:0], 0, &ans, s.pool.Epoch())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[id] != nil {
		return errTwice
	}
	if len(s.scratch)+len(ans.Value) <= wire.MaxPayload {
		s.frameLocked(wire.TypeAnswer, id, s.scratch, ans.Value)
		return nil
	}
	if s.pool.traffic.inFlight.Add(1) > int64(s.pool.cfg.MaxInFlight) {
		s.pool.traffic.inFlight.Add(-1)
		s.pool.traffic.rejectedLimit.Add(1)
		s.endLocked(id, &wire.End{Code: wire.Overloaded, Epoch: s.pool.Epoch()})
		return nil
	}
	c := &servedCall{s: s, id: id, cancel: func() {}, inParts: true}
	s.calls[id] = c
	c.watchLocked()
	s.longLocked(&longMessage{typ: wire.TypeAnswer, call: id, head: s.scratch, tail: ans.Value, flow: &c.flow, sent: c.sentLocked})
	return nil
}

// hits answers those keys of a get for several that memory has, and hands the others to a goroutine.
func (s *session) hits(a *attachment, id uint64, v *wire.GetView, payload []byte, owned bool) error {
	sent := 0
	version := alias(v.Version)
	s.found = s.found[:0]
	for i := 0; i < v.Keys && sent < wire.Window; i++ { // what goes beyond it, as it is credited
		key := v.Key()
		if key == nil { // the request does not decode
			break
		}
		ans, ok := a.r.Hit(version, alias(key))
		if ok && len(ans.Value) <= wire.MaxPayload-wire.AnswerOverhead {
			fit(&ans, v.MaxValue, s.pool.cfg.MaxValueBytes)
			s.found = append(s.found, hit{i, ans})
			sent += len(ans.Value)
		}
	}
	all := v.Keys > 0 && len(s.found) == v.Keys && v.Err() == nil
	s.mu.Lock()
	if s.calls[id] != nil {
		s.mu.Unlock()
		return errTwice
	}
	for i := range s.found {
		h := &s.found[i]
		if all && i == len(s.found)-1 {
			s.scratch = wire.AppendLastAnswerHead(s.scratch[:0], h.index, &h.Answer, s.pool.Epoch())
		} else {
			s.scratch = wire.AppendAnswerHead(s.scratch[:0], h.index, &h.Answer)
		}
		s.frameLocked(wire.TypeAnswer, id, s.scratch, h.Value)
	}
	s.mu.Unlock()
	if all {
		clear(s.found)
		return nil
	}
	done := &partly{answered: make([]bool, v.Keys), left: v.Keys - len(s.found), sent: sent}
	for i := range s.found {
		done.answered[s.found[i].index] = true
	}
	clear(s.found)
	return s.handOff(id, handed{payload: payload, owned: owned, noted: true, done: done})
}

// alias returns b as a string that changes with b.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// fit replaces a value that is longer than the one who asks takes, or this instance sends.
func fit(a *cache.Answer, maxValue uint64, own int) {
	if a.Status != cache.StatusOK {
		a.Value = nil
	}
	if limit := min(maxValue, uint64(own)); uint64(len(a.Value)) > limit {
		*a = cache.Answer{Status: cache.StatusTooLarge, Message: fmt.Sprintf(
			"the value has %d bytes and peers.Config.MaxValueBytes, of the instance that asks or of the one that answers, is %d: raise it on every instance", len(a.Value), limit)}
	}
}

// end answers a request with nothing but an end.
func (s *session) end(id uint64, code wire.Code, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(id, &wire.End{Code: code, Epoch: s.pool.Epoch(), Message: message})
}

// endLocked appends an end. mu must be held.
func (s *session) endLocked(id uint64, e *wire.End) {
	s.scratchEnd = wire.AppendEnd(s.scratchEnd[:0], *e)
	s.frameLocked(wire.TypeEnd, id, s.scratchEnd, nil)
}

var errTwice = errors.New("a call's number is used again before its reply has ended")
