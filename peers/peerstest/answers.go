package peerstest

import (
	"context"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// answers takes the answers of one Get, and watches that they come as cache.Responder promises: once
// for each key, never concurrently, never after Get has returned.
type answers struct {
	t    testing.TB
	keys int
	busy atomic.Bool // deliver is running

	mu       sync.Mutex // guards the fields below
	got      map[int]cache.Answer
	returned bool
}

func newAnswers(t testing.TB, keys int) *answers {
	return &answers{t: t, keys: keys, got: make(map[int]cache.Answer)}
}

func (a *answers) get(ctx context.Context, p cache.Peer, req *cache.GetRequest) error {
	err := p.Get(ctx, req, a.deliver)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.returned = true
	if a.busy.Load() {
		a.t.Errorf("Get returned while deliver was running")
	}
	return err
}

func (a *answers) deliver(i int, ans cache.Answer) {
	if a.busy.Swap(true) {
		a.t.Errorf("deliver was called concurrently")
	}
	defer a.busy.Store(false)
	runtime.Gosched() // gives others the chance to be concurrent
	a.mu.Lock()
	defer a.mu.Unlock()
	_, twice := a.got[i]
	switch {
	case a.returned:
		a.t.Errorf("deliver was called for key %d after Get had returned", i)
	case i < 0 || i >= a.keys:
		a.t.Errorf("deliver was called for key %d of %d", i, a.keys)
	case twice:
		a.t.Errorf("deliver was called twice for key %d", i)
	}
	a.got[i] = ans
}

// all returns a copy of the answers so far.
func (a *answers) all() map[int]cache.Answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.got)
}
