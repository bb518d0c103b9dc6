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

// A get of 1 KiB over the loopback, by so many callers at once:
//
//	go test ./peers -run '^$' -bench Get -benchmem
func BenchmarkGet(b *testing.B) {
	for _, mode := range []string{"secret", "insecure"} {
		for _, callers := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/callers=%d", mode, callers), func(b *testing.B) {
				_, other, p := pair(b, func(c *Config) {
					if mode == "insecure" {
						c.Secret, c.Insecure = nil, true
					}
				})
				value := bytes.Repeat([]byte("v"), 1<<10)
				other.attach(b, responder{get: func(_ context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
					for i := range q.Keys {
						deliver(i, cache.Answer{Value: value, TTL: time.Minute})
					}
					return nil
				}})
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for c := range callers {
					wg.Go(func() {
						for i := c; i < b.N; i += callers {
							if _, err := get(context.Background(), p, "key"); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
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
