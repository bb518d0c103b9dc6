package soak

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A proxy is the only way to an instance: it passes connections on, and disturbs them.
type proxy struct {
	listener net.Listener
	target   string
	count    *counts
	wg       sync.WaitGroup

	// mu guards what follows.
	mu     sync.Mutex
	rng    *rand.Rand
	links  []*link
	closed bool
}

// listenProxy returns a proxy to nowhere as yet: start it.
func listenProxy(count *counts, rng *rand.Rand) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return &proxy{listener: l, count: count, rng: rng}, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// start passes connections on to target, and disturbs them until ctx ends.
func (p *proxy) start(ctx context.Context, target string) {
	p.target = target
	p.wg.Go(p.accept)
	p.wg.Go(func() { p.disturb(ctx) })
}

func (p *proxy) accept() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.wg.Go(func() { p.serve(in) })
	}
}

// serve passes one connection on until either side ends.
func (p *proxy) serve(in net.Conn) {
	out, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		in.Close()
		return
	}
	l := &link{in: in.(*net.TCPConn), out: out.(*net.TCPConn), ended: make(chan struct{})}
	if !p.add(l) {
		l.end(false)
		return
	}
	defer p.remove(l)
	var wg sync.WaitGroup
	wg.Go(func() { l.pump(l.out, l.in, &l.toServer) })
	wg.Go(func() { l.pump(l.in, l.out, &l.toClient) })
	wg.Wait()
}

func (p *proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.links = append(p.links, l)
		p.count.conns.Add(1)
	}
	return !p.closed
}

func (p *proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.links {
		if p.links[i] == l {
			p.links[i] = p.links[len(p.links)-1]
			p.links = p.links[:len(p.links)-1]
			return
		}
	}
}

// close ends all connections and waits for their goroutines. The context that start was given must have ended.
func (p *proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	links := p.links
	p.links = nil
	p.mu.Unlock()
	for _, l := range links {
		l.end(false)
	}
	p.wg.Wait()
}

// disturb does something to a connection a few times a second: each kind of thing about as often.
func (p *proxy) disturb(ctx context.Context) {
	deck := []func(*link){p.kill, p.stall, p.trickle, p.delay, p.cut}
	for {
		p.mu.Lock()
		p.rng.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
		p.mu.Unlock()
		for _, event := range deck {
			for !p.toOne(event) { // nobody is connected
				if !pause(ctx.Done(), 20*time.Millisecond) {
					return
				}
			}
			if !pause(ctx.Done(), p.between(50*time.Millisecond, 250*time.Millisecond)) {
				return
			}
		}
	}
}

func (p *proxy) toOne(event func(*link)) bool {
	p.mu.Lock()
	if len(p.links) == 0 {
		p.mu.Unlock()
		return false
	}
	l := p.links[p.rng.IntN(len(p.links))]
	p.mu.Unlock()
	event(l)
	return true
}

func (p *proxy) between(low, high time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return low + time.Duration(p.rng.Int64N(int64(high-low)))
}

func (p *proxy) coin() bool { return p.between(0, 2) == 0 }

// kill ends a connection, in good order or by a reset.
func (p *proxy) kill(l *link) {
	p.count.kills.Add(1)
	l.end(p.coin())
}

// cut ends all connections at once, as an instance that dies does.
func (p *proxy) cut(*link) {
	p.count.cuts.Add(1)
	p.mu.Lock()
	links := append([]*link(nil), p.links...)
	p.mu.Unlock()
	for _, l := range links {
		l.end(true)
	}
}

// stall lets nothing through for a while.
func (p *proxy) stall(l *link) {
	p.count.stalls.Add(1)
	p.direction(l).set(stalled, p.between(100*time.Millisecond, 1500*time.Millisecond), 0)
}

// trickle makes one side a slow reader for a while: a few KiB, and a pause.
func (p *proxy) trickle(l *link) {
	p.count.trickles.Add(1)
	p.direction(l).set(trickling, p.between(200*time.Millisecond, 2*time.Second), p.between(10*time.Millisecond, 40*time.Millisecond))
}

// delay holds everything back a little for a while.
func (p *proxy) delay(l *link) {
	p.count.delays.Add(1)
	p.direction(l).set(delayed, p.between(500*time.Millisecond, 2*time.Second), p.between(time.Millisecond, 50*time.Millisecond))
}

func (p *proxy) direction(l *link) *weather {
	if p.coin() {
		return &l.toServer
	}
	return &l.toClient
}

// A link is a connection through a proxy.
type link struct {
	in, out            *net.TCPConn
	toServer, toClient weather
	once               sync.Once
	ended              chan struct{}
}

func (l *link) end(reset bool) {
	l.once.Do(func() {
		close(l.ended)
		for _, c := range []*net.TCPConn{l.in, l.out} {
			if reset {
				_ = c.SetLinger(0) // it may be closed already
			}
			c.Close()
		}
	})
}

// pump copies one direction until it ends.
func (l *link) pump(dst, src *net.TCPConn, w *weather) {
	buf := make([]byte, 32<<10)
	for {
		mode, left, every := w.now()
		limit := len(buf)
		switch mode {
		case stalled:
			if !pause(l.ended, left) {
				return
			}
			continue
		case trickling:
			limit = 4 << 10
		}
		n, err := src.Read(buf[:limit])
		if mode != fair && !pause(l.ended, every) {
			return
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				l.end(false)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if dst.CloseWrite() != nil {
				l.end(false)
			}
			return
		case err != nil:
			l.end(false)
			return
		}
	}
}

// A mode is what befalls one direction of a link.
type mode int

const (
	fair mode = iota
	stalled
	trickling
	delayed
)

// weather is the mode of one direction, and until when. The zero value is fair.
type weather struct{ forecast atomic.Pointer[forecast] }

type forecast struct {
	mode  mode
	until time.Time
	every time.Duration // how long each read is held back
}

func (w *weather) set(m mode, d, every time.Duration) {
	w.forecast.Store(&forecast{m, time.Now().Add(d), every})
}

func (w *weather) now() (m mode, left, every time.Duration) {
	f := w.forecast.Load()
	if f == nil {
		return fair, 0, 0
	}
	if left = time.Until(f.until); left <= 0 {
		return fair, 0, 0
	}
	return f.mode, left, f.every
}

// pause waits for d and reports true, or false as soon as done is closed.
func pause(done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return false
	case <-timer.C:
		return true
	}
}
