//go:build !race

package cache_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// What the cache adds to a hit at another instance, and to one that it is asked for. (The race detector makes
// sync.Pools forget.)
func TestAllocationsOfAFetch(t *testing.T) {
	owner := &instantPeer{value: make([]byte, 1024)}
	peers := &fakePeers{t: t, owners: []cache.Peer{owner, nil}}
	c := open(t, cache.Config[string, []byte]{
		Name: "n", Peers: peers, MirrorTTL: -1,
		Load: func(context.Context, string) (cache.Entry[[]byte], error) {
			return cache.Entry[[]byte]{Value: make([]byte, 1024)}, nil
		},
	})
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
	}
	ctx := t.Context()
	if n := testing.AllocsPerRun(200, func() { _, _ = c.Get(ctx, "k") }); n > 1 {
		t.Errorf("a Get allocates %v times, want the flight alone", n)
	}
	if n := testing.AllocsPerRun(200, func() { _, _ = c.GetMany(ctx, keys) }); n > 15 {
		t.Errorf("a GetMany of %d keys allocates %v times, want no more than 15", len(keys), n)
	}
	peers.owners = []cache.Peer{nil}
	if _, err := c.Get(ctx, "mine"); err != nil {
		t.Fatal(err)
	}
	r := peers.responder("n")
	if n := testing.AllocsPerRun(200, func() {
		if _, ok := r.Hit("", "mine"); !ok {
			t.Error("not in memory")
		}
	}); n > 0 {
		t.Errorf("a Hit allocates %v times", n)
	}
}

// What is kept is a copy of the value, and an entry, with a key of its own. On its way it is an item.
func TestAllocationsOfASet(t *testing.T) {
	c := open(t, cache.Config[string, []byte]{MaxBytes: 1 << 20, Load: loadNothing[[]byte]})
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
	}
	value, i := make([]byte, 100), 0
	set := func() {
		if err := c.Set(t.Context(), keys[i%len(keys)], cache.Entry[[]byte]{Value: value}); err != nil {
			t.Fatal(err)
		}
		i++
	}
	if n := testing.AllocsPerRun(500, set); n > 3 {
		t.Errorf("a Set allocates %v times, want no more than 3", n)
	}
}

// What the cache adds to a load: the flight, and the channel that its caller waits on; the goroutine's task, and its start; what is kept, which
// is an entry and a key; and the test's own value.
func TestAllocationsOfALoad(t *testing.T) {
	value := make([]byte, 1024)
	c := open(t, cache.Config[string, []byte]{MaxBytes: cache.MinMaxBytes, Load: func(context.Context, string) (cache.Entry[[]byte], error) {
		return cache.Entry[[]byte]{Value: value}, nil
	}})
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key-", i)
	}
	ctx, i := t.Context(), 0
	if n := testing.AllocsPerRun(500, func() {
		_, _ = c.Get(ctx, keys[i%len(keys)])
		i++
	}); n > 6 {
		t.Errorf("a Get that loads allocates %v times, want no more than 6", n)
	}
}
