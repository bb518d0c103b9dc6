package peers

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// The guarantees that hang on the transport, with real caches over real sockets.

type loopback struct {
	nodes  []*node
	caches []*cache.Cache[string, string]
	loads  sync.Map // key -> *atomic.Int64
}

// count returns the counter of a key's loads.
func (l *loopback) count(key string) *atomic.Int64 {
	n, _ := l.loads.LoadOrStore(key, new(atomic.Int64))
	return n.(*atomic.Int64)
}

// newLoopback makes n instances that load by calling load.
func newLoopback(t *testing.T, n int, upgraded bool, load func(ctx context.Context, key string) (string, error)) *loopback {
	t.Helper()
	l := &loopback{nodes: newNodes(t, n, quick)}
	for _, node := range l.nodes {
		node.upgrades.Store(upgraded) // before anybody asks it
	}
	for _, node := range l.nodes {
		c, err := cache.New(cache.Config[string, string]{
			Name:  "loopback",
			Peers: node,
			Load: cache.LoadFunc(func(ctx context.Context, key string) (string, error) {
				l.count(key).Add(1)
				return load(ctx, key)
			}),
			LoadTimeout: patience,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			c.Close()
			for _, s := range node.Stats().Peers {
				if s.Transport == "upgraded" && !upgraded || s.Transport == "post" && upgraded {
					t.Errorf("%s is asked by way of %q: %s", s.URL, s.Transport, s.NotUpgraded)
				}
			}
		})
		l.caches = append(l.caches, c)
	}
	for _, c := range l.caches {
		for c.Stats().Joining {
			time.Sleep(time.Millisecond)
		}
	}
	return l
}

// eitherWay runs test with instances that ask each other by POST, and with instances whose connections are upgraded.
func eitherWay(t *testing.T, test func(t *testing.T, upgraded bool)) {
	t.Helper()
	for name, upgraded := range map[string]bool{"post": false, "upgraded": true} {
		t.Run(name, func(t *testing.T) { test(t, upgraded) })
	}
}

func echo(_ context.Context, key string) (string, error) { return "value of " + key, nil }

func TestG1OverLoopback(t *testing.T) { eitherWay(t, testG1OverLoopback) }

func testG1OverLoopback(t *testing.T, upgraded bool) {
	l := newLoopback(t, 3, upgraded, echo)
	var wg sync.WaitGroup
	for i, c := range l.caches {
		for range 8 {
			wg.Go(func() {
				var keys []string
				for k := range 100 {
					key := "key-" + strconv.Itoa(k)
					keys = append(keys, key)
					if v, err := c.Get(t.Context(), key); err != nil || v != "value of "+key {
						t.Errorf("Get(%q) at %d = %q, %v", key, i, v, err)
					}
				}
				if got, err := c.GetMany(t.Context(), append(keys, "more", "and more")); err != nil || len(got) != len(keys)+2 {
					t.Errorf("GetMany at %d: %d values, %v", i, len(got), err)
				}
			})
		}
	}
	wg.Wait()
	l.loads.Range(func(key, n any) bool {
		if n := n.(*atomic.Int64).Load(); n != 1 {
			t.Errorf("%q was loaded %d times", key, n)
		}
		return true
	})
}

// ownedBy returns a key that node i owns.
func (l *loopback) ownedBy(i int) string {
	for n := 0; ; n++ {
		if key := "key-" + strconv.Itoa(n); l.nodes[0].OwnerURL(key) == l.nodes[i].Self() {
			return key
		}
	}
}

// A client that leaves is one waiter; when the last one leaves, the load across the hop ends.
func TestG2OverLoopback(t *testing.T) { eitherWay(t, testG2OverLoopback) }

func testG2OverLoopback(t *testing.T, upgraded bool) {
	began, ended := make(chan struct{}, 10), make(chan error, 10)
	release := make(chan struct{})
	l := newLoopback(t, 3, upgraded, func(ctx context.Context, key string) (string, error) {
		began <- struct{}{}
		select {
		case <-release:
			return key, nil
		case <-ctx.Done():
			ended <- ctx.Err()
			return "", ctx.Err()
		}
	})
	key := l.ownedBy(0)
	leaving, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := l.caches[1].Get(leaving, key); left <- err }()
	<-began
	go func() { _, err := l.caches[2].Get(t.Context(), key); stayed <- err }()
	for l.caches[0].Stats().Served < 2 { // until both are there
		runtime.Gosched()
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left: %v", err)
	}
	close(release)
	if err := <-stayed; err != nil {
		t.Errorf("who stayed: %v", err)
	}

	release = make(chan struct{})
	other := l.ownedBy(1)
	leaving, leave = context.WithCancel(t.Context())
	go func() { _, err := l.caches[0].Get(leaving, other); left <- err }()
	<-began
	leave()
	<-left
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the load goes on although nobody waits for it")
	}
}

