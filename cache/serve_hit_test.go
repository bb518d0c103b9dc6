package cache_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// hit asks r for key in Version v1, with strings whose bytes change afterwards, as those of a read buffer do.
func hit(r cache.Responder, key string) (cache.Answer, bool) {
	buf := []byte("v1" + key)
	a, ok := r.Hit(unsafe.String(&buf[0], 2), unsafe.String(unsafe.SliceData(buf[2:]), len(key)))
	for i := range buf {
		buf[i] = '#'
	}
	return a, ok
}

func TestHitAnswersFromMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		c, r := serving(t, stringConfig{Load: o.load, TTL: 10 * time.Second, Stale: 20 * time.Second})
		if a, ok := hit(r, "k"); ok {
			t.Errorf("before it is loaded: %+v", a)
		}
		wantLoads(t, &o, "k", 0)
		request(t, t.Context(), r, cache.GetRequest{}, "k")
		time.Sleep(4 * time.Second)
		a, ok := hit(r, "k")
		if !ok || string(a.Value) != "k#1" || a.TTL != 6*time.Second || a.Stale != 20*time.Second || a.Loaded || a.Size == 0 {
			t.Errorf("answer: %+v, %v", a, ok)
		}
		if _, ok := r.Hit("v2", "k"); ok {
			t.Error("another Version was answered")
		}
		// What it leaves to Get counts as nothing.
		if s := c.Stats(); s.Served != 2 || s.ServedHits != 1 || s.Misses != 1 || s.Hits != 1 {
			t.Errorf("%d served, %d from memory, %d misses, %d hits; want 2, 1, 1, 1", s.Served, s.ServedHits, s.Misses, s.Hits)
		}
		_ = c.Close()
		if _, ok := hit(r, "k"); ok {
			t.Error("a closed cache answered")
		}
	})
}

// What is stale is answered at once, but for the one request that has it refreshed, which is Get's.
func TestHitOfWhatIsStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		c, r := serving(t, stringConfig{Load: o.load, TTL: 10 * time.Second, Stale: 20 * time.Second})
		request(t, t.Context(), r, cache.GetRequest{}, "k")
		o.set(func(o *source) { o.took = time.Second / 2 })
		time.Sleep(12 * time.Second)
		if a, ok := hit(r, "k"); ok {
			t.Errorf("who is to refresh it: %+v", a)
		}
		if got := request(t, t.Context(), r, cache.GetRequest{}, "k")[0]; string(got.Value) != "k#1" {
			t.Errorf("Get = %+v", got)
		}
		if a, ok := hit(r, "k"); !ok || string(a.Value) != "k#1" || a.TTL > 0 || a.Stale != 18*time.Second {
			t.Errorf("while it is refreshed: %+v, %v", a, ok)
		}
		time.Sleep(time.Second)
		if a, ok := hit(r, "k"); !ok || string(a.Value) != "k#2" {
			t.Errorf("after that: %+v, %v", a, ok)
		}
		if s := c.Stats(); s.Refreshes != 1 {
			t.Errorf("%d refreshes, want 1", s.Refreshes)
		}
	})
}

// Where a function of the program's would have to run, Get is asked.
func TestHitCallsNothingOfThePrograms(t *testing.T) {
	codec := &oddCodec{decode: func([]byte) { t.Error("the Codec ran") }}
	_, r := serving(t, stringConfig{Codec: codec, Negative: time.Hour, Load: func(_ context.Context, key string) (cache.Entry[string], error) {
		if key == "none" {
			return cache.Entry[string]{}, fmt.Errorf("%w: %w", errCause, cache.ErrNotFound)
		}
		return cache.Entry[string]{Value: key}, nil
	}})
	for _, key := range []string{"none", "k"} {
		request(t, t.Context(), r, cache.GetRequest{}, key)
	}
	if a, ok := hit(r, "none"); ok {
		t.Errorf("an error of the loader's: %+v", a)
	}
	if a, ok := hit(r, "k"); !ok || string(a.Value) != `"k"` {
		t.Errorf("an encoding that is kept: %+v, %v", a, ok)
	}
}

