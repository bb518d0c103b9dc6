package peerstest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"slices"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// onStoreError returns a Store that changes the error.
func onStoreError(change func(w *wrapped, err error) error) func(*wrapped, context.Context, *cache.StoreRequest) error {
	return func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
		return change(w, w.Peer.Store(ctx, req))
	}
}

var failureMutants = []*mutant{
	{name: "says not found of an unknown cache", caught: "UnknownCache",
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			err := peerstest.Get(ctx, w.Peer, req, deliver)
			if errors.Is(err, cache.ErrUnknownCache) {
				for i := range req.Keys {
					deliver(i, cache.Answer{Status: cache.StatusNotFound})
				}
				return nil
			}
			return err
		}},
	{name: "answers unknown caches with text", caught: "UnknownCache", store: onStoreError(func(_ *wrapped, err error) error {
		if err != nil {
			return errors.New(err.Error())
		}
		return nil
	})},
	{name: "makes a version mismatch an unknown cache", caught: "VersionMismatch", store: onStoreError(func(_ *wrapped, err error) error {
		if errors.Is(err, cache.ErrVersionMismatch) {
			return cache.ErrUnknownCache
		}
		return err
	})},
	{name: "does not say where an error happened", caught: "OtherErrors", store: onStoreError(func(_ *wrapped, err error) error {
		if err != nil && !errors.Is(err, cache.ErrUnknownCache) && !errors.Is(err, cache.ErrVersionMismatch) {
			return errors.New("it failed")
		}
		return err
	})},
	{name: "takes the responder's deadline for the caller's", caught: "OtherErrors", store: onStoreError(func(w *wrapped, err error) error {
		if err != nil && bytes.Contains([]byte(err.Error()), []byte("deadline")) {
			return fmt.Errorf("at %s: %w", w.Addr(), context.DeadlineExceeded)
		}
		return err
	})},
	{name: "dies of a panic", caught: "Panic", store: onStoreError(func(w *wrapped, err error) error {
		f := w.home.family
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.leaked["dead"] != nil || err != nil && bytes.Contains([]byte(err.Error()), []byte("panic")) {
			f.leaked["dead"] = true
			return fmt.Errorf("%s is gone", w.Addr())
		}
		return nil
	})},
	{name: "waits for a stopped instance", caught: "Stopped", store: onStoreError(func(w *wrapped, err error) error {
		if errors.Is(err, peerstest.ErrUnreachable) {
			time.Sleep(time.Minute)
		}
		return err
	})},
	{name: "does not say that an instance is down", caught: "KnownDown", store: onStoreError(func(_ *wrapped, err error) error {
		if errors.Is(err, cache.ErrPeerDown) {
			return errors.New(err.Error())
		}
		return err
	})},
	{name: "takes every failure for an instance that is down", caught: "OtherErrors", store: onStoreError(func(w *wrapped, err error) error {
		if err != nil && !errors.Is(err, cache.ErrUnknownCache) && !errors.Is(err, cache.ErrVersionMismatch) {
			return fmt.Errorf("at %s: %w", w.Addr(), cache.ErrPeerDown)
		}
		return err
	})},
	{name: "takes a broken connection for a cancelled call", caught: "StoppedMeanwhile", store: onStoreError(func(w *wrapped, err error) error {
		if errors.Is(err, peerstest.ErrUnreachable) {
			return fmt.Errorf("at %s: %w", w.Addr(), context.Canceled)
		}
		return err
	})},
	{name: "tries a Store again when the connection broke", caught: "StoreOnceStopped",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			err := w.Peer.Store(ctx, req)
			synctest.Wait() // until the second try has arrived
			return err
		},
		attach: func(m *mutated, name string, r cache.Responder) (func(), error) {
			return m.Instance.Attach(name, peerstest.Responder{StoreFunc: func(ctx context.Context, req *cache.StoreRequest) error {
				err := r.Store(ctx, req)
				if ctx.Err() != nil {
					return r.Store(ctx, req)
				}
				return err
			}})
		}},
	{name: "has no limit of its own", caught: "Hung",
		fence: func(w *wrapped, ctx context.Context, req *cache.FenceRequest) error {
			for {
				err := w.Peer.Fence(ctx, req)
				if !errors.Is(err, peerstest.ErrUnreachable) {
					return err
				}
				time.Sleep(time.Minute)
				if w.home.family.take("tried often enough") == nil {
					w.home.family.put("tried often enough", true)
					continue
				}
				return err
			}
		}},
}

