package httpcache

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Whoever says who he is, by a Cookie or Authorization, may be about to get what is for him alone. If he waits for another one's fill, he
// waits for the header of a response that he must not have, and then once more for his own. So he does not wait for long, unless
// what is answered to such requests under the same path has been for everybody of late.

const (
	// An impatient request waits for another one's fill for a twentieth of what the origin takes on average.
	patienceShare = 20
	minPatience   = 2 * time.Millisecond
	maxPatience   = time.Second

	// evidenceTime is for how long it counts what was answered under a path.
	evidenceTime = 10 * time.Minute
)

var errImpatient = errors.New("httpcache: another one's fill, which may be for him alone, takes too long")

// isPatient reports whether a request may wait for another one's fill.
func (h *Handler) isPatient(l *lookup) bool {
	if !credentialed(l.r.Header) {
		return true
	}
	dir := dirOf(baseOf(l.key))
	return h.shared.has(dir) && !h.personal.has(dir)
}

// noteEvidence notes whether the answer to a request with credentials may be for everybody.
func (h *Handler) noteEvidence(l *lookup, personal bool) {
	if !credentialed(l.r.Header) {
		return
	}
	base := baseOf(l.key)
	if personal {
		h.personal.note(base, markTTL)
		h.personal.note(dirOf(base), evidenceTime)
	} else {
		h.shared.note(dirOf(base), evidenceTime)
	}
}

// dirOf is the path of a URL's key up to its last slash.
func dirOf(key string) string {
	key, _, _ = strings.Cut(key, "?")
	return key[:strings.LastIndexByte(key, '/')+1]
}

// watch ends the returned context if l waits for another one's fill for too long.
func (h *Handler) watch(ctx context.Context, l *lookup) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	patience := min(max(time.Duration(h.latency.Load())/patienceShare, minPatience), maxPatience)
	key, id := l.key, l.ask.ID()
	timer := time.AfterFunc(patience, func() {
		for {
			// l.trace belongs to the call that waits.
			switch h.askerOf(cache.WithTrace(ctx, new(cache.Trace)), key) {
			case id:
				return
			case "": // the fill has yet to begin
			default:
				cancel(errImpatient)
				return
			}
			select {
			case <-time.After(patience):
				patience = min(2*patience, maxPatience)
			case <-ctx.Done():
				return
			}
		}
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// askerOf is the ID of the request that a fill of key is under way for, at its owner; "" if there is none.
func (h *Handler) askerOf(ctx context.Context, key string) string {
	if h.cfg.Peers != nil {
		if owner := h.cfg.Peers.Owner(place(key)); owner != nil {
			o, err := h.cache.Get(ctx, directKey(owner.Addr(), "who", newID(), key))
			if err != nil {
				return ""
			}
			return o.asker
		}
	}
	return h.askers.get(key)
}

// askers are the requests that fills are under way for, by key.
type askers struct {
	mu    sync.Mutex // guards byKey
	byKey map[string]string
}

func (as *askers) get(key string) string {
	as.mu.Lock()
	defer as.mu.Unlock()
	return as.byKey[key]
}

// begin notes a fill, until end is called.
func (as *askers) begin(key, id string) (end func()) {
	as.mu.Lock()
	defer as.mu.Unlock()
	if as.byKey == nil {
		as.byKey = make(map[string]string)
	}
	as.byKey[key] = id
	return func() {
		as.mu.Lock()
		defer as.mu.Unlock()
		if as.byKey[key] == id {
			delete(as.byKey, key)
		}
	}
}

// latency is how long the origin takes to answer, about, in nanoseconds.
type latency struct{ atomic.Int64 }

func (l *latency) add(d time.Duration) {
	old := l.Load()
	if old == 0 {
		l.Store(int64(d))
		return
	}
	l.Store(old + (int64(d)-old)/8) // one that is lost does not matter
}
