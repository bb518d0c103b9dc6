package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

const (
	markTTL       = 10 * time.Second // how long a mark keeps requests from being collapsed
	markTTLFailed = time.Second      // after a status of 500 or more

	// retryAfter is for how long an origin that failed is not asked again for what is served stale.
	retryAfter = time.Second

	// wholeWithin is for how long a small body is waited for, so that those who wait have it with the header.
	wholeWithin = 2 * time.Millisecond
)

var errOtherOrigin = errors.New("httpcache: another instance asks for a URL of another origin: give all the same Config.Origins")

// load is the cache's loader.
func (h *Handler) load(ctx context.Context, key string) (cache.Entry[*object], error) {
	switch key[0] {
	case keyResponse:
		return h.fill(ctx, key)
	case keyChunk:
		return h.loadChunk(ctx, key)
	case keyDirect:
		return h.answerDirect(ctx, key)
	}
	return cache.Entry[*object]{}, fmt.Errorf("httpcache: there is no key %q", key)
}

// fill asks the origin, for everybody. What it returns is to be shared, or a mark: a response that must not be shared does not get out of
// here but to the one who asked.
func (h *Handler) fill(ctx context.Context, key string) (cache.Entry[*object], error) {
	a := askOf(ctx)
	stored := h.storedAt(key)
	if stored != nil && a.than != "" && stored.asker != a.than && h.isSettled(key, stored) {
		return again(stored), nil // somebody has validated it since
	}
	if a.anew {
		stored = nil
	}
	if a.cached {
		return cache.Entry[*object]{}, cache.ErrNotFound
	}
	done, err := h.turn(ctx, key)
	if err != nil {
		return cache.Entry[*object]{}, err
	}
	h.count.fills.Add(1)
	defer h.askers.begin(key, a.ID())()
	x := h.newExchange(ctx, key, a, stored, done)
	if err := x.send(); err != nil {
		x.done()
		h.count.fillErrors.Add(1)
		h.cfg.Logger.Warn("httpcache: the origin did not answer", "key", key, "error", err)
		if stored != nil && stored.maySurvive(time.Now(), false) {
			return again(stored.despite()), nil
		}
		return cache.Entry[*object]{}, err
	}
	return x.answer()
}

// isSettled reports whether o, which is newer than what was found not to be good enough, need not be validated itself: it may be stale by now as
// well, when an instance asks that has not mirrored it. If it were handed out, none who asked could use it, and each would go to the origin alone.
func (h *Handler) isSettled(key string, o *object) bool {
	now := time.Now()
	return h.isFresh(key, o, now) || now.Before(o.retry)
}

// turn waits until this instance may ask the origin once more at the same time.
func (h *Handler) turn(ctx context.Context, key string) (done func(), err error) {
	select {
	case h.turns <- struct{}{}:
	default:
		// Not for all of FillTimeout: then those who wait would be told of a time-out, and not why.
		ctx, cancel := context.WithTimeout(ctx, h.cfg.FillTimeout/2)
		defer cancel()
		select {
		case h.turns <- struct{}{}:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: the fill of %q had no turn in time (MaxFills: %d)", cache.ErrOverloaded, key, h.cfg.MaxFills)
		}
	}
	return func() { <-h.turns }, nil
}

// storedAt is the response that this instance's memory has for key, be it stale or under a mark; nil if there is none.
func (h *Handler) storedAt(key string) *object {
	o, ok := h.cache.Peek(key)
	switch {
	case !ok:
		return nil
	case o.kind == kindMark:
		return o.beneath
	}
	return o
}

// again is the entry of a response that is kept as it is.
func again(o *object) cache.Entry[*object] {
	return cache.Entry[*object]{Value: o, TTL: max(o.left(time.Now()), 1), Tags: o.keys}
}

// maySurvive reports whether o may be served stale since the origin failed: it did not answer, or with a status of 500 or more
// (RFC 9111, 4.2.4; RFC 5861, 4).
func (o *object) maySurvive(now time.Time, answered bool) bool {
	p := &o.policy
	if p.ifError != rules.Absent {
		return o.ageAt(now) < p.lifetime+p.ifError
	}
	return !answered && !p.mustRevalidate && !p.noCache
}

