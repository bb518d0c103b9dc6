package peers

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A byte slice that came from another instance is its caller's own, however it came: with the race detector, memory that
// is given back is overwritten.
func TestValuesThatCameStayGood(t *testing.T) {
	var loads atomic.Int64
	nodes := newNodes(t, 3, nil)
	var caches []*cache.Cache[string, []byte]
	for _, n := range nodes {
		c, err := cache.New(cache.Config[string, []byte]{
			Name: "bytes", Peers: n, TTL: 50 * time.Millisecond,
			Load: cache.LoadFunc(func(context.Context, string) ([]byte, error) {
				loads.Add(1)
				return bytes.Repeat([]byte("v"), 100), nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		caches = append(caches, c)
	}
	want := bytes.Repeat([]byte("v"), 100)
	begin := time.Now()
	for loads.Load() < 20 && time.Since(begin) < time.Minute {
		for i, c := range caches {
			if v, err := c.Get(t.Context(), "key"); err != nil || !bytes.Equal(v, want) {
				t.Fatalf("%d got %x, %v", i, v, err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	// An owner may refresh what half of its time is left of.
	if n, d := loads.Load(), time.Since(begin); n < 20 || d < time.Duration(n/2)*25*time.Millisecond {
		t.Errorf("%d loads in %v, with a TTL of 50 ms", n, d)
	}
}
