package cache_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
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

// BenchmarkFetch is a hit at another instance, without what a network would add.
func BenchmarkFetch(b *testing.B) {
	fleet := peerstest.NewFleet(2)
	var caches []*cache.Cache[string, []byte]
	for i := range 2 {
		c, err := cache.New(cache.Config[string, []byte]{
			Name:      "bench",
			Load:      cache.LoadFunc(func(context.Context, string) ([]byte, error) { return make([]byte, 1024), nil }),
			Peers:     fleet.Instance(i),
			MirrorTTL: -1,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		caches = append(caches, c)
	}
	key := ""
	for i := 0; key == ""; i++ {
		for p := range fleet.Instance(0).Owners(fmt.Sprint(i)) {
			if p != nil {
				key = fmt.Sprint(i)
			}
			break
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := caches[0].Get(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}
