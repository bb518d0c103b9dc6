package peers_test

import (
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// The suite that every cache.Peers must pass, over real sockets, in each way that calls can take.
func TestConformance(t *testing.T) {
	secret := []byte("a secret of the conformance test")
	settings := []setting{
		{name: "secret, post", cfg: peers.Config{Secret: secret}},
		{name: "secret, upgraded", cfg: peers.Config{Secret: secret}, upgraded: true},
		{name: "insecure, post", cfg: peers.Config{Insecure: true}},
		{name: "insecure, upgraded", cfg: peers.Config{Insecure: true}, upgraded: true},
		{name: "TLS, post", cfg: peers.Config{Secret: secret}, tls: true},
		{name: "TLS, upgraded", cfg: peers.Config{Secret: secret}, tls: true, upgraded: true},
	}
	turn := 0
	for c := range peerstest.Checks() {
		for i, s := range settings {
			// With the race detector a fleet takes long to make: each check has one, by turns.
			if !peers.Raced || turn%len(settings) == i {
				t.Run(c.Name+"/"+s.name, func(t *testing.T) { c.Run(t, s.subject) })
			}
		}
		turn++
	}
}

// A setting is a fleet to be made.
type setting struct {
	name     string
	cfg      peers.Config
	upgraded bool
	tls      bool
}

// subject is a peerstest.NewSubject.
func (s setting) subject(t testing.TB, n int) peerstest.Subject {
	var (
		subject   peerstest.Subject
		members   []peers.Member
		servers   = make([]*httptest.Server, n)
		processes = make([]*process, n)
		pools     = make([]*peers.Pool, n)
		over      = make(chan struct{})
		roots     = x509.NewCertPool()
	)
	for i := range n {
		servers[i] = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !s.upgraded {
				r.Header.Del("Upgrade")
			}
			pools[i].ServeHTTP(w, r)
		}))
		processes[i] = &process{Listener: servers[i].Listener, running: make(chan struct{}), over: over}
		close(processes[i].running)
		servers[i].Listener = processes[i]
		servers[i].Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	}
	for i, srv := range servers {
		c := s.cfg
		c.Self = "http://" + srv.Listener.Addr().String()
		c.PingAfter, c.PingTimeout = 50*time.Millisecond, time.Second
		if s.tls {
			c.Self = "https://" + srv.Listener.Addr().String()
			tr := http.DefaultTransport.(*http.Transport).Clone()
			tr.TLSClientConfig.RootCAs = roots
			t.Cleanup(tr.CloseIdleConnections)
			c.Client = &http.Client{Transport: tr}
		}
		pool, err := peers.New(c)
		if err != nil {
			t.Fatal(err)
		}
		pools[i] = pool
		members = append(members, peers.Member{URL: pool.Self()})
		subject.Peers = append(subject.Peers, pool)
	}
	for i, p := range pools {
		if s.tls {
			servers[i].StartTLS()
			roots.AddCert(servers[i].Certificate())
		} else {
			servers[i].Start()
		}
		if err := p.Set(members...); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		s.check(t, pools)
		close(over)
		for i, p := range pools {
			p.Close()
			processes[i].kill()
			servers[i].Close()
		}
	})
	subject.Stop = func(i int) { processes[i].kill() }
	subject.Hang = func(i int) { processes[i].freeze() }
	return subject
}

// check sees to it that calls took the way that they should.
func (s setting) check(t testing.TB, pools []*peers.Pool) {
	t.Helper()
	for _, p := range pools {
		for _, ps := range p.Stats().Peers {
			if s.upgraded && ps.Transport == "post" || !s.upgraded && ps.Upgrades > 0 {
				t.Errorf("%s is asked by way of %q: %s", ps.URL, ps.Transport, ps.NotUpgraded)
			}
		}
	}
}

// A process is what a server's connections belong to: it can be killed and frozen, with all of them.
type process struct {
	net.Listener
	over chan struct{}

	mu sync.Mutex
	// mu guards the fields below.
	running chan struct{} // closed while it runs
	conns   []net.Conn
}

func (p *process) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	return frozen{c, p}, nil
}

func (p *process) kill() {
	p.Listener.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
}

func (p *process) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running = make(chan struct{})
}

// runs waits until the process runs, or the test is over.
func (p *process) runs() {
	p.mu.Lock()
	running := p.running
	p.mu.Unlock()
	select {
	case <-running:
	case <-p.over:
	}
}

// frozen is a connection of a process.
type frozen struct {
	net.Conn
	p *process
}

func (c frozen) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.p.runs()
	return n, err
}

func (c frozen) Write(b []byte) (int, error) {
	c.p.runs()
	return c.Conn.Write(b)
}
