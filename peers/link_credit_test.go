package peers

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// Whoever does not read its answers is sent no more than the window of each.
func TestSessionRespectsCredit(t *testing.T) {
	n := rawNode(t, nil)
	n.attach(t, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i, k := range q.Keys {
			deliver(i, cache.Answer{Value: valueOf(k)})
		}
		return nil
	}})
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprint("60000/", i)
	}
	for name, c := range map[string]struct {
		keys  []string
		total int
	}{
		"one value in parts":  {[]string{"4000000/k"}, 4_000_000},
		"values of one frame": {many, 40 * 60_000},
		"both":                {[]string{"60000/a", "1000000/b", "60000/c"}, 1_120_000},
	} {
		l := dialRaw(t, n)
		l.write(frame(wire.TypeRequest, 1, getRequest(t, c.keys...)))
		got, credited := 0, 0
		for ended := false; !ended; {
			// All that comes until a pong does, which the window lets through.
			l.write(frame(wire.TypePing, 0, nil))
			for pong := false; !pong && !ended; {
				f := l.next()
				switch f.Type {
				case wire.TypePong:
					pong = true
				case wire.TypeEnd:
					ended = true
				default:
					got += len(f.Payload)
				}
			}
			// Heads of answers, which nobody is short of, are not counted by all.
			if over := got - credited - wire.Window; over > wire.MaxPayload+64*len(c.keys) {
				t.Fatalf("%s: %d bytes more than the window were sent", name, over)
			}
			if !ended {
				credited += 100_000
				l.write(wire.AppendCredit(nil, 1, 100_000))
			}
		}
		if got < c.total {
			t.Errorf("%s: %d bytes of %d came", name, got, c.total)
		}
		l.nc.Close()
	}
}

// A long request is sent as it is credited.
func TestLinkRespectsCredit(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	var got, credited atomic.Int64
	credit := make(chan int)
	b.takeOver(t, func(e *rawEnd) {
		var call uint64
		var writing sync.Mutex
		over := make(chan struct{})
		defer close(over)
		go func() {
			for {
				select {
				case n := <-credit:
					writing.Lock()
					e.nc.Write(wire.AppendCredit(nil, call, n))
					writing.Unlock()
				case <-over:
					return
				}
			}
		}()
		e.serveFrames(func(f wire.Frame) []byte {
			writing.Lock()
			defer writing.Unlock()
			switch f.Type {
			case wire.TypeRequest:
				return lastAnswer(f.Call, []byte("first"))
			case wire.TypePart, wire.TypeRequest | wire.FirstPart:
				call = f.Call
				if n := got.Add(int64(len(f.Payload))); n > 3_000_000 {
					return endFrame(f.Call, wire.OK)
				}
			}
			return nil
		})
	})
	l := linkOf(t, ab)
	done := make(chan error, 1)
	go func() {
		done <- ab.Store(t.Context(), &cache.StoreRequest{Cache: "c", Key: "k", Value: make([]byte, 3_000_000)})
	}()
	for got.Load() < 3_000_000 {
		until(t, "the sender to stop", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.writing && !l.mayPartLocked() && got.Load() > credited.Load() || got.Load() > 3_000_000
		})
		if over := got.Load() - credited.Load() - wire.Window; over > wire.PartSize+100 {
			t.Fatalf("%d bytes more than the window were sent", over)
		}
		credited.Add(200_000)
		select {
		case credit <- 200_000:
		case <-time.After(patience):
			t.Fatal("nobody takes credit")
		}
	}
	if err := receive(t, done, "the store"); err != nil {
		t.Error(err)
	}
	atRest(t, l, b)
}

// A caller that does not take its answers holds the window of them, and not all.
func TestLinkCallerThatDoesNotTake(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i, k := range q.Keys {
			deliver(i, cache.Answer{Value: valueOf(k)})
		}
		return nil
	}})
	l := linkOf(t, ab)
	keys := make([]string, 200)
	for i := range keys {
		keys[i] = fmt.Sprint("50000/", i)
	}
	as := ab.Get(&cache.GetRequest{Cache: "c", Keys: keys}, cache.Forever)
	defer as.Close()
	c := as.(*call)
	queued := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return c.queued
	}
	for range 50 { // others read for it meanwhile
		mustAnswer(t, ab, 0)
	}
	until(t, "the window to be full", func() bool { mustAnswer(t, ab, 0); return queued() >= wire.Window })
	for range 50 {
		mustAnswer(t, ab, 0)
	}
	if n := queued(); n > 2*wire.Window+wire.MaxPayload {
		t.Errorf("%d bytes wait for a caller that does not take them", n)
	}
	for range keys {
		i, a, err := as.Next(t.Context())
		if err != nil || !bytes.Equal(a.Value, valueOf(keys[i])) {
			t.Fatalf("answer %d: %d bytes, %v", i, len(a.Value), err)
		}
	}
	atRest(t, l, b)
}

// A client that gives no credit does not keep a call, and what that holds, for ever; one that gives little does.
func TestSessionEndsCallsWithoutCredit(t *testing.T) {
	for name, hit := range map[string]bool{"from memory": true, "loaded": false} {
		n := rawNode(t, nil)
		n.creditTime = 200 * time.Millisecond
		value := bytes.Repeat([]byte("v"), 4*wire.Window)
		n.attach(t, responder{
			hit: func(_, _ string) (cache.Answer, bool) { return cache.Answer{Value: value}, hit },
			get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
				for i := range q.Keys {
					deliver(i, cache.Answer{Value: value})
				}
				return nil
			},
		})
		l := dialRaw(t, n)
		l.write(frame(wire.TypeRequest, 1, getRequest(t, "a")), frame(wire.TypeRequest, 2, getRequest(t, "b", "c")))
		ends := map[uint64]wire.Code{}
		for len(ends) < 2 {
			if f := l.next(); f.Type == wire.TypeEnd {
				e, err := wire.DecodeEnd(f.Payload)
				if err != nil {
					t.Fatal(err)
				}
				ends[f.Call] = e.Code
			}
		}
		if ends[1] != wire.Timeout || ends[2] != wire.Timeout {
			t.Errorf("%s: the calls ended with %v, want code %d", name, ends, wire.Timeout)
		}
		until(t, "the calls to be over", func() bool { return n.Stats().InFlight == 0 })
		l.write(frame(wire.TypePing, 0, nil))
		if f := l.next(); f.Type != wire.TypePong {
			t.Errorf("%s: the connection is of no use any more: %+v", name, f)
		}
	}
}
