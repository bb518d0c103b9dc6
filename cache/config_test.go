package cache_test

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func loadNothing[V any](context.Context, string) (cache.Entry[V], error) {
	return cache.Entry[V]{}, cache.ErrNotFound
}

func TestConfigErrorsNameTheFieldAndHowToMendIt(t *testing.T) {
	peers := &fakePeers{t: t}
	for _, tt := range []struct {
		name   string
		change func(*stringConfig)
		want   []string // what the error says
	}{
		{"no Load", func(c *stringConfig) { c.Load = nil }, []string{"Config.Load is nil", "give it the function"}},
		{"no Name with Peers", func(c *stringConfig) { c.Peers = peers }, []string{"Config.Name is empty", "give the cache a name"}},
		{"long Name", func(c *stringConfig) { c.Name = strings.Repeat("n", 256) }, []string{"Config.Name has 256 bytes", "at most 255"}},
		{"long Version", func(c *stringConfig) { c.Version = strings.Repeat("v", 256) }, []string{"Config.Version has 256 bytes", "at most 255"}},
		{"TTL", func(c *stringConfig) { c.TTL = -1 }, []string{"Config.TTL is -1ns", "positive", "do not expire"}},
		{"Negative", func(c *stringConfig) { c.Negative = -3 }, []string{"Config.Negative is -3ns", "positive", "ErrNotFound"}},
		{"LoadTimeout", func(c *stringConfig) { c.LoadTimeout = -4 }, []string{"Config.LoadTimeout is -4ns", "positive", "default of 30s"}},
		{"Stale without TTL", func(c *stringConfig) { c.Stale = time.Second }, []string{"Config.Stale is 1s without a TTL", "set TTL"}},
		{"negative Jitter", func(c *stringConfig) { c.Jitter = -0.1 }, []string{"Config.Jitter is -0.1", "less than 1"}},
		{"Jitter of 1", func(c *stringConfig) { c.Jitter = 1 }, []string{"Config.Jitter is 1", "less than 1"}},
		{"Jitter NaN", func(c *stringConfig) { c.Jitter = nan() }, []string{"Config.Jitter is NaN", "less than 1"}},
		{"small MaxBytes", func(c *stringConfig) { c.MaxBytes = cache.MinMaxBytes - 1 }, []string{"Config.MaxBytes is 65535", "at least 65536"}},
		{"negative MaxBytes", func(c *stringConfig) { c.MaxBytes = -1 }, []string{"Config.MaxBytes is -1", "at least 65536"}},
		{"negative MaxEntries", func(c *stringConfig) { c.MaxEntries = -1 }, []string{"Config.MaxEntries is -1", "positive"}},
		{"MemoryShare of 1", func(c *stringConfig) { c.MemoryShare = 1 }, []string{"Config.MemoryShare is 1", "less than 1"}},
		{"MemoryShare and MaxBytes", func(c *stringConfig) { c.MemoryShare, c.MaxBytes = 0.5, 1<<20 }, []string{"Config.MemoryShare is 0.5, and MaxBytes is 1048576", "one of them"}},
		{"MemoryShare of no limit", func(c *stringConfig) { c.MemoryShare = 0.5 }, []string{"Config.MemoryShare is 0.5", "set GOMEMLIMIT"}},
		{"MaxLoads", func(c *stringConfig) { c.MaxLoads = -1 }, []string{"Config.MaxLoads is -1", "positive"}},
		{"several at once", func(c *stringConfig) { c.Load, c.TTL, c.MaxLoads = nil, -1, -1 }, []string{"Config.Load", "Config.TTL", "Config.MaxLoads"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := stringConfig{Load: loadNothing[string]}
			tt.change(&cfg)
			c, err := cache.New(cfg)
			if c != nil || err == nil {
				t.Fatalf("New = %v, %v; want an error", c, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q:\n%v", want, err)
				}
			}
			if n := strings.Count(err.Error(), "Config."); tt.name != "several at once" && n != 1 {
				t.Errorf("the error names %d fields, want 1:\n%v", n, err)
			}
		})
	}
}

func TestMaxEntries(t *testing.T) {
	var o source
	c := open(t, stringConfig{Load: o.load, MaxEntries: 3})
	for i := range 20 {
		if _, err := c.Get(t.Context(), fmt.Sprint(i)); err != nil {
			t.Error(err)
		}
		if n := c.Stats().Entries; n != min(i+1, 3) {
			t.Errorf("%d entries after %d loads", n, i+1)
		}
	}
}

func TestConfigArenaIsForBytes(t *testing.T) {
	_, err := cache.New(cache.Config[string, point]{Load: loadNothing[point], SizeOf: sizeOfPoint, Arena: true})
	if err == nil || !strings.Contains(err.Error(), "Config.Arena is set: it can only be if V is string or []byte, and V is cache_test.point") {
		t.Errorf("%v", err)
	}
}

