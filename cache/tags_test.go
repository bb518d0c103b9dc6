package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// A RemoveTag costs the keys that have not the tag nothing: neither those in memory, nor those that are loading.
func TestRemoveTagLeavesOthers(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key, slow := f.ownedBy(0), f.ownedBy(1)
		for i := range f.caches {
			f.mirror(i, key)
		}
		f.origin.takes(time.Minute / 4)
		var wg sync.WaitGroup
		get := func() {
			for i := range f.caches {
				wg.Go(func() { f.get(i, slow) })
			}
		}
		get()
		synctest.Wait()
		if err := f.caches[2].RemoveTag(f.t.Context(), "some other tag", "another"); err != nil {
			f.t.Fatal(err)
		}
		get()
		wg.Wait()
		for i := range f.caches {
			f.get(i, key)
		}
		f.loads(key, 1)
		f.loads(slow, 1)
	})
}

// Who waits for a load that a RemoveTag of its tag overtakes gets its value if they came before, and another one
// if they came after.
func TestG4LoadInFlightWithATag(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		f.origin.takes(time.Second)
		key := f.ownedBy(1)
		old := f.origin.value(key)
		var wg sync.WaitGroup
		get := func(want string) {
			for i := range f.caches {
				wg.Go(func() {
					if v := f.get(i, key); v != want {
						f.t.Errorf("Get at %d = %q, want %q", i, v, want)
					}
				})
			}
		}
		get(old)
		synctest.Wait()
		renewed := f.origin.write(key)
		if err := f.caches[0].RemoveTag(f.t.Context(), "all"); err != nil {
			f.t.Fatal(err)
		}
		get(renewed)
		wg.Wait()
		f.isNew(key)
		f.loads(key, 2)
	})
}

// An instance that a RemoveTag does not reach is named, and told later.
func TestG4RemoveTagUnreached(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(2)
		f.get(2, key)
		f.Partition([]int{2})
		f.origin.write(key)
		err := f.caches[0].RemoveTag(f.t.Context(), "all")
		var ue *cache.UnreachedError
		if !errors.As(err, &ue) || len(ue.Errors) != 1 || ue.Errors[f.Instance(0).Peer(2).Addr()] == nil {
			f.t.Fatalf("RemoveTag: %v; want an *UnreachedError for instance 2", err)
		}
		f.Heal()
		time.Sleep(time.Minute)
		f.isNew(key)
	})
}

// One that joins while a tag is being removed heeds that.
func TestG4JoinerHearsOfATag(t *testing.T) {
	inFleet(t, 3, func(_ int, c *config) { c.TTL = time.Hour }, func(f *fleet) {
		key := f.ownedBy(0)
		f.get(0, key)
		hold := f.Hold(func(m peerstest.Message) bool {
			return m.Kind == peerstest.KindFence && !m.Reply && m.To == 0
		})
		f.origin.write(key)
		done := make(chan error, 1)
		go func() { done <- f.caches[1].RemoveTag(f.t.Context(), "all") }()
		if _, err := hold.Await(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		synctest.Wait() // instance 2 has been told
		// It begins anew. Instance 0 gives it the old value: nobody has told it.
		f.caches[2].Close()
		f.Restart(2)
		f.caches[2] = f.newCache(2, nil)
		synctest.Wait()
		for range 3 {
			f.get(2, key)
		}
		hold.Release()
		if err := <-done; err != nil {
			f.t.Fatal(err)
		}
		f.isNew(key)
	})
}

func TestTagErrors(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load})
	long := strings.Repeat("t", cache.MaxTagBytes-4)
	o.set(func(o *source) { o.entry.Tags = []string{long} })
	wantGet(t, c, "k", "k#1")
	for name, tags := range map[string][]string{"a long tag": {long + "t"}, "many tags": make([]string, cache.MaxTagBytes/4+1)} {
		o.set(func(o *source) { o.entry.Tags = tags })
		var te *cache.TagError
		if _, err := c.Refresh(t.Context(), "k"); !errors.As(err, &te) || te.Key != "k" || !strings.Contains(err.Error(), "16384 are allowed") {
			t.Errorf("%s of a load: %v", name, err)
		}
		if err := c.Set(t.Context(), "k", cache.Entry[string]{Tags: tags}); !errors.As(err, &te) {
			t.Errorf("%s of a Set: %v", name, err)
		}
	}
	wantPeek(t, c, "k", "k#1")
	if err := c.RemoveTag(t.Context(), "a", long+"t"); err == nil || err.Error() != "cache: a tag has 16385 bytes (with four for each), and 16384 are allowed: use fewer, or digests of them" {
		t.Errorf("RemoveTag of a long tag: %v", err)
	}
	if err := c.RemoveTag(t.Context(), long); err != nil {
		t.Error(err)
	}
	wantPeek(t, c, "k", "")
	if err := c.RemoveTag(t.Context()); err != nil {
		t.Error(err)
	}
	c.Close()
	if err := c.RemoveTag(t.Context(), "a"); err != cache.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// Many tags go in several fences.
func TestRemoveManyTags(t *testing.T) {
	inFleet(t, 2, nil, func(f *fleet) {
		key := f.ownedBy(1)
		f.mirror(0, key)
		f.origin.write(key)
		tags := make([]string, 10_000)
		for i := range tags {
			tags[i] = fmt.Sprint("tag ", i)
		}
		if err := f.caches[0].RemoveTag(f.t.Context(), append(tags, "all")...); err != nil {
			f.t.Fatal(err)
		}
		if n := f.Counts(0, 1).Fences; n != 3 {
			f.t.Errorf("%d fences, want 3", n)
		}
		f.isNew(key)
		if s := f.caches[0].Stats(); s.RemovedTags != 10_001 {
			f.t.Errorf("Stats has %d removed tags", s.RemovedTags)
		}
	})
}

// What a cache keeps of a value's tags is its own.
func TestTagsAreCopied(t *testing.T) {
	tags := []string{"a", "b"}
	c := open(t, stringConfig{Load: func(context.Context, string) (cache.Entry[string], error) {
		return cache.Entry[string]{Value: "v", Tags: tags}, nil
	}})
	wantGet(t, c, "k", "v")
	tags[0], tags[1] = "x", "y"
	if err := c.RemoveTag(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	wantPeek(t, c, "k", "v")
	given := []string{"b"}
	if err := c.RemoveTag(t.Context(), given...); err != nil || !slices.Equal(given, []string{"b"}) {
		t.Fatal(err, given)
	}
	wantPeek(t, c, "k", "")
}

// A Set that a RemoveTag of its tag overtakes before its fence has come to the owner stores nothing: the owner knows no order of the two,
// and the one who was called does.
func TestG4SetOvertakenByRemoveTag(t *testing.T) {
	inFleet(t, 3, nil, func(f *fleet) {
		key := f.ownedBy(0)
		fence := f.Hold(func(m peerstest.Message) bool {
			return m.Kind == peerstest.KindFence && !m.Reply && m.From == 1 && m.To == 0
		})
		set := make(chan error, 1)
		go func() {
			set <- f.caches[1].Set(f.t.Context(), key, cache.Entry[string]{Value: key + "@-1", Tags: []string{"all"}})
		}()
		if _, err := fence.Await(f.t.Context()); err != nil {
			f.t.Fatal(err)
		}
		f.origin.write(key)
		if err := f.caches[2].RemoveTag(f.t.Context(), "all"); err != nil {
			f.t.Error(err)
		}
		fence.Release()
		if err := <-set; err != nil {
			f.t.Errorf("Set: %v", err)
		}
		f.isNew(key)
	})
}
