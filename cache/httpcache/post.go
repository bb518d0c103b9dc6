package httpcache

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// keep stores the response to a POST that says that it is what a GET of the same URL would give (RFC 9110, 9.3.3): its
// Content-Location is that URL, and it says explicitly for how long it is fresh. Only a small one, which is read whole before it goes on.
func (h *Handler) keep(resp *http.Response) {
	r := resp.Request
	at := resp.Header["Content-Location"]
	if !h.cfg.StorePost || r.Method != http.MethodPost || resp.StatusCode != http.StatusOK || len(at) != 1 || resp.ContentLength < 0 || resp.ContentLength > h.chunk {
		return
	}
	target, prefix := asked(r)
	u, err := target.Parse(at[0])
	if err != nil || !h.sites.same(u, target) {
		return
	}
	key, f := h.key(prefix, u)
	if own, _ := h.key(prefix, r.URL); f != (forward{}) || key != own {
		return
	}
	explicit := h.rules
	explicit.Heuristic = false
	now := time.Now()
	e := rules.Exchange{Method: http.MethodGet, RequestHeader: r.Header, Status: resp.StatusCode, Header: resp.Header, Sent: now, Arrived: now}
	p, why := rules.Judge(&e, &explicit)
	if why != "" || p.Lifetime <= p.Age || len(p.Vary) > 0 || p.NoCache || len(resp.Trailer) > 0 {
		return
	}
	b := make([]byte, resp.ContentLength)
	n, err := io.ReadFull(resp.Body, b)
	rest := resp.Body
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(b[:n]), rest), rest}
	if err != nil {
		return // the client is to see it
	}
	x := &exchange{h: h, key: key, ask: &ask{id: newID()}, sent: now, arrived: now}
	o := x.object(&e, &p)
	o.body = body{id: newID(), size: int64(n), inline: b}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), invalidateTimeout)
	defer cancel()
	if err := h.cache.Set(ctx, key, cache.Entry[*object]{Value: o, TTL: o.keep, Tags: o.keys}); err != nil {
		h.cfg.Logger.Warn("httpcache: the response to a POST was not stored everywhere", "key", key, "error", err)
	}
}
