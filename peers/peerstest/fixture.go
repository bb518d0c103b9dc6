package peerstest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// patience is how long the suite waits for what should happen at once, on a machine as slow as they come.
const patience = 20 * time.Second

// name is the cache that checks ask for if its name does not matter.
const name = "cache"

// A fixture is what a check works with: its test and its fleet.
type fixture struct {
	testing.TB
	Subject
	addrs []string // by instance

	// ctx ends with the check, and after patience.
	ctx context.Context
	// over is closed when the check ends, whichever way. Responders that wait, wait for it too.
	over chan struct{}
}

func newFixture(t testing.TB, s Subject) *fixture {
	t.Helper()
	f := &fixture{TB: t, Subject: s, over: make(chan struct{})}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	f.ctx = ctx
	t.Cleanup(func() {
		cancel()
		close(f.over)
	})
	f.addrs = f.resolve()
	return f
}

// resolve finds the address of every instance: it is the one that the others see and itself does not.
func (f *fixture) resolve() []string {
	f.Helper()
	if len(f.Peers) == 1 {
		return []string{"self"}
	}
	all := make(map[string]bool)
	for _, p := range f.Peers {
		for _, o := range p.Others() {
			all[o.Addr()] = true
		}
	}
	if len(all) != len(f.Peers) {
		f.Fatalf("the instances have %d addresses: %v; want %d", len(all), all, len(f.Peers))
	}
	addrs := make([]string, len(f.Peers))
	for i, p := range f.Peers {
		own := make(map[string]bool)
		for a := range all {
			own[a] = true
		}
		for _, o := range p.Others() {
			delete(own, o.Addr())
		}
		if len(own) != 1 {
			f.Fatalf("instance %d sees all others but %v; want all but itself", i, own)
		}
		for a := range own {
			addrs[i] = a
		}
	}
	return addrs
}

// peer returns instance to as from reaches it.
func (f *fixture) peer(from, to int) cache.Peer {
	f.Helper()
	others := f.Peers[from].Others()
	i := slices.IndexFunc(others, func(p cache.Peer) bool { return p.Addr() == f.addrs[to] })
	if i < 0 {
		f.Fatalf("instance %d does not see %s", from, f.addrs[to])
	}
	return others[i]
}

// attach attaches r to instance i, and detaches it when the check ends.
func (f *fixture) attach(i int, name string, r cache.Responder) (detach func()) {
	f.Helper()
	detach, err := f.Peers[i].Attach(name, r)
	if err != nil {
		f.Fatalf("Attach(%q): %v", name, err)
	}
	once := sync.OnceFunc(detach)
	f.Cleanup(once)
	return once
}

// start runs call on a goroutine and returns a channel that gets its result.
func start(call func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	return done
}

// await returns what comes from c, and fails the check if nothing does.
func await[T any](f *fixture, c <-chan T, what string) T {
	f.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		f.Fatalf("still waiting after %v: %s", patience, what)
		panic("unreachable")
	}
}

// waitFor blocks a Responder until c is closed or the check ends.
func (f *fixture) waitFor(c <-chan struct{}) {
	select {
	case <-c:
	case <-f.over:
	}
}

// get makes a Get whose answers it returns by index. It fails the check on an error.
func (f *fixture) get(p cache.Peer, keys ...string) map[int]cache.Answer {
	f.Helper()
	return f.request(p, &cache.GetRequest{Cache: name, Keys: keys})
}

func (f *fixture) request(p cache.Peer, req *cache.GetRequest) map[int]cache.Answer {
	f.Helper()
	answers, err := f.try(f.ctx, p, req)
	if err != nil {
		f.Fatalf("Get of %d keys at %s: %v", len(req.Keys), p.Addr(), err)
	}
	for i := range req.Keys {
		if _, ok := answers[i]; !ok {
			f.Fatalf("Get returned nil without an answer for key %d of %d", i, len(req.Keys))
		}
	}
	return answers
}

// try makes a Get, and returns the answers that came and its error.
func (f *fixture) try(ctx context.Context, p cache.Peer, req *cache.GetRequest) (map[int]cache.Answer, error) {
	f.Helper()
	a := newAnswers(f, len(req.Keys))
	err := a.get(ctx, p, req)
	return a.all(), err
}

// roundTrip asks something that crosses after everything that went before it.
func (f *fixture) roundTrip(p cache.Peer) {
	f.Helper()
	_, _ = f.try(f.ctx, p, &cache.GetRequest{Cache: "no cache has this name", Keys: []string{"k"}})
}

// echo answers every key with itself as the value.
func echo(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	for i, key := range req.Keys {
		deliver(i, cache.Answer{Value: []byte(key), TTL: time.Minute})
	}
	return nil
}
