package peers

import (
	"io"
	"net"
	"testing"
)

// A proxy forwards connections to a node, until it is frozen: then it holds what it has, and takes nothing.
type proxy struct {
	ln     net.Listener
	target func() string
	gate   chan chan struct{} // holds what is closed when the proxy is not frozen any more
	over   chan struct{}
}

// throughProxy starts two instances, of which the second is reached by a proxy. Connections are upgraded.
func throughProxy(t testing.TB, edit func(*Config)) (b *node, ab *peer, p *proxy) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{ln: ln, gate: make(chan chan struct{}, 1), over: make(chan struct{})}
	open := make(chan struct{})
	close(open)
	p.gate <- open
	a := newNode(t, edit)
	b = newNode(t, func(c *Config) {
		if edit != nil {
			edit(c)
		}
		c.Self = "http://" + ln.Addr().String()
	})
	p.target = b.srv.Listener.Addr().String
	a.upgrades.Store(true)
	b.upgrades.Store(true)
	for _, n := range []*node{a, b} {
		if err := n.Set(Member{URL: a.Self()}, Member{URL: b.Self()}); err != nil {
			t.Fatal(err)
		}
	}
	go p.run()
	t.Cleanup(func() {
		close(p.over)
		ln.Close()
	})
	return b, a.to(t, b.Self()), p
}

// freeze stops everything until the function that it returns is called.
func (p *proxy) freeze() (thaw func()) {
	<-p.gate
	closed := make(chan struct{})
	p.gate <- closed
	return func() { close(closed) }
}

// pass waits until the proxy is not frozen. It returns false if it has ended.
func (p *proxy) pass() bool {
	g := <-p.gate
	p.gate <- g
	select {
	case <-g:
		return true
	case <-p.over:
		return false
	}
}

func (p *proxy) run() {
	for {
		from, err := p.ln.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", p.target())
		if err != nil {
			from.Close()
			continue
		}
		go p.forward(from, to)
		go p.forward(to, from)
	}
}

// forward copies until one end is closed, and closes the other.
func (p *proxy) forward(from, to net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.pass() || err != nil && n == 0 {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil || err == io.EOF {
			return
		}
	}
}
