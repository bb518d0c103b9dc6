package dnstest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

type fault = func(q dns.Question, network string, reply *dns.Msg) bool

// follow starts to follow a DNS that asks s every few milliseconds. next returns the next thing that it yields, in one line.
func follow(t *testing.T, s *server, cfg discover.DNSConfig) (next func() string, items chan string) {
	t.Helper()
	cfg.Resolver, cfg.Interval = s.resolver(), 5*time.Millisecond
	if cfg.Timeout == 0 {
		cfg.Timeout = 5 * time.Second
	}
	d, err := discover.NewDNS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	items, ended := make(chan string, 100), make(chan bool)
	go func() {
		defer close(ended)
		for members, err := range d.Members(ctx) {
			if err != nil {
				items <- "! " + err.Error()
				continue
			}
			var words []string
			for _, m := range members {
				word := m.URL
				if m.Weight != 0 {
					word += " " + strconv.Itoa(m.Weight)
				}
				words = append(words, word)
			}
			items <- strings.Join(words, ", ")
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return func() string {
		t.Helper()
		select {
		case item := <-items:
			return item
		case <-time.After(patience):
			t.Fatal("nothing is yielded")
			return ""
		}
	}, items
}

// A step is what the server has, how it fails, and what comes of it: "" is nothing, and "! x" an error with x in it.
type step struct {
	name    string
	fault   fault
	records []string
	want    string
}

func run(t *testing.T, cfg discover.DNSConfig, steps []step) {
	s := serve(t)
	s.set(t, steps[0].fault, steps[0].records...)
	next, items := follow(t, s, cfg)
	for i, st := range steps {
		if i > 0 {
			s.set(t, st.fault, st.records...)
		}
		if st.want != "" {
			got := next()
			wrong, isError := strings.CutPrefix(st.want, "! ")
			if isError && (!strings.HasPrefix(got, "! discover: lookup ") || !strings.Contains(got, wrong)) || !isError && got != st.want {
				t.Fatalf("%s: %q, want %q", st.name, got, st.want)
			}
		}
		s.waitAsked(t, 8)
		if len(items) > 0 {
			t.Fatalf("%s: and then %q", st.name, <-items)
		}
	}
}

func rcode(code int, qtypes ...uint16) fault {
	return func(q dns.Question, _ string, reply *dns.Msg) bool {
		for _, qtype := range qtypes {
			if q.Qtype != qtype {
				return true
			}
		}
		reply.Rcode, reply.Answer = code, nil
		return true
	}
}

// cut answers by UDP with half of what there is; and by TCP not at all, if so said.
func cut(tcp bool) fault {
	return func(_ dns.Question, network string, reply *dns.Msg) bool {
		if network == "udp" {
			reply.Truncated, reply.Answer = true, reply.Answer[:len(reply.Answer)/2]
		}
		return network == "udp" || tcp
	}
}

func silent(dns.Question, string, *dns.Msg) bool { return false }

func TestAddresses(t *testing.T) {
	a1, a2, a3 := "c.test. 0 A 10.0.0.1", "c.test. 0 A 10.0.0.2", "c.test. 0 A 10.0.0.3"
	six := "c.test. 0 AAAA fd00::1"
	two := "http://10.0.0.1:80, http://10.0.0.2:80"
	run(t, discover.DNSConfig{Name: "c.test.", Port: 80}, []step{
		{"no such name yet", rcode(dns.RcodeNameError), nil, "! no such host"},
		{"the first list", nil, []string{a2, a1}, two},
		{"in another order, and one twice", nil, []string{a1, a2, a1}, ""},
		{"one more", nil, []string{a1, a2, a3}, two + ", http://10.0.0.3:80"},
		{"one fewer", nil, []string{a1, a2}, two},
		{"both kinds", nil, []string{a1, six, a2}, two + ", http://[fd00::1]:80"},
		{"one kind fails", rcode(dns.RcodeServerFailure, dns.TypeAAAA), []string{a1, six, a2}, "! server misbehaving"},
		{"and works", nil, []string{a1, six, a2}, two + ", http://[fd00::1]:80"},
		{"the other fails", rcode(dns.RcodeServerFailure, dns.TypeA), []string{a1, six, a2}, "! server misbehaving"},
		{"the other kind alone", nil, []string{six}, "http://[fd00::1]:80"},
		{"no records", nil, nil, "! no such host"},
		{"again", nil, []string{a1, a2}, two},
		{"no such name any more", rcode(dns.RcodeNameError), nil, "! no such host"},
		{"another failure", rcode(dns.RcodeServerFailure), nil, "! server misbehaving"},
		{"one more", rcode(dns.RcodeRefused), nil, ""},
		{"the same as before", nil, []string{a1, a2}, two},
		{"cut, and whole by TCP", cut(true), []string{a1, a2, a3}, two + ", http://10.0.0.3:80"},
		{"and back", nil, []string{a1, a2}, two},
	})
}

func TestOneKindOfAddresses(t *testing.T) {
	records := []string{"c.test. 0 A 10.0.0.1", "c.test. 0 AAAA fd00::1"}
	run(t, discover.DNSConfig{Name: "c.test.", Port: 80, Network: "ip4"}, []step{
		{"both", nil, records, "http://10.0.0.1:80"},
		{"the wrong one", nil, records[1:], "! no such host"},
	})
	run(t, discover.DNSConfig{Name: "c.test.", Port: 80, Network: "ip6", Scheme: "https", Path: "/p"}, []step{
		{"both", nil, records, "https://[fd00::1]:80/p"},
		{"the wrong one", nil, records[:1], "! no such host"},
	})
}

func TestTimeouts(t *testing.T) {
	records := []string{"c.test. 0 A 10.0.0.1", "c.test. 0 A 10.0.0.2"}
	list := "http://10.0.0.1:80, http://10.0.0.2:80"
	for name, broken := range map[string]fault{"silent": silent, "cut, and silent by TCP": cut(false)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, discover.DNSConfig{Name: "c.test.", Port: 80, Network: "ip4", Timeout: 50 * time.Millisecond}, []step{
				{"works", nil, records, list},
				{"fails", broken, records, "! i/o timeout"},
				{"works again", nil, records, list},
			})
		})
	}
}

