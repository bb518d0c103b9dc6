package e2e

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"

	"k8s.io/client-go/rest"
)

// A gate is what a Source's connections go through, and sees what comes back.
type gate struct {
	mu       sync.Mutex
	held     chan struct{} // nil: open; else closed when it opens
	conns    []net.Conn
	lists    int
	expiries int // watches that were told that they are too old
}

// put makes cfg's connections go through g.
func (g *gate) put(cfg *rest.Config) {
	cfg.Dial = g.dial
	cfg.Wrap(func(rt http.RoundTripper) http.RoundTripper { return &tap{rt, g} })
}

func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	for {
		g.mu.Lock()
		held := g.held
		if held == nil {
			defer g.mu.Unlock()
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err == nil {
				g.conns = append(g.conns, conn)
			}
			return conn, err
		}
		g.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// hold cuts all connections; new ones wait until the gate is open again.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = make(chan struct{})
	for _, c := range g.conns {
		c.Close()
	}
	g.conns = nil
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.held)
	g.held = nil
}

// seen returns how many lists there were, and how many watches that were too old.
func (g *gate) seen() (lists, expiries int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lists, g.expiries
}

// A tap reads along.
type tap struct {
	http.RoundTripper
	g *gate
}

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if r.URL.Query().Get("watch") == "" {
		t.g.lists++
	} else {
		resp.Body = &tappedBody{resp.Body, t.g}
	}
	return resp, nil
}

type tappedBody struct {
	io.ReadCloser
	g *gate
}

func (b *tappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if bytes.Contains(p[:n], []byte("too old resource version")) {
		b.g.mu.Lock()
		b.g.expiries++
		b.g.mu.Unlock()
	}
	return n, err
}
