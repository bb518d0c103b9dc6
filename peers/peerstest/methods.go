package peerstest

import (
	"context"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A method is one of a Responder's, for checks that hold for all of them.
type method struct {
	name string
	call func(context.Context, cache.Peer) error
}

var methods = []method{
	{"Get", func(ctx context.Context, p cache.Peer) error {
		return Get(ctx, p, &cache.GetRequest{Cache: name, Keys: []string{"k"}}, func(int, cache.Answer) {})
	}},
	{"Fence", func(ctx context.Context, p cache.Peer) error {
		return p.Fence(ctx, &cache.FenceRequest{Cache: name, Keys: []string{"k"}})
	}},
	{"Release", func(ctx context.Context, p cache.Peer) error {
		return p.Release(ctx, &cache.ReleaseRequest{Cache: name, Keys: []string{"k"}})
	}},
	{"Store", func(ctx context.Context, p cache.Peer) error {
		return p.Store(ctx, &cache.StoreRequest{Cache: name, Key: "k"})
	}},
}

// alike returns a Responder all of whose methods do the same. Get answers every key if serve returns nil.
func alike(serve func(context.Context) error) Responder {
	return Responder{
		GetFunc: func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			err := serve(ctx)
			for i := range req.Keys {
				if err == nil {
					deliver(i, cache.Answer{})
				}
			}
			return err
		},
		FenceFunc:   func(ctx context.Context, _ *cache.FenceRequest) error { return serve(ctx) },
		ReleaseFunc: func(ctx context.Context, _ *cache.ReleaseRequest) error { return serve(ctx) },
		StoreFunc:   func(ctx context.Context, _ *cache.StoreRequest) error { return serve(ctx) },
	}
}
