package cache_test

import (
	"context"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// benchCache has n values of 1 KiB in memory.
func benchCache(b *testing.B, n int) (*cache.Cache[string, []byte], []string) {
	b.Helper()
	c, err := cache.New(cache.Config[string, []byte]{
		Load:     cache.LoadFunc(func(context.Context, string) ([]byte, error) { return make([]byte, 1024), nil }),
		MaxBytes: 256 << 20,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	awaitJoin(c)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
		if _, err := c.Get(b.Context(), keys[i]); err != nil {
			b.Fatal(err)
		}
	}
	return c, keys
}

func BenchmarkHit(b *testing.B) {
	c, keys := benchCache(b, 10_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.Get(b.Context(), keys[i%len(keys)]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHitParallel(b *testing.B) {
	c, keys := benchCache(b, 10_000)
	ctx := b.Context()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := c.Get(ctx, keys[i%len(keys)]); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	c, _ := benchCache(b, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.Get(b.Context(), fmt.Sprint("key-", i)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFetch is a hit at another instance, without anything that a transport would add:
//
//	go test ./cache -run '^$' -bench Fetch -benchmem
func BenchmarkFetch(b *testing.B) {
	owner := &instantPeer{value: make([]byte, 1024)}
	c, err := cache.New(cache.Config[string, []byte]{
		Name:      "bench",
		Load:      loadNothing[[]byte],
		Peers:     &fakePeers{owners: []cache.Peer{owner, nil}},
		MirrorTTL: -1,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
	}
	ctx := b.Context()
	b.Run("Get", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if _, err := c.Get(ctx, keys[i%len(keys)]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("GetMany100", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if values, err := c.GetMany(ctx, keys); err != nil || len(values) != len(keys) {
				b.Fatal(len(values), err)
			}
		}
	})
}

// An instantPeer answers every key at once.
type instantPeer struct {
	fakePeer
	value []byte
}

func (p *instantPeer) Get(req *cache.GetRequest, _ time.Duration) cache.Answers {
	a := instants.Get().(*instant)
	*a = instant{value: p.value, left: len(req.Keys)}
	return a
}

var instants = sync.Pool{New: func() any { return new(instant) }}

// instant are the Answers of an instantPeer.
type instant struct {
	value []byte
	left  int
}

func (a *instant) Next(context.Context) (int, cache.Answer, error) {
	if a.left == 0 {
		return 0, cache.Answer{}, io.EOF
	}
	a.left--
	return a.left, cache.Answer{Value: a.value, TTL: time.Minute}, nil
}

func (a *instant) Close() { instants.Put(a) }

// BenchmarkServe is what the other end does for a hit in its memory.
func BenchmarkServe(b *testing.B) {
	peers := &fakePeers{owners: []cache.Peer{nil}}
	c, err := cache.New(cache.Config[string, string]{
		Name: "bench", Peers: peers, TTL: time.Hour,
		Load: cache.LoadFunc(func(context.Context, string) (string, error) { return "value", nil }),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	awaitJoin(c)
	if _, err := c.Get(b.Context(), "key"); err != nil {
		b.Fatal(err)
	}
	r := peers.responder("bench")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.Hit("", "key"); !ok {
			b.Fatal("not in memory")
		}
	}
}
