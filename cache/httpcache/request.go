package httpcache

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A forward says why a request goes to the origin: the parameters fwd and detail of Cache-Status. The zero forward
// says that it does not.
type forward struct{ fwd, detail string }

const (
	fwdMethod  = "method"
	fwdBypass  = "bypass"
	fwdURIMiss = "uri-miss"
)

// personal are the fields of a request that no stored response answers, and what Cache-Status calls them. Conditions
// are left to the origin until they are answered from the store.
var personal = []struct{ field, detail string }{
	{"Authorization", "authorization"},
	{"Cookie", "cookie"},
	{"Range", "range"},
	{"If-Match", "conditional"},
	{"If-None-Match", "conditional"},
	{"If-Modified-Since", "conditional"},
	{"If-Unmodified-Since", "conditional"},
	{"If-Range", "conditional"},
	{"Upgrade", "upgrade"},
}

// judgeRequest returns the forward of a request that the cache has no part in.
func judgeRequest(r *http.Request) forward {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return forward{fwd: fwdMethod}
	}
	if r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
		return forward{fwdBypass, "body"}
	}
	for _, p := range personal {
		if _, ok := r.Header[p.field]; ok {
			return forward{fwdBypass, p.detail}
		}
	}
	cc, ok := parseCacheControl(r.Header["Cache-Control"])
	// Pragma counts where there is no Cache-Control (RFC 9111, 5.4).
	pragma := len(cc) == 0 && strings.Contains(strings.ToLower(strings.Join(r.Header["Pragma"], ",")), "no-cache")
	if !ok || pragma || cc.has("no-store", "no-cache", "max-age", "min-fresh") {
		return forward{fwdBypass, "cache-control"}
	}
	return forward{}
}

// key returns the key of u, or the forward of a request that cannot have one. After the origin's scheme
// and host, it is what the origin is sent as the target of the request, byte for byte: so there is nothing about
// the path and the query that the origin sees and the key does not.
func (h *Handler) key(u *url.URL) (string, forward) {
	target := (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}).RequestURI()
	key := h.prefix + target
	if target[0] != '/' || len(key) > cache.MaxKeyBytes {
		return "", forward{fwdBypass, "target"}
	}
	return key, forward{}
}

// target returns the URL that key stands for. It is not ok if key is not one of this origin's: then
// the instance that asks for it has another one.
func (h *Handler) target(key string) (_ *url.URL, ok bool) {
	target, ok := strings.CutPrefix(key, h.prefix)
	if !ok || target == "" || target[0] != '/' {
		return nil, false
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || u.RequestURI() != target {
		return nil, false
	}
	u.Scheme, u.Host = h.origin.Scheme, h.origin.Host
	return u, true
}
