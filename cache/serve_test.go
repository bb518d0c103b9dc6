package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// serving makes a cache, and returns what it answers other instances with. In its view another instance owns every
// key, and it fails the test if the cache asks for that.
func serving[V any](t *testing.T, cfg cache.Config[string, V]) (*cache.Cache[string, V], cache.Responder) {
	t.Helper()
	peers := &fakePeers{t: t, owners: []cache.Peer{&fakePeer{addr: "somebody else"}, nil}}
	peers.serving.Store(true)
	cfg.Name, cfg.Version, cfg.Peers = "served", "v1", peers
	c := open(t, cfg)
	return c, peers.responder("served")
}

// request asks r for keys, and returns the answers, which must come once for each key.
func request(t *testing.T, ctx context.Context, r cache.Responder, req cache.GetRequest, keys ...string) []cache.Answer {
	t.Helper()
	req.Cache, req.Version, req.Keys = "served", "v1", keys
	got := make([]cache.Answer, len(keys))
	times := make([]int, len(keys))
	returned, busy := false, false
	err := r.Get(ctx, &req, func(i int, a cache.Answer) {
		if returned || busy {
			t.Error("deliver is called concurrently, or too late")
		}
		if a.Status == cache.StatusQueued {
			return // the answer comes
		}
		busy = true
		got[i] = a
		times[i]++
		busy = false
	})
	returned = true
	if err != nil {
		t.Errorf("Get(%q): %v", keys, err)
	}
	for i, n := range times {
		if n != 1 {
			t.Errorf("%q was answered %d times", keys[i], n)
		}
	}
	return got
}

func TestServeFromMemoryAndByLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		_, r := serving(t, stringConfig{Load: o.load, TTL: 10 * time.Second, Stale: 20 * time.Second})
		begun := time.Now()
		for _, tt := range []struct {
			at   time.Duration
			req  cache.GetRequest
			want cache.Answer
		}{
			{0, cache.GetRequest{}, cache.Answer{Value: []byte("k#1"), TTL: 10 * time.Second, Stale: 20 * time.Second, Loaded: true}},
			{4 * time.Second, cache.GetRequest{}, cache.Answer{Value: []byte("k#1"), TTL: 6 * time.Second, Stale: 20 * time.Second}},
			{5 * time.Second, cache.GetRequest{Reload: true}, cache.Answer{Value: []byte("k#2"), TTL: 10 * time.Second, Stale: 20 * time.Second, Loaded: true}},
			{20 * time.Second, cache.GetRequest{}, cache.Answer{Value: []byte("k#2"), Stale: 15 * time.Second}}, // and refreshes it behind
			{21 * time.Second, cache.GetRequest{}, cache.Answer{Value: []byte("k#3"), TTL: 9 * time.Second, Stale: 20 * time.Second}},
		} {
			time.Sleep(tt.at - time.Since(begun))
			got := request(t, t.Context(), r, tt.req, "k")[0]
			tt.want.Size = 3
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", tt.want) {
				t.Errorf("after %v:\ngot  %+v\nwant %+v", tt.at, got, tt.want)
			}
			synctest.Wait()
		}
	})
}

func TestServeManyKeys(t *testing.T) {
	var o source
	c, r := serving(t, stringConfig{Load: o.load, LoadMany: o.loadMany})
	request(t, t.Context(), r, cache.GetRequest{}, "b")
	got := request(t, t.Context(), r, cache.GetRequest{}, "a", "b", "c")
	for i, want := range []string{"a#1", "b#1", "c#1"} {
		if string(got[i].Value) != want || got[i].Loaded != (i != 1) || got[i].TTL != cache.Forever {
			t.Errorf("answer %d: %+v, want %s", i, got[i], want)
		}
	}
	if s := c.Stats(); s.Served != 4 || s.ServedHits != 1 || s.Loads != 3 {
		t.Errorf("%d served, %d from memory, %d loads; want 4, 1, 3", s.Served, s.ServedHits, s.Loads)
	}
}

func TestServeFailures(t *testing.T) {
	for _, tt := range []struct {
		key     string
		do      func(ctx context.Context) error
		status  cache.Status
		message string
	}{
		{"gone", func(context.Context) error { return fmt.Errorf("user 7: %w", cache.ErrNotFound) }, cache.StatusNotFound, "user 7"},
		{"failed", func(context.Context) error { return errors.New("no luck") }, cache.StatusLoadFailed, "no luck"},
		{"panicked", func(context.Context) error { panic("odd state") }, cache.StatusLoadPanicked, "the loader panicked: odd state"},
		{"exited", func(context.Context) error { runtime.Goexit(); return nil }, cache.StatusLoadPanicked, "Goexit"},
		{"late", func(ctx context.Context) error { return pause(ctx, time.Hour) }, cache.StatusLoadTimeout, "deadline exceeded"},
		{"hangs", func(ctx context.Context) error { time.Sleep(time.Hour); return nil }, cache.StatusLoadTimeout, "longer than 10s"},
		{"remote", func(context.Context) error {
			return &cache.RemoteError{Peer: "far", Status: cache.StatusLoadTimeout, Message: "at the other end"}
		}, cache.StatusLoadTimeout, "at the other end"},
	} {
		t.Run(tt.key, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, r := serving(t, stringConfig{LoadTimeout: 10 * time.Second, Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
					return cache.Entry[string]{}, tt.do(ctx)
				}})
				got := request(t, t.Context(), r, cache.GetRequest{}, tt.key)[0]
				if got.Status != tt.status || !strings.Contains(got.Message, tt.message) || got.Value != nil || got.TTL > 0 || strings.Contains(got.Message, "goroutine") {
					t.Errorf("answer: %+v; want status %d that says %q", got, tt.status, tt.message)
				}
				if s := c.Stats(); s.Flights != 0 || s.Entries != 0 {
					t.Errorf("%d flights, %d entries are left", s.Flights, s.Entries)
				}
				time.Sleep(2 * time.Hour)
			})
		})
	}
}

