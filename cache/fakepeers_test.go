package cache_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// fakePeers is a view that a test writes down: owners is the order for every key, nil is this process.
type fakePeers struct {
	t      *testing.T
	owners []cache.Peer

	// serving says that all that goes on serves other instances: nobody may ask who owns a key.
	serving atomic.Bool

	// mu guards what follows.
	mu       sync.Mutex
	attached map[string]cache.Responder
}

func (f *fakePeers) Attach(name string, r cache.Responder) (func(), error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.attached == nil {
		f.attached = make(map[string]cache.Responder)
	}
	if f.attached[name] != nil {
		return nil, errors.New("the name is taken")
	}
	f.attached[name] = r
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.attached, name)
	}, nil
}

// responder returns what is attached to name.
func (f *fakePeers) responder(name string) cache.Responder {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.attached[name]
}

func (f *fakePeers) Owners(key string) iter.Seq[cache.Peer] {
	if f.serving.Load() {
		f.t.Errorf("asked who owns %q while serving", key)
	}
	return slices.Values(f.owners)
}

func (f *fakePeers) Self() string { return "self" }

func (f *fakePeers) Owner(key string) cache.Peer {
	if f.serving.Load() {
		f.t.Errorf("asked who owns %q while serving", key)
	}
	if len(f.owners) == 0 {
		return nil
	}
	return f.owners[0]
}

func (f *fakePeers) Others() []cache.Peer {
	return slices.DeleteFunc(slices.Clone(f.owners), func(p cache.Peer) bool { return p == nil })
}

func (f *fakePeers) Former(string) iter.Seq[cache.Peer] { return func(func(cache.Peer) bool) {} }

func (f *fakePeers) Gained() iter.Seq2[cache.Peer, *cache.Slots] {
	return func(func(cache.Peer, *cache.Slots) bool) {}
}

func (f *fakePeers) Preceding() iter.Seq2[cache.Peer, *cache.Slots] { return f.Gained() }

func (f *fakePeers) Slot(string) int { return 0 }

func (f *fakePeers) Left(cache.Peer) bool { return false }

func (f *fakePeers) Forget([]string) bool { return false }

// fakePeer is another instance that a test writes down. What is nil succeeds.
type fakePeer struct {
	addr  string
	get   func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error
	fence func(ctx context.Context, req *cache.FenceRequest) error
	store func(ctx context.Context, req *cache.StoreRequest) error

	calls atomic.Int32 // of Get
}

func (p *fakePeer) Addr() string { return p.addr }

func (p *fakePeer) Get(req *cache.GetRequest, timeout time.Duration) cache.Answers {
	p.calls.Add(1)
	get := p.get
	if get == nil {
		get = failing(errors.New("not in the script"))
	}
	return cache.GoGet(get, req, timeout)
}

func (p *fakePeer) List(context.Context, *cache.ListRequest) (*cache.ListReply, error) {
	return &cache.ListReply{}, nil
}

func (p *fakePeer) Hello(context.Context, *cache.HelloRequest) (*cache.HelloReply, error) {
	return &cache.HelloReply{Life: 1}, nil
}

func (p *fakePeer) Fence(ctx context.Context, req *cache.FenceRequest) error {
	if p.fence == nil {
		return nil
	}
	return p.fence(ctx, req)
}

func (p *fakePeer) Release(context.Context, *cache.ReleaseRequest) error { return nil }

func (p *fakePeer) Store(ctx context.Context, req *cache.StoreRequest) error {
	if p.store == nil {
		return nil
	}
	return p.store(ctx, req)
}

// answers is a fakePeer.get that gives every key the same answer.
func answers(a cache.Answer) func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
	return func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		for i := range req.Keys {
			deliver(i, a)
		}
		return nil
	}
}

// failing is a fakePeer.get that answers nothing.
func failing(err error) func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
	return func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error { return err }
}
