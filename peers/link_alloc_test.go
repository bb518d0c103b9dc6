package peers

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A Get that the other instance answers from memory allocates its value here, and next to nothing else at either end.
func TestLinkAllocations(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	value := bytes.Repeat([]byte("v"), 1<<10)
	b.attach(t, responder{hit: func(string, string) (cache.Answer, bool) {
		return cache.Answer{Value: value, TTL: time.Minute}, true
	}})
	linkOf(t, ab)
	req := &cache.GetRequest{Cache: "c", Version: "1", Keys: []string{"key"}}
	got := testing.AllocsPerRun(500, func() {
		as := ab.Get(req, time.Minute)
		_, a, err := as.Next(context.Background())
		as.Close()
		if err != nil || len(a.Value) != len(value) {
			t.Errorf("%d bytes, %v", len(a.Value), err)
		}
	})
	limit := 2.0
	if Raced {
		limit = 20
	}
	if got > limit {
		t.Errorf("%v allocations, at most %v", got, limit)
	}
}

func TestLinkWorks(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{hit: func(_, key string) (cache.Answer, bool) {
		return cache.Answer{Value: valueOf(key), TTL: time.Minute}, true
	}})
	for _, size := range []int{0, 1, 1000, 5000, 65536, 70000, 16 << 20} {
		for range 3 {
			if a, err := get(t.Context(), ab, fmt.Sprint(size, "/k")); err != nil || len(a[0].Value) != size {
				t.Fatalf("%d bytes, want %d: %v", len(a[0].Value), size, err)
			}
		}
		isUpgraded(t, ab)
	}
}
