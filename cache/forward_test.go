package cache_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Whatever another instance asks for, this one has no way to ask a third: two that disagree on the owner of a
// key wait for nobody but the loader. (serving makes the fake fail the test otherwise.)
func TestG5ServingSideNeverAsksWhoOwns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Second}
		c, r := serving(t, stringConfig{Load: o.load, LoadMany: o.loadMany, TTL: 10 * time.Second, Stale: time.Hour})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { request(t, t.Context(), r, cache.GetRequest{}, "a") })
			wg.Go(func() { request(t, t.Context(), r, cache.GetRequest{}, "a", "b", "c") })
			wg.Go(func() { request(t, t.Context(), r, cache.GetRequest{Reload: true}, "a") })
		}
		wg.Wait()
		time.Sleep(20 * time.Second)
		request(t, t.Context(), r, cache.GetRequest{}, "a", "b") // stale: refreshed behind
		_ = r.Fence(t.Context(), &cache.FenceRequest{Cache: "served", ID: 1, Keys: []string{"a"}, Hold: time.Second})
		_ = r.Store(t.Context(), &cache.StoreRequest{Cache: "served", Version: "v1", Key: "a", Fence: 1, Value: []byte("A"), TTL: time.Hour})
		_ = r.Release(t.Context(), &cache.ReleaseRequest{Cache: "served", ID: 1, Keys: []string{"a"}})
		_ = r.Fence(t.Context(), &cache.FenceRequest{Cache: "served", ID: 2, All: true, Hold: time.Second})
		_ = r.Release(t.Context(), &cache.ReleaseRequest{Cache: "served", ID: 2, All: true})
		request(t, t.Context(), r, cache.GetRequest{}, "a")
		time.Sleep(2 * time.Second)
		if s := c.Stats(); s.Fetches != 0 || s.Refreshes != 2 || s.Served != 18 {
			t.Errorf("%d fetches, %d refreshes, %d served; want 0, 2, 18", s.Fetches, s.Refreshes, s.Served)
		}
	})
}

// Two instances that each take the other for the owner: the family's caches deadlock the key.
func TestFamilyNoForwarding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Second}
		views := []*fakePeers{{t: t}, {t: t}}
		var caches []*stringCache
		for i, view := range views {
			other := &fakePeer{addr: fmt.Sprint("instance ", 1-i)}
			other.get = func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
				return views[1-i].responder("users").Get(ctx, req, deliver)
			}
			view.owners = []cache.Peer{other, nil}
			caches = append(caches, open(t, stringConfig{Name: "users", Peers: view, Load: o.load}))
		}
		begin := time.Now()
		var wg sync.WaitGroup
		for _, c := range caches {
			for range 5 {
				wg.Go(func() {
					if _, err := c.Get(t.Context(), "k"); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if o.count("k") != 2 || time.Since(begin) != time.Second {
			t.Errorf("%d loads in %v, want one extra load and no wait", o.count("k"), time.Since(begin))
		}
	})
}
