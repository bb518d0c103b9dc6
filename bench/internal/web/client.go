package web

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// A conn is a connection whose next request follows the response to the one before. It does as little as can be, since the servers share the machine with it.
type conn struct {
	net.Conn
	path      string
	request   []byte
	size      int    // of a body
	buf       []byte // the latest response
	latencies stats.Histogram
	ops       int64
}

func dial(ctx context.Context, addr, path string, size int) (*conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	request := "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: fleetcache-bench\r\nAccept: */*\r\n\r\n"
	return &conn{Conn: c, path: path, request: []byte(request), size: size, buf: make([]byte, 0, size+4*kib)}, nil
}

var (
	okay        = []byte("HTTP/1.1 200 ")
	headerEnd   = []byte("\r\n\r\n")
	lengthField = []byte("\r\nContent-Length: ")
)

// ask sends the request and reads the response.
func (c *conn) ask() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	c.buf = c.buf[:0]
	total := 0 // until the header's end has come
	for total == 0 || len(c.buf) < total {
		if len(c.buf) == cap(c.buf) {
			return fmt.Errorf("a response has more than %d bytes", cap(c.buf))
		}
		n, err := c.Read(c.buf[len(c.buf):cap(c.buf)])
		c.buf = c.buf[:len(c.buf)+n]
		if total == 0 {
			if total = bytes.Index(c.buf, headerEnd); total > 0 {
				total += len(headerEnd) + c.size
			} else {
				total = 0
			}
		}
		if err != nil {
			return fmt.Errorf("after %d bytes of a response: %w", len(c.buf), err)
		}
	}
	return c.checkHead(total)
}

// checkHead is that the response in buf is 200 and has the size that was waited for.
func (c *conn) checkHead(total int) error {
	head := c.buf[:max(total-c.size, 0)]
	if !bytes.HasPrefix(head, okay) || len(c.buf) != total {
		return fmt.Errorf("unexpected response: %.500q", c.buf)
	}
	if i := bytes.Index(head, lengthField); i >= 0 {
		value, _, _ := bytes.Cut(head[i+len(lengthField):], headerEnd[:2])
		if n, err := strconv.Atoi(string(value)); err == nil && n == c.size {
			return nil
		}
	}
	return fmt.Errorf("the response has no Content-Length of %d: %.500q", c.size, head)
}

// check is that the response is what the origin has, and a hit.
func (c *conn) check(want []byte, hit func(http.Header) error) error {
	if err := c.ask(); err != nil {
		return err
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(c.buf)), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if !bytes.Equal(body, want) {
		return errors.New("the body is not the origin's")
	}
	return hit(resp.Header)
}

// run asks until the deadline.
func (c *conn) run(deadline time.Time) error {
	c.ops, c.latencies = 0, stats.Histogram{}
	for last := time.Now(); last.Before(deadline); {
		if err := c.ask(); err != nil {
			return err
		}
		now := time.Now()
		c.latencies.Record(now.Sub(last))
		last = now
		c.ops++
	}
	return nil
}

// runAll asks on all connections at the same time.
func runAll(conns []*conn, d time.Duration) error {
	deadline := time.Now().Add(d)
	errs := make([]error, len(conns))
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() { errs[i] = errors.Join(c.SetDeadline(deadline.Add(callTimeout)), c.run(deadline)) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
