package memberlist

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	gossip "github.com/hashicorp/memberlist"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
)

const (
	// DefaultPort is the port for gossip, where a Config names none.
	DefaultPort = 7946

	// DefaultRejoin is the Rejoin of a Config that does not say otherwise.
	DefaultRejoin = 15 * time.Second
)

// Config describes a Source. Self is required, and Keys, unless Insecure is set. New changes nothing that it is given.
type Config struct {
	// Self is the URL of this instance's Pool: its Self. Required. It has about 500 bytes at most.
	Self string

	// Weight is this instance's: 1 to ring.MaxWeight. 0: 1.
	Weight int

	// Bind is the IP address to listen on for gossip, by UDP and TCP, with or without a port; port 0 is any that is free.
	// "": 0.0.0.0, and DefaultPort.
	Bind string

	// Advertise is the IP address, with or without a port, at which the others reach what listens on Bind. "": that of Bind, or if it is 0.0.0.0, a
	// private address of this machine. It is required if Bind is ::.
	Advertise string

	// Seeds are other instances, some or all: names or IP addresses, with or without a port, which is else that of Bind. A name stands for all
	// addresses that it has at the time. They may include this instance. None: this instance waits for others to join it.
	Seeds []string

	// Rejoin is how often the seeds are looked up, and those that are not members are joined: a wait is up to a quarter shorter or
	// longer. An instance that is alone tries more often at first. As often, or each half minute if that is more often, it compares all it knows with a member, at random: a
	// partition that is over is mended within about twice that time. 0: DefaultRejoin.
	Rejoin time.Duration

	// Keys encrypt the gossip: 16, 24 or 32 random bytes each, for AES-GCM. The first one is used, any of them is
	// understood. Instances that share no key do not hear each other. SetKeys replaces them.
	Keys [][]byte

	// Insecure goes without Keys: whoever reaches the port of an instance can add members to its list, and remove them. It cannot be combined with
	// Keys.
	Insecure bool

	// Logger reports what goes wrong between nodes. nil: nothing is logged.
	Logger *slog.Logger

	// Tune may change hashicorp/memberlist's own configuration before it is used, which is its DefaultLANConfig with what follows
	// from the other fields: how often is probed, the label of the fleet, the transport. The Name, the Delegates, Events and the
	// Keyring must stay. nil: nothing is changed.
	Tune func(*gossip.Config)
}

// A setup is what a Config amounts to.
type setup struct {
	self   discover.Member
	keys   [][]byte
	rejoin time.Duration
	seeds  []seed
	logger *slog.Logger
	gossip *gossip.Config
}

// A seed is a host and a port.
type seed struct {
	host string
	port uint16
}

// check returns what c amounts to, or an error that names every field that is wrong.
func (c *Config) check() (*setup, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("memberlist: Config."+format, args...))
	}
	s := &setup{rejoin: c.Rejoin, logger: c.Logger, gossip: gossip.DefaultLANConfig()}
	c.checkSelf(s, bad)
	c.checkAddresses(s, bad)
	switch {
	case c.Rejoin < 0:
		bad("Rejoin is %v: use a positive duration, or 0 for the default of %v", c.Rejoin, DefaultRejoin)
	case c.Rejoin == 0:
		s.rejoin = DefaultRejoin
	}
	// What is told about nodes that were dead is ignored by those that forgot them at another time, until they compare all they know.
	s.gossip.PushPullInterval = min(s.gossip.PushPullInterval, max(s.rejoin, time.Millisecond))
	switch err := checkKeys(c.Keys); {
	case c.Insecure && len(c.Keys) > 0:
		bad("Insecure is set together with Keys: leave one of them out")
	case !c.Insecure && err != nil:
		bad("Keys: %w", err)
	}
	for _, k := range c.Keys {
		s.keys = append(s.keys, bytes.Clone(k))
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	return s, errors.Join(errs...)
}

