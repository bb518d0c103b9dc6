package httpcache

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// invalidateTimeout bounds how long a response waits for instances that do not answer.
const invalidateTimeout = 2 * time.Second

// invalidate removes what every instance holds for the URL of an unsafe request that the origin has heeded, and for those of the same origin that its
// Location and Content-Location name (RFC 9111, 4.4). It is called before the client learns of that: whoever then asks, anywhere, gets what is new.
// Whether all instances could be reached does not matter to the client, whose request is done.
func (h *Handler) invalidate(resp *http.Response) {
	if safe(resp.Request.Method) || resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return
	}
	target, prefix := asked(resp.Request)
	urls := []*url.URL{target}
	for _, name := range [...]string{"Location", "Content-Location"} {
		for _, line := range resp.Header[name] {
			if u, err := target.Parse(line); err == nil && h.sites.same(u, target) {
				urls = append(urls, u)
			}
		}
	}
	var keys []string
	for _, u := range urls {
		if key, f := h.key(prefix, u); f == (forward{}) && !slices.Contains(keys, key) { // others cannot be stored
			keys = append(keys, key)
		}
	}
	// The origin has heeded the request, whether or not the client is still there.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(resp.Request.Context()), invalidateTimeout)
	defer cancel()
	if err := h.cache.Remove(ctx, keys...); err != nil {
		h.cfg.Logger.Warn("httpcache: not all instances were invalidated", "method", resp.Request.Method, "keys", keys, "error", err)
	}
}

// safe reports whether requests with the method change nothing at the origin (RFC 9110, 9.2.1). Methods that are
// not known may do anything.
func safe(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}
