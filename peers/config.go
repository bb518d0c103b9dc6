package peers

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// Limits and defaults. A zero field of a Config means the default of its name.
const (
	DefaultMaxConnsPerPeer = 256
	DefaultMaxCallsPerPeer = 16384
	DefaultMaxInFlight     = 4096
	DefaultMaxValueBytes   = 64 << 20
	DefaultDialTimeout     = 2 * time.Second
	DefaultReadTimeout     = 10 * time.Second
	DefaultPingAfter       = time.Second
	DefaultPingTimeout     = 2 * time.Second
	DefaultDrainTime       = 20 * time.Second

	// MinSecret is the length of the shortest Secret, in bytes.
	MinSecret = 16

	// MaxMaxValueBytes is the most that MaxValueBytes may be.
	MaxMaxValueBytes = 1 << 30
)

// A Member is an instance of the fleet: the URL where its Pool is reached, which is its name, too; its share of the keys; and
// whether it is on its way out.
type Member = discover.Member

// Config describes a Pool. Self is required, and one way for instances to know each other: Secret;
// or mutual TLS, by Client, Authorize, or both; or Insecure. Every zero field
// has the default that stands beside it. The Pool changes nothing that it is given.
type Config struct {
	// Self is this instance's URL as the others reach it, in the spelling that they use. Required.
	Self string

	// Weight is this instance's, if Set's list does not name Self. 0: 1.
	Weight int

	// Secret is the fleet's shared secret, the same on every instance, of MinSecret random
	// bytes or more. Each request and reply is authenticated with it. It never travels.
	Secret []byte

	// AcceptSecret is a second secret that others may use, so that the Secret can be replaced without an interruption: deploy
	// the new one as AcceptSecret everywhere, then the new one as Secret and the old one as AcceptSecret, then
	// the new one alone. It needs a Secret. Empty: none.
	AcceptSecret []byte

	// Client sends the requests, with the program's certificates for example. Its redirect
	// policy and its Timeout are not used: redirects are not followed, and calls are bounded by their
	// contexts and the Ping fields. If its Transport bounds the connections to a host, that must be
	// 17 more than MaxConnsPerPeer, so that invalidations and a ping find one.
	// nil: one of the Pool's own, without proxies, with bounded connections and time-outs.
	Client *http.Client

	// Authorize looks at each incoming request, its TLS certificates for example, and
	// returns an error for those to refuse. A connection that is upgraded comes with one request. Sender tells
	// which member a request says it comes from, which only its certificate can prove where there is no Secret. The error is logged, the sender does not
	// see it. It may be called concurrently. nil: without a Secret, requests need a client certificate
	// that the http.Server verified (tls.RequireAndVerifyClientCert).
	Authorize func(*http.Request) error

	// Insecure lets anyone who reaches the handler read, replace and remove what the caches hold.
	// For tests, and networks where that is so anyway. It cannot be combined with Secret.
	Insecure bool

	// MaxCallsPerPeer bounds the calls under way to one peer on an upgraded connection. Further ones wait for their turn, on
	// their contexts. 0: DefaultMaxCallsPerPeer.
	MaxCallsPerPeer int

	// MaxConnsPerPeer bounds the Gets under way to one peer whose connections are not upgraded, each of which has a connection of its own. Further ones wait for their turn, on
	// their contexts. 16 invalidations may be under way besides, which loads must not hold up, and a ping; the
	// Pool's own Client has as many connections at the most.
	// 0: DefaultMaxConnsPerPeer.
	MaxConnsPerPeer int

	// MaxInFlight bounds the incoming requests that are served at once. The sender of a further one
	// gets ErrOverloaded, and asks the next instance or the origin. 0: DefaultMaxInFlight.
	MaxInFlight int

	// MaxValueBytes bounds a value in either direction, encoded. A longer one is answered
	// with cache.StatusTooLarge. The size of a request is bounded by it as well, and what the requests of one connection take
	// together: to twice that. Further ones get ErrOverloaded.
	// 0: DefaultMaxValueBytes. At most MaxMaxValueBytes.
	MaxValueBytes int

	// DialTimeout bounds the making of a connection by the Pool's own Client. 0: DefaultDialTimeout.
	DialTimeout time.Duration

	// ReadTimeout bounds how long an incoming request may take to arrive, and a part of a reply to
	// be taken; long bodies get a second more for each MiB. 0: DefaultReadTimeout.
	ReadTimeout time.Duration

	// PingAfter is how long nothing may be heard from a peer while a call waits for it, before it
	// is sent a ping. 0: DefaultPingAfter.
	PingAfter time.Duration

	// PingTimeout is how long it has for the answer, before it is down. 0: DefaultPingTimeout.
	PingTimeout time.Duration

	// DrainTime is how long Drain waits, at most, for others to take over what this instance holds. 0: DefaultDrainTime.
	DrainTime time.Duration

	// Logger reports peers that go down and come back, refused requests, and panics.
	// nil: nothing is logged.
	Logger *slog.Logger
}

