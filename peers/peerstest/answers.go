package peerstest

import (
	"context"
	"io"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Get asks p for req and calls deliver with each answer, on its caller's goroutine, until every key was answered. It
// returns as soon as ctx ends, with its error, and the call is over then; else the error of the call. The call's time is
// what is left of ctx's deadline.
func Get(ctx context.Context, p cache.Peer, req *cache.GetRequest, deliver func(i int, a cache.Answer)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	timeout := cache.Forever
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d)
	}
	answers := p.Get(req, timeout)
	defer answers.Close()
	for {
		i, a, err := answers.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		a.Own()
		deliver(i, a)
	}
}

// answers takes the answers of one Get, and watches that they come once for each key.
type answers struct {
	t    testing.TB
	keys int

	mu  sync.Mutex // guards got
	got map[int]cache.Answer
}

func newAnswers(t testing.TB, keys int) *answers {
	return &answers{t: t, keys: keys, got: make(map[int]cache.Answer)}
}

func (a *answers) get(ctx context.Context, p cache.Peer, req *cache.GetRequest) error {
	return Get(ctx, p, req, a.add)
}

func (a *answers) add(i int, ans cache.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_, twice := a.got[i]
	switch {
	case i < 0 || i >= a.keys:
		a.t.Errorf("key %d of %d was answered", i, a.keys)
	case twice:
		a.t.Errorf("key %d was answered twice", i)
	}
	a.got[i] = ans
}

// all returns a copy of the answers so far.
func (a *answers) all() map[int]cache.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.got)
}
