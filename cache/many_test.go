package cache_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A bulk is a LoadMany that takes a second and keeps the keys it was asked for.
type bulk struct {
	// mu guards calls.
	mu    sync.Mutex
	calls [][]string
	reply func(keys []string) (map[string]cache.Entry[string], error)
}

func (b *bulk) load(ctx context.Context, keys []string) (map[string]cache.Entry[string], error) {
	b.mu.Lock()
	b.calls = append(b.calls, slices.Sorted(slices.Values(keys)))
	b.mu.Unlock()
	if err := pause(ctx, time.Second); err != nil {
		return nil, err
	}
	if b.reply != nil {
		return b.reply(keys)
	}
	entries := make(map[string]cache.Entry[string])
	for _, k := range keys {
		entries[k] = cache.Entry[string]{Value: k + " in bulk"}
	}
	return entries, nil
}

// asked returns the calls, one a line.
func (b *bulk) asked() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var lines []string
	for _, keys := range b.calls {
		lines = append(lines, strings.Join(keys, " "))
	}
	return strings.Join(lines, "\n")
}

// wantMany checks what GetMany returns: errs are by key, and stand for errors.Is.
func wantMany(t *testing.T, c *stringCache, keys string, want map[string]string, errs map[string]error) {
	t.Helper()
	got, err := c.GetMany(t.Context(), strings.Fields(keys))
	if !maps.Equal(got, want) {
		t.Errorf("GetMany(%s) = %v; want %v", keys, got, want)
	}
	var me *cache.ManyError
	if len(errs) == 0 {
		if err != nil {
			t.Errorf("GetMany(%s): %v", keys, err)
		}
		return
	}
	if !errors.As(err, &me) || len(me.Errors) != len(errs) {
		t.Errorf("GetMany(%s): %v; want a ManyError with %d keys", keys, err, len(errs))
		return
	}
	for k, want := range errs {
		if !errors.Is(me.Errors[k], want) {
			t.Errorf("GetMany(%s): error of %q is %v, want %v", keys, k, me.Errors[k], want)
		}
		if !errors.Is(err, want) {
			t.Errorf("GetMany(%s): errors.Is does not find %v through the ManyError", keys, want)
		}
		if len(errs) > 1 && !strings.Contains(err.Error(), fmt.Sprintf("%d keys failed", len(errs))) {
			t.Errorf("the error does not say how many: %v", err)
		}
	}
}

func TestGetManyWithoutLoadManyLoadsConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := source{took: time.Second}
		c := open(t, stringConfig{Load: o.load})
		wantGet(t, c, "a", "a#1")
		begin := time.Now()
		wantMany(t, c, "a b c b a", map[string]string{"a": "a#1", "b": "b#1", "c": "c#1"}, nil)
		if time.Since(begin) != time.Second {
			t.Errorf("GetMany took %v, want the time of one load", time.Since(begin))
		}
		for _, k := range []string{"a", "b", "c"} {
			wantLoads(t, &o, k, 1)
		}
		// A key that is given twice counts once.
		if s := c.Stats(); s.Misses != 3 || s.Hits != 1 || s.Joins != 0 {
			t.Errorf("%d misses, %d hits, %d joins; want 3, 1, 0", s.Misses, s.Hits, s.Joins)
		}
	})
}

func TestGetManyOfNothing(t *testing.T) {
	var b bulk
	c := open(t, stringConfig{Load: loadNothing[string], LoadMany: b.load})
	for _, keys := range [][]string{nil, {}} {
		if got, err := c.GetMany(t.Context(), keys); got == nil || len(got) != 0 || err != nil {
			t.Errorf("GetMany = %v, %v; want an empty map", got, err)
		}
	}
	if b.asked() != "" {
		t.Errorf("LoadMany was asked for %q", b.asked())
	}
}

