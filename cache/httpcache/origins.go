package httpcache

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// anyHost is the key of Config.Origins for hosts that have none of their own.
const anyHost = "*"

// A site is an origin, and what the keys of its responses begin with.
type site struct {
	origin *url.URL
	prefix string // keyResponse, and the origin's scheme and host; with PreserveHost, the scheme alone
}

// sites are the origins by the hosts of requests. It is not changed once it is made.
type sites struct {
	preserve bool
	any      *site            // nil: other hosts have none
	byHost   map[string]*site // by name, or name:port
	byPrefix map[string]*site // unless preserve is set
	ported   bool             // byHost has ports
}

// A route is where a request goes. The zero route leads nowhere.
type route struct {
	origin *url.URL
	prefix string // of the key
	host   string // that the origin sees
}

// newSites returns the sites of a Config, or an error that names the field that is wrong.
func newSites(c *Config) (*sites, error) {
	origins := maps.Clone(c.Origins)
	if c.Origin != "" || len(origins) == 0 {
		if _, ok := origins[anyHost]; ok {
			return nil, errors.New(`httpcache: Config.Origin is given together with Origins["*"]: leave one of them out`)
		}
		if _, err := parseOrigin(c.Origin); err != nil {
			return nil, fmt.Errorf("httpcache: Config.Origin: %w", err)
		}
		if origins == nil {
			origins = make(map[string]string)
		}
		origins[anyHost] = c.Origin
	}
	s := &sites{preserve: c.PreserveHost, byHost: make(map[string]*site), byPrefix: make(map[string]*site)}
	var errs []error
	for _, host := range slices.Sorted(maps.Keys(origins)) {
		if err := s.add(host, origins[host]); err != nil {
			errs = append(errs, fmt.Errorf("httpcache: Config.Origins[%q]: %w", host, err))
		}
	}
	return s, errors.Join(errs...)
}

func (s *sites) add(host, raw string) error {
	u, err := parseOrigin(raw)
	if err != nil {
		return err
	}
	t := &site{origin: u, prefix: string(keyResponse) + u.Scheme + "://"}
	if !s.preserve {
		t.prefix += u.Host
		s.byPrefix[t.prefix] = t
	}
	if host == anyHost {
		s.any = t
		return nil
	}
	name, port, ok := splitHost(host)
	switch {
	case !ok:
		return errors.New("this is no host: use a name or an address, such as www.example.com, perhaps with a port; or *, for all others")
	case port != "" && s.preserve:
		return errors.New("the host has a port: leave it out, with PreserveHost it is the origin that tells ports apart")
	case port != "":
		name, s.ported = net.JoinHostPort(name, port), true
	}
	if s.byHost[name] != nil {
		return errors.New("the host is there twice, in other letters: leave one of them out")
	}
	s.byHost[name] = t
	return nil
}

// of returns where the requests for a host go. Without a route, it is the status to answer with.
func (s *sites) of(host string, overTLS bool) (route, int) {
	if len(s.byHost) == 0 && !s.preserve {
		return route{s.any.origin, s.any.prefix, s.any.origin.Host}, 0
	}
	name, port, ok := splitHost(host)
	if !ok && s.preserve {
		return route{}, http.StatusBadRequest
	}
	usual := "80"
	if overTLS {
		usual = "443"
	}
	t := s.any
	if ok {
		if port == "" {
			port = usual
		}
		t = s.lookup(name, port)
	}
	switch {
	case t == nil:
		return route{}, http.StatusMisdirectedRequest
	case !s.preserve:
		return route{t.origin, t.prefix, t.origin.Host}, 0
	case port != usual:
		name = net.JoinHostPort(name, port)
	case strings.Contains(name, ":"):
		name = "[" + name + "]"
	}
	return route{t.origin, t.prefix + name, name}, 0
}

// lookup returns the site of a host: nil if there is none.
func (s *sites) lookup(name, port string) *site {
	if s.ported {
		if t := s.byHost[net.JoinHostPort(name, port)]; t != nil {
			return t
		}
	}
	if t := s.byHost[name]; t != nil {
		return t
	}
	return s.any
}

// ofKey returns the route of the requests with a key, and what of the key is behind its prefix. It is not ok if the key is none of these
// origins': then the instance that asks for it has others.
func (s *sites) ofKey(key string) (_ route, target string, ok bool) {
	scheme, rest, found := strings.Cut(key, "://")
	slash := strings.IndexByte(rest, '/')
	if !found || slash <= 0 {
		return route{}, "", false
	}
	host := rest[:slash]
	target = rest[slash:]
	if !s.preserve {
		t := s.byPrefix[scheme+"://"+host]
		if t == nil {
			return route{}, "", false
		}
		return route{t.origin, t.prefix, t.origin.Host}, target, true
	}
	for _, overTLS := range []bool{false, true} { // which the key does not say: ports are left out by it
		if r, code := s.of(host, overTLS); code == 0 && r.prefix == scheme+"://"+host {
			return r, target, true
		}
	}
	return route{}, "", false
}

// asked returns the URL of a request to an origin, with the host that the origin has seen, and the prefix of its key.
func asked(r *http.Request) (_ *url.URL, prefix string) {
	u := *r.URL
	u.Host = r.Host
	return &u, string(keyResponse) + u.Scheme + "://" + u.Host
}

// same reports whether what an origin names as u is of the same origin as what it was asked. Where it knows the hosts of
// clients it may know their scheme, too.
func (s *sites) same(u, asked *url.URL) bool {
	return (u.Scheme == asked.Scheme || s.preserve) && strings.EqualFold(u.Host, asked.Host)
}

// keysOf returns the keys of a URL that clients have, or an origin; or those of a path, at all origins.
func (h *Handler) keysOf(u *url.URL) (keys []string) {
	var prefixes []string
	if u.Host == "" {
		prefixes = slices.Sorted(maps.Keys(h.sites.byPrefix))
	} else {
		if to, code := h.sites.of(u.Host, u.Scheme == "https"); code == 0 {
			prefixes = append(prefixes, to.prefix)
		}
		if own, err := parseOrigin(u.Scheme + "://" + u.Host); err == nil {
			if p := string(keyResponse) + own.String(); h.sites.byPrefix[p] != nil && !slices.Contains(prefixes, p) {
				prefixes = append(prefixes, p)
			}
		}
	}
	for _, p := range prefixes {
		if key, f := h.key(p, u); f == (forward{}) {
			keys = append(keys, key)
		}
	}
	return keys
}

// splitHost returns the name and the port of a host: in lower case, without brackets and the dot of the root. It is not ok if that is no host
// to send to an origin, or to make a key of.
func splitHost(host string) (name, port string, ok bool) {
	name = host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name, port = host[:i], host[i+1:]
		if port != "" {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil || n == 0 {
				return "", "", false
			}
			port = strconv.FormatUint(n, 10)
		}
	}
	if inner, found := strings.CutPrefix(name, "["); found {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err != nil || !strings.HasSuffix(name, "]") || !addr.Is6() || addr.Zone() != "" {
			return "", "", false
		}
		return addr.String(), port, true
	}
	name = strings.TrimSuffix(strings.ToLower(name), ".")
	for _, b := range []byte(name) {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '-' && b != '.' && b != '_' {
			return "", "", false
		}
	}
	return name, port, name != "" && name[0] != '.' && !strings.Contains(name, "..")
}