func TestMemoryShare(t *testing.T) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(1 << 30))
	c := open(t, stringConfig{Load: loadNothing[string], MemoryShare: 0.25})
	if got := c.Stats().MaxBytes; got != 1<<28 {
		t.Errorf("MaxBytes is %d, want %d", got, 1<<28)
	}
	_, err := cache.New(stringConfig{Load: loadNothing[string], MemoryShare: 0.00001})
	if err == nil || !strings.Contains(err.Error(), "Config.MemoryShare is 1e-05 of a memory limit of 1073741824 bytes: use a share that makes at least 65536") {
		t.Errorf("%v", err)
	}
}

func nan() float64 { zero := 0.0; return zero / zero }

type point struct{ X, Y int }

func sizeOfPoint(point) int64 { return 16 }

func TestConfigSizeOfAndCodec(t *testing.T) {
	peers := &fakePeers{t: t}
	for _, tt := range []struct {
		name string
		err  error
		want string // "" for no error
	}{
		{"string needs none", try(cache.Config[string, string]{Name: "string", Peers: peers}), ""},
		{"bytes need none", try(cache.Config[string, []byte]{Name: "bytes", Peers: peers}), ""},
		{"a struct needs SizeOf", try(cache.Config[string, point]{}), "Config.SizeOf is nil"},
		{"its type is named", try(cache.Config[string, point]{}), "cache_test.point"},
		{"an interface is named, too", try(cache.Config[string, error]{}), "V is error"},
		{"a struct with SizeOf", try(cache.Config[string, point]{SizeOf: sizeOfPoint}), ""},
		{"a struct needs a Codec with Peers", try(cache.Config[string, point]{SizeOf: sizeOfPoint, Name: "a", Peers: peers}), "Config.Codec is nil"},
		{"a struct with both", try(cache.Config[string, point]{SizeOf: sizeOfPoint, Name: "b", Peers: peers, Codec: cache.JSON[point]{}}), ""},
	} {
		if tt.want == "" && tt.err != nil || tt.want != "" && (tt.err == nil || !strings.Contains(tt.err.Error(), tt.want)) {
			t.Errorf("%s: New returns %v, want %q", tt.name, tt.err, tt.want)
		}
	}
}

// try returns what New says of cfg.
func try[V any](cfg cache.Config[string, V]) error {
	cfg.Load = loadNothing[V]
	c, err := cache.New(cfg)
	if c != nil {
		_ = c.Close()
	}
	return err
}

func TestConfigNameMustBeFree(t *testing.T) {
	peers := &fakePeers{t: t}
	open(t, stringConfig{Load: loadNothing[string], Name: "users", Peers: peers})
	_, err := cache.New(stringConfig{Load: loadNothing[string], Name: "users", Peers: peers})
	if err == nil || !strings.Contains(err.Error(), "Config.Name") || !strings.Contains(err.Error(), "taken") {
		t.Errorf("New = %v, want an error about the Name", err)
	}
}

// A type whose underlying type is a byte slice is no byte slice to us: it might hold what must not be copied.
func TestConfigNamedBytesNeedSizeOf(t *testing.T) {
	type named []byte
	if err := try(cache.Config[string, named]{}); err == nil {
		t.Error("New takes a named byte slice without SizeOf")
	}
}

func TestConfigDefaults(t *testing.T) {
	c := open(t, stringConfig{Load: loadNothing[string]})
	if got := c.Stats().MaxBytes; got != cache.DefaultMaxBytes {
		t.Errorf("MaxBytes = %d, want %d", got, cache.DefaultMaxBytes)
	}
	small := open(t, stringConfig{Load: loadNothing[string], MaxBytes: cache.MinMaxBytes})
	if got := small.Stats().MaxBytes; got != cache.MinMaxBytes {
		t.Errorf("MaxBytes = %d, want %d", got, cache.MinMaxBytes)
	}
	if err := small.Set(t.Context(), "k", cache.Entry[string]{Value: "v"}); err != nil {
		t.Error(err)
	}
	wantPeek(t, small, "k", "v")
}

func TestConfigOfTheCallerIsNotChanged(t *testing.T) {
	cfg := stringConfig{Load: loadNothing[string]}
	before := reflect.ValueOf(cfg)
	open(t, cfg)
	for i := range before.NumField() {
		name, now := before.Type().Field(i).Name, reflect.ValueOf(cfg).Field(i)
		if name != "Load" && !now.IsZero() {
			t.Errorf("New set %s to %v", name, now)
		}
	}
}

// Every path that logs must do so without a Logger.
func TestFamilyNilLogger(t *testing.T) {
	down := &fakePeer{addr: "down", get: func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
		return context.DeadlineExceeded
	}}
	c := open(t, stringConfig{
		Name: "users", Peers: &fakePeers{t: t, owners: []cache.Peer{down, nil}},
		Load: func(context.Context, string) (cache.Entry[string], error) { panic("out of luck") },
	})
	if _, r := ends(func() { _, _ = c.Get(t.Context(), "k") }); r == nil {
		t.Error("the loader's panic was lost")
	}
	if s := c.Stats(); s.FetchFailures != 1 || s.LoadPanics != 1 {
		t.Errorf("%d failures and %d panics, want one of each to have been logged", s.FetchFailures, s.LoadPanics)
	}
}
