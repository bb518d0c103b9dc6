package cache_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

type stringConfig = cache.Config[string, string]

// open makes a cache that is closed when the test ends.
func open[V any](t *testing.T, cfg cache.Config[string, V]) *cache.Cache[string, V] {
	t.Helper()
	c, err := cache.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	awaitJoin(c)
	return c
}

// A source numbers its loads of each key: the second load of "k" gets "k#2".
type source struct {
	// mu guards what follows.
	mu    sync.Mutex
	loads map[string]int
	took  time.Duration // what a load takes, if its context does not end before
	fails error         // what it fails with, if not nil
	tags  bool          // each entry has the tag "tag of " and its key
	entry cache.Entry[string]
}

func (o *source) load(ctx context.Context, key string) (cache.Entry[string], error) {
	o.mu.Lock()
	if o.loads == nil {
		o.loads = make(map[string]int)
	}
	o.loads[key]++
	e, took, fails := o.entry, o.took, o.fails
	e.Value = fmt.Sprintf("%s#%d", key, o.loads[key])
	if o.tags {
		e.Tags = []string{"all", "tag of " + key}
	}
	o.mu.Unlock()
	if took > 0 {
		if err := pause(ctx, took); err != nil {
			return cache.Entry[string]{}, err
		}
	}
	if fails != nil {
		return cache.Entry[string]{}, fails
	}
	return e, nil
}

// set changes what the next loads do.
func (o *source) set(change func(*source)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change(o)
}

// count returns how often key was loaded.
func (o *source) count(key string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loads[key]
}

// pause waits for d or for ctx, as a loader that heeds its context does.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wantGet checks what Get returns.
func wantGet(t *testing.T, c *cache.Cache[string, string], key, want string) {
	t.Helper()
	if got, err := c.Get(t.Context(), key); got != want || err != nil {
		t.Errorf("Get(%.40q) = %q, %v; want %q", key, got, err, want)
	}
}

// wantPeek checks what Peek returns, "" for nothing.
func wantPeek(t *testing.T, c *cache.Cache[string, string], key, want string) {
	t.Helper()
	if got, ok := c.Peek(key); got != want || ok != (want != "") {
		t.Errorf("Peek(%.40q) = %q, %v; want %q", key, got, ok, want)
	}
}

// wantLoads checks how often key was loaded.
func wantLoads(t *testing.T, o *source, key string, want int) {
	t.Helper()
	if got := o.count(key); got != want {
		t.Errorf("%q was loaded %d times, want %d", key, got, want)
	}
}

// ends returns how fn ended: with a return, a panic with a value, or runtime.Goexit.
func ends(fn func()) (returned bool, recovered any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { recovered = recover() }()
		fn()
		returned = true
	}()
	<-done
	return returned, recovered
}

// awaitJoin waits until c is a part of its fleet.
func awaitJoin[V any](c *cache.Cache[string, V]) {
	for try := 0; c.Stats().Joining; try++ {
		if try < 1000 {
			runtime.Gosched()
		} else {
			time.Sleep(time.Microsecond)
		}
	}
}