func TestGetManyAsksLoadManyOnceForExactlyWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o source
		var b bulk
		c := open(t, stringConfig{Load: o.load, LoadMany: b.load})
		wantGet(t, c, "a", "a#1")
		wantMany(t, c, "c a b c d", map[string]string{"a": "a#1", "b": "b in bulk", "c": "c in bulk", "d": "d in bulk"}, nil)
		wantMany(t, c, "a b c d", map[string]string{"a": "a#1", "b": "b in bulk", "c": "c in bulk", "d": "d in bulk"}, nil)
		if b.asked() != "b c d" {
			t.Errorf("LoadMany was asked for\n%s\nwant b c d once", b.asked())
		}
		wantMany(t, c, "a e", map[string]string{"a": "a#1", "e": "e#1"}, nil) // one key is a Load
		if s := c.Stats(); s.Loads != 5 || b.asked() != "b c d" {
			t.Errorf("%d loads, LoadMany asked for\n%s\nwant 5, and b c d once", s.Loads, b.asked())
		}
	})
}

func TestGetManyReportsErrorsByKey(t *testing.T) {
	noLuck, whole := errors.New("no luck"), errors.New("the database is down")
	partial := &cache.ManyError{Errors: map[string]error{"b": noLuck}}
	foreign := fmt.Errorf("profiles: %w", &cache.ManyError{Errors: map[string]error{"profile-a": noLuck}})
	type entries = map[string]cache.Entry[string]
	for _, tt := range []struct {
		name    string
		entries entries
		err     error
		want    map[string]string
		errs    map[string]error
	}{
		{"a key that is missing", entries{"a": {Value: "A"}}, nil,
			map[string]string{"a": "A"}, map[string]error{"b": cache.ErrNotFound}},
		{"nothing at all", nil, nil,
			map[string]string{}, map[string]error{"a": cache.ErrNotFound, "b": cache.ErrNotFound}},
		{"a ManyError", entries{"a": {Value: "A"}}, &cache.ManyError{Errors: map[string]error{"b": noLuck}},
			map[string]string{"a": "A"}, map[string]error{"b": noLuck}},
		{"a wrapped ManyError", entries{"a": {Value: "A"}}, fmt.Errorf("wrapped: %w", &cache.ManyError{Errors: map[string]error{"b": noLuck}}),
			map[string]string{"a": "A"}, map[string]error{"b": noLuck}},
		// What it says nothing of is not proved to be missing.
		{"a ManyError that leaves a key out", nil, partial,
			map[string]string{}, map[string]error{"a": partial, "b": noLuck}},
		{"a ManyError of other keys", entries{"a": {Value: "A"}}, foreign,
			map[string]string{"a": "A"}, map[string]error{"b": foreign}},
		{"an error goes before a value", entries{"a": {Value: "A"}, "b": {Value: "B"}}, &cache.ManyError{Errors: map[string]error{"b": noLuck}},
			map[string]string{"a": "A"}, map[string]error{"b": noLuck}},
		{"an error for all", entries{"a": {Value: "A"}}, whole,
			map[string]string{}, map[string]error{"a": whole, "b": whole}},
		{"keys that nobody asked for", entries{"a": {Value: "A"}, "b": {Value: "B"}, "x": {Value: "X"}}, nil,
			map[string]string{"a": "A", "b": "B"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := bulk{reply: func([]string) (entries, error) { return tt.entries, tt.err }}
				c := open(t, stringConfig{Load: loadNothing[string], LoadMany: b.load, Negative: time.Minute})
				wantMany(t, c, "a b", tt.want, tt.errs)
				wantPeek(t, c, "x", "")
				// ErrNotFound is cached for Negative, another error is not.
				again := 0
				for _, err := range tt.errs {
					if err != cache.ErrNotFound {
						again++
					}
				}
				before := c.Stats().Misses
				wantMany(t, c, "a b", tt.want, nilIf(again == 1, tt.errs, cache.ErrNotFound))
				if misses := int(c.Stats().Misses - before); misses != again {
					t.Errorf("%d keys were loaded again, want %d", misses, again)
				}
			})
		})
	}
}

