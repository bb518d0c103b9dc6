package peerstest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// ErrUnreachable is what errors.Is finds in the error of a call that got no answer: the instance
// is stopped, or nothing came back within the time of [Fleet.SetDetection]. Whether the request
// was executed is not known, unless errors.Is finds cache.ErrPeerDown too: then nothing was sent.
var ErrUnreachable = errors.New("unreachable")

// A link is an instance as another one reaches it. There is one for each pair of
// instances, for ever, so that links are compared by their addresses.
type link struct {
	fleet    *Fleet
	from, to *Instance

	// Guarded by fleet.mu.
	faults Faults
	marked bool // by MarkDown
	found  bool // a call failed while the link was blocked; cleared by the first that finds it open
	counts Counts
}

var _ cache.Peer = (*link)(nil)

// Addr implements cache.Peer.
func (l *link) Addr() string { return l.to.name }

// String returns both ends. Without it, printing a Peer would print the fleet, and race with it.
func (l *link) String() string { return l.from.name + "->" + l.to.name }

// Get implements cache.Peer.
func (l *link) Get(req *cache.GetRequest, timeout time.Duration) cache.Answers {
	return cache.GoGet(l.get, cloneGet(req), timeout)
}

// get is a Get of a Responder's kind. deliver runs on its caller's goroutine.
func (l *link) get(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	m := Message{Kind: KindGet, Cache: req.Cache, Keys: req.Keys}
	var key *hitKey
	if len(req.Keys) == 1 && !req.Reload && !req.Peek {
		key = &hitKey{req.Version, req.Keys[0]}
	}
	return l.call(ctx, m, key, deliver, func(ctx context.Context, r cache.Responder, deliver func(int, cache.Answer)) error {
		return r.Get(ctx, cloneGet(req), deliver)
	})
}

// Hello implements cache.Peer.
func (l *link) Hello(ctx context.Context, req *cache.HelloRequest) (*cache.HelloReply, error) {
	sent := *req
	var reply atomic.Pointer[cache.HelloReply]
	m := Message{Kind: KindHello, Cache: sent.Cache}
	err := l.learning(ctx, m, func(ctx context.Context, r cache.Responder) error {
		copied := sent
		got, err := r.Hello(ctx, &copied)
		if err == nil {
			reply.Store(cloneReply(got))
			if sent.TookOver {
				l.to.tookOver(l.from.index, r)
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return reply.Load(), nil
}

// List implements cache.Peer.
func (l *link) List(ctx context.Context, req *cache.ListRequest) (*cache.ListReply, error) {
	sent := *req
	if req.Slots != nil {
		sent.Slots = new(*req.Slots)
	}
	var reply atomic.Pointer[cache.ListReply]
	err := l.call(ctx, Message{Kind: KindList, Cache: sent.Cache}, nil, nil, func(ctx context.Context, r cache.Responder, _ func(int, cache.Answer)) error {
		copied := sent
		got, err := r.List(ctx, &copied)
		if err == nil {
			reply.Store(&cache.ListReply{Keys: slices.Clone(got.Keys), Versions: slices.Clone(got.Versions), Next: got.Next})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return reply.Load(), nil
}

// learning makes a call after which the caller knows whom the other end knows.
func (l *link) learning(ctx context.Context, m Message, run func(context.Context, cache.Responder) error) error {
	var known atomic.Pointer[map[int]knownAs]
	err := l.call(ctx, m, nil, nil, func(ctx context.Context, r cache.Responder, _ func(int, cache.Answer)) error {
		err := run(ctx, r)
		known.Store(new(l.to.known()))
		return err
	})
	if err == nil && (m.Kind == KindHello || !mutant.On(mutant.NoViewOnAcks)) {
		l.from.learn(*known.Load())
	}
	return err
}

// Fence implements cache.Peer.
func (l *link) Fence(ctx context.Context, req *cache.FenceRequest) error {
	sent := cloneFence(req)
	m := Message{Kind: KindFence, Cache: sent.Cache, Keys: sent.Keys, Tags: sent.Tags, All: sent.All, Fence: sent.ID}
	return l.learning(ctx, m, func(ctx context.Context, r cache.Responder) error {
		return r.Fence(ctx, cloneFence(sent))
	})
}

// Release implements cache.Peer.
func (l *link) Release(ctx context.Context, req *cache.ReleaseRequest) error {
	sent := *req
	sent.Keys, sent.Tags, sent.Gone = slices.Clone(req.Keys), slices.Clone(req.Tags), slices.Clone(req.Gone)
	m := Message{Kind: KindRelease, Cache: sent.Cache, Keys: slices.Clone(req.Keys), Tags: slices.Clone(req.Tags), All: sent.All, Fence: sent.ID}
	return l.call(ctx, m, nil, nil, func(ctx context.Context, r cache.Responder, _ func(int, cache.Answer)) error {
		return r.Release(ctx, &sent)
	})
}

// Store implements cache.Peer.
func (l *link) Store(ctx context.Context, req *cache.StoreRequest) error {
	sent := *req
	sent.Value, sent.Tags = bytes.Clone(req.Value), slices.Clone(req.Tags)
	m := Message{Kind: KindStore, Cache: sent.Cache, Keys: []string{sent.Key}, Fence: sent.Fence}
	return l.call(ctx, m, nil, nil, func(ctx context.Context, r cache.Responder, _ func(int, cache.Answer)) error {
		return r.Store(ctx, &sent)
	})
}

func cloneFence(req *cache.FenceRequest) *cache.FenceRequest {
	c := *req
	c.Keys, c.Tags, c.Gone = slices.Clone(req.Keys), slices.Clone(req.Tags), slices.Clone(req.Gone)
	return &c
}

func cloneReply(r *cache.HelloReply) *cache.HelloReply {
	c := *r
	c.Holds, c.Missed = slices.Clone(r.Holds), slices.Clone(r.Missed)
	for i := range c.Holds {
		c.Holds[i] = *cloneFence(&c.Holds[i])
	}
	for i := range c.Missed {
		m := &c.Missed[i]
		m.Keys, m.Tags = slices.Clone(m.Keys), slices.Clone(m.Tags)
	}
	return &c
}

func cloneGet(req *cache.GetRequest) *cache.GetRequest {
	c := *req
	c.Keys = slices.Clone(req.Keys)
	c.Carried = maps.Clone(req.Carried)
	return &c
}

// unreachable returns the error of a call that got no answer.
func (l *link) unreachable(why string) error {
	return fmt.Errorf("peerstest: %s is %w: %s", l.to.name, ErrUnreachable, why)
}

// down returns the error of a call that was not tried.
func (l *link) down() error {
	return fmt.Errorf("peerstest: %s is %w: %w", l.to.name, ErrUnreachable, cache.ErrPeerDown)
}

// flatten returns what is left of a responder's error when it has crossed the link. It is never the error of
// a context: the responder's is not the caller's.
func (l *link) flatten(err error) error {
	for _, known := range []error{cache.ErrUnknownCache, cache.ErrVersionMismatch} {
		if errors.Is(err, known) {
			return fmt.Errorf("peerstest: at %s: %w", l.to.name, known)
		}
	}
	return fmt.Errorf("peerstest: at %s: %s", l.to.name, err)
}