// despite is o after the origin failed.
func (o *object) despite() *object {
	served := *o
	served.retry = time.Now().Add(retryAfter)
	return &served
}

// answer makes an entry of the origin's response.
func (x *exchange) answer() (cache.Entry[*object], error) {
	resp, stored := x.resp, x.stored
	validated := x.validates(resp)
	switch {
	case stored != nil && resp.StatusCode >= 500 && stored.maySurvive(x.arrived, true):
		x.discard()
		return again(stored.despite()), nil
	case validated && (resp.StatusCode == http.StatusNotModified || resp.Request.Method == http.MethodHead && resp.StatusCode == http.StatusOK):
		if rules.CanFreshen(stored.header, stored.body.size, resp.Header, resp.Request.Method == http.MethodHead) {
			return x.freshened()
		}
		if resp.StatusCode == http.StatusNotModified {
			return x.again()
		}
		fallthrough
	case resp.Request.Method == http.MethodHead:
		return x.mark(whyHead)
	}
	e := rules.Exchange{Method: http.MethodGet, RequestHeader: x.ask.Header(), Status: resp.StatusCode, Header: resp.Header, Sent: x.sent, Arrived: x.arrived}
	p, why := rules.Judge(&e, &x.h.rules)
	if why == rules.WhyPartial && len(resp.Request.Header["Range"]) > 0 {
		return x.part(&e, &p)
	}
	if why == "" {
		why = x.refused()
	}
	if why == "" {
		o := x.object(&e, &p)
		if why = x.h.tooMany(o, x.key); why == "" {
			return x.shared(o)
		}
	}
	return x.mark(why)
}

// validates reports whether the request was one that validates what is stored.
func (x *exchange) validates(resp *http.Response) bool {
	h := resp.Request.Header
	return x.stored != nil && (len(h["If-None-Match"]) > 0 || len(h["If-Modified-Since"]) > 0 || resp.Request.Method == http.MethodHead)
}

// discard ends an exchange of which nothing more is wanted.
func (x *exchange) discard() {
	x.resp.Body.Close()
	x.done()
}

// again asks once more, for all of it: the origin says that something is not modified which is not what is stored.
func (x *exchange) again() (cache.Entry[*object], error) {
	x.resp.Body.Close()
	x.stored, x.all = nil, true
	if err := x.send(); err != nil {
		x.done()
		return cache.Entry[*object]{}, err
	}
	return x.answer()
}

// refused is why a response that may be shared is not, "" if it is.
func (x *exchange) refused() string {
	resp := x.resp
	switch {
	case resp.ContentLength > x.h.cfg.MaxObjectBytes:
		return whyTooLarge
	case len(resp.Trailer) > 0, resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && resp.Close:
		return whyFraming
	case headerSize(resp.Header) > maxStoredHeader:
		return whyTooLarge
	case x.h.cfg.CheckTypes && deceives(x.key, resp.Header):
		return whyType
	}
	return ""
}

// Why a response is not stored, beside what package rules says.
const (
	whyTooLarge = "too-large" // over MaxObjectBytes, or its header
	whyFraming  = "framing"   // a trailer; or a body that ends with the connection, so that nobody can tell whether it is whole
	whyVariants = "variants"  // its URL has too many
	whyHead     = "head"      // it is one to a HEAD, and says that what is stored is not what there is
	whyType     = "type"      // its Content-Type is not what its path ends in (Config.CheckTypes)
)

// maxStoredHeader bounds the header of a response that is stored, in bytes.
const maxStoredHeader = 64 << 10

func headerSize(h http.Header) (n int) {
	lines := 0
	for name, values := range h {
		for _, v := range values {
			n += len(name) + len(v)
			lines++
		}
	}
	if lines > maxLines {
		return maxStoredHeader + 1
	}
	return n
}

// originError is err, such that a time-out of any kind is a context.DeadlineExceeded: other
// instances are told of it as one.
func originError(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("httpcache: %w: %w", context.DeadlineExceeded, err)
	}
	return fmt.Errorf("httpcache: %w", err)
}

func isTimeout(err error) bool { return errors.Is(originError(err), context.DeadlineExceeded) }
