package peerstest_test

import (
	"context"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// skewed is an instance whose clock is fast, in a fleet that sends times of day.
type skewed struct {
	cache.Peers
	by time.Duration
}

func (s *skewed) Attach(name string, r cache.Responder) (func(), error) {
	return s.Peers.Attach(name, &skewedResponder{r, s.by})
}

type skewedResponder struct {
	cache.Responder
	by time.Duration
}

func (r *skewedResponder) skew(a cache.Answer) cache.Answer {
	if a.TTL > 0 && a.TTL != cache.Forever {
		a.TTL += r.by
	}
	return a
}

func (r *skewedResponder) Hit(version, key string) (cache.Answer, bool) {
	a, ok := r.Responder.Hit(version, key)
	return r.skew(a), ok
}

func (r *skewedResponder) Get(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	return r.Responder.Get(ctx, req, func(i int, a cache.Answer) { deliver(i, r.skew(a)) })
}

// forwarding is an instance that gets what others ask it for as its own callers do: from the owner, as it sees it.
type forwarding struct {
	cache.Peers
	n *node
}

func (f *forwarding) Attach(name string, r cache.Responder) (func(), error) {
	return f.Peers.Attach(name, &forwardingResponder{r, f.n})
}

type forwardingResponder struct {
	cache.Responder
	n *node
}

func (r *forwardingResponder) Hit(string, string) (cache.Answer, bool) { return cache.Answer{}, false }

func (r *forwardingResponder) Get(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	c := r.n.cache.Load()
	if c == nil || req.Peek || len(req.Keys) > 1 {
		return r.Responder.Get(ctx, req, deliver)
	}
	v, err := c.Get(ctx, req.Keys[0])
	if err == nil {
		deliver(0, cache.Answer{Value: []byte(v), Loaded: true})
	}
	return err
}
