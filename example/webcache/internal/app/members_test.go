package app

import (
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// What a name's records do not say of an instance is as in -self.
func TestDNSOfFlags(t *testing.T) {
	for args, want := range map[string]discover.DNSConfig{
		"-peers-dns c. -self http://10.0.0.1:8080":             {Name: "c.", Scheme: "http", Port: 8080, Network: "ip4"},
		"-peers-dns c. -self https://[fd00::1]/x":              {Name: "c.", Scheme: "https", Port: 443, Path: "/x", Network: "ip6"},
		"-peers-dns c. -self http://10.0.0.1":                  {Name: "c.", Scheme: "http", Port: 80, Network: "ip4"},
		"-peers-dns _c._tcp.x. -self http://a.x:1":             {Name: "_c._tcp.x.", SRV: true, Scheme: "http"},
		"-peers-dns c -self http://1.2.3.4 -peers-interval 1s": {Name: "c", Scheme: "http", Port: 80, Network: "ip4", Interval: 1e9},
	} {
		opts, err := parseFlags(strings.Fields("-origin http://o -insecure " + args))
		if err != nil {
			t.Fatal(err)
		}
		self, err := url.Parse(opts.self)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Fields(args)[1]
		if got, err := dnsConfig(name, Instance{Self: self, Interval: opts.interval}); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", args, got, err, want)
		}
	}
}

// The first list is there before the first request.
func TestMembersAtTheStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "members")
	if err := os.WriteFile(file, []byte("http://127.0.0.1:1 # this one\nhttp://127.0.0.1:2\nhttp://127.0.0.1:3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, others := range map[string]int{
		"-peers http://127.0.0.1:2 -self http://127.0.0.1:1":      1,
		"-peers-file " + file + " -self http://127.0.0.1:1":       2,
		"-peers-dns 127.0.0.1 -self http://127.0.0.1:1":           0,
		"-peers-dns 127.0.0.2 -self http://127.0.0.1:1":           1,
		"-peers-dns no.invalid. -self http://127.0.0.1:1":         0, // nobody is ready yet
		"-peers-dns _no._tcp.invalid. -self http://no.invalid.:1": 0,
	} {
		opts, err := parseFlags(strings.Fields("-origin http://127.0.0.1:1 -insecure " + args))
		if err != nil {
			t.Fatal(err)
		}
		s, err := newService(t.Context(), opts, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if got := len(s.pool.Stats().Peers); got != others {
			t.Errorf("%s: %d others, want %d", args, got, others)
		}
		s.close()
	}
}