// nilIf returns errs with every error replaced by err if one key alone is loaded again: that is Load's doing then.
func nilIf(single bool, errs map[string]error, err error) map[string]error {
	if !single {
		return errs
	}
	all := make(map[string]error)
	for k := range errs {
		all[k] = err
	}
	return all
}

func TestGetManyWithLoadReportsErrorsByKey(t *testing.T) {
	noLuck := errors.New("no luck")
	c := open(t, stringConfig{Negative: time.Hour, Load: func(_ context.Context, key string) (cache.Entry[string], error) {
		switch key {
		case "gone":
			return cache.Entry[string]{}, fmt.Errorf("%q: %w", key, cache.ErrNotFound)
		case "bad":
			return cache.Entry[string]{}, noLuck
		}
		return cache.Entry[string]{Value: key}, nil
	}})
	wantMany(t, c, "a gone b bad", map[string]string{"a": "a", "b": "b"}, map[string]error{"gone": cache.ErrNotFound, "bad": noLuck})
	before := c.Stats().Hits
	wantMany(t, c, "gone gone gone", nil, map[string]error{"gone": cache.ErrNotFound})
	if hits := c.Stats().Hits - before; hits != 1 {
		t.Errorf("%d hits, want 1: a key that is given twice counts once", hits)
	}
}

func TestGetManyJoinsLoadsUnderWayAndIsJoined(t *testing.T) {
	for _, many := range []bool{false, true} {
		t.Run(fmt.Sprint("LoadMany: ", many), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := source{took: time.Second}
				var b bulk
				cfg := stringConfig{Load: o.load}
				bulked := func(k string) string { return k + "#1" }
				if many {
					cfg.LoadMany, bulked = b.load, func(k string) string { return k + " in bulk" }
				}
				c := open(t, cfg)
				begin := time.Now()
				var wg sync.WaitGroup
				wg.Go(func() { wantGet(t, c, "a", "a#1") })
				time.Sleep(500 * time.Millisecond)
				wg.Go(func() {
					wantMany(t, c, "a b c", map[string]string{"a": "a#1", "b": bulked("b"), "c": bulked("c")}, nil)
				})
				time.Sleep(100 * time.Millisecond)
				wg.Go(func() { wantGet(t, c, "b", bulked("b")) })
				wg.Go(func() { wantMany(t, c, "c b", map[string]string{"b": bulked("b"), "c": bulked("c")}, nil) })
				wg.Wait()
				if time.Since(begin) != 1500*time.Millisecond {
					t.Errorf("all took %v, want 1.5 s", time.Since(begin))
				}
				if s := c.Stats(); s.Loads != 3 || s.Joins != 4 || many && b.asked() != "b c" {
					t.Errorf("%d loads, %d joins, LoadMany asked for %q; want 3, 4, b c", s.Loads, s.Joins, b.asked())
				}
			})
		})
	}
}

func TestG2GetManyLeavesAtOnceAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bulk
		c := open(t, stringConfig{Load: loadNothing[string], LoadMany: b.load})
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			got, err := c.GetMany(ctx, []string{"a", "b", "c"})
			var me *cache.ManyError
			if len(got) != 0 || !errors.As(err, &me) || len(me.Errors) != 3 || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 300*time.Millisecond {
				t.Errorf("GetMany = %v, %v after %v; want to leave after 300 ms", got, err, time.Since(begin))
			}
		})
		synctest.Wait()
		wg.Go(func() { wantGet(t, c, "b", "b in bulk") }) // which keeps all of the LoadMany going
		wg.Wait()
		wantPeek(t, c, "a", "a in bulk")
		if len(b.calls) != 1 || time.Since(begin) != time.Second {
			t.Errorf("LoadMany was asked for\n%s\nafter %v", b.asked(), time.Since(begin))
		}
	})
}
