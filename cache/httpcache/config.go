package httpcache

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Limits and defaults. A zero field of a Config means the default of its name.
const (
	DefaultName           = "http"
	DefaultMaxObjectBytes = 128 << 20
	DefaultMaxFills       = 256

	DefaultMaxVariants = 64
	DefaultKeepStale   = time.Hour
)

// Config describes a Handler. Only Origin is required, or Origins; every zero field has the default
// that stands beside it.
type Config struct {
	// Origin is the URL of the origin: http or https, with a host and nothing behind it. It is short for Origins with "*".
	Origin string

	// Origins are the URLs of the origins by the hosts of the requests that they get: names and addresses in any case, with or without a port; "*" is for
	// all others. Without that, requests for others get 421 (Misdirected Request).
	Origins map[string]string

	// PreserveHost has the origin see the host that the client has asked for, in lower case and without its scheme's own port; the key has it too. Otherwise the origin
	// sees its own host, and hosts with the same origin have the same responses. With it, the hosts in Origins have no ports.
	PreserveHost bool

	// TLS is how https origins are spoken to, with the authorities that they have their certificates from for example. It is not changed, and not for a Transport of your own.
	// nil: as Go does.
	TLS *tls.Config

	// Transport sends the requests to the origin. It must not follow redirects, add credentials, or
	// decompress what it was not asked to (http.Transport.DisableCompression).
	// nil: one of the Handler's own, without proxies, with bounded connections and time-outs.
	Transport http.RoundTripper

	// Instance names this instance in Cache-Status and in the Via that the origin sees, to whoever asks: printable
	// ASCII without quotes, backslashes and parentheses. "": it is not named.
	Instance string

	// ShowKey has Cache-Status say the key as well (RFC 9211, 2.7): the path and the query, without what tells variants apart.
	ShowKey bool

	// Name names the cache within the fleet. "": DefaultName.
	Name string

	// Peers connects the cache to the other instances, which must have the same origins.
	// nil: a fleet of one.
	Peers cache.Peers

	// MaxBytes bounds what the cache keeps in this process's memory, in bytes.
	// 0: cache.DefaultMaxBytes. At least cache.MinMaxBytes.
	MaxBytes int64

	// MaxObjectBytes bounds the body of a response that is stored, in bytes. Larger ones pass
	// through. Bodies are stored in chunks of 256 KiB, all over the fleet. At most MaxBytes. 0: DefaultMaxObjectBytes, or a quarter of
	// MaxBytes if that is less.
	MaxObjectBytes int64

	// MaxVariants bounds how many variants of a URL are stored (Vary). 0: DefaultMaxVariants.
	MaxVariants int

	// KeepStale is for how long a response is kept that is no longer fresh, to be validated, or served when the origin does not answer
	// (RFC 9111, 4.2.4), unless it says otherwise. 0: DefaultKeepStale. Negative: not at all.
	KeepStale time.Duration

	// TrustClient has the Cache-Control, or Pragma, of requests count (RFC 9111, 5.2.1). Then any client can have the origin asked as often as he likes.
	TrustClient bool

	// StoreSetCookie has responses with Set-Cookie stored, which RFC 9111, 7.3 leaves to the cache: everybody gets the same cookie.
	StoreSetCookie bool

	// StorePost has the response to a POST stored, as what a GET of the same URL gives, if its Content-Location and an explicit freshness say so (RFC 9110,
	// 9.3.3). Where two POSTs overlap, the origin may have heeded them in another order than their responses come in: then what is
	// stored is the older one's, for as long as it is fresh.
	StorePost bool

	// CheckTypes has nothing stored whose path ends as that of a kind of file, such as .css or .png, and whose Content-Type is of another: a path that
	// looks static does not make a page static.
	CheckTypes bool

	// NoHeuristics has what does not say for how long it is fresh be validated each time. Otherwise it is fresh for a tenth of the time since
	// it was modified, at most a day (RFC 9111, 4.2.2).
	NoHeuristics bool

	// Targets are the targeted fields that count instead of Cache-Control and Expires (RFC 9213), in order of preference. nil: DefaultTargets.
	Targets []string

	// MirrorTTL is how long an instance may serve its copy of what another one owns.
	// 0: cache.DefaultMirrorTTL. Negative: it keeps none.
	MirrorTTL time.Duration

	// FillTimeout bounds how long a fill waits for its turn and the header of the response, and then for each further byte.
	// 0: cache.DefaultLoadTimeout.
	FillTimeout time.Duration

	// MaxFills bounds how many fills this instance has under way, each of which may
	// hold 4 MiB beside MaxBytes; but for those that wait for slow clients. Others wait for their turn, for half of FillTimeout, and
	// are answered with 503 then. 0: DefaultMaxFills.
	MaxFills int

	// Logger reports what clients are not told: why the origin or an instance did not answer. nil: nothing is logged.
	Logger *slog.Logger
}

