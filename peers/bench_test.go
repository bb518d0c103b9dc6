package peers

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A get over the loopback that the other instance answers from memory, by so many callers at once, on an upgraded
// connection and by POST:
//
//	go test ./peers -run '^$' -bench Link -benchmem
func BenchmarkLink(b *testing.B) {
	for _, size := range []int{1 << 10, 64 << 10} {
		for _, callers := range []int{1, 16, 64, 256} {
			for way, pair := range map[string]pairing{"upgraded": upgradedPair, "post": pair} {
				b.Run(fmt.Sprintf("size=%d/callers=%d/%s", size, callers, way), func(b *testing.B) { benchGet(b, pair, size, callers) })
			}
		}
	}
}

func benchGet(b *testing.B, pair pairing, size, callers int) {
	_, other, p := pair(b, nil)
	value := bytes.Repeat([]byte("v"), size)
	other.attach(b, responder{
		hit: func(string, string) (cache.Answer, bool) { return cache.Answer{Value: value, TTL: time.Minute}, true },
		get: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			deliver(0, cache.Answer{Value: value, TTL: time.Minute})
			return nil
		},
	})
	mustAnswer(b, p, size)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			req := &cache.GetRequest{Cache: "c", Keys: []string{fmt.Sprint("key-", c)}}
			for i := c; i < b.N; i += callers {
				as := p.Get(req, 35*time.Second)
				_, a, err := as.Next(context.Background())
				as.Close()
				if err != nil || len(a.Value) != size {
					b.Errorf("%d bytes, %v", len(a.Value), err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A call to a peer that is down.
func BenchmarkGetDown(b *testing.B) {
	_, other, p := pair(b, nil)
	other.kill()
	get(context.Background(), p, "key")
	b.ReportAllocs()
	for b.Loop() {
		get(context.Background(), p, "key")
	}
}

// Signing a request and checking its signature.
func BenchmarkSign(b *testing.B) {
	s := newSigner(testSecret)
	c := credential{to: "http://10.0.0.1:8080/_fleetcache/", from: "http://10.0.0.2:8080/_fleetcache/"}
	b.ReportAllocs()
	for b.Loop() {
		s.request(&c)
	}
}

// Finding who owns a key.
func BenchmarkOwners(b *testing.B) {
	p, err := New(Config{Self: "http://a", Secret: testSecret})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	if err := p.Set(Member{URL: "http://b"}, Member{URL: "http://c"}); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for range p.Owners("user:1000") {
			break
		}
	}
}
