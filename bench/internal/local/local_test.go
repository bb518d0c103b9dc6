package local

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

func TestMain(m *testing.M) { benchtest.Main(m, Child) }

func TestWorkloadsDoWhatTheySay(t *testing.T) {
	ks := newKeys(1<<12, 1<<16, 1)
	for _, name := range []string{rival.Fleetcache, "otter", "golang-lru", "groupcache"} {
		kinds, err := rival.Named(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range Workloads() {
			s, err := open(kinds[0], w, ks)
			if err != nil {
				t.Fatal(err)
			}
			sample, err := s.measure(w, 3, 5*time.Millisecond)
			s.Close()
			if err != nil {
				t.Errorf("%s: %s: %v", name, w.Name, err)
			}
			gets := float64(sample.Gets) / float64(sample.Ops)
			switch hits := sample.HitRatio(); {
			case sample.Ops == 0:
				t.Errorf("%s: %s: it did nothing", name, w.Name)
			case w.Name == "hit" && (sample.Misses > 0 || gets != 1):
				t.Errorf("%s: hit: %+v, want hits and nothing else", name, sample)
			case w.Name == "fill" && (hits < .4 || hits > .97 || gets != 1):
				t.Errorf("%s: fill: %+v, want some misses", name, sample)
			case w.Name == "set" && gets > 0:
				t.Errorf("%s: set: %+v, want no gets", name, sample)
			case w.Name == "mix" && (hits < .4 || hits > .97 || math.Abs(gets-.75) > .05):
				t.Errorf("%s: mix: %+v, want gets in three of four, and some misses", name, sample)
			}
		}
	}
}

// A muddle answers every Get with the first value that it was given.
type muddle struct {
	rival.Cache
	first []byte
}

func (m *muddle) Set(_ string, value []byte) {
	if m.first == nil {
		m.first = value
	}
}
func (m *muddle) Get(string) ([]byte, bool)            { return m.first, true }
func (m *muddle) GetOrLoad(key string) ([]byte, error) { return m.first, nil }

func TestValuesAreLookedAt(t *testing.T) {
	ks := newKeys(1<<8, 1<<10, 1)
	for _, w := range Workloads() {
		if w.sets == 100 {
			continue
		}
		m := &muddle{}
		m.Set("", newValue(ks.all[0], valueSize))
		s := &subject{Cache: m, keys: ks}
		if _, err := s.measure(w, 1, time.Millisecond); err == nil || !strings.Contains(err.Error(), "another one's") {
			t.Errorf("%s: %v, want that a value is another key's", w.Name, err)
		}
	}
}

func TestKeysAreDrawnByPopularity(t *testing.T) {
	ks := newKeys(4, 100_000, 1)
	drawn := make(map[string]float64)
	for i := range ks.drawn {
		drawn[ks.from(i)]++
	}
	// 1, 2^-.99, 3^-.99 and 4^-.99 of their sum.
	for _, share := range []float64{.4786, .241, .1613, .1213} {
		found := false
		for key, n := range drawn {
			if math.Abs(n/100_000-share) < .01 {
				found = true
				delete(drawn, key)
				break
			}
		}
		if !found {
			t.Errorf("no key is drawn %v of the time: %v", share, drawn)
		}
	}
	if ks.from(0) != ks.from(len(ks.drawn)) {
		t.Error("they do not go round")
	}
}

func TestShortRun(t *testing.T) {
	folder := t.TempDir()
	r, err := Run(context.Background(), Options{
		Plots: folder, Rounds: 2, Duration: 2 * time.Millisecond, Entries: 2000, Short: true,
		Kinds: []string{rival.Fleetcache, rival.Arena, "golang-lru", "freecache"}, Cells: regexp.MustCompile(`^(hit/g1|fill|footprint)`), Progress: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	benchtest.WantRatios(t, r, "local/hit/vs-golang-lru", "local/hit/vs-fastest", "local/hit/allocs", "local/fill/vs-freecache", "local/fill/g8/vs-golang-lru",
		"local/footprint/bytes-per-entry", "local/footprint/objects-per-entry", "local/footprint/vs-golang-lru", "local/gc-cpu/vs-freecache", "local/gc-p9999/vs-golang-lru",
		"local/arena/hit/vs-golang-lru", "local/arena/fill/vs-fleetcache", "local/arena/fill/vs-fastest", "local/arena/footprint/held", "local/arena/gc-cpu/vs-fleetcache", "local/arena/gc-cpu/vs-golang-lru")
	var text strings.Builder
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	benchtest.WantLines(t, text.String(), `^ratio local/hit/allocs 0$`, `^Hits: .*; 1 goroutine per core$`, `^  freecache .* -?\d`)
	for _, name := range []string{"local-g1.svg", "local-g2.svg", "local-g8.svg"} {
		drawn, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || !strings.Contains(string(drawn), "golang-lru") || strings.Contains(string(drawn), ">hit<") != (name == "local-g1.svg") {
			t.Errorf("%s: %v, want bars of what was measured", name, err)
		}
	}
	if len(r.Plots) != 3 {
		t.Errorf("plots %v, want 3", r.Plots)
	}
	for _, ratio := range r.Ratios {
		if strings.HasPrefix(ratio.Name, "local/set") || strings.HasPrefix(ratio.Name, "local/hit/g8") {
			t.Errorf("%s was measured, and is no cell that was named", ratio.Name)
		}
	}
}

func TestKindsThatAreNotThere(t *testing.T) {
	if err := CheckKinds([]string{"otter", "beaver"}); err == nil || !strings.Contains(err.Error(), `no kind "beaver"`) {
		t.Errorf("%v", err)
	}
	if all, err := chosen(nil); err != nil || len(all) != len(rival.All())-len(variants) {
		t.Errorf("%d kinds, %v, want those that are nobody's variants", len(all), err)
	}
}

func TestFootprintOfAChild(t *testing.T) {
	const entries = 4000
	for _, name := range []string{rival.Fleetcache, "golang-lru"} {
		f, err := measureFootprint(context.Background(), Filling{Kind: name, Entries: entries, Collect: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if f.Held < entries*9/10 || f.Held > entries*11/10 || f.Objects < 2*f.Held || f.PerEntry() <= 0 || f.GC <= 0 || f.Gets == 0 || f.P50 > f.P9999 {
			t.Errorf("%s: %+v, want about %d entries with a key and a value each", name, f, entries)
		}
	}
	if _, err := measureFootprint(context.Background(), Filling{Kind: "beaver", Entries: 1}); err == nil || !strings.Contains(err.Error(), "beaver") {
		t.Errorf("%v", err)
	}
}

// sample has a rate of n operations a second.
func sample(n int64) Sample { return Sample{Ops: n, Elapsed: time.Second} }

func TestRatios(t *testing.T) {
	speed := []Speed{
		{Name: "fill/g1", Workload: "fill", Samples: map[string][]Sample{rival.Fleetcache: {sample(10), sample(30), sample(60)}, "otter": {sample(20), sample(30), sample(30)}, "theine": {sample(2), sample(3), sample(6)}}},
		{Name: "fill/g8", Workload: "fill", Samples: map[string][]Sample{rival.Fleetcache: {sample(40)}, "otter": {sample(10)}, "theine": {sample(40)}}},
	}
	speed[0].Samples[rival.Fleetcache][1].Allocs = 45
	speed[1].Samples[rival.Arena] = []Sample{sample(80)} // which is not one that this library is beside
	footprints := map[string]Footprint{
		rival.Fleetcache: {Held: 10, Payload: 100, Heap: 1500, Objects: 30, GC: 100, P9999: 5},
		"otter":          {Held: 20, Payload: 100, Heap: 4000, Objects: 30, GC: 100, P9999: 10},
	}
	got := append(speedRatios("local", rival.Fleetcache, speed, []string{rival.Arena, "otter", "theine"}), footprintRatios("local", rival.Fleetcache, footprints, []string{"otter", "theine"})...)
	got = append(got, speedRatios("local/arena", rival.Arena, speed, []string{rival.Fleetcache, "otter", "theine"})...)
	for _, want := range []report.Ratio{
		{Name: "local/fill/vs-otter", Value: 2}, // of 1 and 4
		{Name: "local/fill/vs-theine", Value: math.Sqrt(10)},
		{Name: "local/fill/vs-fastest", Value: 2},
		{Name: "local/fill/vs-fleetcache-arena", Value: .5},
		{Name: "local/arena/fill/vs-fleetcache", Value: 2},
		{Name: "local/arena/fill/vs-fastest", Value: 2},
		{Name: "local/fill/g1/vs-otter", Value: 1}, // of .5, 1 and 2
		{Name: "local/fill/g8/vs-otter", Value: 4},
		{Name: "local/footprint/bytes-per-entry", Value: 50},
		{Name: "local/footprint/objects-per-entry", Value: 3},
		{Name: "local/footprint/vs-otter", Value: 2},
		{Name: "local/gc-cpu/vs-otter", Value: .5},
		{Name: "local/gc-p9999/vs-otter", Value: 2},
	} {
		found := false
		for _, r := range got {
			found = found || r.Name == want.Name && math.Abs(r.Value-want.Value) < 1e-9
		}
		if !found {
			t.Errorf("there is no %v among %v", want, got)
		}
	}
	for _, r := range got {
		if r.Name == "local/footprint/vs-theine" || strings.HasPrefix(r.Name, "local/hit") {
			t.Errorf("%v was not measured", r)
		}
	}
}
