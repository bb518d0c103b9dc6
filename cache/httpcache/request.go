package httpcache

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// A forward says why a request goes to the origin: the parameters fwd and detail of Cache-Status. The zero forward
// says that it does not.
type forward struct{ fwd, detail string }

const (
	fwdMethod   = "method"
	fwdBypass   = "bypass"
	fwdURIMiss  = "uri-miss"
	fwdVaryMiss = "vary-miss"
	fwdStale    = "stale"
	fwdRequest  = "request"
	fwdPartial  = "partial"
)

// newLookup returns the lookup of a request whose key begins with prefix, or the forward of one that the cache has no part in.
func (h *Handler) newLookup(r *http.Request, prefix string) (*lookup, forward) {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return nil, forward{fwd: fwdMethod}
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return nil, forward{fwdBypass, "body"}
	case len(r.Header["Upgrade"]) > 0:
		return nil, forward{fwdBypass, "upgrade"}
	case len(r.Header["If-Match"]) > 0 || len(r.Header["If-Unmodified-Since"]) > 0:
		return nil, forward{fwdBypass, "conditional"} // for the origin alone (RFC 9111, 4.3.2)
	}
	key, f := h.key(prefix, r.URL)
	if f != (forward{}) {
		return nil, f
	}
	l := &lookup{Context: r.Context(), h: h, r: r, path: pathOf(key, prefix, r.URL.Path), key: key, wish: noWishes, why: fwdURIMiss}
	if h.cfg.TrustClient {
		l.wish = rules.ParseRequest(r.Header)
	}
	l.ask.r, l.ask.method, l.ask.keep, l.ask.cached = r, r.Method, h.cfg.TrustClient, l.wish.OnlyIfCached
	switch {
	case l.wish.NoStore:
		return nil, forward{fwdBypass, "no-store"}
	case headerSize(r.Header) > maxAskHeader:
		return nil, forward{fwdBypass, "header"}
	case credentialed(r.Header) && h.personal.has(key):
		return nil, forward{fwdURIMiss, "personal"}
	}
	return l, forward{}
}

// pathOf is a path with the prefix of its route: mostly that is what the key begins with.
func pathOf(key, prefix, path string) string {
	if n := len(prefix) + len(path); len(key) >= n && key[len(prefix):n] == path {
		return key[:n]
	}
	return prefix + path
}

// noWishes are those of a request whose Cache-Control does not count.
var noWishes = rules.ParseRequest(nil)

// askedHeader is what the origin is to see of a request's header, if it is a fill: what goes end to end, but for what the response
// may depend on without saying so in Vary; and the Cache-Control, if that is to be kept.
func askedHeader(from http.Header, keep bool) http.Header {
	header := endToEnd(from)
	maps.DeleteFunc(header, func(name string, _ []string) bool {
		return unkeyed[name] || !keep && (name == "Cache-Control" || name == "Pragma")
	})
	return header
}

// endToEnd is a header without what concerns its connection alone (RFC 9110, 7.6.1), and without fields whose names are none. It shares the values.
func endToEnd(from http.Header) http.Header {
	drop := rules.HopByHop(from)
	header := make(http.Header, len(from))
	for name, values := range from {
		if validField(name, "") && !slices.Contains(drop, name) {
			header[name] = values
		}
	}
	return header
}

// unkeyed are fields that applications and frameworks take for the target of the request, or a part of it. They are not a part of the
// key, so whoever could send them could put into the cache what others get (web cache poisoning).
var unkeyed = map[string]bool{
	"Forwarded": true, "X-Forwarded-For": true, "X-Forwarded-Host": true, "X-Forwarded-Proto": true, "X-Forwarded-Port": true, "X-Forwarded-Scheme": true,
	"X-Forwarded-Server": true, "X-Forwarded-Prefix": true, "X-Forwarded-Path": true, "X-Forwarded-Ssl": true, "X-Host": true, "X-Original-Host": true,
	"X-Original-Url": true, "X-Rewrite-Url": true, "X-Override-Url": true, "X-Http-Host-Override": true, "X-Http-Method-Override": true,
	"X-Http-Method": true, "X-Method-Override": true, "X-Real-Ip": true, "X-Client-Ip": true, "True-Client-Ip": true, "X-Wap-Profile": true, "Front-End-Https": true,
}

// key returns the key of u, or the forward of a request that cannot have one. After the prefix of its route, it is
// what the origin is sent as the target of the request, byte for byte: so there is nothing about the path and the query that the origin sees and the key does not.
func (h *Handler) key(prefix string, u *url.URL) (string, forward) {
	query := u.RawQuery
	if query != "" {
		query = h.searches.canonical(prefix+u.Path, query)
	}
	target := u.Path
	if u.RawPath != "" || u.ForceQuery || !isPlain(u.Path) {
		target = (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: query, ForceQuery: u.ForceQuery}).RequestURI()
	} else if query != "" {
		target += "?" + query
	}
	key := prefix + target
	if target[0] != '/' || len(key) > cache.MaxKeyBytes-variantBytes || strings.Contains(target, "\x00") {
		return "", forward{fwdBypass, "target"}
	}
	return key, forward{}
}

// isPlain reports whether a path is the same however it is escaped.
func isPlain(path string) bool {
	for i := range len(path) {
		if !plain[path[i]] {
			return false
		}
	}
	return path != ""
}

var plain = func() (plain [256]bool) {
	for c := range plain {
		plain[c] = '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c < 128 && strings.ContainsRune("-._~/", rune(c))
	}
	return plain
}()

// variantBytes is what the key of a variant has beside its URL's.
const variantBytes = 64

// target returns the URL that key stands for, and the host that the origin sees. It is not ok if key is not one of these origins': then
// the instance that asks for it has others.
func (h *Handler) target(key string) (_ *url.URL, host string, ok bool) {
	to, target, ok := h.sites.ofKey(key)
	if !ok {
		return nil, "", false
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || u.RequestURI() != target {
		return nil, "", false
	}
	u.Scheme, u.Host = to.origin.Scheme, to.origin.Host
	return u, to.host, true
}
