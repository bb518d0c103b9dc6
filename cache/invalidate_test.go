package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

type stringCache = cache.Cache[string, string]

func TestRefreshLoadsEvenWhatIsFresh(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load, TTL: time.Hour})
	for _, want := range []string{"k#1", "k#2", "k#3"} {
		if v, err := c.Refresh(t.Context(), "k"); v != want || err != nil {
			t.Errorf("Refresh = %q, %v; want %q", v, err, want)
		}
		wantGet(t, c, "k", want)
	}
	o.set(func(o *source) { o.fails = fmt.Errorf("no luck") })
	if _, err := c.Refresh(t.Context(), "k"); err != o.fails {
		t.Errorf("Refresh: %v, want the loader's error", err)
	}
	wantGet(t, c, "k", "k#3") // a failure leaves what is there
}

func TestRefreshJoinsALoadUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Second}
		c := open(t, stringConfig{Load: o.load})
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				get := c.Get
				if i%2 == 0 {
					get = c.Refresh
				}
				if v, err := get(t.Context(), "k"); v != "k#1" || err != nil {
					t.Errorf("%q, %v; want k#1", v, err)
				}
			})
		}
		wg.Wait()
		wantLoads(t, &o, "k", 1)
	})
}

func TestPeekLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		c := open(t, stringConfig{Load: o.load, TTL: time.Second, Stale: time.Second})
		wantPeek(t, c, "k", "")
		wantLoads(t, &o, "k", 0)
		wantGet(t, c, "k", "k#1")
		before := c.Stats()
		wantPeek(t, c, "k", "k#1")
		time.Sleep(time.Second)
		wantPeek(t, c, "k", "k#1") // stale
		time.Sleep(time.Second)
		wantPeek(t, c, "k", "")
		synctest.Wait()
		if after := c.Stats(); after != before {
			t.Errorf("Stats changed from %+v\nto %+v", before, after)
		}
	})
}

func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		c := open(t, stringConfig{Load: o.load, TTL: 10 * time.Second, Stale: 10 * time.Second, MaxBytes: cache.MinMaxBytes})
		set := func(e cache.Entry[string]) {
			t.Helper()
			if err := c.Set(t.Context(), "k", e); err != nil {
				t.Error(err)
			}
		}
		set(cache.Entry[string]{Value: "one"})
		wantGet(t, c, "k", "one")
		set(cache.Entry[string]{Value: "two"})
		wantGet(t, c, "k", "two")
		wantLoads(t, &o, "k", 0)

		time.Sleep(19 * time.Second) // the Config's TTL and Stale hold for it
		wantPeek(t, c, "k", "two")
		time.Sleep(time.Second)
		wantPeek(t, c, "k", "")

		set(cache.Entry[string]{Value: "three", TTL: time.Second, Stale: -1})
		time.Sleep(time.Second)
		wantPeek(t, c, "k", "")

		set(cache.Entry[string]{Value: "four"})
		set(cache.Entry[string]{Value: "five", TTL: -1}) // is Remove
		wantPeek(t, c, "k", "")

		set(cache.Entry[string]{Value: "six"})
		set(cache.Entry[string]{Value: strings.Repeat("7", cache.MinMaxBytes)}) // too large: is Remove
		wantPeek(t, c, "k", "")
		set(cache.Entry[string]{Value: "eight", Size: cache.MinMaxBytes}) // says so itself
		wantPeek(t, c, "k", "")
		if s := c.Stats(); s.Entries != 0 || s.Bytes != 0 || s.Rejected != 2 || s.Sets != 8 {
			t.Errorf("%+v; want nothing kept, and 2 of 8 rejected", s)
		}
	})
}

func TestFamilySetCopiesSlice(t *testing.T) {
	for name, c := range map[string]*cache.Cache[string, []byte]{
		"objects": open(t, cache.Config[string, []byte]{Load: loadNothing[[]byte]}),
		"arena":   open(t, cache.Config[string, []byte]{Load: loadNothing[[]byte], Arena: true}),
	} {
		for key, tags := range map[string][]string{"k": nil, "tagged": {"t"}} {
			mine := []byte("original")
			if err := c.Set(t.Context(), key, cache.Entry[[]byte]{Value: mine, Tags: tags}); err != nil {
				t.Fatal(err)
			}
			copy(mine, "changed!")
			if v, err := c.Get(t.Context(), key); string(v) != "original" || err != nil {
				t.Errorf("%s: Get of %s = %q, %v; the caller's later change shows", name, key, v, err)
			}
		}
	}
}

