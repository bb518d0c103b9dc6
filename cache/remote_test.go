package cache_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Byte slices and strings cross as they are, without a Codec.
func TestBytesNeedNoCodec(t *testing.T) {
	_, r := serving(t, cache.Config[string, []byte]{Load: func(_ context.Context, key string) (cache.Entry[[]byte], error) {
		return cache.Entry[[]byte]{Value: []byte(key)}, nil
	}})
	odd := "\x00\xff any bytes"
	got := request(t, t.Context(), r, cache.GetRequest{}, odd, "")
	if string(got[0].Value) != odd || len(got[1].Value) != 0 || got[1].Status != cache.StatusOK {
		t.Errorf("answers: %+v", got)
	}
	var stored []byte
	owner := &fakePeer{addr: "owner", get: value(odd), store: func(_ context.Context, req *cache.StoreRequest) error {
		stored = req.Value
		return nil
	}}
	c := open(t, cache.Config[string, []byte]{Name: "bytes", Peers: &fakePeers{t: t, owners: []cache.Peer{owner, nil}}, Load: loadNothing[[]byte]})
	if v, err := c.Get(t.Context(), "k"); string(v) != odd || err != nil {
		t.Errorf("Get = %q, %v", v, err)
	}
	mine := []byte("mine")
	if err := c.Set(t.Context(), "k", cache.Entry[[]byte]{Value: mine}); err != nil || string(stored) != "mine" {
		t.Errorf("Set: %v, stored %q", err, stored)
	}
	copy(mine, "****")
	if string(stored) != "mine" {
		t.Error("what is on its way is the caller's slice")
	}
}

func TestSetOfWhatDoesNotEncodeChangesNothing(t *testing.T) {
	fenced := false
	owner := &fakePeer{addr: "owner", fence: func(context.Context, *cache.FenceRequest) error { fenced = true; return nil }}
	c := open(t, cache.Config[string, *point]{
		Name: "points", Peers: &fakePeers{t: t, owners: []cache.Peer{owner, nil}}, Load: loadNothing[*point],
		SizeOf: func(*point) int64 { return 16 }, Codec: cache.Gob[*point]{},
	})
	var ee *cache.EncodeError
	if err := c.Set(t.Context(), "some key", cache.Entry[*point]{}); !errors.As(err, &ee) || ee.Key != "some key" || ee.Unwrap() == nil || fenced {
		t.Errorf("Set: %v, invalidated: %v; want an EncodeError and no more", err, fenced)
	}
}

// An owner that runs another Version, or not yet the cache, keeps no value: that is no failure.
func TestSetWithAnOwnerOfAnotherVersion(t *testing.T) {
	for _, err := range []error{cache.ErrUnknownCache, cache.ErrVersionMismatch} {
		owner := &fakePeer{addr: "owner", store: func(context.Context, *cache.StoreRequest) error { return err }}
		c, _ := asking(t, stringConfig{}, owner, nil)
		if got := c.Set(t.Context(), "k", cache.Entry[string]{Value: "V"}); got != nil {
			t.Errorf("Set: %v", got)
		}
	}
}

func TestUnreachedErrorNamesAllInOrder(t *testing.T) {
	lost := func(context.Context, *cache.FenceRequest) error { return errDown }
	b, a := &fakePeer{addr: "b:1", fence: lost}, &fakePeer{addr: "a:1", fence: lost}
	c, _ := asking(t, stringConfig{}, nil, b, a)
	keys := slices.Repeat([]string{"k"}, 5000) // more than one fence takes; still one error
	err := c.Remove(t.Context(), keys...)
	want := "cache: the invalidation did not reach a:1 (connection refused), b:1 (connection refused)"
	if err == nil || err.Error() != want {
		t.Errorf("Remove: %v\nwant    %s", err, want)
	}
}

// splitPeers gives keys that begin with another letter to another owner.
type splitPeers struct {
	fakePeers
	byLetter map[string]cache.Peer
}

func (s *splitPeers) Owners(key string) iter.Seq[cache.Peer] {
	return slices.Values([]cache.Peer{s.byLetter[key[:1]], nil})
}

func (s *splitPeers) Owner(key string) cache.Peer { return s.byLetter[key[:1]] }

func TestGetManyAsksEachOwnerOnceAndAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := func(addr string) *fakePeer {
			p := &fakePeer{addr: addr}
			p.get = func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
				time.Sleep(time.Second)
				if addr == "c" {
					return errDown
				}
				return value(addr+": "+strings.Join(req.Keys, " "))(ctx, req, deliver)
			}
			return p
		}
		a, b, c := peer("a"), peer("b"), peer("c")
		o := source{took: time.Second}
		asker := open(t, stringConfig{
			Name: "users", Load: o.load,
			Peers: &splitPeers{fakePeers: fakePeers{t: t}, byLetter: map[string]cache.Peer{"a": a, "b": b, "c": c}},
		})
		begin := time.Now()
		wantMany(t, asker, "a1 b1 a2 m1 c1", map[string]string{"a1": "a: a1 a2", "a2": "a: a1 a2", "b1": "b: b1", "m1": "m1#1", "c1": "c1#1"}, nil)
		if time.Since(begin) != 2*time.Second {
			t.Errorf("took %v, want the time of the failed request and the load in its place", time.Since(begin))
		}
		if a.calls.Load() != 1 || b.calls.Load() != 1 || c.calls.Load() != 1 {
			t.Errorf("%d, %d, %d calls; want one each", a.calls.Load(), b.calls.Load(), c.calls.Load())
		}
	})
}

// Who waits on another instance when the cache is closed is told that it is not there, and asks the next one.
func TestCloseTellsOtherInstancesThatTheCacheIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Hour}
		c, r := serving(t, stringConfig{Load: o.load})
		var wg sync.WaitGroup
		wg.Go(func() {
			err := r.Get(t.Context(), &cache.GetRequest{Cache: "served", Version: "v1", Keys: []string{"a", "b"}}, func(_ int, a cache.Answer) {
				t.Errorf("an answer: %+v", a)
			})
			if !errors.Is(err, cache.ErrUnknownCache) {
				t.Errorf("err = %v, want ErrUnknownCache", err)
			}
		})
		synctest.Wait()
		_ = c.Close()
		wg.Wait()
	})
}

// A mirror is never served stale, but what this instance took over is: and it asks the owner to refresh it.
func TestG8ARefreshOfWhatWasTakenOverAsksTheOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &fakePeer{addr: "owner", get: failing(errDown)}
		c, _ := asking(t, stringConfig{TTL: time.Second, Stale: time.Hour}, owner, nil)
		wantGet(t, c, "k", "k#1")
		owner.get = value("from the owner")
		time.Sleep(2 * time.Second)
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		wantGet(t, c, "k", "from the owner")
	})
}

// While the owner stays away, who took over refreshes in its place.
func TestG8WhoTookOverRefreshesWhileTheOwnerIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &fakePeer{addr: "owner", get: failing(errDown)}
		c, _ := asking(t, stringConfig{TTL: time.Second, Stale: time.Hour}, owner, nil)
		wantGet(t, c, "k", "k#1")
		time.Sleep(2 * time.Second)
		wantGet(t, c, "k", "k#1")
		synctest.Wait()
		wantGet(t, c, "k", "k#2")
	})
}
