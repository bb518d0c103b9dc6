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