// withDefaults returns c with every zero field set to its default, and the parsed origins; or an error
// that names every field that is wrong, but for those that cache.New looks at. c is a
// copy: the caller's is not changed.
func (c Config) withDefaults() (Config, *sites, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("httpcache: Config."+format, args...))
	}
	origins, err := newSites(&c)
	if err != nil {
		errs = append(errs, err)
	}
	if c.TLS != nil && c.Transport != nil {
		bad("TLS is given together with Transport: leave one of them out")
	}
	if strings.ContainsFunc(c.Instance, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"\()`, r) }) {
		bad(`Instance is %q: use printable ASCII without quotes, backslashes and parentheses`, c.Instance)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = cache.DefaultMaxBytes
	}
	switch {
	case c.MaxObjectBytes < 0 || c.MaxObjectBytes > c.MaxBytes && c.MaxBytes >= cache.MinMaxBytes:
		bad("MaxObjectBytes is %d: use 1 to %d, which is MaxBytes, or 0 for the default", c.MaxObjectBytes, c.MaxBytes)
	case c.MaxObjectBytes == 0:
		c.MaxObjectBytes = min(DefaultMaxObjectBytes, c.MaxBytes/4)
	}
	switch {
	case c.MaxVariants < 0:
		bad("MaxVariants is %d: use a positive number, or 0 for the default of %d", c.MaxVariants, DefaultMaxVariants)
	case c.MaxVariants == 0:
		c.MaxVariants = DefaultMaxVariants
	}
	if c.KeepStale == 0 {
		c.KeepStale = DefaultKeepStale
	}
	c.KeepStale = max(c.KeepStale, 0)
	if c.Targets == nil {
		c.Targets = DefaultTargets()
	}
	for _, t := range c.Targets {
		if !validField(t, "") {
			bad("Targets has %q: use the names of fields, such as Cdn-Cache-Control", t)
		}
	}
	if c.FillTimeout < 0 {
		bad("FillTimeout is %v: use a positive duration, or 0 for the default of %v", c.FillTimeout, cache.DefaultLoadTimeout)
	}
	if c.MaxFills < 0 {
		bad("MaxFills is %d: use a positive number, or 0 for the default of %d", c.MaxFills, DefaultMaxFills)
	}
	if c.MaxFills == 0 {
		c.MaxFills = DefaultMaxFills
	}
	if c.FillTimeout == 0 {
		c.FillTimeout = cache.DefaultLoadTimeout
	}
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, origins, errors.Join(errs...)
}

// DefaultTargets are the targeted fields that count unless a Config says otherwise.
func DefaultTargets() []string {
	return []string{"Fleetcache-Cache-Control", "Cdn-Cache-Control", "Surrogate-Control"}
}

// parseOrigin returns the scheme and host of an origin: in lower case, without the scheme's own port.
func parseOrigin(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, errors.New("the URL is empty: use one such as http://10.0.0.9:8080")
	}
	u, err := url.Parse(raw)
	if err != nil {
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err // without the URL, which may hold a password
		}
		return nil, fmt.Errorf("the URL does not parse: %w; use one such as http://10.0.0.9:8080", err)
	}
	switch {
	case u.User != nil:
		return nil, errors.New("the URL has a user or a password: leave it out, a shared cache has no credentials of its own")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the URL %q does not begin with http:// or https://", raw)
	case u.Hostname() == "":
		return nil, fmt.Errorf("the URL %q has no host: use one such as http://10.0.0.9:8080", raw)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return nil, fmt.Errorf("the URL %q has something behind its host: leave it out, paths go to the origin as clients send them", raw)
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return nil, fmt.Errorf("the URL %q has a port that is not 1 to 65535", raw)
	}
	switch {
	case port != "" && (u.Scheme != "http" || port != "80") && (u.Scheme != "https" || port != "443"):
		host = net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

// newTransport returns the Transport for a Config without one.
func newTransport(tls *tls.Config) *http.Transport {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  nil, // the origin is near, and the environment's proxy is for the world
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tls.Clone(),
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  time.Minute,
		IdleConnTimeout:        90 * time.Second,
		MaxConnsPerHost:        1024,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    256,
		MaxResponseHeaderBytes: 256 << 10,
		DisableCompression:     true,
	}
}