func TestG3OverLoopback(t *testing.T) { eitherWay(t, testG3OverLoopback) }

func testG3OverLoopback(t *testing.T, upgraded bool) {
	l := newLoopback(t, 2, upgraded, func(context.Context, string) (string, error) { panic("bang") })
	_, err := l.caches[1].Get(t.Context(), l.ownedBy(0))
	var re *cache.RemoteError
	if !errors.As(err, &re) || re.Status != cache.StatusLoadPanicked || re.Peer != l.nodes[0].Self() {
		t.Errorf("err = %v", err)
	}
}

// Readers everywhere, and a writer whose Removes return: none of them may read what it removed.
func TestG4OverLoopback(t *testing.T) { eitherWay(t, testG4OverLoopback) }

func testG4OverLoopback(t *testing.T, upgraded bool) {
	var versions [5]atomic.Int64 // of the origin
	var floors [5]atomic.Int64   // what a Get that begins now must not be older than
	l := newLoopback(t, 3, upgraded, func(_ context.Context, key string) (string, error) {
		n, err := strconv.Atoi(key)
		if err != nil {
			return "", err
		}
		return fmt.Sprint(versions[n].Load()), nil
	})
	var done atomic.Bool
	var reads atomic.Int64
	var readers, writers sync.WaitGroup
	for _, c := range l.caches {
		for range 3 {
			readers.Go(func() {
				for n := 0; !done.Load(); n = (n + 1) % len(versions) {
					floor := floors[n].Load()
					v, err := c.Get(t.Context(), strconv.Itoa(n))
					if err != nil {
						t.Errorf("Get: %v", err)
						return
					}
					if got, err := strconv.ParseInt(v, 10, 64); err != nil || got < floor {
						t.Errorf("key %d: read version %d after version %d's invalidation had returned", n, got, floor)
						return
					}
					reads.Add(1)
				}
			})
		}
	}
	for n := range versions {
		writers.Go(func() {
			for i := range 100 {
				v, key, c := versions[n].Add(1), strconv.Itoa(n), l.caches[i%3]
				var err error
				switch {
				case i%25 == 0:
					err = c.Clear(t.Context())
				case i%3 == 0:
					err = c.Set(t.Context(), key, cache.Entry[string]{Value: fmt.Sprint(v)})
				default:
					err = c.Remove(t.Context(), key)
				}
				if err != nil {
					t.Errorf("invalidation: %v", err)
				}
				floors[n].Store(v)
			}
		})
	}
	writers.Wait()
	done.Store(true)
	readers.Wait()
	if reads.Load() == 0 {
		t.Error("nothing was read")
	}
}

func TestG8OverLoopback(t *testing.T) { eitherWay(t, testG8OverLoopback) }

func testG8OverLoopback(t *testing.T, upgraded bool) {
	l := newLoopback(t, 3, upgraded, echo)
	var keys []string
	for n := range 60 {
		keys = append(keys, "key-"+strconv.Itoa(n))
	}
	if _, err := l.caches[0].GetMany(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	l.nodes[2].kill()
	var wg sync.WaitGroup
	for _, c := range l.caches[:2] {
		for _, key := range keys {
			wg.Go(func() {
				if v, err := c.Get(t.Context(), key); err != nil || v != "value of "+key {
					t.Errorf("Get(%q) = %q, %v", key, v, err)
				}
			})
		}
	}
	wg.Wait()
	orphans := 0
	for _, key := range keys {
		allowed := int64(1)
		if l.nodes[0].OwnerURL(key) == l.nodes[2].Self() {
			allowed = 2
			orphans++
		}
		if n := l.count(key).Load(); n > allowed {
			t.Errorf("%q was loaded %d times, %d are allowed", key, n, allowed)
		}
	}
	if orphans == 0 {
		t.Error("the instance that died owned nothing")
	}
}
