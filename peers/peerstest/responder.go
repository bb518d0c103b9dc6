package peerstest

import (
	"context"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A Responder is a cache.Responder made of functions, for tests that have no cache. The zero value has no value for
// any key, and takes every Fence, Release and Store.
type Responder struct {
	MetFunc     func(peers, forgotten []cache.Peer)
	MovedFunc   func()
	ListFunc    func(ctx context.Context, req *cache.ListRequest) (*cache.ListReply, error)
	HelloFunc   func(ctx context.Context, req *cache.HelloRequest) (*cache.HelloReply, error)
	HitFunc     func(version, key string) (a cache.Answer, ok bool)
	GetFunc     func(ctx context.Context, req *cache.GetRequest, deliver func(i int, a cache.Answer)) error
	FenceFunc   func(ctx context.Context, req *cache.FenceRequest) error
	ReleaseFunc func(ctx context.Context, req *cache.ReleaseRequest) error
	StoreFunc   func(ctx context.Context, req *cache.StoreRequest) error
}

var _ cache.Responder = Responder{}

// Hit calls HitFunc, or leaves it to Get if it is nil.
func (r Responder) Hit(version, key string) (a cache.Answer, ok bool) {
	if r.HitFunc != nil {
		return r.HitFunc(version, key)
	}
	return cache.Answer{}, false
}

// Met calls MetFunc, if it is not nil.
func (r Responder) Met(peers, forgotten []cache.Peer) {
	if r.MetFunc != nil {
		r.MetFunc(peers, forgotten)
	}
}

// Moved calls MovedFunc, if it is not nil.
func (r Responder) Moved() {
	if r.MovedFunc != nil {
		r.MovedFunc()
	}
}

// List calls ListFunc, or lists nothing if it is nil.
func (r Responder) List(ctx context.Context, req *cache.ListRequest) (*cache.ListReply, error) {
	if r.ListFunc != nil {
		return r.ListFunc(ctx, req)
	}
	return &cache.ListReply{}, nil
}

// Hello calls HelloFunc, or says that nothing was invalidated if it is nil.
func (r Responder) Hello(ctx context.Context, req *cache.HelloRequest) (*cache.HelloReply, error) {
	if r.HelloFunc != nil {
		return r.HelloFunc(ctx, req)
	}
	return &cache.HelloReply{Life: 1}, nil
}

// Get calls GetFunc, or answers cache.StatusNotFound for every key if it is nil.
func (r Responder) Get(ctx context.Context, req *cache.GetRequest, deliver func(i int, a cache.Answer)) error {
	if r.GetFunc != nil {
		return r.GetFunc(ctx, req, deliver)
	}
	for i := range req.Keys {
		deliver(i, cache.Answer{Status: cache.StatusNotFound})
	}
	return nil
}

// Fence calls FenceFunc, if it is not nil.
func (r Responder) Fence(ctx context.Context, req *cache.FenceRequest) error {
	if r.FenceFunc != nil {
		return r.FenceFunc(ctx, req)
	}
	return nil
}

// Release calls ReleaseFunc, if it is not nil.
func (r Responder) Release(ctx context.Context, req *cache.ReleaseRequest) error {
	if r.ReleaseFunc != nil {
		return r.ReleaseFunc(ctx, req)
	}
	return nil
}

// Store calls StoreFunc, if it is not nil.
func (r Responder) Store(ctx context.Context, req *cache.StoreRequest) error {
	if r.StoreFunc != nil {
		return r.StoreFunc(ctx, req)
	}
	return nil
}
