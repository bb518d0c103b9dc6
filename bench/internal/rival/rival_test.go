package rival

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// configFor is room for about entries entries of 1 KiB, in what k can be bounded by.
func configFor(k Kind, entries int64) Config {
	c := Config{Entries: entries}
	if k.Bound&ByEntries == 0 {
		c.Bytes = entries << 10
	}
	return c
}

func value(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 900) }

// open opens a cache for the time of a test.
func open(t *testing.T, k Kind, c Config) Cache {
	t.Helper()
	cache, err := k.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	return cache
}

func TestKeepsWhatItIsGiven(t *testing.T) {
	for _, k := range All() {
		for _, replay := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/replay=%v", k.Name, replay), func(t *testing.T) {
				const n = 512
				config := configFor(k, 4*n)
				config.Replay = replay
				c := open(t, k, config)
				if _, ok := c.Get("absent"); ok {
					t.Error("it has a key that nobody stored")
				}
				for i := range n {
					c.Set(fmt.Sprint(i), value(i))
					c.Settle()
				}
				for i := range n {
					if got, ok := c.Get(fmt.Sprint(i)); !ok || !bytes.Equal(got, value(i)) {
						t.Fatalf("Get(%d) = %d bytes, %v", i, len(got), ok)
					}
				}
			})
		}
	}
}

func TestLoadsOnceAndKeeps(t *testing.T) {
	for _, k := range All() {
		inBubble(t, k, func(t *testing.T) {
			var loads atomic.Int64
			begun, release := make(chan struct{}, 100), make(chan struct{})
			config := configFor(k, 2048)
			config.Load = func(key string) ([]byte, error) {
				loads.Add(1)
				begun <- struct{}{}
				<-release
				return []byte("value of " + key), nil
			}
			c := open(t, k, config)
			if _, ok := c.Get("k"); ok || loads.Load() > 0 {
				t.Error("Get loads, or finds what nobody stored")
			}
			get := func() {
				if got, err := c.GetOrLoad("k"); err != nil || string(got) != "value of k" {
					t.Errorf("GetOrLoad = %q, %v", got, err)
				}
			}
			var wg sync.WaitGroup
			wg.Go(get)
			<-begun
			for range 10 {
				wg.Go(get) // these find the load under way
			}
			if !k.Async {
				synctest.Wait() // else one may find nothing in memory, and then no load under way
			}
			close(release)
			wg.Wait()
			c.Settle()
			if got, ok := c.Get("k"); !ok || string(got) != "value of k" {
				t.Errorf("Get after the load = %q, %v", got, ok)
			}
			get()
			most := int64(1)
			if k.Name == "ristretto" {
				most = 11 // which stores later than it says: who comes between loads again
			}
			if n := loads.Load(); n < 1 || n > most {
				t.Errorf("%d loads", n)
			}
		})
	}
}

// inBubble runs a subtest of a kind in a bubble of testing/synctest, unless it has goroutines of its own.
func inBubble(t *testing.T, k Kind, test func(t *testing.T)) {
	t.Run(k.Name, func(t *testing.T) {
		if k.Async {
			test(t)
			return
		}
		synctest.Test(t, test)
	})
}

func TestLoadsFail(t *testing.T) {
	broken := errors.New("broken")
	for _, k := range All() {
		config := configFor(k, 2048)
		config.Load = func(string) ([]byte, error) { return nil, broken }
		c := open(t, k, config)
		if _, err := c.GetOrLoad("k"); !errors.Is(err, broken) {
			t.Errorf("%s: %v", k.Name, err)
		}
		if _, ok := c.Get("k"); ok {
			t.Errorf("%s keeps an error", k.Name)
		}
	}
}

// held counts how many of the keys from 0 to n a cache still has.
func held(c Cache, n int) (have int64) {
	c.Settle()
	for i := range n {
		if _, ok := c.Get(fmt.Sprint(i)); ok {
			have++
		}
	}
	return have
}

func TestHoldsNoMoreThanItIsTold(t *testing.T) {
	for _, k := range All() {
		if k.Bound&ByEntries == 0 {
			continue // see TestByteStores
		}
		for _, entries := range []int64{50, 1000} {
			c := open(t, k, Config{Entries: entries})
			for i := range 5000 {
				c.Set(fmt.Sprint(i), value(i))
				c.Settle()
			}
			if n := held(c, 5000); n > entries || n < entries-entries/50-1 {
				t.Errorf("%s holds %d entries of %d", k.Name, n, entries)
			}
		}
	}
}

func TestWeighs(t *testing.T) {
	weigh := func(key string, _ []byte) int64 { return int64(1000 * (1 + len(key)%2)) }
	for _, k := range All() {
		if k.Bound&ByWeight == 0 {
			continue
		}
		c := open(t, k, Config{Weight: 300_000, Weigh: weigh, Entries: 200})
		var weight int64
		for i := range 2000 {
			c.Set(fmt.Sprint(i), nil)
			c.Settle()
		}
		for i := range 2000 {
			if _, ok := c.Get(fmt.Sprint(i)); ok {
				weight += weigh(fmt.Sprint(i), nil)
			}
		}
		if weight > 300_000 || weight < 290_000 {
			t.Errorf("%s holds a weight of %d of 300000", k.Name, weight)
		}
	}
}

func TestByteStores(t *testing.T) {
	for _, k := range All() {
		if k.Bound&ByEntries != 0 {
			continue
		}
		c := open(t, k, Config{Bytes: 4 << 20, Entries: 4096})
		for i := range 10_000 {
			c.Set(fmt.Sprint(i), value(i))
		}
		if n := held(c, 10_000); n > 4<<20/900 || n < 4<<20/(1000+k.EntryBytes) {
			t.Errorf("%s holds %d entries of 900 bytes in 4 MiB", k.Name, n)
		}
	}
}

// TestScale is that fleetcache's own bookkeeping changes nothing in what fits: a unit more or less is none.
func TestScale(t *testing.T) {
	fleetcache, err := Named(Fleetcache)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{16, 74, 745, 2500, 47_000} {
		c := open(t, fleetcache[0], Config{Entries: limit})
		n := int(limit) + int(limit)/5 + 10
		for i := range n {
			c.Set(fmt.Sprint(i), nil)
		}
		if got := held(c, n); got > limit || got < limit-limit/1000 {
			t.Errorf("it holds %d entries of %d", got, limit)
		}
	}
}

func TestConfigsThatAreWrong(t *testing.T) {
	weigh := func(string, []byte) int64 { return 1 }
	for _, c := range []struct {
		kind   string
		config Config
		want   string
	}{
		{"otter", Config{}, "otter: Config.Entries is 0"},
		{"otter", Config{Entries: -1}, "Entries is -1"},
		{"otter", Config{Weight: 1}, "Config.Weight and Weigh go together"},
		{"otter", Config{Weight: 1, Weigh: weigh, Bytes: 1}, "Config.Weight and Bytes are both set"},
		{"golang-lru", Config{Bytes: 1 << 20}, "golang-lru: Config.Entries is 0"},
		{"golang-lru", Config{Weight: 1, Weigh: weigh}, "it cannot weigh entries"},
		{"freecache", Config{Entries: 1000}, "freecache: Config.Bytes is 0"},
	} {
		k, err := Named(c.kind)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k[0].Open(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s, %+v: %v, want %q", c.kind, c.config, err, c.want)
		}
	}
	if _, err := Named("memcached"); err == nil || !strings.Contains(err.Error(), `there is no kind "memcached": use some of fleetcache, fleetcache-arena, otter`) {
		t.Errorf("Named: %v", err)
	}
}