var writeMutants = []*mutant{
	{name: "loses Hold", caught: "FenceFields",
		fence: func(w *wrapped, ctx context.Context, req *cache.FenceRequest) error {
			c := *req
			c.Hold = 0
			return w.Peer.Fence(ctx, &c)
		}},
	{name: "takes tags for keys", caught: "FenceFields",
		fence: func(w *wrapped, ctx context.Context, req *cache.FenceRequest) error {
			c := *req
			c.Keys, c.Tags = append(c.Keys, c.Tags...), nil
			return w.Peer.Fence(ctx, &c)
		}},
	{name: "loses the tags of a Store", caught: "StoreFields",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			c := *req
			c.Tags = nil
			return w.Peer.Store(ctx, &c)
		}},
	{name: "counts fences in 63 bits", caught: "ReleaseFields",
		free: func(w *wrapped, ctx context.Context, req *cache.ReleaseRequest) error {
			c := *req
			c.ID &^= 1 << 63
			return w.Peer.Release(ctx, &c)
		}},
	{name: "loses the fence of a Store", caught: "StoreFields",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			c := *req
			c.Fence = 0
			return w.Peer.Store(ctx, &c)
		}},
	{name: "fences again later", caught: "FenceTwice",
		fence: func(w *wrapped, ctx context.Context, req *cache.FenceRequest) error {
			w.home.family.put("later", func() { _ = w.Peer.Fence(ctx, req) })
			return w.Peer.Fence(ctx, req)
		},
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			if later, ok := w.home.family.take("later").(func()); ok {
				later()
			}
			return peerstest.Get(ctx, w.Peer, req, deliver)
		}},
	{name: "forgets to fence", caught: "FenceTwice",
		fence: func(*wrapped, context.Context, *cache.FenceRequest) error { return nil }},
	{name: "stores twice", caught: "StoreOnce",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			return errors.Join(w.Peer.Store(ctx, req), w.Peer.Store(ctx, req))
		}},
	{name: "tries a failed Store again", caught: "StoreOnce",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			if err := w.Peer.Store(ctx, req); err == nil {
				return nil
			}
			return w.Peer.Store(ctx, req)
		}},
	{name: "keeps the sender's value", caught: "StoreIsOwned",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			w.home.family.put("value", req.Value)
			return w.Peer.Store(ctx, req)
		},
		attach: func(m *mutated, name string, r cache.Responder) (func(), error) {
			return m.Instance.Attach(name, peerstest.Responder{StoreFunc: func(ctx context.Context, req *cache.StoreRequest) error {
				req.Value = m.family.take("value").([]byte)
				return r.Store(ctx, req)
			}})
		}},
}

var viewMutants = []*mutant{
	{name: "replaces what is attached", caught: "AttachTakenName",
		attach: func(m *mutated, name string, r cache.Responder) (func(), error) {
			if old, ok := m.family.take(m.Instance.Self() + name).(func()); ok {
				old()
			}
			detach, err := m.Instance.Attach(name, r)
			m.family.put(m.Instance.Self()+name, detach)
			return detach, err
		}},
	{name: "does not detach", caught: "Detach",
		attach: func(m *mutated, name string, r cache.Responder) (func(), error) {
			_, err := m.Instance.Attach(name, r)
			return func() {}, err
		}},
	{name: "takes names for prefixes", caught: "ManyCaches", get: onRequest(func(req *cache.GetRequest) {
		if len(req.Cache) > 5 && req.Cache[:5] == "users" {
			req.Cache = "users"
		}
	})},
	{name: "is its own peer", caught: "FleetOfOne",
		owners: func(m *mutated, key string) iter.Seq[cache.Peer] {
			return func(yield func(cache.Peer) bool) { yield(&self{}) }
		}},
	{name: "has an address of its own", caught: "Self", self: func(m *mutated) string { return m.Instance.Self() + "/" }},
	{name: "leaves itself out", caught: "OwnersComplete",
		owners: func(m *mutated, key string) iter.Seq[cache.Peer] {
			return func(yield func(cache.Peer) bool) {
				for p := range m.Instance.Owners(key) {
					if p != nil && !yield(p) {
						return
					}
				}
			}
		}},
	{name: "asks itself first", caught: "OwnersAgree",
		owners: func(m *mutated, key string) iter.Seq[cache.Peer] {
			return slices.Values(append([]cache.Peer{nil}, m.Instance.Others()...))
		}},
	{name: "asks the second first", caught: "Owner",
		owner: func(m *mutated, key string) cache.Peer {
			var second cache.Peer
			n := 0
			for p := range m.Owners(key) {
				if second = p; n == 1 {
					break
				}
				n++
			}
			return second
		}},
	{name: "allocates", caught: "Owner",
		owner: func(m *mutated, key string) cache.Peer {
			m.family.put("key", []byte(key))
			return m.wrap(m.Instance.Owner(key))
		}},
	{name: "hashes badly", caught: "OwnersSpread",
		owners: func(m *mutated, key string) iter.Seq[cache.Peer] {
			h := fnv.New64()
			h.Write([]byte(key[:min(len(key), 5)]))
			return m.Instance.Owners(fmt.Sprint(h.Sum64()))
		}},
	{name: "comes next for all that others own", caught: "Preceding",
		preceding: func(m *mutated) iter.Seq2[cache.Peer, *cache.Slots] {
			return func(yield func(cache.Peer, *cache.Slots) bool) {
				for p := range m.Instance.Preceding() {
					all := new(cache.Slots)
					for i := range all {
						all[i] = 0xff
					}
					if !yield(p, all) {
						return
					}
				}
			}
		}},
	{name: "does not say that it took over", caught: "TookOver",
		hello: func(w *wrapped, ctx context.Context, req *cache.HelloRequest) (*cache.HelloReply, error) {
			return w.Peer.Hello(ctx, &cache.HelloRequest{Cache: req.Cache})
		}},
	{name: "sees an instance twice", caught: "Others",
		others: func(m *mutated) []cache.Peer {
			var all []cache.Peer
			for _, p := range m.Instance.Others() {
				all = append(all, m.wrap(p))
			}
			return append(all, all[0])
		}},
	{name: "makes a Peer for each look", caught: "PeersComparable",
		others: func(m *mutated) []cache.Peer {
			var all []cache.Peer
			for _, p := range m.Instance.Others() {
				all = append(all, &wrapped{p, m})
			}
			return all
		}},
}

// self is an instance that reaches itself.
type self struct {
	peerstest.Responder
}

func (*self) Addr() string { return "self" }

func (s *self) Get(req *cache.GetRequest, timeout time.Duration) cache.Answers {
	return cache.GoGet(s.Responder.Get, req, timeout)
}
