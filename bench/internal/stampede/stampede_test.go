package stampede

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
)

func TestMain(m *testing.M) { benchtest.Main(m, Child) }

func TestRun(t *testing.T) {
	r, err := Run(context.Background(), Options{Duration: 1500 * time.Millisecond, Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	measured := r.Raw.([]Measured)
	if len(measured) != 2 {
		t.Fatalf("%d settings, want 2", len(measured))
	}
	for _, m := range measured {
		for _, w := range ways {
			c := m.Counts[w.name]
			if c.Asked < 1000 || c.Loads == 0 || c.Failed > 0 || c.Oldest <= 0 {
				t.Errorf("%s: %s: %+v", m.Setting.Name, w.name, c)
			}
		}
		// What they differ in by far, whatever else this machine does.
		if once, all := m.Counts[cacheWay].Loads, m.Counts[asideWay].Loads; all < 3*once {
			t.Errorf("%s: %d loads, and %d by everyone for himself", m.Setting.Name, once, all)
		}
	}
	benchtest.WantRatios(t, r, "stampede/loads-per-ttl", "stampede/waiting", "stampede/stale/waiting", "stampede/loads-vs-groupcache", "stampede/keys32/loads-vs-aside")
}

func TestMeasured(t *testing.T) {
	m := Measured{
		Setting: Setting{Name: "some", Keys: 4}, TTL: time.Second, Duration: 5 * time.Second,
		Counts: map[string]Count{cacheWay: {Asked: 1000, Waited: 5, Loads: 22}, groupWay: {Asked: 1000, Loads: 11}},
	}
	want := map[string]float64{
		"stampede/some/loads-per-ttl": 1.1, "stampede/some/waiting": 0.005, "stampede/some/stale/loads-per-ttl": 0, "stampede/some/stale/waiting": 0,
		"stampede/some/loads-vs-groupcache": 0.5, "stampede/some/loads-vs-singleflight": 0, "stampede/some/loads-vs-aside": 0,
	}
	for _, r := range m.ratios() {
		if math.Abs(r.Value-want[r.Name]) > 1e-9 {
			t.Errorf("%s is %v, want %v", r.Name, r.Value, want[r.Name])
		}
		delete(want, r.Name)
	}
	if len(want) > 0 {
		t.Errorf("there are no %v", want)
	}
}

func TestKeysAreDrawnByPopularity(t *testing.T) {
	k := newKeys(4)
	drawn := make(map[string]int)
	for range 25_000 {
		drawn[k.draw()]++
	}
	if len(drawn) != 4 || math.Abs(float64(drawn["key-0"])-12_000) > 600 || math.Abs(float64(drawn["key-3"])-3000) > 400 {
		t.Errorf("drawn %v, want 12, 6, 4 and 3 of 25", drawn)
	}
}