func TestServeNegative(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{fails: fmt.Errorf("user 7: %w", cache.ErrNotFound)}
		_, r := serving(t, stringConfig{Load: o.load, Negative: 10 * time.Second})
		for i, ttl := range []time.Duration{10 * time.Second, 6 * time.Second} {
			got := request(t, t.Context(), r, cache.GetRequest{}, "k")[0]
			if got.Status != cache.StatusNotFound || got.TTL != ttl || got.Loaded != (i == 0) || !strings.HasPrefix(got.Message, "user 7") {
				t.Errorf("answer: %+v; want not found for another %v", got, ttl)
			}
			time.Sleep(4 * time.Second)
		}
		wantLoads(t, &o, "k", 1)
	})
}

func TestG10ServeOtherVersionsNothing(t *testing.T) {
	var o source
	c, r := serving(t, stringConfig{Load: o.load})
	deliver := func(int, cache.Answer) { t.Error("an answer to another Version") }
	err := r.Get(t.Context(), &cache.GetRequest{Cache: "served", Version: "v2", Keys: []string{"k"}}, deliver)
	if !errors.Is(err, cache.ErrVersionMismatch) || !strings.Contains(err.Error(), `"v2"`) || !strings.Contains(err.Error(), `"v1"`) {
		t.Errorf("Get: %v, want ErrVersionMismatch with both", err)
	}
	if err := r.Store(t.Context(), &cache.StoreRequest{Cache: "served", Version: "v2", Key: "k", Value: []byte("V")}); !errors.Is(err, cache.ErrVersionMismatch) {
		t.Errorf("Store: %v, want ErrVersionMismatch", err)
	}
	wantLoads(t, &o, "k", 0)
	if _ = request(t, t.Context(), r, cache.GetRequest{}, "k"); c.Stats().Entries != 1 {
		t.Error("the key is not in memory")
	}
	// Fences hold for every Version.
	if err := r.Fence(t.Context(), &cache.FenceRequest{Cache: "served", ID: 1, Keys: []string{"k"}}); err != nil {
		t.Error(err)
	}
	wantPeek(t, c, "k", "")
	_ = c.Close()
	err = r.Get(t.Context(), &cache.GetRequest{Cache: "served", Version: "v1", Keys: []string{"k"}}, deliver)
	if !errors.Is(err, cache.ErrUnknownCache) {
		t.Errorf("Get after Close: %v, want ErrUnknownCache", err)
	}
}

func TestServeStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := serving(t, stringConfig{Load: loadNothing[string]})
		store := func(key string, id uint64, req cache.StoreRequest) {
			t.Helper()
			if err := r.Fence(t.Context(), &cache.FenceRequest{Cache: "served", ID: id, Keys: []string{key}, Hold: time.Second}); err != nil {
				t.Error(err)
			}
			req.Cache, req.Version, req.Key = "served", "v1", key
			if err := r.Store(t.Context(), &req); err != nil {
				t.Error(err)
			}
		}
		store("k", 1, cache.StoreRequest{Fence: 1, Value: []byte("V"), TTL: 10 * time.Second, Stale: time.Second})
		wantPeek(t, c, "k", "V")
		time.Sleep(11*time.Second - 1)
		wantPeek(t, c, "k", "V")
		time.Sleep(time.Nanosecond)
		wantPeek(t, c, "k", "")
		store("overtaken", 3, cache.StoreRequest{Fence: 2, Value: []byte("V"), TTL: cache.Forever})
		wantPeek(t, c, "overtaken", "")
		store("not kept", 4, cache.StoreRequest{Fence: 4, Value: []byte("V")})
		wantPeek(t, c, "not kept", "")
	})
	_, r := serving(t, cache.Config[string, point]{SizeOf: sizeOfPoint, Codec: panickyCodec{}, Load: loadNothing[point]})
	var de *cache.DecodeError
	for _, bad := range []string{"panic", "{"} {
		if err := r.Store(t.Context(), &cache.StoreRequest{Cache: "served", Version: "v1", Key: "k", Value: []byte(bad)}); !errors.As(err, &de) {
			t.Errorf("Store of %q: %v, want a DecodeError", bad, err)
		}
	}
}

func TestCarryReachesTheLoader(t *testing.T) {
	var got any
	_, r := serving(t, stringConfig{Carry: tenantCarrier{}, Load: func(ctx context.Context, _ string) (cache.Entry[string], error) {
		got = ctx.Value(ctxKey{})
		return cache.Entry[string]{}, nil
	}})
	request(t, t.Context(), r, cache.GetRequest{Carried: map[string]string{"tenant": "acme"}}, "k")
	if got != "carried acme" {
		t.Errorf("the loader's context has %v, want what was carried", got)
	}
}
