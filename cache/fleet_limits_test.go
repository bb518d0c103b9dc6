package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

func TestG6MirrorsIncluded(t *testing.T) {
	const maxBytes = cache.MinMaxBytes
	inFleet(t, 3, func(_ int, c *config) {
		c.MaxBytes = maxBytes
		c.Load = func(_ context.Context, key string) (cache.Entry[string], error) {
			return cache.Entry[string]{Value: strings.Repeat("v", len(key)*len(key)%3000)}, nil
		}
	}, func(f *fleet) {
		var wg sync.WaitGroup
		for i, c := range f.caches {
			for g := range 4 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(i), uint64(g)))
					for range 800 {
						n := rng.IntN(1 + rng.IntN(400)) // low ones often
						f.get(i, fmt.Sprint(n, strings.Repeat("k", n%50)))
						if s := c.Stats(); s.Bytes > maxBytes || s.MirrorBytes > s.Bytes {
							t.Errorf("%d bytes at %d, %d of mirrors; %d allowed", s.Bytes, i, s.MirrorBytes, maxBytes)
						}
					}
				})
			}
		}
		wg.Wait()
		for i, c := range f.caches {
			if s := c.Stats(); s.MirrorHits == 0 || s.Evictions == 0 || s.MirrorBytes == 0 {
				t.Errorf("the test did not fill %d: %+v", i, s)
			}
		}
	})
}

// A value is never served past its TTL + Stale, counted from its load, whatever it went through since.
func TestG7AcrossTheHop(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			ttl := time.Duration(1+rng.IntN(20)) * time.Second
			stale := time.Duration(rng.IntN(3)) * ttl / 2
			slow := time.Duration(rng.IntN(2000)) * time.Millisecond % (ttl / 2)
			begin := time.Now()
			inFleet(t, 3, func(_ int, c *config) {
				c.TTL, c.Stale, c.Jitter = ttl, stale, 0.3
				c.MirrorTTL = time.Duration(1+rng.IntN(30)) * time.Second
				c.Load = func(ctx context.Context, _ string) (cache.Entry[string], error) {
					select {
					case <-time.After(slow):
					case <-ctx.Done():
						return cache.Entry[string]{}, ctx.Err()
					}
					return cache.Entry[string]{Value: time.Since(begin).String()}, nil
				}
			}, func(f *fleet) {
				begin = time.Now()
				f.SetFaultsAll(peerstest.Faults{
					RequestDelay: peerstest.DelayBetween(seed, 0, slow),
					ReplyDelay:   peerstest.DelayBetween(seed+1, 0, slow),
				})
				var wg sync.WaitGroup
				for i := range 3 {
					for g := range 3 {
						rng := rand.New(rand.NewPCG(seed, uint64(10*i+g+1)))
						wg.Go(func() {
							for range 60 {
								time.Sleep(time.Duration(rng.IntN(2000)) * time.Millisecond)
								asked := time.Since(begin)
								v := f.get(i, "k")
								loaded, err := time.ParseDuration(v)
								if err != nil {
									t.Errorf("Get = %q", v)
									continue
								}
								// A value that was just loaded may age on its way to those who wait for it.
								if age := asked - loaded; age > ttl+stale {
									t.Errorf("at %d: asked at %v for what was loaded at %v; %v + %v allowed", i, asked, loaded, ttl, stale)
								}
							}
						})
					}
				}
				wg.Wait()
			})
		})
	}
}

// While a refresh fails, the stale value is served everywhere until its time is over.
func TestStaleAcrossTheHop(t *testing.T) {
	inFleet(t, 3, func(_ int, c *config) {
		c.TTL, c.Stale = 10*time.Second, 20*time.Second
	}, func(f *fleet) {
		key := f.ownedBy(0)
		f.get(1, key)
		f.origin.fails(func(string) error { return errors.New("origin is down") })
		time.Sleep(11 * time.Second)
		for range 3 {
			for i := range 3 {
				f.get(i, key)
			}
			time.Sleep(5 * time.Second)
		}
		if n := f.origin.loads(key); n < 2 || n > 4 {
			t.Errorf("%d loads, want the first and one refresh each time", n)
		}
		time.Sleep(5 * time.Second)
		if _, err := f.caches[1].Get(f.t.Context(), key); err == nil {
			t.Error("served past TTL + Stale")
		}
		f.origin.fails(nil)
		f.get(1, key)
	})
}

// Instances with different Versions of a cache share nothing but invalidations.
func TestG10VersionsDoNotMix(t *testing.T) {
	inFleet(t, 4, func(i int, c *config) {
		c.Version = []string{"old", "new"}[i%2]
		load := c.Load
		c.Load = func(ctx context.Context, key string) (cache.Entry[string], error) {
			e, err := load(ctx, key)
			e.Value = c.Version + " " + e.Value
			return e, err
		}
	}, func(f *fleet) {
		keys := make(map[string]string)
		for n := range 50 {
			key := fmt.Sprint("key-", n)
			keys[key] = key + "@0"
		}
		check := func(loadsEach int) {
			t.Helper()
			var wg sync.WaitGroup
			for i := range 4 {
				for key, value := range keys {
					wg.Go(func() {
						if v, want := f.get(i, key), []string{"old ", "new "}[i%2]+value; v != want {
							t.Errorf("Get at %d = %q, want %q", i, v, want)
						}
					})
				}
			}
			wg.Wait()
			for key := range keys {
				f.loads(key, loadsEach) // each Version has an owner of its own
			}
		}
		check(2)
		for key := range keys {
			keys[key] = f.origin.write(key)
			f.remove(0, key)
		}
		check(4)
	})
}

