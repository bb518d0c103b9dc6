package kind

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
)

// The floor is what the machine's sockets cost when nothing else does: one connection, one goroutine at each end,
// frames of a length and that many bytes. The client writes the requests of all callers in one
// write and reads all replies; the server answers what has come in one write. It has no concurrent callers, no
// deadlines, no cancellation and no credentials.
var floor = Kind{
	Name:      "floor",
	About:     "TCP ping-pong: one goroutine at each end; as many requests as there are callers in one write",
	Pipelined: true,
	Many:      true,
	Serve:     serveFloor,
	Dial: func(ctx context.Context, addr string, _ Setup) (Client, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return nil, err
		}
		return &floorClient{conn: conn, r: bufio.NewReaderSize(conn, floorBuffer)}, nil
	},
}

const floorBuffer = 128 << 10

type floorServer struct {
	held payload.Held

	// mu guards conns and closed.
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

func serveFloor(context.Context, Setup) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &floorServer{conns: make(map[net.Conn]struct{})}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			if s.add(conn) {
				wg.Go(func() { s.serve(conn) })
			}
		}
	})
	return &Server{Addr: l.Addr().String(), Close: func() error {
		err := l.Close()
		s.close()
		wg.Wait()
		return err
	}}, nil
}

func (s *floorServer) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *floorServer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for conn := range s.conns {
		conn.Close()
	}
}

// serve answers until the connection ends, be it by an error that the client will see as the end.
func (s *floorServer) serve(conn net.Conn) {
	defer conn.Close()
	r, w := bufio.NewReaderSize(conn, floorBuffer), bufio.NewWriterSize(conn, floorBuffer)
	var key []byte
	for {
		var err error
		if key, err = readFrame(r, key); err != nil {
			return
		}
		value, err := s.held.Get(key)
		if err != nil {
			return
		}
		if writeFrame(w, value) != nil {
			return
		}
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
}

type floorClient struct {
	conn  net.Conn
	r     *bufio.Reader
	out   []byte
	value []byte
}

func (c *floorClient) Callers(n int) ([]Caller, error) {
	if n != 1 {
		return nil, fmt.Errorf("one goroutine stands for all callers, not %d", n)
	}
	return []Caller{c}, nil
}

func (c *floorClient) Get(ctx context.Context, key string) (value []byte, err error) {
	err = c.GetMany(ctx, []string{key}, func(_ int, v []byte) error { value = v; return nil })
	return value, err
}

func (c *floorClient) GetMany(ctx context.Context, keys []string, got func(i int, value []byte) error) error {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c.out = c.out[:0]
	for _, key := range keys {
		c.out = binary.BigEndian.AppendUint32(c.out, uint32(len(key)))
		c.out = append(c.out, key...)
	}
	if _, err := c.conn.Write(c.out); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	for i := range keys {
		var err error
		if c.value, err = readFrame(c.r, c.value); err != nil {
			return errors.Join(ctx.Err(), err)
		}
		if err := got(i, c.value); err != nil {
			return err
		}
	}
	return nil
}

func (c *floorClient) Close() error { return c.conn.Close() }

func writeFrame(w *bufio.Writer, b []byte) error {
	if _, err := w.Write(binary.BigEndian.AppendUint32(w.AvailableBuffer(), uint32(len(b)))); err != nil {
		return err
	}
	_, err := w.Write(b)
	return err
}

// readFrame reads a frame into b, or into a larger slice in its stead.
func readFrame(r *bufio.Reader, b []byte) ([]byte, error) {
	head, err := r.Peek(4)
	if err != nil {
		return b, err
	}
	n := int(binary.BigEndian.Uint32(head))
	if _, err := r.Discard(4); err != nil {
		return b, err
	}
	if n > payload.MaxSize {
		return b, fmt.Errorf("a frame of %d bytes", n)
	}
	if n > cap(b) {
		b = make([]byte, n)
	}
	_, err = io.ReadFull(r, b[:n])
	return b[:n], err
}