func (c *Config) checkSelf(s *setup, bad func(format string, args ...any)) {
	self, err := address.Normalize(c.Self)
	if err != nil {
		bad("Self: %w", err)
	}
	if c.Weight < 0 || c.Weight > address.MaxWeight {
		bad("Weight is %d: use 1 to %d, or 0 for 1", c.Weight, address.MaxWeight)
	}
	s.self = discover.Member{URL: self, Weight: max(c.Weight, 1)}
	// SetWeight may come to need a byte more.
	if n := len(encodeMeta(discover.Member{URL: self, Weight: address.MaxWeight})) - maxMeta; n > 0 {
		bad("Self is %d bytes too long to be told to others", n)
	}
	if u, err := url.Parse(self); err == nil {
		s.gossip.Name = nodeName(u.Host)
	}
}

// nodeName returns a name that no other node has, with where it is, for people.
func nodeName(host string) string {
	var id [8]byte
	rand.Read(id[:]) // never fails
	return host[:min(len(host), 64)] + "-" + hex.EncodeToString(id[:])
}

func (c *Config) checkAddresses(s *setup, bad func(format string, args ...any)) {
	bind := netip.AddrPortFrom(netip.IPv4Unspecified(), DefaultPort)
	if c.Bind != "" {
		var err error
		if bind, err = addrPort(c.Bind, DefaultPort); err != nil {
			bad("Bind: %w", err)
		}
	}
	s.gossip.BindAddr, s.gossip.BindPort = bind.Addr().String(), int(bind.Port())
	s.gossip.AdvertisePort = int(bind.Port())
	if c.Advertise != "" {
		at, err := addrPort(c.Advertise, bind.Port())
		if err != nil || at.Addr().IsUnspecified() {
			bad("Advertise is %q: use an IP address that others reach, with or without a port", c.Advertise)
		}
		s.gossip.AdvertiseAddr, s.gossip.AdvertisePort = at.Addr().String(), int(at.Port())
	} else if bind.Addr() == netip.IPv6Unspecified() {
		bad("Advertise is empty, and Bind is %s: name the address that others reach", c.Bind)
	}
	for _, text := range c.Seeds {
		host, port, err := hostPort(text, bind.Port())
		if err != nil {
			bad("Seeds: %w", err)
		} else if port == 0 {
			bad("Seeds: %q has no port, and Bind none that is known: add it", text)
		}
		s.seeds = append(s.seeds, seed{host, port})
	}
}

// addrPort returns the IP address and the port in s, which is port if it has none.
func addrPort(s string, port uint16) (netip.AddrPort, error) {
	host, port, err := hostPort(s, port)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("%q has no IP address: use one such as 10.0.0.1, with or without a port", s)
	}
	return netip.AddrPortFrom(addr.Unmap(), port), nil
}

// hostPort returns the host and the port in s, which is port if it has none. An IPv6 address without a port needs no brackets.
func hostPort(s string, port uint16) (string, uint16, error) {
	host := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if addr, err := netip.ParseAddr(host); err != nil || addr.Zone() != "" {
		if h, p, err := net.SplitHostPort(s); err == nil {
			n, err := strconv.ParseUint(p, 10, 16)
			if err != nil {
				return "", 0, fmt.Errorf("%q has no port from 0 to 65535", s)
			}
			host, port = h, uint16(n)
		}
	}
	if host == "" || strings.ContainsAny(host, "/[]@ ") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", 0, fmt.Errorf("%q is no host and port: use such as 10.0.0.1:%d", s, DefaultPort)
	}
	return host, port, nil
}

func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("there is none: give the fleet a key of 32 random bytes, or say Insecure: true")
	}
	for i, k := range keys {
		if err := gossip.ValidateKey(k); err != nil {
			return fmt.Errorf("key %d has %d bytes: use 16, 24 or 32", i, len(k))
		}
	}
	return nil
}