func TestG10InstanceWithoutTheCache(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0, 1)
		if err := f.caches[0].Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if v := f.get(2, key); v != key+"@0" {
				t.Errorf("Get = %q", v)
			}
		}
		f.loads(key, 1)
		if by := f.origin.loadedBy(key); by[0] != 1 {
			t.Errorf("loaded by %v, want the next one", by)
		}
		// It holds nothing, so it is as good as invalidated.
		f.remove(2, key)
		if err := f.caches[2].Set(f.t.Context(), key, cache.Entry[string]{Value: "v"}); err != nil {
			t.Errorf("Set: %v", err)
		}
		// And it may come at any time.
		f.caches[0] = f.newCache(0, nil)
		time.Sleep(time.Minute)
		f.get(2, key)
		if by := f.origin.loadedBy(key); by[len(by)-1] != 0 {
			t.Errorf("loaded by %v, want the owner at last", by)
		}
	})
}

func TestG12AnyBytesAcrossTheHop(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		keys := []string{
			"", ".", "..", "/", "a//b", "a/../b", "a b", "a+b", "a%20b", "%", "?a=b#c", "\x00", "\xff\xfe", "\r\n",
			"ключ", "🔑", strings.Repeat("k", cache.MaxKeyBytes), strings.Repeat("\xff", cache.MaxKeyBytes),
		}
		want := make(map[string]string)
		for i, key := range keys {
			want[key] = f.origin.value(key)
			if v := f.get(i%3, key); v != want[key] {
				t.Errorf("Get(%.20q) = %.40q", key, v)
			}
		}
		for i := range 3 {
			got, err := f.caches[i].GetMany(f.t.Context(), keys)
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("GetMany at %d: %d of %d values, %v", i, len(got), len(want), err)
			}
		}
		for _, key := range keys {
			f.loads(key, 1)
			f.remove(1, key)
			f.get(2, key)
			f.loads(key, 2)
		}
	})
}

// A flight of many keys whose owner dies in mid-answer is taken over, key by key.
func TestGetManyIsTakenOver(t *testing.T) {
	inFleet(t, 4, nil, func(f *fleet) {
		var keys []string
		for n := range 40 {
			keys = append(keys, fmt.Sprint("key-", n))
		}
		answers := 0
		remove := f.Intercept(func(_ context.Context, m peerstest.Message) error {
			if m.Kind == peerstest.KindGet && m.Reply && m.To == 2 && m.Answer != nil {
				if answers++; answers == 3 {
					f.Stop(2)
					return errors.New("lost")
				}
			}
			return nil
		})
		defer remove()
		got, err := f.caches[0].GetMany(f.t.Context(), keys)
		if err != nil || len(got) != len(keys) {
			t.Errorf("%d of %d values, %v", len(got), len(keys), err)
		}
		if answers < 3 {
			t.Fatalf("instance 2 gave %d answers; the test is wrong", answers)
		}
		for _, key := range keys {
			if n, dead := f.origin.loads(key), f.owners(key)[0] == 2; n > 2 || n > 1 && !dead {
				t.Errorf("%q was loaded by %v", key, f.origin.loadedBy(key))
			}
		}
	})
}

// One request to each owner.
func TestGetManyAsksEachOwnerOnce(t *testing.T) {
	inFleet(t, 4, nil, func(f *fleet) {
		var keys []string
		for n := range 100 {
			keys = append(keys, fmt.Sprint("key-", n))
		}
		if _, err := f.caches[0].GetMany(f.t.Context(), keys); err != nil {
			t.Error(err)
		}
		for i := 1; i < 4; i++ {
			if n := f.Counts(0, i); n.Gets != 1 {
				t.Errorf("%d requests to %d", n.Gets, i)
			}
		}
	})
}

// What a last resort brings is not kept: this instance is not one that keeps the key.
func TestFamilyLastResortIsNotCached(t *testing.T) {
	inFleet(t, 6, nil, func(f *fleet) {
		var key string
		for n := 0; key == ""; n++ { // one that instance 0 is the last to take over
			if owners := f.owners(fmt.Sprint(n)); owners[5] == 0 {
				key = fmt.Sprint(n)
			}
		}
		f.Partition([]int{0})
		f.get(0, key)
		if _, ok := f.caches[0].Peek(key); ok {
			t.Error("a last resort was cached")
		}
		if s := f.caches[0].Stats(); s.LastResorts != 1 || s.Takeovers != 0 {
			t.Errorf("%+v", s)
		}
		f.Heal()
		synctest.Wait()
	})
}
