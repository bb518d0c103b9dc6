package dnstest

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long tests wait for what should happen at once.
const patience = 20 * time.Second

// A server answers questions about one zone, by UDP and TCP on the same port.
type server struct {
	addr string

	mu      sync.Mutex
	records []dns.RR
	fault   func(q dns.Question, network string, reply *dns.Msg) bool // false: no reply
	asked   int
	news    chan bool // closed, and replaced, when asked grows
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{news: make(chan bool)}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = udp.LocalAddr().String()
	tcp, err := net.Listen("tcp", s.addr)
	if err != nil {
		udp.Close()
		t.Skipf("no port for both: %v", err)
	}
	for network, srv := range map[string]*dns.Server{"udp": {PacketConn: udp}, "tcp": {Listener: tcp}} {
		srv.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) { s.answer(w, q, network) })
		started, ended := make(chan bool), make(chan error, 1)
		srv.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- srv.ActivateAndServe() }()
		<-started
		t.Cleanup(func() {
			if err := srv.Shutdown(); err != nil {
				t.Error(err)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return s
}

func (s *server) answer(w dns.ResponseWriter, q *dns.Msg, network string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	reply := new(dns.Msg)
	reply.SetReply(q)
	reply.Authoritative, reply.RecursionAvailable = true, true
	for _, rr := range s.records {
		if rr.Header().Rrtype == q.Question[0].Qtype {
			reply.Answer = append(reply.Answer, rr)
		}
	}
	if s.fault == nil || s.fault(q.Question[0], network, reply) {
		w.WriteMsg(reply)
	}
	s.asked++
	close(s.news)
	s.news = make(chan bool)
	if len(s.records) > 1 { // as many servers do
		s.records = append(slices.Clone(s.records[1:]), s.records[0])
	}
}

// set replaces what the server knows, and how it fails.
func (s *server) set(t *testing.T, fault func(q dns.Question, network string, reply *dns.Msg) bool, records ...string) {
	t.Helper()
	var rrs []dns.RR
	for _, r := range records {
		rr, err := dns.NewRR(r)
		if err != nil {
			t.Fatal(err)
		}
		rrs = append(rrs, rr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records, s.fault = rrs, fault
}

// waitAsked waits for n more questions.
func (s *server) waitAsked(t *testing.T, n int) {
	t.Helper()
	s.mu.Lock()
	end := s.asked + n
	s.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		s.mu.Lock()
		asked, news := s.asked, s.news
		s.mu.Unlock()
		if asked >= end {
			return
		}
		select {
		case <-news:
		case <-timer.C:
			t.Fatalf("%d questions in %v, not %d more", asked, patience, end-asked)
		}
	}
}

// resolver asks s alone.
func (s *server) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, s.addr)
	}}
}
