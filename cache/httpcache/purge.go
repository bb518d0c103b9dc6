package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

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

// purges are the soft purges that an instance has heard of.
type purges struct {
	any atomic.Bool // there are some: what most never have costs a hit no lock

	mu  sync.RWMutex // guards what follows
	at  map[string]purge
	all purge
}

// A purge is the last one of something. It has the same ID on all instances.
type purge struct {
	id string
	at time.Time // when this instance heard of it
}

const (
	// maxPurges bounds the soft purges that an instance remembers. Beyond them, all is stale.
	maxPurges = 4096

	// purgeMargin is how much older a response from another instance is taken to be than it says, since its way here took time; unless it
	// says that the origin was asked for it when the purge was known.
	purgeMargin = 2 * time.Second

	// purgeMemory is for how long responses say so: until the instance that heard of the purge last is beyond the margin.
	purgeMemory = 2*invalidateTimeout + 2*purgeMargin
)

func (ps *purges) note(id, what string, names []string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.any.Store(true)
	p := purge{id, time.Now()}
	if what == softAll || len(ps.at)+len(names) > maxPurges {
		ps.all = p
		clear(ps.at)
		return
	}
	if ps.at == nil {
		ps.at = make(map[string]purge)
	}
	for _, n := range names {
		ps.at[what+n] = p
	}
}

// find reports whether is holds for a purge of the URL with a key, of one of surrogate keys, or of everything.
func (ps *purges) find(key string, keys []string, is func(purge) bool) bool {
	if !ps.any.Load() {
		return false
	}
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	return is(ps.all) || is(ps.at[softURL+baseOf(key)]) || slices.ContainsFunc(keys, func(k string) bool { return is(ps.at[softKeys+k]) })
}

// has reports whether o, which is the response of the URL with a key, has been purged since it was loaded.
func (ps *purges) has(key string, o *object) bool {
	loaded := o.arrived.Add(-o.since)
	if o.remote {
		loaded = loaded.Add(-purgeMargin)
	}
	return ps.find(key, o.keys, func(p purge) bool { return p.at.After(loaded) && !slices.Contains(o.after, p.id) })
}

// before returns the IDs of the latest purges of a response that this instance had heard of when it asked the origin for it.
func (ps *purges) before(sent time.Time, key string, keys []string) (ids []string) {
	ps.find(key, keys, func(p purge) bool {
		if !p.at.After(sent) && sent.Sub(p.at) < purgeMemory && !slices.Contains(ids, p.id) {
			ids = append(ids, p.id)
		}
		return false
	})
	return ids
}
