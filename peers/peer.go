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
	// instance is that which asked this one something last.
	instance atomic.Pointer[instanceID]
	link     atomic.Pointer[link] // for new calls; nil if there is none
	way      way
	slots    chan struct{} // one element for each Get by POST under way
	urgent   chan struct{} // one element for each POST under way that is no Get: loads must not hold it up
	epochs   epochs

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

// urgentConns is how many POSTs that are no Gets may be under way to a peer.
const urgentConns = 16

const (
	// getKeys and getKeyBytes bound the keys of one request; a longer list becomes several requests.
	getKeys     = wire.MaxKeys / 16
	getKeyBytes = minRequestBytes / 2
)

// Get implements cache.Peer. On a link it takes no goroutine.
func (p *peer) Get(req *cache.GetRequest, timeout time.Duration) cache.Answers {
	p.calls.Add(1)
	if l := p.link.Load(); l != nil && len(firstKeys(req.Keys)) == len(req.Keys) {
		if c := l.get(req, timeout); c != nil {
			return c
		}
	}
	return cache.GoGet(p.get, req, timeout)
}

// get begins a call on the link, if that takes one.
func (l *link) get(req *cache.GetRequest, timeout time.Duration) *call {
	q := wire.Request{Verb: wire.Get, Get: req, Timeout: timeout, MaxValue: uint64(l.p.pool.cfg.MaxValueBytes)}
	if need := needs(&q); l.features&need != need {
		return nil
	}
	c, err := newCall(l.p, &q)
	if err != nil {
		return nil
	}
	if !l.start(c, timeout) {
		c.release()
		return nil
	}
	return c
}

// getAgain is get for keys that were asked for on a link that broke.
func (p *peer) getAgain(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	q := &wire.Request{Verb: wire.Get, Get: req, MaxValue: uint64(p.pool.cfg.MaxValueBytes)}
	err := p.callOnce(ctx, q, deliver)
	if err != nil {
		p.failures.Add(1)
	}
	return err
}

// get asks for keys and waits for all answers.
func (p *peer) get(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	part := *req
	for first := 0; first < len(req.Keys); first += len(part.Keys) {
		part.Keys = firstKeys(req.Keys[first:])
		q := &wire.Request{Verb: wire.Get, Get: &part, MaxValue: uint64(p.pool.cfg.MaxValueBytes)}
		if err := p.call(ctx, q, func(i int, a cache.Answer) { deliver(first+i, a) }); err != nil {
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

// Hello implements cache.Peer.
func (p *peer) Hello(ctx context.Context, req *cache.HelloRequest) (*cache.HelloReply, error) {
	var h *cache.HelloReply
	err := p.told(ctx, &wire.Request{Verb: wire.Hello, Hello: req}, func(b []byte) (err error) {
		var known []wire.Known
		if known, h, err = wire.DecodeHello(b); err == nil {
			p.pool.learn(known)
		}
		return err
	})
	if err == nil && h == nil {
		err = p.fault(ErrProtocol, "did not answer a hello", nil)
	}
	return h, err
}

// Fence, unlike Get, is one request however many keys there are, or an error: its ID stands for all of them.
func (p *peer) Fence(ctx context.Context, req *cache.FenceRequest) error {
	q := &wire.Request{Verb: wire.Fence, Fence: req, Views: true, Known: p.pool.current().digest}
	return p.told(ctx, q, func(b []byte) error {
		known, err := wire.DecodeKnown(b)
		if err == nil {
			p.pool.learn(known)
		}
		return err
	})
}

func (p *peer) Release(ctx context.Context, req *cache.ReleaseRequest) error {
	return p.counted(ctx, &wire.Request{Verb: wire.Release, Release: req, Views: true})
}

// told makes a call that has one answer at most, whose value take takes.
func (p *peer) told(ctx context.Context, q *wire.Request, take func([]byte) error) error {
	p.calls.Add(1)
	q.MaxValue = uint64(p.pool.maxRequest())
	var nonsense error
	err := p.call(ctx, q, func(_ int, a cache.Answer) {
		if a.Status != cache.StatusOK {
			nonsense = errors.New(a.Message)
		} else {
			nonsense = take(a.Value)
		}
	})
	if err == nil && nonsense != nil {
		err = p.fault(ErrProtocol, "told what makes no sense", nonsense)
	}
	return err
}

func (p *peer) Store(ctx context.Context, req *cache.StoreRequest) error {
	if max := p.pool.cfg.MaxValueBytes; len(req.Value) > max {
		return p.fault(ErrTooLarge, fmt.Sprintf("was not sent the value, which has %d bytes: Config.MaxValueBytes is %d", len(req.Value), max), nil)
	}
	return p.counted(ctx, &wire.Request{Verb: wire.Store, Store: req})
}

// counted makes a call that has no answers.
func (p *peer) counted(ctx context.Context, q *wire.Request) error {
	p.calls.Add(1)
	return p.call(ctx, q, func(int, cache.Answer) {})
}

// inSlot sends q by POST when fewer than Config.MaxConnsPerPeer other Gets are under way, or fewer than urgentConns
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
		if ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
			// The peer noticed the end of the caller's context, and said so before this side let go of the connection.
			return v, ctx.Err()
		}
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
	err := p.closedError()
	p.health.close(err)
	p.way.mu.Lock()
	p.way.closed = true
	p.way.mu.Unlock()
	for _, l := range p.links() {
		l.fail(err)
	}
}

func (p *peer) closedError() *Error {
	return p.fault(ErrClosed, "is not asked any more: this instance's Pool is closed", nil)
}

// checkRequest returns an error if a request of so many bytes is more than a Pool takes.
func (p *peer) checkRequest(n int) error {
	if limit := p.pool.maxRequest(); n > limit {
		return fmt.Errorf("it has %d bytes, at most %d", n, limit)
	}
	return nil
}

func (p *peer) fault(kind error, detail string, cause error) *Error {
	return &Error{Peer: p.url, Kind: kind, Detail: detail, Cause: cause}
}
