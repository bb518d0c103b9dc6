package peers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A peer is another instance, as this one reaches it. It lives for as long as its URL stays
// in the view, and as its users hold it.
type peer struct {
	pool   *Pool
	url    string
	health health
	slots  chan struct{} // one element for each Get under way
	urgent chan struct{} // one element for each call under way that is no Get: loads must not hold it up
	epochs epochs

	// grant is the challenge to sign the next request with, nil if there is none. Each is
	// replaced by the first reply that brings a newer one.
	grant atomic.Pointer[grant]
	// number is the last number that a request was signed with. It begins at random, and is not used again for
	// as long as the peer lives, so that no two requests are signed alike even if the
	// same challenge is granted twice.
	number atomic.Uint64

	calls, failures atomic.Uint64
}

var _ cache.Peer = (*peer)(nil)

func newPeer(p *Pool, url string) *peer {
	pr := &peer{
		pool:   p,
		url:    url,
		health: health{url: url, pingAfter: p.cfg.PingAfter},
		slots:  make(chan struct{}, p.cfg.MaxConnsPerPeer),
		urgent: make(chan struct{}, urgentConns),
	}
	pr.number.Store(rand.Uint64N(1 << 61))
	return pr
}

func (p *peer) Addr() string { return p.url }

// urgentConns is how many calls that are no Gets may be under way to a peer.
const urgentConns = 16

const (
	// getKeys and getKeyBytes bound the keys of one request; a longer list becomes several requests.
	getKeys     = wire.MaxKeys / 16
	getKeyBytes = minRequestBytes / 2
)

func (p *peer) Get(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	part := *req
	for first := 0; first < len(req.Keys); first += len(part.Keys) {
		part.Keys = firstKeys(req.Keys[first:])
		q := &wire.Request{Verb: wire.Get, Get: &part, MaxValue: uint64(p.pool.cfg.MaxValueBytes)}
		err := p.call(ctx, q, func(i int, a cache.Answer) { deliver(first+i, a) })
		if err != nil {
			return err
		}
	}
	return nil
}

// firstKeys returns as many of the keys as go into one request, and one at least.
func firstKeys(keys []string) []string {
	bytes := 0
	for i, k := range keys {
		if bytes += len(k) + 4; i > 0 && (i == getKeys || bytes > getKeyBytes) {
			return keys[:i]
		}
	}
	return keys
}

// Fence, unlike Get, is one request however many keys there are, or an error: its ID stands for all of them.
func (p *peer) Fence(ctx context.Context, req *cache.FenceRequest) error {
	return p.call(ctx, &wire.Request{Verb: wire.Fence, Fence: req}, nil)
}

func (p *peer) Release(ctx context.Context, req *cache.ReleaseRequest) error {
	return p.call(ctx, &wire.Request{Verb: wire.Release, Release: req}, nil)
}

func (p *peer) Store(ctx context.Context, req *cache.StoreRequest) error {
	if max := p.pool.cfg.MaxValueBytes; len(req.Value) > max {
		return p.fault(ErrTooLarge, fmt.Sprintf("was not sent the value, which has %d bytes: Config.MaxValueBytes is %d", len(req.Value), max), nil)
	}
	return p.call(ctx, &wire.Request{Verb: wire.Store, Store: req}, nil)
}

// call sends q and hands each answer to deliver. It returns when the reply has ended, the peer goes
// down, or ctx ends.
//
// This is the seam between what is asked of a peer and how it travels: exchange makes one POST of a
// request, and a connection that carries many requests at once would take its place.
func (p *peer) call(ctx context.Context, q *wire.Request, deliver func(int, cache.Answer)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p.calls.Add(1)
	callCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w, watch, err := p.health.begin(time.Now(), cancel)
	if err != nil {
		p.failures.Add(1)
		return err
	}
	if watch && !p.pool.monitor.watch(p) {
		p.close()
	}
	ended := false
	defer func() {
		if !ended { // deliver panicked
			p.health.end(time.Now(), w, unknown, nil)
		}
	}()
	v, err := p.inSlot(callCtx, q, deliver)
	ended = true
	if err != nil {
		v, err = whose(ctx, callCtx, v, err)
		p.failures.Add(1)
	}
	if p.health.end(time.Now(), w, v, err) {
		p.pool.log.Warn("peers: peer is down", "peer", p.url, "error", err)
		p.pool.monitor.poke()
	}
	return err
}

// inSlot sends q when fewer than Config.MaxConnsPerPeer other Gets are under way, or fewer than urgentConns
// other invalidations.
func (p *peer) inSlot(ctx context.Context, q *wire.Request, deliver func(int, cache.Answer)) (verdict, error) {
	slots := p.urgent
	if q.Verb == wire.Get {
		slots = p.slots
	}
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
		return p.exchange(ctx, q, deliver, func() { p.health.heard(time.Now()) })
	case <-ctx.Done():
		return unknown, context.Cause(ctx)
	}
}

// whose finds out who ended a call that failed with err: the caller, whose context is ctx; the Pool,
// because the peer went down; or nobody, and err stands.
func whose(ctx, callCtx context.Context, v verdict, err error) (verdict, error) {
	if v == answered {
		return v, err
	}
	if ctx.Err() != nil {
		return unknown, ctx.Err()
	}
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		// A dialer notices the deadline by a timer of its own, a moment before the context does.
		return unknown, context.DeadlineExceeded
	}
	if callCtx.Err() != nil {
		return unknown, context.Cause(callCtx)
	}
	return v, err
}

// ping returns nil if the peer gives sign of life, be it that it has too much to do.
func (p *peer) ping(ctx context.Context, timeout time.Duration) error {
	v, err := p.exchange(ctx, &wire.Request{Verb: wire.Ping}, nil, func() {})
	switch {
	case errors.Is(err, ErrOverloaded):
		return nil
	case err != nil && ctx.Err() == nil && v == unknown:
		return errNothingSent
	case err != nil && ctx.Err() != nil:
		return p.fault(ErrUnreachable, fmt.Sprintf("did not answer a ping within %v", timeout), nil)
	}
	return err
}

// close makes every call fail, now and from now on.
func (p *peer) close() {
	p.health.close(p.fault(ErrClosed, "is not asked any more: this instance's Pool is closed", nil))
}

func (p *peer) fault(kind error, detail string, cause error) *Error {
	return &Error{Peer: p.url, Kind: kind, Detail: detail, Cause: cause}
}
