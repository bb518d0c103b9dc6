package cache_test

import (
	"bytes"
	"context"
	"regexp"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Loads leave goroutines for the next ones: a bounded number of them, for a while, and none in a cache that is closed.
func TestGoroutinesOfLoadsEnd(t *testing.T) {
	for _, tt := range []struct {
		name  string
		loads int
		after func(*cache.Cache[string, string])
		want  [2]int // at least and at most
	}{
		{"at once", 10, func(*cache.Cache[string, string]) {}, [2]int{10, 10}},
		{"many at once", 200, func(*cache.Cache[string, string]) {}, [2]int{10, 50}},
		{"half a second later", 10, func(*cache.Cache[string, string]) { time.Sleep(time.Second / 2) }, [2]int{10, 10}},
		{"later", 10, func(*cache.Cache[string, string]) { time.Sleep(3 * time.Second) }, [2]int{0, 0}},
		{"while one is needed now and then", 10, func(c *cache.Cache[string, string]) {
			for range 30 {
				time.Sleep(time.Second / 10)
				_, _ = c.Refresh(context.Background(), "k")
			}
		}, [2]int{1, 1}},
		{"closed", 10, func(c *cache.Cache[string, string]) { _ = c.Close() }, [2]int{0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := open(t, stringConfig{MaxBytes: cache.MinMaxBytes, Load: func(_ context.Context, key string) (cache.Entry[string], error) {
					time.Sleep(time.Millisecond)
					return cache.Entry[string]{Value: key}, nil
				}})
				for range 3 {
					var wg sync.WaitGroup
					for i := range tt.loads {
						wg.Go(func() { _, _ = c.Refresh(t.Context(), string(rune('a'+i))) })
					}
					wg.Wait()
					synctest.Wait()
				}
				tt.after(c)
				synctest.Wait()
				if n := workersHere(); n < tt.want[0] || n > tt.want[1] {
					t.Errorf("%d goroutines are left, want %d to %d", n, tt.want[0], tt.want[1])
				}
			})
		})
	}
}

var bubble = regexp.MustCompile(`synctest bubble \d+`)

// workersHere counts the goroutines of loads in the bubble of its caller.
func workersHere() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	own, _, _ := bytes.Cut(stacks, []byte("\n")) // the caller's comes first
	for _, stack := range bytes.Split(stacks, []byte("\n\n")) {
		head, rest, _ := bytes.Cut(stack, []byte("\n"))
		if bytes.Equal(bubble.Find(head), bubble.Find(own)) && bytes.Contains(rest, []byte(".(*workers).work(")) {
			n++
		}
	}
	return n
}

// A loader that ends its goroutine ends no other's load.
func TestG3GoexitEndsNoWorker(t *testing.T) {
	c := open(t, stringConfig{Load: func(_ context.Context, key string) (cache.Entry[string], error) {
		if key == "exits" {
			runtime.Goexit()
		}
		return cache.Entry[string]{Value: key}, nil
	}})
	for range 100 {
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = c.Get(t.Context(), "exits") }) // which exits as well
		wg.Wait()
		if v, err := c.Refresh(t.Context(), "k"); v != "k" || err != nil {
			t.Fatalf("%q, %v", v, err)
		}
	}
}
