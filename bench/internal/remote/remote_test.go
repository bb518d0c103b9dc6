package remote

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/load"
)

func TestMain(m *testing.M) { benchtest.Main(m, Child) }

// Every kind answers with the values of the keys: a generator compares each of them in full before it measures, and
// looks at each afterwards.
func TestEveryKind(t *testing.T) {
	ctx := context.Background()
	pairs, skipped, err := OpenAll(ctx, kind.All())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := CloseAll(pairs); err != nil {
			t.Error(err)
		}
	}()
	if len(pairs)+len(skipped) != len(kind.All()) {
		t.Errorf("%d kinds, of which %d are here and %d left out", len(kind.All()), len(pairs), len(skipped))
	}
	for _, why := range skipped {
		t.Log(why)
	}
	for name, p := range pairs {
		for _, shape := range []load.Shape{
			{Size: 100, Callers: 1},
			{Size: 100, Callers: 16},
			{Size: 100, Callers: 3, Many: 5},
			{Size: 100, Callers: 2, Bulk: 2 * mib},
		} {
			if shape.Bulk > 0 && !strings.HasPrefix(name, "fleetcache") { // values too large for memcached
				continue
			}
			s := mustMeasure(t, p, shape, load.Limit{Duration: 10 * time.Millisecond})
			if s.P50 <= 0 || s.P99 < s.P50 || s.Spent.Allocs == 0 {
				t.Errorf("%s, %+v: %+v makes no sense", name, shape, s)
			}
		}
		if s := mustMeasure(t, p, load.Shape{Size: 100, Callers: 2}, load.Limit{Ops: 7}); s.Ops < 7 || s.Ops > 8 {
			t.Errorf("%s: %d operations, want 7, or 8 for two callers in one", name, s.Ops)
		}
	}
}

func mustMeasure(t *testing.T, p *Pair, shape load.Shape, limit load.Limit) Sample {
	t.Helper()
	if err := p.Prepare(t.Context(), shape); err != nil {
		t.Fatal(err)
	}
	s, err := p.Run(t.Context(), limit)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKindsWithoutTheirPrograms(t *testing.T) {
	t.Setenv("PATH", "")
	kinds, err := kind.Named("floor", "rueidis", "memcached")
	if err != nil {
		t.Fatal(err)
	}
	pairs, skipped, err := OpenAll(context.Background(), kinds)
	if err != nil {
		t.Fatal(err)
	}
	defer CloseAll(pairs)
	if len(pairs) != 1 || pairs["floor"] == nil || len(skipped) != 2 || !strings.Contains(skipped[0].Error(), "redis-server is not in PATH") {
		t.Errorf("%v are here, left out are %v", pairs, skipped)
	}
}

func TestAnErrorEndsEverything(t *testing.T) {
	kinds, err := kind.Named("floor", "http1")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cell := 0
	_, err = Run(ctx, Options{Short: true, Kinds: kind.Names(kinds), Duration: 10 * time.Millisecond, Progress: func(string, ...any) {
		if cell++; cell == 2 {
			cancel() // as Ctrl-C does
		}
	}})
	if err == nil {
		t.Error("a run that was interrupted ended well")
	}
}

func TestRunShort(t *testing.T) {
	var said []string
	r, err := Run(t.Context(), Options{
		Short: true, Rounds: 2, Duration: 10 * time.Millisecond, Kinds: []string{"fleetcache", "groupcache"},
		Progress: func(format string, _ ...any) { said = append(said, format) },
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, ratio := range r.Ratios {
		names = append(names, ratio.Name)
		if !(ratio.Value > 0) || math.IsInf(ratio.Value, 0) {
			t.Errorf("ratio %s is %v", ratio.Name, ratio.Value)
		}
	}
	want := []string{
		"remote/1KiB/c1/cpu-vs-groupcache", "remote/1KiB/c1/vs-groupcache",
		"remote/1KiB/c64/cpu-vs-groupcache", "remote/1KiB/c64/vs-groupcache",
	}
	if !slices.Equal(names, want) {
		t.Errorf("ratios %v, want %v", names, want)
	}
	if len(said) == 0 || len(r.Tables) != 3 {
		t.Errorf("%d lines of progress, %d tables", len(said), len(r.Tables))
	}
}
