package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A script is what a client that keeps the rules does on one connection, and what it sees.
type script struct {
	l *rawLink

	mu sync.Mutex
	// mu guards the fields below, and is held while something is written.
	open    map[uint64]*asked // by number
	free    []uint64
	ended   int
	changed chan struct{} // holds one
	broken  error
}

// asked is a request whose reply has not ended.
type asked struct {
	keys    []string // of a get
	seen    map[int]bool
	message *wire.Message // an answer that comes in parts
	store   []byte        // of a request in parts: what is left to be sent
	credit  int
	givenUp bool
}

// read takes frames until the connection ends, and returns what is wrong with them.
func (s *script) read() {
	for {
		f, err := nextFrame(s.l.in)
		s.mu.Lock()
		if err == nil {
			err = s.takeLocked(f)
		}
		if err != nil {
			s.broken = errors.Join(s.broken, err)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

func (s *script) takeLocked(f wire.Frame) error {
	if f.Type == wire.TypePong {
		return nil
	}
	q := s.open[f.Call]
	if q == nil {
		return fmt.Errorf("a frame of type %d for call %d, which is not under way", f.Type, f.Call)
	}
	switch f.Type {
	case wire.TypeAnswer:
		return s.answerLocked(f.Call, q, f.Payload)
	case wire.TypeAnswer | wire.FirstPart:
		if q.message != nil {
			return errors.New("an answer begins within another one")
		}
		m, err := wire.NewMessage(f.Type, f.Payload, 1<<30)
		if err != nil {
			return err
		}
		q.message = m
		return s.partLocked(f, q)
	case wire.TypePart:
		if q.message == nil {
			return errors.New("a part of no answer")
		}
		if err := q.message.Add(f.Payload, false); err != nil {
			return err
		}
		return s.partLocked(f, q)
	case wire.TypeCredit:
		n, err := wire.DecodeCredit(f.Payload)
		q.credit += n
		s.sendRestLocked(f.Call, q)
		return err
	case wire.TypeEnd:
		if e, err := wire.DecodeEnd(f.Payload); err != nil || e.Code != wire.OK && e.Code != wire.Timeout {
			return fmt.Errorf("the end of call %d: code %d %q, %v", f.Call, e.Code, e.Message, err)
		} else if e.Code == wire.OK && !q.givenUp && len(q.seen) != len(q.keys) {
			return fmt.Errorf("of %d keys %d are answered", len(q.keys), len(q.seen))
		}
		s.endLocked(f.Call)
		return nil
	}
	return fmt.Errorf("a frame of type %d", f.Type)
}

func (s *script) partLocked(f wire.Frame, q *asked) error {
	s.l.nc.Write(wire.AppendCredit(nil, f.Call, len(f.Payload)))
	if !q.message.Whole() {
		return nil
	}
	payload := q.message.Payload()
	q.message = nil
	return s.answerLocked(f.Call, q, payload)
}

func (s *script) answerLocked(call uint64, q *asked, payload []byte) error {
	k, err := wire.DecodeAnswer(payload)
	switch {
	case err != nil:
		return err
	case k.Index >= len(q.keys) || q.seen[k.Index]:
		return fmt.Errorf("key %d of %d is answered, or answered twice", k.Index, len(q.keys))
	case !bytes.Equal(k.Value, valueOf(q.keys[k.Index])):
		return fmt.Errorf("%q has a value of %d bytes that is another's", q.keys[k.Index], len(k.Value))
	}
	q.seen[k.Index] = true
	if len(payload) <= wire.MaxPayload && len(q.keys) > 1 {
		s.l.nc.Write(wire.AppendCredit(nil, call, len(k.Value)))
	}
	if k.Last {
		if len(q.seen) != len(q.keys) {
			return fmt.Errorf("the reply ends after %d answers of %d", len(q.seen), len(q.keys))
		}
		s.endLocked(call)
	}
	return nil
}

func (s *script) endLocked(call uint64) {
	delete(s.open, call)
	s.free = append(s.free, call)
	s.ended++
}

// beginLocked returns a number for a request.
func (s *script) beginLocked(t *rapid.T, q *asked) uint64 {
	q.seen = map[int]bool{}
	call := uint64(len(s.open) + len(s.free))
	if n := len(s.free); n > 0 && rapid.Bool().Draw(t, "use a number again") {
		i := rapid.IntRange(0, n-1).Draw(t, "number")
		call = s.free[i]
		s.free = slices.Delete(s.free, i, i+1)
	}
	s.open[call] = q
	return call
}

// sendRestLocked sends what a request in parts has credit for.
func (s *script) sendRestLocked(call uint64, q *asked) {
	for len(q.store) > 0 && q.credit > 0 {
		n := min(len(q.store), wire.PartSize)
		s.l.nc.Write(frame(wire.TypePart, call, q.store[:n]))
		q.store = q.store[n:]
		q.credit -= n
	}
}

// Whatever a client does that keeps the rules, each request is answered as it should be, and has one end.
func TestPropertySession(t *testing.T) {
	n := rawNode(t, nil)
	n.attach(t, responder{
		hit: func(_, key string) (cache.Answer, bool) {
			return cache.Answer{Value: valueOf(key)}, strings.Contains(key, "hit")
		},
		get: func(ctx context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
			for i, k := range slices.Backward(q.Keys) {
				if strings.Contains(k, "wait") {
					select {
					case <-time.After(time.Millisecond):
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				deliver(i, cache.Answer{Value: valueOf(k)})
			}
			return nil
		},
	})
	rapid.Check(t, func(rt *rapid.T) {
		s := &script{l: dialRaw(t, n), open: map[uint64]*asked{}, changed: make(chan struct{}, 1)}
		var reading sync.WaitGroup
		reading.Go(s.read)
		requests := 0
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			s.mu.Lock()
			switch rapid.IntRange(0, 6).Draw(rt, "step") {
			case 0, 1, 2:
				keys := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
					size := rapid.SampledFrom([]int{0, 10, 5000, 60_000, 69_600, 300_000}).Draw(t, "size")
					return fmt.Sprint(size, "/", rapid.SampledFrom([]string{"hit", "miss", "wait"}).Draw(t, "kind"))
				}), 0, 4).Draw(rt, "keys")
				call := s.beginLocked(rt, &asked{keys: keys})
				s.l.nc.Write(frame(wire.TypeRequest, call, getRequest(t, keys...)))
				requests++
			case 3:
				long := storeRequest(t, "k", make([]byte, rapid.SampledFrom([]int{0, 80_000, 700_000}).Draw(rt, "length")))
				q := &asked{store: long, credit: wire.Window}
				call := s.beginLocked(rt, q)
				if len(long) <= wire.MaxPayload {
					q.store = nil
					s.l.nc.Write(frame(wire.TypeRequest, call, long))
				} else {
					n := wire.PartSize
					s.l.nc.Write(append(wire.AppendFirst(nil, wire.TypeRequest, call, n, len(long)), long[:n]...))
					q.store = long[n:]
					s.sendRestLocked(call, q)
				}
				requests++
			case 4, 5:
				if open := slices.Sorted(maps.Keys(s.open)); len(open) > 0 {
					call := rapid.SampledFrom(open).Draw(rt, "given up")
					s.open[call].store, s.open[call].givenUp = nil, true
					s.l.nc.Write(frame(wire.TypeCancel, call, nil))
				}
			case 6:
				s.l.nc.Write(frame(wire.TypePing, 0, nil))
			}
			s.mu.Unlock()
		}
		timer := time.NewTimer(patience)
		defer timer.Stop()
		for done := false; !done; {
			s.mu.Lock()
			done = len(s.open) == 0 || s.broken != nil
			s.mu.Unlock()
			if done {
				break
			}
			select {
			case <-s.changed:
			case <-timer.C:
				rt.Fatalf("%d of %d replies do not end", len(s.open), requests)
			}
		}
		s.l.nc.Close()
		reading.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.open) > 0 || s.ended != requests {
			rt.Errorf("%d of %d replies have ended: %v", s.ended, requests, s.broken)
		}
	})
	until(t, "the end of all connections", func() bool { s := n.Stats(); return s.Connections == 0 && s.InFlight == 0 })
	if s := n.Stats(); s.RejectedGarbage != 0 || s.Panics != 0 || s.RejectedLimit != 0 {
		t.Errorf("%+v", s)
	}
}