func TestSRV(t *testing.T) {
	a, b := "_c._tcp.test. 0 SRV 1 5 8080 A.test.", "_c._tcp.test. 0 SRV 1 0 8081 b.test."
	backup, none := "_c._tcp.test. 0 SRV 2 9 8082 c.test.", "_c._tcp.test. 0 SRV 0 0 0 ."
	run(t, discover.DNSConfig{Name: "_c._tcp.test.", SRV: true}, []step{
		{"the lowest priority", nil, []string{b, backup, a}, "http://a.test:8080 5, http://b.test:8081 1"},
		{"in another order", nil, []string{a, b, a}, ""},
		{"another weight", nil, []string{strings.Replace(a, " 5 ", " 7 ", 1), b}, "http://a.test:8080 7, http://b.test:8081 1"},
		{"no such name", rcode(dns.RcodeNameError), nil, "! no such host"},
		{"a failure", rcode(dns.RcodeServerFailure), nil, "! server misbehaving"},
		{"back", nil, []string{a, b}, "http://a.test:8080 5, http://b.test:8081 1"},
		{"no such service", nil, []string{none}, "! no SRV record with a target"},
		{"the backup", nil, []string{backup}, "http://c.test:8082 9"},
		{"no records", nil, nil, "! no such host"},
	})
}

// Members ends with its context, though a server that does not answer has seconds left for that.
func TestEndsDuringALookup(t *testing.T) {
	for _, cfg := range []discover.DNSConfig{{Name: "c.test.", Port: 80}, {Name: "c.test.", SRV: true}} {
		s := serve(t)
		ctx, cancel := context.WithCancel(t.Context())
		s.set(t, func(dns.Question, string, *dns.Msg) bool { cancel(); return false })
		cfg.Resolver, cfg.Timeout = s.resolver(), time.Hour
		d, err := discover.NewDNS(cfg)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for members, err := range d.Members(ctx) {
			t.Errorf("yielded %v, %v", members, err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %v", took)
		}
	}
}