// In an arena a loader's values are copied, too.
func TestArenaCopiesWhatIsLoaded(t *testing.T) {
	mine := []byte("original")
	c := open(t, cache.Config[string, []byte]{Arena: true, Load: func(context.Context, string) (cache.Entry[[]byte], error) {
		return cache.Entry[[]byte]{Value: mine}, nil
	}})
	first, err := c.Get(t.Context(), "k")
	copy(mine, "changed!")
	if second, err2 := c.Get(t.Context(), "k"); string(first) != "original" || string(second) != "original" || errors.Join(err, err2) != nil {
		t.Errorf("Get = %q and %q, %v", first, second, errors.Join(err, err2))
	}
}

func TestFamilyReplacedValueIsCountedOnce(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load})
	for range 3 {
		for _, set := range []string{"first", "other"} {
			if err := c.Set(t.Context(), "k", cache.Entry[string]{Value: set}); err != nil {
				t.Error(err)
			}
		}
		if _, err := c.Refresh(t.Context(), "k"); err != nil {
			t.Error(err)
		}
	}
	once := open(t, stringConfig{Load: o.load})
	if err := once.Set(t.Context(), "k", cache.Entry[string]{Value: "k#3"}); err != nil {
		t.Error(err)
	}
	if got, want := c.Stats(), once.Stats(); got.Bytes != want.Bytes || got.Entries != 1 {
		t.Errorf("%d bytes in %d entries, want %d in 1", got.Bytes, got.Entries, want.Bytes)
	}
}

func TestG6TooLargeAValueIsReturnedAndEvictsNothing(t *testing.T) {
	o := source{}
	c := open(t, stringConfig{Load: o.load, MaxBytes: cache.MinMaxBytes, SizeOf: func(v string) int64 {
		if strings.HasPrefix(v, "huge") {
			return cache.MinMaxBytes
		}
		return int64(len(v))
	}})
	for i := range 100 {
		wantGet(t, c, fmt.Sprint(i), fmt.Sprint(i, "#1"))
	}
	wantGet(t, c, "huge", "huge#1")
	wantGet(t, c, "huge", "huge#2")
	if s := c.Stats(); s.Entries != 100 || s.Evictions != 0 || s.Rejected != 2 {
		t.Errorf("%d entries, %d evictions, %d rejected; want 100, 0 and 2", s.Entries, s.Evictions, s.Rejected)
	}
}

func TestG6BytesNeverExceedMaxBytes(t *testing.T) {
	o := source{}
	c := open(t, stringConfig{Load: o.load, MaxBytes: cache.MinMaxBytes})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				key := fmt.Sprint(w, i, strings.Repeat("k", i%300))
				wantGet(t, c, key, key+"#1")
				if s := c.Stats(); s.Bytes > s.MaxBytes {
					t.Errorf("%d bytes are held, %d are allowed", s.Bytes, s.MaxBytes)
				}
			}
		})
	}
	wg.Wait()
	if s := c.Stats(); s.Evictions == 0 || s.Bytes < s.MaxBytes/2 {
		t.Errorf("%d evictions, %d bytes: the test does not fill the cache", s.Evictions, s.Bytes)
	}
}

func TestRemoveOfManyKeys(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load})
	var keys []string
	for i := range 10_000 { // more than one fence takes
		keys = append(keys, fmt.Sprint("key ", i))
	}
	if _, err := c.GetMany(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	wantGet(t, c, "kept", "kept#1")
	if s := c.Stats(); s.Entries != len(keys)+1 {
		t.Fatalf("%d entries", s.Entries)
	}
	if err := c.Remove(t.Context(), keys...); err != nil {
		t.Error(err)
	}
	if s := c.Stats(); s.Entries != 1 || s.Removes != uint64(len(keys)) {
		t.Errorf("%d entries are left after %d removes, want 1", s.Entries, s.Removes)
	}
	wantPeek(t, c, "kept", "kept#1")
	if err := c.Remove(t.Context()); err != nil {
		t.Errorf("Remove of nothing: %v", err)
	}
	if err := c.Remove(t.Context(), "never there"); err != nil {
		t.Errorf("Remove of what is not there: %v", err)
	}
}
