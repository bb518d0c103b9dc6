package httpcache

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// A lookup is one request that the cache may answer. It is the request's context, with what a fill is to know of it.
type lookup struct {
	context.Context
	h    *Handler
	r    *http.Request
	path string // with the prefix of its route
	key  string // of what is looked at; the URL's own at first
	wish rules.Request
	ask  ask
	w    http.ResponseWriter

	o     *object
	trace cache.Trace
	why   string // it was not enough to look: the fwd of Cache-Status
	stale bool   // o is served stale
}

// Value implements context.Context.
func (l *lookup) Value(key any) any {
	if key == (askKey{}) {
		return &l.ask
	}
	return l.Context.Value(key)
}

// maxVaryHops bounds how many keys lead to a variant: each has a Vary that nominates other fields than the one before.
const maxVaryHops = 4

// errVary is the error of a URL whose responses nominate other fields each time.
var errVary = errors.New("httpcache: the Vary of the URL's responses leads nowhere")

// get finds the response for the request, or a mark, by get: from memory, or by a fill.
func (l *lookup) get(ctx context.Context, get func(ctx context.Context, key string) (*object, error)) error {
	base := baseOf(l.key)
	l.ask.hints.open(l.w, l.r)
	defer l.ask.hints.close()
	for range maxVaryHops {
		l.trace = cache.Trace{}
		o, err := get(cache.WithTrace(ctx, &l.trace), l.key)
		if err != nil {
			return err
		}
		if o.kind == kindMark || len(o.variant.fields) == 0 {
			l.o = o
			return nil
		}
		values := rules.VaryValues(o.variant.fields, l.r.Header)
		if values == o.variant.values || o.speaks(l.r.Header) {
			l.o = o
			return nil
		}
		l.key = variantKey(base, o.variant.family, o.variant.fields, values)
		l.why = fwdVaryMiss
	}
	return errVary
}

// speaks reports whether a response that varies by the language alone is in the one that a request prefers to all others: so that is what it would get.
func (o *object) speaks(request http.Header) bool {
	language := o.header["Content-Language"]
	if len(o.variant.fields) != 1 || o.variant.fields[0] != "Accept-Language" || len(language) != 1 {
		return false
	}
	preferred := rules.PreferredLanguage(request)
	return preferred != "" && strings.EqualFold(preferred, language[0])
}

// look finds what the cache has, and fills what it has not.
func (l *lookup) look() error {
	get := l.h.cache.Get
	if !l.h.isPatient(l) {
		get = func(ctx context.Context, key string) (*object, error) {
			ctx, end := l.h.watch(ctx, l)
			defer end()
			o, err := l.h.cache.Get(ctx, key)
			if err != nil && context.Cause(ctx) == errImpatient {
				err = errImpatient
			}
			return o, err
		}
	}
	for try := 0; ; try++ {
		err := l.get(l, get)
		if errors.Is(err, cache.ErrNotFound) && !l.ask.cached && try < 3 {
			continue // joined one who did not want the origin to be asked
		}
		return err
	}
}

// A judgement is what is to be done with a response that was found.
type judgement int

const (
	serve          judgement = iota
	serveAndRenew            // it is stale, and validated in the background
	validate                 // first
	forwardUnheard           // to the origin, by this request alone
)

// judge says what is to be done with what was found, by the wishes of the request and of the response.
func (l *lookup) judge(now time.Time) judgement {
	o, p := l.o, &l.o.policy
	if l.trace.Loaded && o.asker == l.ask.ID() {
		return serve // it was loaded for this request
	}
	if o.body.partial && !l.covered() {
		l.why = fwdPartial
		return validate
	}
	age := o.ageAt(now)
	fresh := l.h.isFresh(l.key, o, now)
	switch {
	case l.wish.NoCache, l.wish.MaxAge != rules.Absent && age > l.wish.MaxAge && !(p.immutable && fresh),
		l.wish.MinFresh != rules.Absent && p.lifetime-age < l.wish.MinFresh:
		l.why = fwdRequest
	case fresh:
		if !o.remote && o.isDue(p.lifetime-age) {
			return serveAndRenew
		}
		return serve
	case now.Before(o.retry):
		l.stale = true
		return serve
	case !p.noCache && !p.mustRevalidate && l.wish.MaxStale != rules.Absent && age-p.lifetime <= l.wish.MaxStale:
		return serve
	case !p.noCache && p.whileRevalidate != rules.Absent && age < p.lifetime+p.whileRevalidate:
		return serveAndRenew
	default:
		l.why = fwdStale
	}
	if l.trace.Loaded {
		return forwardUnheard // another one's, and not for this request: nobody is to wait in a row for his own
	}
	return validate
}

// isFresh reports whether the response of a key may be used without validation: as it says itself, and as no soft purge says otherwise.
func (h *Handler) isFresh(key string, o *object, now time.Time) bool {
	return o.isFresh(now) && !h.purges.has(key, o)
}

// isDue reports whether a response that is fresh for so much longer is to be validated in the background now: the sooner, the longer that takes and the more
// requests there are for it, so that hardly any has to wait for it (XFetch; Vattani et al., VLDB 2015).
func (o *object) isDue(left time.Duration) bool {
	return left < maxEarly*o.since && left < o.policy.lifetime/2 && rand.ExpFloat64()*float64(o.since) >= float64(left)
}

// maxEarly is how many times as early as it takes a response is validated at most.
const maxEarly = 8

// covered reports whether what is stored of a body has all that the request asks for.
func (l *lookup) covered() bool {
	ranges, unsatisfiable := l.h.ranges(l)
	if len(ranges) == 0 {
		return unsatisfiable
	}
	return !slices.ContainsFunc(ranges, func(r rules.Range) bool { return !l.o.body.has(r) })
}

// validate has the owner ask the origin whether what was found may be used.
func (l *lookup) validate() error {
	l.ask.than = l.o.asker
	return l.get(l, l.h.cache.Refresh)
}

// renew validates a stale response in the background.
func (h *Handler) renew(l *lookup) {
	key := l.key
	a := &ask{header: askedHeader(l.r.Header, false), than: l.o.asker, behind: true, method: http.MethodGet}
	h.background.start(key, func() {
		if _, err := h.cache.Refresh(withAsk(h.closing, a), key); err != nil && h.closing.Err() == nil {
			h.cfg.Logger.Warn("httpcache: what is stale was not validated", "key", key, "error", err)
		}
	})
}
