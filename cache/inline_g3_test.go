package cache_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// oddCodec does what it is told to before it decodes.
type oddCodec struct {
	cache.JSON[string]
	decode func(src []byte) // nil: nothing
}

func (c *oddCodec) Decode(src []byte) (string, error) {
	if c.decode != nil {
		c.decode(src)
	}
	return c.JSON.Decode(src)
}

// A Codec or a Carrier that does not return reaches all who wait, and wedges nothing.
func TestG3WhatEndsACallersGoroutineReachesEveryWaiter(t *testing.T) {
	calls := map[string]func(ctx context.Context, c *stringCache){
		"Get":     func(ctx context.Context, c *stringCache) { _, _ = c.Get(ctx, "a1") },
		"Refresh": func(ctx context.Context, c *stringCache) { _, _ = c.Refresh(ctx, "a1") },
		"GetMany": func(ctx context.Context, c *stringCache) { _, _ = c.GetMany(ctx, []string{"a1", "a2", "b1", "m1"}) },
	}
	for _, bad := range []struct {
		name  string
		codec func()
		carry func()
		want  func(*testing.T, func())
	}{
		{"Goexit in a Codec", runtime.Goexit, nil, wantGoexit},
		{"Goexit in a Carrier", nil, runtime.Goexit, wantGoexit},
		{"panic in a Carrier", nil, panicsInTheLoader, wantPanic},
	} {
		for name, call := range calls {
			t.Run(bad.name+" in "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					slow := func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
						time.Sleep(time.Second)
						return value(`"V"`)(ctx, req, deliver)
					}
					a, b := &fakePeer{addr: "a", get: slow}, &fakePeer{addr: "b", get: slow}
					codec := new(oddCodec)
					if bad.codec != nil {
						codec.decode = func([]byte) { bad.codec() }
					}
					carry := &oddCarrier{inject: bad.carry}
					o := source{took: 2 * time.Second}
					c := open(t, stringConfig{
						Name: "n", Load: o.load, Codec: codec, Carry: carry,
						Peers: &splitPeers{fakePeers: fakePeers{t: t}, byLetter: map[string]cache.Peer{"a": a, "b": b}},
					})
					var wg sync.WaitGroup
					for range 4 {
						wg.Go(func() { bad.want(t, func() { call(t.Context(), c) }) })
					}
					wg.Wait()
					synctest.Wait()
					if s := c.Stats(); s.Flights != 0 || s.LoadPanics == 0 {
						t.Errorf("%d flights, %d reported; want none and some", s.Flights, s.LoadPanics)
					}
					codec.decode, carry.inject = nil, nil
					wantMany(t, c, "a1 a2 b1", map[string]string{"a1": "V", "a2": "V", "b1": "V"}, nil)
				})
			})
		}
	}
}

// oddCarrier takes a moment, and does what it is told to.
type oddCarrier struct{ inject func() }

func (c *oddCarrier) Inject(context.Context) map[string]string {
	time.Sleep(time.Second)
	if c.inject != nil {
		c.inject()
	}
	return nil
}

func (*oddCarrier) Extract(ctx context.Context, _ map[string]string) context.Context { return ctx }

// A Goexit while the answers of one owner are taken does not take the others' from those who wait for them.
func TestG3AGoexitLeavesTheOtherOwnersCallsToThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := func(d time.Duration, v string) *fakePeer {
			return &fakePeer{addr: v, get: func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
				time.Sleep(d)
				return value(`"`+v+`"`)(ctx, req, deliver)
			}}
		}
		a, b := after(time.Second, "a"), after(2*time.Second, "b")
		codec := &oddCodec{decode: func(src []byte) {
			if string(src) == `"a"` {
				runtime.Goexit()
			}
		}}
		c := open(t, stringConfig{
			Name: "n", Load: loadNothing[string], Codec: codec,
			Peers: &splitPeers{fakePeers: fakePeers{t: t}, byLetter: map[string]cache.Peer{"a": a, "b": b}},
		})
		var wg sync.WaitGroup
		wg.Go(func() {
			wantGoexit(t, func() { _, _ = c.GetMany(t.Context(), []string{"a1", "b1", "b2"}) })
		})
		synctest.Wait()
		wg.Go(func() { wantGet(t, c, "b1", "b") })
		wg.Wait()
		if b.calls.Load() != 1 {
			t.Errorf("%d requests to b, want 1", b.calls.Load())
		}
	})
}

// The panic that a caller sees is the Carrier's, and names its stack.
func TestG3ACarriersPanicIsWrapped(t *testing.T) {
	c, _ := asking(t, stringConfig{Carry: panicCarrier{}}, &fakePeer{addr: "owner", get: value("V")}, nil)
	_, r := ends(func() { _, _ = c.Get(t.Context(), "k") })
	if pe, ok := r.(*singleflight.PanicError); !ok || pe.Value != "no tenant" {
		t.Errorf("recovered %v", r)
	}
}

type panicCarrier struct{ tenantCarrier }

func (panicCarrier) Inject(context.Context) map[string]string { panic("no tenant") }
