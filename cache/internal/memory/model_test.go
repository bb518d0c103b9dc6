package memory_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

// A modelItem is what a store with all the memory that it wants has of a key.
type modelItem struct {
	value string
	until time.Time // zero: no end
	tag   string
}

// model is the store that everybody can read: a map.
type model map[string]modelItem

func (m model) get(key string) (modelItem, bool) {
	it, ok := m[key]
	if ok && !it.until.IsZero() && !time.Now().Before(it.until) {
		delete(m, key)
		return modelItem{}, false
	}
	return it, ok
}

func (m model) dropTag(tag string) {
	maps.DeleteFunc(m, func(_ string, it modelItem) bool { return it.tag == tag })
}

// A store with room for everything has what the model has; one without may have forgotten it, and has nothing else.
func TestStoreAgainstModel(t *testing.T) {
	for name, maxBytes := range map[string]int64{"with room for all": 64 << 20, "with room for a few": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			inEach(t, func(t *testing.T, newStore storeMaker) {
				rapid.Check(t, func(rt *rapid.T) { testModel(t, rt, newStore, maxBytes) })
			})
		})
	}
}

func testModel(t *testing.T, rt *rapid.T, newStore storeMaker, maxBytes int64) {
	var failed any // what rapid stops a run with, which must not end the bubble's goroutine
	synctest.Test(t, func(*testing.T) {
		defer func() { failed = recover() }()
		runModel(rt, newStore, maxBytes)
	})
	if failed != nil {
		panic(failed)
	}
}