// A value that nobody has encoded yet is Get's, which keeps the encoding.
func TestHitOfWhatIsNotEncoded(t *testing.T) {
	peers := &fakePeers{t: t, owners: []cache.Peer{nil}}
	c := open(t, stringConfig{Name: "served", Version: "v1", Peers: peers, Codec: cache.JSON[string]{}, Load: new(source).load})
	wantGet(t, c, "k", "k#1")
	r := peers.responder("served")
	if a, ok := hit(r, "k"); ok {
		t.Errorf("before it is encoded: %+v", a)
	}
	request(t, t.Context(), r, cache.GetRequest{}, "k")
	if a, ok := hit(r, "k"); !ok || string(a.Value) != `"k#1"` {
		t.Errorf("after that: %+v, %v", a, ok)
	}
}

func TestPeekAnswersFromMemoryAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		c, r := serving(t, stringConfig{Load: o.load, TTL: 10 * time.Second, Stale: 20 * time.Second})
		request(t, t.Context(), r, cache.GetRequest{}, "a")
		time.Sleep(12 * time.Second)
		for _, req := range []cache.GetRequest{{Peek: true}, {Peek: true, Reload: true}} {
			got := request(t, t.Context(), r, req, "a", "b")
			if string(got[0].Value) != "a#1" || got[0].TTL > 0 || got[0].Stale != 18*time.Second || got[0].Loaded {
				t.Errorf("what memory has: %+v", got[0])
			}
			if got[1].Status != cache.StatusAbsent {
				t.Errorf("what it does not have: %+v", got[1])
			}
		}
		synctest.Wait()
		wantLoads(t, &o, "a", 1)
		wantLoads(t, &o, "b", 0)
		if s := c.Stats(); s.Refreshes != 0 || s.Flights != 0 {
			t.Errorf("%d refreshes, %d flights", s.Refreshes, s.Flights)
		}
		time.Sleep(20 * time.Second)
		if got := request(t, t.Context(), r, cache.GetRequest{Peek: true}, "a")[0]; got.Status != cache.StatusAbsent {
			t.Errorf("what has expired: %+v", got)
		}
	})
}

// What an instance took over may be served for as long as the owner need not be asked again.
func TestPeekHeedsALease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		_, r := serving(t, stringConfig{Load: o.load, MirrorTTL: 10 * time.Second})
		request(t, t.Context(), r, cache.GetRequest{Takeover: true}, "k")
		if got := request(t, t.Context(), r, cache.GetRequest{Peek: true}, "k")[0]; string(got.Value) != "k#1" {
			t.Errorf("during the lease: %+v", got)
		}
		time.Sleep(10 * time.Second)
		if got := request(t, t.Context(), r, cache.GetRequest{Peek: true}, "k")[0]; got.Status != cache.StatusAbsent {
			t.Errorf("after it: %+v", got)
		}
		if _, ok := hit(r, "k"); ok {
			t.Error("Hit does not heed it")
		}
	})
}

// A Codec is used for strings and byte slices, too, if there is one.
func TestServeStringsWithACodec(t *testing.T) {
	_, r := serving(t, stringConfig{Codec: cache.JSON[string]{}, Load: cache.LoadFunc(func(_ context.Context, key string) (string, error) { return key, nil })})
	for range 2 {
		if got := request(t, t.Context(), r, cache.GetRequest{}, "k")[0]; string(got.Value) != `"k"` {
			t.Errorf("answer: %q", got.Value)
		}
	}
	_, r = serving(t, stringConfig{Load: cache.LoadFunc(func(context.Context, string) (string, error) { return "", nil })})
	request(t, t.Context(), r, cache.GetRequest{}, "k")
	if a, ok := hit(r, "k"); !ok || len(a.Value) != 0 {
		t.Errorf("an empty value: %+v, %v", a, ok)
	}
	if err := r.Get(t.Context(), &cache.GetRequest{Cache: "served", Version: "v2", Keys: []string{"k"}, Peek: true}, nil); !errors.Is(err, cache.ErrVersionMismatch) {
		t.Errorf("a Peek of another Version: %v", err)
	}
}