// withDefaults returns c with its URL normalised and every zero field set to its default, or
// an error that names every field that is wrong. c is a copy: the caller's is not changed.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("peers: Config."+format, args...)) }
	if self, err := normalize(c.Self); err != nil {
		bad("Self: %w", err)
	} else if err := checkScheme(self, c.tlsOnly() && (c.Client != nil || c.Authorize != nil)); err != nil {
		bad("Self: %w", err)
	} else {
		c.Self = self
	}
	c.checkCredential(bad)
	if c.Weight < 0 || c.Weight > ring.MaxWeight {
		bad("Weight is %d: use 1 to %d, or 0 for 1", c.Weight, ring.MaxWeight)
	}
	ints := []struct {
		name     string
		value    *int
		def, max int
	}{
		{"MaxConnsPerPeer", &c.MaxConnsPerPeer, DefaultMaxConnsPerPeer, maxInFlightToPeer},
		{"MaxCallsPerPeer", &c.MaxCallsPerPeer, DefaultMaxCallsPerPeer, 1 << 20},
		{"MaxInFlight", &c.MaxInFlight, DefaultMaxInFlight, 1 << 30},
		{"MaxValueBytes", &c.MaxValueBytes, DefaultMaxValueBytes, MaxMaxValueBytes},
	}
	for _, f := range ints {
		if *f.value < 0 || *f.value > f.max {
			bad("%s is %d: use 1 to %d, or 0 for the default of %d", f.name, *f.value, f.max, f.def)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	durations := []struct {
		name  string
		value *time.Duration
		def   time.Duration
	}{
		{"DialTimeout", &c.DialTimeout, DefaultDialTimeout},
		{"ReadTimeout", &c.ReadTimeout, DefaultReadTimeout},
		{"PingAfter", &c.PingAfter, DefaultPingAfter},
		{"PingTimeout", &c.PingTimeout, DefaultPingTimeout},
		{"DrainTime", &c.DrainTime, DefaultDrainTime},
	}
	for _, f := range durations {
		if *f.value < 0 {
			bad("%s is %v: use a positive duration, or 0 for the default of %v", f.name, *f.value, f.def)
		}
		if *f.value == 0 {
			*f.value = f.def
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(errs...)
}

func (c *Config) checkCredential(bad func(format string, args ...any)) {
	switch {
	case len(c.Secret) == 0 && c.Client == nil && c.Authorize == nil && !c.Insecure:
		bad("Secret is empty, and so are Client and Authorize: give the fleet a shared Secret, or TLS client certificates, or say Insecure: true")
	case len(c.Secret) > 0 && c.Insecure:
		bad("Insecure is set together with Secret: leave one of them out")
	case len(c.Secret) > 0 && len(c.Secret) < MinSecret:
		bad("Secret has %d bytes: use at least %d random ones", len(c.Secret), MinSecret)
	}
	switch n := len(c.AcceptSecret); {
	case n > 0 && len(c.Secret) == 0:
		bad("AcceptSecret is set, and Secret is not: set Secret as well")
	case n > 0 && n < MinSecret:
		bad("AcceptSecret has %d bytes: use at least %d random ones", n, MinSecret)
	}
}

// tlsOnly says that certificates alone secure the fleet.
func (c *Config) tlsOnly() bool { return len(c.Secret) == 0 && !c.Insecure }

// checkScheme returns an error if url is not secured by what secures the fleet.
func checkScheme(url string, tlsOnly bool) error {
	if tlsOnly && strings.HasPrefix(url, "http:") {
		return fmt.Errorf("%s is not an https URL, which the fleet needs for its certificates: use https, or set a Secret", url)
	}
	return nil
}

// client returns the http.Client for c, and whether it is the Pool's own.
func (c *Config) client() (_ *http.Client, own bool) {
	noRedirects := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if c.Client != nil {
		copied := *c.Client
		copied.CheckRedirect, copied.Timeout = noRedirects, 0
		return &copied, false
	}
	dialer := &net.Dialer{
		Timeout: c.DialTimeout,
		// A connection that a firewall forgot is found in half a minute.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	return &http.Client{
		CheckRedirect: noRedirects,
		Transport: &http.Transport{
			Proxy:                  nil, // members are near, and the environment's proxy is for the world
			DialContext:            dialer.DialContext,
			MaxConnsPerHost:        c.MaxConnsPerPeer + urgentConns + 4, // and some for pings and upgrades
			MaxIdleConnsPerHost:    c.MaxConnsPerPeer + urgentConns + 1,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    c.DialTimeout + 3*time.Second,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
		},
	}, true
}

// upgrader returns a client for requests whose connections are to be upgraded, which is not possible with HTTP/2.
func upgrader(c *http.Client) *http.Client {
	t, ok := c.Transport.(*http.Transport)
	if c.Transport == nil {
		t, ok = http.DefaultTransport.(*http.Transport)
	}
	if !ok {
		return c // it does what it can
	}
	t = t.Clone()
	t.ForceAttemptHTTP2 = false
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	if t.TLSClientConfig != nil {
		// Of a copy. What else there is tells the server who we are.
		t.TLSClientConfig.NextProtos = append(slices.DeleteFunc(slices.Clone(t.TLSClientConfig.NextProtos), isHTTP), "http/1.1")
	}
	t.DisableKeepAlives = false
	t.MaxConnsPerHost = 0
	copied := *c
	copied.Transport = t
	return &copied
}

func isHTTP(proto string) bool { return proto == "h2" || proto == "http/1.1" }

// upgradeTime bounds an attempt to upgrade a connection: two requests.
func (c *Config) upgradeTime() time.Duration { return c.DialTimeout + 5*time.Second }

// instanceID tells one running Pool from every other.
type instanceID [16]byte

func newInstanceID() (id instanceID) {
	rand.Read(id[:]) // never fails
	return id
}