func runModel(t *rapid.T, newStore storeMaker, maxBytes int64) {
	s, m := newStore(maxBytes, true), make(model)
	forgets := maxBytes < 1<<20
	keys := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", ""})
	tags := rapid.SampledFrom([]string{"", "", "t", "u"})
	for i := range rapid.IntRange(1, 80).Draw(t, "steps") {
		key := keys.Draw(t, "key")
		switch op := rapid.IntRange(0, 9).Draw(t, "op"); op {
		case 0, 1, 2: // by Put, by a load, or by a load that is fenced meanwhile
			it, mi := drawItem(t, s, fmt.Sprint(i), tags.Draw(t, "tag"))
			if op == 0 {
				s.Put(key, it, s.TagSeq())
				m[key] = mi
				break
			}
			_, f, _ := s.Begin(s.Now(), memory.Fill, key, true, func() *memory.Flight[string] {
				return memory.NewFlight[string](context.Background(), memory.Fill, key)
			})
			if op == 2 {
				s.Fence(uint64(i+1), 0, key)
				delete(m, key)
			} else {
				m[key] = mi
			}
			s.Settle(f, it, nil)
		case 3:
			s.Fence(uint64(i+1), s.Now()+memory.Instant(rapid.IntRange(0, 5).Draw(t, "hold"))*memory.Instant(time.Second), key)
			delete(m, key)
		case 4:
			if rapid.IntRange(0, 5).Draw(t, "all") == 0 {
				s.FenceAll(uint64(i+1), 0)
				clear(m)
			}
		case 5:
			if tag := tags.Draw(t, "tag"); tag != "" {
				s.FenceTags(uint64(i+1), 0, tag)
				m.dropTag(tag)
			}
		case 6:
			if it, _, _ := s.Get(key); it != nil {
				s.SetEncoded(key, it, []byte(it.Value))
			}
		case 7:
			time.Sleep(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
		}
		want, ok := m.get(key)
		it, _, _ := s.Get(key)
		switch {
		case it == nil && !ok:
		case it == nil && !forgets:
			t.Fatalf("%q is gone, want %q", key, want.value)
		case it == nil:
			delete(m, key)
		case !ok || it.Value != want.value:
			t.Fatalf("%q is %q, want %q, %v", key, it.Value, want.value, ok)
		case it.Extra().Encoded != nil && string(it.Extra().Encoded) != it.Value:
			t.Fatalf("%q is %q, and encoded %q", key, it.Value, it.Extra().Encoded)
		}
	}
	if u := s.Usage(); u.Bytes > maxBytes || !forgets && u.Evictions+u.Rejected > 0 {
		t.Fatalf("%+v", u)
	}
}

func drawItem(t *rapid.T, s *store, value, tag string) (*item, modelItem) {
	it, mi := val(rapid.SampledFrom([]int{1, 100, 6000}).Draw(t, "size")), modelItem{value: value, tag: tag}
	it.Value = value
	if ttl := time.Duration(rapid.IntRange(0, 4).Draw(t, "ttl")) * time.Second; ttl > 0 {
		it.Fresh = s.Now() + memory.Instant(ttl)
		it.Until, mi.until = it.Fresh, time.Now().Add(ttl)
	}
	if tag != "" {
		it.With(memory.Extra{Tags: memory.PackTags([]string{tag})})
	}
	return it, mi
}

// A call is one that a goroutine made on the only key, and when, by a clock that all share.
type call struct {
	op         byte // 'g'et, 's'et, 'r'emove
	value      string
	begun, end int64
}

// linear reports whether there is an order of calls in which each comes between its begin and its end, and gets find what was set last (Wing and
// Gong, "Testing and verifying concurrent objects", 1993). done has a bit for each that is placed already.
func linear(calls []call, done uint32, value string) bool {
	if done == 1<<len(calls)-1 {
		return true
	}
	first := int64(1<<63 - 1)
	for i, c := range calls {
		if done&(1<<i) == 0 {
			first = min(first, c.end)
		}
	}
	for i, c := range calls {
		if done&(1<<i) != 0 || c.begun > first {
			continue
		}
		after := value
		switch {
		case c.op == 's':
			after = c.value
		case c.op == 'r':
			after = ""
		case c.value != value:
			continue
		}
		if linear(calls, done|1<<i, after) {
			return true
		}
	}
	return false
}

func TestLinear(t *testing.T) {
	for _, c := range []struct {
		name  string
		calls []call
		want  bool
	}{
		{"one after the other", []call{{'s', "1", 1, 2}, {'g', "1", 3, 4}, {'r', "", 5, 6}, {'g', "", 7, 8}}, true},
		{"a get beside a set", []call{{'s', "1", 1, 4}, {'g', "", 2, 3}}, true},
		{"a get of what was removed", []call{{'s', "1", 1, 2}, {'r', "", 3, 4}, {'g', "1", 5, 6}}, false},
		{"a get of what was replaced", []call{{'s', "1", 1, 2}, {'s', "2", 3, 4}, {'g', "1", 5, 6}}, false},
		{"new and then old", []call{{'s', "1", 1, 2}, {'s', "2", 3, 10}, {'g', "2", 4, 5}, {'g', "1", 6, 7}}, false},
	} {
		if got := linear(c.calls, 0, ""); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// Gets take no lock, and still all calls on a key are as if one were made after the other, beside others that make the table larger and smaller.
func TestGetSetRemoveAreLinearizable(t *testing.T) {
	inEach(t, testLinearizable)
}

func testLinearizable(t *testing.T, newStore storeMaker) {
	s := newStore(1<<20, false) // one shard
	var clock atomic.Int64
	var stop atomic.Bool
	var others, wg sync.WaitGroup
	others.Go(func() {
		for i := 0; !stop.Load(); i++ {
			key := fmt.Sprint("other", i%600)
			if i/600%2 == 0 {
				s.Put(key, val(1), 0)
			} else {
				s.Fence(1, 0, key)
			}
		}
	})
	for round := range 1500 {
		key := fmt.Sprint("key", round)
		histories := make([][]call, 3)
		for g := range histories {
			wg.Go(func() {
				for i := range 5 {
					c := call{op: "gsgrg"[(g*2+i+round)%5], value: fmt.Sprint(g, i), begun: clock.Add(1)}
					switch c.op {
					case 's':
						it := val(1)
						it.Value = c.value
						s.Put(key, it, 0)
					case 'r':
						s.Fence(1, 0, key)
					default:
						c.value = ""
						if it, _, _ := s.Get(key); it != nil {
							c.value = it.Value
						}
					}
					c.end = clock.Add(1)
					histories[g] = append(histories[g], c)
				}
			})
		}
		wg.Wait()
		if all := slices.Concat(histories...); !linear(all, 0, "") {
			t.Fatalf("round %d: no order explains %+v", round, all)
		}
	}
	stop.Store(true)
	others.Wait()
}
