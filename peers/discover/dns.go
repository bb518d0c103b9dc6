package discover

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
)

const (
	// DefaultDNSInterval is that of a DNSConfig that does not say otherwise.
	DefaultDNSInterval = 10 * time.Second

	// DefaultDNSTimeout is that of a DNSConfig that does not say otherwise.
	DefaultDNSTimeout = 5 * time.Second

	// dnsFirstRetry is how long a DNS that has no list yet waits after its first failure. It waits twice as long after
	// each further one, up to its Interval.
	dnsFirstRetry = time.Second
)

// DNSConfig describes a DNS. Name is required, and Port unless SRV is set.
type DNSConfig struct {
	// Name is what is looked up. With SRV it is the whole name, such as _cache._tcp.example.org. End it with a dot,
	// or the search domains of the machine are tried as well.
	Name string

	// SRV says that Name has SRV records, whose targets are the members' hosts: their names, which are not looked up any further. Else it has A
	// and AAAA records, which are the hosts themselves.
	SRV bool

	// Port is the members' port. 0 with SRV, where the records have it.
	Port int

	// Scheme is http or https. "": http.
	Scheme string

	// Path is where the members' Pools are mounted. "": peers.DefaultPath.
	Path string

	// Network is ip4 for A records alone, ip6 for AAAA, or ip for both. Where an instance has an address of each kind, choose one:
	// the two would be taken for two instances. Not for SRV. "": ip.
	Network string

	// Interval is how often the name is looked up: a wait is up to a quarter shorter or longer. 0: DefaultDNSInterval.
	Interval time.Duration

	// Timeout bounds a look-up. 0: DefaultDNSTimeout.
	Timeout time.Duration

	// Resolver looks up; of its fields as they are when NewDNS is called. nil: net.DefaultResolver.
	Resolver *net.Resolver
}

// A DNS is a Source that looks up a name again and again: the A and AAAA records of a headless Kubernetes service for example,
// or SRV records.
//
// With SRV, only the records of the lowest priority count. Their weights are the members', where 0 counts as 1; if one is greater than
// ring.MaxWeight, all are made smaller in proportion. A record that comes twice counts once, with its greatest weight.
//
// An answer that is no proof that the fleet has changed is an error, and the last list stands: a failure of the server, a time-out, an
// answer that was cut off and cannot be had whole, A records alone because AAAA failed, but also an answer that says that the name does not exist
// or has no records. An instance that is gone for good stays in the list for as long as
// the records of its name are cached on the way.
//
// The URL of an instance is made of what the records say: http://10.0.0.1:8080 or http://[fd00::1]:8080 of addresses, and of SRV
// the target in lower case and without its last dot. Its peers.Config.Self must be that: of a pod, take the address from the downward
// API (status.podIP), or the name pod.service.namespace.svc.cluster.local.
type DNS struct{ cfg DNSConfig }

// NewDNS returns a DNS. It does not look up anything yet. The error names every field of the DNSConfig that is wrong.
func NewDNS(cfg DNSConfig) (*DNS, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("discover: DNSConfig."+format, args...))
	}
	if cfg.Name == "" {
		bad("Name is empty: give the name that has a record for each instance")
	}
	if cfg.Scheme == "" {
		cfg.Scheme = "http"
	}
	if cfg.Network == "" {
		cfg.Network = "ip"
	}
	switch {
	case cfg.SRV && cfg.Port != 0:
		bad("Port is %d, and SRV records have ports of their own: leave it out", cfg.Port)
	case !cfg.SRV && (cfg.Port < 1 || cfg.Port > 65535):
		bad("Port is %d: use the instances' own, of 1 to 65535", cfg.Port)
	}
	switch {
	case cfg.Scheme != "http" && cfg.Scheme != "https":
		bad("Scheme is %q: use http or https", cfg.Scheme)
	case cfg.Path != "" && cfg.Path[0] != '/':
		bad("Path is %q: begin it with a slash", cfg.Path)
	default:
		if _, err := address.Normalize(cfg.Scheme + "://host" + cfg.Path); err != nil {
			bad("Path: %w", err)
		}
	}
	switch {
	case cfg.Network != "ip" && cfg.Network != "ip4" && cfg.Network != "ip6":
		bad("Network is %q: use ip, ip4 or ip6", cfg.Network)
	case cfg.SRV && cfg.Network != "ip":
		bad("Network is %q, and SRV records are not addresses: leave it out", cfg.Network)
	}
	positive(bad, "Interval", &cfg.Interval, DefaultDNSInterval)
	positive(bad, "Timeout", &cfg.Timeout, DefaultDNSTimeout)
	cfg.Resolver = heeding(cfg.Resolver)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &DNS{cfg}, nil
}
