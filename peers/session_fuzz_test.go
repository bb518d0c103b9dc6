package peers

import (
	"context"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A memConn is a connection from which certain bytes come, and then its end.
type memConn struct {
	net.Conn // nil: there are no addresses
	mu       sync.Mutex
	// mu guards the fields below.
	in, out []byte
	closed  bool
	cut     int // how much is read at a time
}

func (c *memConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.in) == 0 || c.closed {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.cut)], c.in)
	c.in = c.in[n:]
	return n, nil
}

func (c *memConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	c.out = append(c.out, b...)
	return len(b), nil
}

func (c *memConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

func (c *memConn) SetDeadline(time.Time) error      { return nil }
func (c *memConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memConn) SetWriteDeadline(time.Time) error { return nil }

// written returns the frames that were written.
func (c *memConn) written(t *testing.T) (frames []wire.Frame) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for b := c.out; len(b) > 0; {
		f, n, err := wire.ParseFrame(b, wire.MaxPayload)
		if err != nil || n == 0 {
			t.Fatalf("what was written is no frame: %v, %d bytes are left", err, len(b))
		}
		frames = append(frames, f)
		b = b[n:]
	}
	return frames
}

// seeds are streams of frames, and what is made of them by cutting, flipping and stretching.
func seeds(valid ...[]byte) (all [][]byte) {
	for _, v := range valid {
		flipped := slices.Clone(v)
		flipped[len(flipped)/2] ^= 0x40
		all = append(all, v, v[:len(v)/2], v[:len(v)-1], flipped, slices.Concat(v, v), v[1:])
	}
	return all
}

// Whatever comes from a client makes no panic, no hang, and nobody hold more than a little.
func FuzzSession(f *testing.F) {
	p, err := New(Config{Self: "http://b", Insecure: true, MaxValueBytes: 1 << 16, MaxInFlight: 64})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close() })
	if _, err := p.Attach("c", responder{
		hit: func(_, key string) (cache.Answer, bool) { return cache.Answer{Value: valueOf(key)}, len(key)%2 == 0 },
		get: func(ctx context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
			for i, k := range q.Keys {
				if k == "wait" {
					<-ctx.Done()
					return ctx.Err()
				}
				deliver(i, cache.Answer{Value: []byte(k)})
			}
			return nil
		},
	}); err != nil {
		f.Fatal(err)
	}
	get := frame(wire.TypeRequest, 1, getRequest(f, "wait", "70000/a", "k"))
	one := frame(wire.TypeRequest, 2, getRequest(f, "70000/aa"))
	parts := append(wire.AppendFirst(nil, wire.TypeRequest, 3, 2, 5), 1, 2)
	long := storeRequest(f, "k", make([]byte, 40_000))
	first := append(wire.AppendFirst(nil, wire.TypeRequest, 4, 30_000, len(long)), long[:30_000]...)
	rest := frame(wire.TypePart, 4, long[30_000:])
	cancel := frame(wire.TypeCancel, 1, nil)
	for _, s := range seeds(
		get, one, slices.Concat(get, cancel), slices.Concat(get, get), slices.Concat(first, rest),
		slices.Concat(first, one, cancel, rest), slices.Concat(rest, first), slices.Concat(first, frame(wire.TypeCancel, 4, nil), rest),
		slices.Concat(parts, parts), slices.Concat(one, wire.AppendCredit(nil, 2, 1<<20), wire.AppendCredit(nil, 9, 1<<40)),
		frame(wire.TypePing, 0, []byte("ping")), frame(99, 7, []byte("later")),
		wire.AppendFirst(nil, wire.TypeRequest, 5, 0, 1<<62), wire.AppendFrameHead(nil, wire.TypeRequest, 1<<63, 1<<40),
	) {
		f.Add(s, uint16(1<<15))
		f.Add(s, uint16(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint16) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		c := &memConn{in: slices.Clone(in), cut: int(cut) + 1}
		s := newSession(p, c, c, "http://x/", instanceID{1}, nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.run()
		}()
		receive(t, done, "the end of the session")
		until(t, "the end of its calls", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.calls) == 0
		})
		if st := p.Stats(); st.InFlight != 0 || st.Panics != 0 {
			t.Fatalf("%+v", st)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20+200*uint64(len(in)) {
			t.Fatalf("%d bytes were allocated for %d", n, len(in))
		}
		c.written(t)
	})
}
