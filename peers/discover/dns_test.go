package discover

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func newDNS(t *testing.T, cfg DNSConfig) *DNS {
	t.Helper()
	d, err := NewDNS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestNewDNSNamesEveryBadField(t *testing.T) {
	for field, cfg := range map[string]DNSConfig{
		"Name":        {Port: 1},
		"Port":        {Name: "a"},
		"Port is 655": {Name: "a", Port: 65536},
		"Port is 1":   {Name: "a", SRV: true, Port: 1},
		"Scheme":      {Name: "a", Port: 1, Scheme: "ftp"},
		"Path":        {Name: "a", Port: 1, Path: "x"},
		"Path:":       {Name: "a", Port: 1, Path: "/x?y"},
		"Network":     {Name: "a", Port: 1, Network: "tcp"},
		"Network is":  {Name: "a", SRV: true, Network: "ip4"},
		"Interval":    {Name: "a", Port: 1, Interval: -1},
		"Timeout":     {Name: "a", Port: 1, Timeout: -1},
	} {
		if _, err := NewDNS(cfg); err == nil || !strings.Contains(err.Error(), "DNSConfig."+field) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err := NewDNS(DNSConfig{Scheme: "x", Network: "y", Interval: -1, Timeout: -1})
	if n := strings.Count(err.Error(), "\n"); n != 5 {
		t.Errorf("not all of 6 fields are named: %v", err)
	}
}

func TestOfAddrs(t *testing.T) {
	addrs := []netip.Addr{
		netip.MustParseAddr("fd00::1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("::ffff:10.0.0.1"),
		netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fe80::1%eth0"),
	}
	got := newDNS(t, DNSConfig{Name: "x", Port: 8080, Scheme: "https", Path: "/c"}).ofAddrs(addrs)
	want := []Member{
		{URL: "https://10.0.0.1:8080/c"}, {URL: "https://10.0.0.2:8080/c"}, {URL: "https://[fd00::1]:8080/c"}, {URL: "https://[fe80::1]:8080/c"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestOfSRV(t *testing.T) {
	d := newDNS(t, DNSConfig{Name: "x", SRV: true})
	for name, tt := range map[string]struct {
		records []*net.SRV
		want    []Member
		err     string
	}{
		"weights": {
			[]*net.SRV{{Target: "B.x.", Port: 2, Weight: 7}, {Target: "a.x.", Port: 1, Weight: 0}},
			[]Member{{URL: "http://a.x:1", Weight: 1}, {URL: "http://b.x:2", Weight: 7}}, "",
		},
		"large weights": {
			[]*net.SRV{{Target: "a.", Port: 1, Weight: 65535}, {Target: "b.", Port: 1, Weight: 32768}, {Target: "c.", Port: 1, Weight: 1}},
			[]Member{{URL: "http://a:1", Weight: 1000}, {URL: "http://b:1", Weight: 500}, {URL: "http://c:1", Weight: 1}}, "",
		},
		"the lowest priority": {
			[]*net.SRV{{Target: "a.", Port: 1, Priority: 2}, {Target: "b.", Port: 1, Priority: 1}, {Target: "c.", Port: 1, Priority: 1}, {Target: "d.", Port: 1, Priority: 3}},
			[]Member{{URL: "http://b:1", Weight: 1}, {URL: "http://c:1", Weight: 1}}, "",
		},
		"a backup's weight scales nothing": {
			[]*net.SRV{{Target: "a.", Port: 1, Priority: 2, Weight: 60000}, {Target: "b.", Port: 1, Priority: 1, Weight: 600}},
			[]Member{{URL: "http://b:1", Weight: 600}}, "",
		},
		"twice, and twice a host": {
			[]*net.SRV{{Target: "a.", Port: 1, Weight: 1}, {Target: "A", Port: 1, Weight: 3}, {Target: "a.", Port: 2, Weight: 2}},
			[]Member{{URL: "http://a:1", Weight: 3}, {URL: "http://a:2", Weight: 2}}, "",
		},
		"none":         {nil, nil, "there is no SRV record"},
		"no service":   {[]*net.SRV{{Target: "."}}, nil, "there is no SRV record"},
		"no port":      {[]*net.SRV{{Target: "a.", Port: 1}, {Target: "b."}}, nil, `target "b." and port 0`},
		"no host":      {[]*net.SRV{{Target: "a b.", Port: 1}}, nil, `target "a b."`},
		"not a backup": {[]*net.SRV{{Target: "a.", Port: 1, Priority: 1}, {Target: ".", Priority: 0}}, nil, "there is no SRV record"},
		"not a host":   {[]*net.SRV{{Target: "u@h.", Port: 1}}, nil, `target "u@h."`},
		"a path":       {[]*net.SRV{{Target: "h/x.", Port: 1}}, nil, `target "h/x."`},
	} {
		got, err := d.ofSRV(tt.records)
		if !slices.Equal(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %v, %v; want %v, %q", name, got, err, tt.want, tt.err)
		}
	}
}

// A failing answers every look-up with an error, once it is dialled.
func failing(err error, dialled chan<- time.Time) *net.Resolver {
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		select {
		case dialled <- time.Now():
		default:
		}
		return nil, err
	}}
}

// Without a list, a DNS tries again soon, and then more and more seldom. It says once what is wrong.
func TestDNSRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dialled := make(chan time.Time, 1000)
		take := watch(t, newDNS(t, DNSConfig{Name: "_x._tcp.example.", SRV: true, Interval: time.Minute, Resolver: failing(errors.New("no route"), dialled)}))
		time.Sleep(time.Hour)
		got := take()
		if len(got) != 1 || !strings.Contains(got[0], "! discover: lookup _x._tcp.example.") || !strings.Contains(got[0], "no route") {
			t.Errorf("yielded %q", got)
		}
		var waits []time.Duration
		for last := <-dialled; len(dialled) > 0; {
			if next := <-dialled; !next.Equal(last) { // it dials more than once a look-up
				waits = append(waits, next.Sub(last))
				last = next
			}
		}
		if len(waits) < 60 || len(waits) > 75 {
			t.Errorf("looked up %d times in an hour", len(waits))
		}
		for i, w := range waits {
			about := min(time.Second<<min(i, 10), time.Minute)
			if w < about*3/4 || w > about*5/4 {
				t.Errorf("wait %d is %v, want about %v", i, w, about)
			}
		}
	})
}

// What a Resolver does not ask a server for needs none.
func TestDNSOfAnAddress(t *testing.T) {
	for network, want := range map[string]string{"ip": "http://[::1]:80", "ip6": "http://[::1]:80", "ip4": "! discover: address ::1: no suitable address found"} {
		for members, err := range newDNS(t, DNSConfig{Name: "::1", Port: 80, Network: network}).Members(t.Context()) {
			if got := (item{members, err}).String(); got != want {
				t.Errorf("%s: %s, want %s", network, got, want)
			}
			break
		}
	}
}
