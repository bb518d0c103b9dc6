package peerstest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var writeChecks = []Check{
	{"FenceFields", "A FenceRequest invalidates keys.", 2, checkFenceFields},
	{"ReleaseFields", "A ReleaseRequest ends a hold early.", 2, checkReleaseFields},
	{"StoreFields", "A StoreRequest stores a value that a caller of Set gave.", 2, checkStoreFields},
	{"FenceTwice", "A second delivery of a Fence must happen before its call returns, or not at all.", 2, checkFenceTwice},
	{"StoreOnce", "A StoreRequest is delivered to the Responder at most once.", 2, checkStoreOnce},
}

// sightings are the requests that a Responder got. Some may come twice.
type sightings[T any] struct {
	mu  sync.Mutex // guards all
	all []T
}

func (s *sightings[T]) add(req T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, req)
}

// take returns what was added since it was last called.
func (s *sightings[T]) take() []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	s.all = nil
	return all
}

// checkCrosses sends each of requests, and compares it with what the Responder gets.
func checkCrosses[T any](f *fixture, got *sightings[T], send func(*T) error, requests ...T) {
	f.Helper()
	sent := func(req T) bool {
		return slices.ContainsFunc(requests, func(r T) bool { return reflect.DeepEqual(r, req) })
	}
	for _, want := range requests {
		if err := send(&want); err != nil {
			f.Fatalf("%T: %v", want, err)
		}
		all := got.take()
		if !slices.ContainsFunc(all, func(req T) bool { return reflect.DeepEqual(req, want) }) {
			f.Errorf("sent %s; the Responder got %s", brief(want), brief(all))
		}
		for _, req := range all { // the second delivery of an earlier one may be among them
			if !sent(req) {
				f.Errorf("the Responder got %s, which was never sent", brief(req))
			}
		}
	}
}

// brief describes v in not too many words.
func brief(v any) string { return fmt.Sprintf("%.400s", fmt.Sprintf("%+q", fmt.Sprintf("%+v", v))) }

// emptyToNil makes empty slices one, for comparisons.
func emptyToNil[S ~[]E, E any](s S) S {
	if len(s) == 0 {
		return nil
	}
	return slices.Clone(s)
}

func checkFenceFields(f *fixture) {
	var got sightings[cache.FenceRequest]
	f.attach(1, name, Responder{FenceFunc: func(_ context.Context, req *cache.FenceRequest) error {
		c := *req
		c.Keys = emptyToNil(c.Keys)
		got.add(c)
		return nil
	}})
	send := func(req *cache.FenceRequest) error { return f.peer(0, 1).Fence(f.ctx, req) }
	checkCrosses(f, &got, send,
		cache.FenceRequest{Cache: name, ID: 1, Keys: []string{"k"}, Hold: 5 * time.Second},
		cache.FenceRequest{Cache: name, ID: math.MaxUint64, Keys: anyKeys, Hold: 1234567 * time.Nanosecond},
		cache.FenceRequest{Cache: name, ID: 1 << 63, All: true, Hold: time.Hour},
		cache.FenceRequest{Cache: name, Keys: sequence(1000)},
		cache.FenceRequest{Cache: name, ID: 2, Tags: anyKeys, Hold: time.Second},
	)
}

func checkReleaseFields(f *fixture) {
	var got sightings[cache.ReleaseRequest]
	f.attach(1, name, Responder{ReleaseFunc: func(_ context.Context, req *cache.ReleaseRequest) error {
		c := *req
		c.Keys = emptyToNil(c.Keys)
		got.add(c)
		return nil
	}})
	send := func(req *cache.ReleaseRequest) error { return f.peer(0, 1).Release(f.ctx, req) }
	checkCrosses(f, &got, send,
		cache.ReleaseRequest{Cache: name, ID: 1, Keys: []string{"k"}},
		cache.ReleaseRequest{Cache: name, ID: math.MaxUint64, Keys: anyKeys},
		cache.ReleaseRequest{Cache: name, ID: 1 << 63, All: true},
		cache.ReleaseRequest{Cache: name, ID: 2, Tags: anyKeys},
	)
}

func checkStoreFields(f *fixture) {
	var got sightings[cache.StoreRequest]
	f.attach(1, name, Responder{StoreFunc: func(_ context.Context, req *cache.StoreRequest) error {
		c := *req
		c.Value = emptyToNil(c.Value)
		got.add(c)
		return nil
	}})
	send := func(req *cache.StoreRequest) error { return f.peer(0, 1).Store(f.ctx, req) }
	requests := []cache.StoreRequest{
		{Cache: name, Version: "v2\x00\xff", Key: "k", Fence: math.MaxUint64, Value: []byte("v"), TTL: time.Minute, Stale: time.Hour, Size: 1 << 40},
		{Cache: name, Key: "", TTL: cache.Forever},
		{Cache: name, Key: "tagged", Value: []byte("v"), TTL: time.Minute, Tags: anyTags},
		{Cache: name, Key: "big", Fence: 1, Value: bytes.Repeat([]byte{0, 0xff}, 1<<19), TTL: 1, Stale: 1},
	}
	for _, key := range anyKeys {
		requests = append(requests, cache.StoreRequest{Cache: name, Key: key, Value: []byte("v" + key), TTL: time.Second})
	}
	checkCrosses(f, &got, send, requests...)
}

func checkFenceTwice(f *fixture) {
	var delivered atomic.Int64
	f.attach(1, name, Responder{FenceFunc: func(context.Context, *cache.FenceRequest) error {
		delivered.Add(1)
		return nil
	}})
	p := f.peer(0, 1)
	if err := p.Fence(f.ctx, &cache.FenceRequest{Cache: name, ID: 1, Keys: []string{"k"}}); err != nil {
		f.Fatalf("Fence: %v", err)
	}
	before := delivered.Load()
	if before < 1 {
		f.Errorf("Fence returned nil and was not delivered")
	}
	f.roundTrip(p)
	if after := delivered.Load(); after != before {
		f.Errorf("a Fence was delivered %d times before its call returned, and %d times after", before, after-before)
	}
}

func checkStoreOnce(f *fixture) {
	var delivered atomic.Int64
	f.attach(1, name, Responder{StoreFunc: func(_ context.Context, req *cache.StoreRequest) error {
		delivered.Add(1)
		if req.Key == "fails" {
			panic("a bug in the Responder")
		}
		return nil
	}})
	p := f.peer(0, 1)
	for _, key := range []string{"k", "fails"} { // what failed may have been done: no transport may try again
		before := delivered.Load()
		err := p.Store(f.ctx, &cache.StoreRequest{Cache: name, Key: key, Value: []byte("v")})
		if (err != nil) != (key == "fails") {
			f.Errorf("Store of %q: %v", key, err)
		}
		f.roundTrip(p)
		if n := delivered.Load() - before; n != 1 {
			f.Errorf("one Store of %q was delivered %d times", key, n)
		}
	}
}
