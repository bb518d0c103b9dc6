package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Purged says what became of a purge. Whoever asks one of those that acknowledged it, from then on, is not answered with what was purged.
type Purged struct {
	Acknowledged []string          // the addresses of instances; "" is the only one of a fleet of one
	Failed       map[string]string // those that could not be reached, and why; they may serve on what they have, for at most MirrorTTL if another one owns it
}

// Purge removes what all instances have for a URL, in all its variants: an absolute URL as clients have it, or as an origin has it; or a path with its query, at all
// origins. If soft is true, it is not removed but
// stale from now on: it is validated before it is served, or served as what is stale may be served.
// An error is about the URL, or cache.ErrClosed. Purge blocks on ctx, and for at most 10 s.
func (h *Handler) Purge(ctx context.Context, rawURL string, soft bool) (Purged, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Purged{}, fmt.Errorf("httpcache: the URL to purge does not parse: %w", err)
	}
	keys := h.keysOf(u)
	if len(keys) == 0 {
		return Purged{}, fmt.Errorf("httpcache: %q cannot be in the cache: use an absolute URL of clients or of an origin; or, without PreserveHost, a path that begins with a slash", rawURL)
	}
	if soft {
		return h.softPurge(ctx, softURL, keys...)
	}
	return h.purged(h.cache.Remove(ctx, keys...))
}

// PurgeKeys is Purge for all that came with one of keys in its Surrogate-Key or Cache-Tag.
func (h *Handler) PurgeKeys(ctx context.Context, keys []string, soft bool) (Purged, error) {
	for _, k := range keys {
		if k == "" || strings.ContainsAny(k, "\x00\r\n") {
			return Purged{}, fmt.Errorf("httpcache: the surrogate key %q is none", k)
		}
	}
	if len(keys) == 0 {
		return Purged{}, errors.New("httpcache: there are no surrogate keys to purge")
	}
	if soft {
		return h.softPurge(ctx, softKeys, keys...)
	}
	return h.purged(h.cache.RemoveTag(ctx, keys...))
}

// PurgeAll is Purge for all that there is.
func (h *Handler) PurgeAll(ctx context.Context, soft bool) (Purged, error) {
	if soft {
		return h.softPurge(ctx, softAll)
	}
	return h.purged(h.cache.Clear(ctx))
}

// purged says what became of an invalidation.
func (h *Handler) purged(err error) (Purged, error) {
	var unreached *cache.UnreachedError
	if err != nil && !errors.As(err, &unreached) {
		return Purged{}, err
	}
	p := Purged{Acknowledged: []string{h.self}}
	if unreached != nil {
		p.Failed = make(map[string]string)
		for addr, err := range unreached.Errors {
			p.Failed[addr] = err.Error()
		}
	}
	if h.cfg.Peers != nil {
		for _, o := range h.cfg.Peers.Others() {
			if _, failed := p.Failed[o.Addr()]; !failed {
				p.Acknowledged = append(p.Acknowledged, o.Addr())
			}
		}
	}
	slices.Sort(p.Acknowledged)
	return p, nil
}

// What is purged softly.
const (
	softURL  = "url"
	softKeys = "keys"
	softAll  = "all"
)

// softPurge has every instance take what it has for stale.
func (h *Handler) softPurge(ctx context.Context, what string, names ...string) (Purged, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*invalidateTimeout)
	defer cancel()
	id := newID()
	h.purges.note(id, what, names)
	p := Purged{Acknowledged: []string{h.self}}
	if h.cfg.Peers == nil {
		return p, nil
	}
	var mu sync.Mutex // guards p
	var wg sync.WaitGroup
	for _, o := range h.cfg.Peers.Others() {
		wg.Go(func() {
			key := directKey(o.Addr(), append([]string{"soft", id, what}, names...)...)
			done, err := h.cache.Get(ctx, key)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil && done.at == o.Addr():
				p.Acknowledged = append(p.Acknowledged, o.Addr())
				return
			case err == nil:
				err = cache.ErrPeerDown // somebody else answered
			}
			if p.Failed == nil {
				p.Failed = make(map[string]string)
			}
			p.Failed[o.Addr()] = err.Error()
		})
	}
	wg.Wait()
	slices.Sort(p.Acknowledged)
	return p, nil
}
