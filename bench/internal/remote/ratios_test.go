package remote

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/load"
)

// sample is of a rate, and of as many milliseconds of CPU in each process, and of p99.
func sample(rate, ms float64) Sample {
	cpu := time.Duration(ms * float64(time.Millisecond))
	return Sample{
		Result: load.Result{Ops: int64(rate), Elapsed: time.Second, P99: cpu, Spent: load.Usage{CPU: cpu}},
		Server: load.Usage{CPU: cpu},
	}
}

func TestRatiosFavourTheFaster(t *testing.T) {
	names := kind.Names(kind.All())
	cell := Matrix(names, true)[0]
	m := Measured{Cell: cell, Samples: make(map[string][]Sample)}
	for _, e := range cell.Entries {
		m.Samples[e.Label] = []Sample{sample(100, 5), sample(200, 5), sample(50, 5)}
	}
	m.Samples["fleetcache"] = []Sample{sample(400, 20), sample(800, 20), sample(1, 0.05)}  // 4 times as fast, at the same CPU
	m.Samples["fleetcache-get"] = []Sample{sample(300, 5), sample(600, 5), sample(150, 5)} // 3 times
	m.Samples["groupcache"] = []Sample{sample(100, 10), sample(200, 20), sample(50, 5)}    // twice the CPU
	got := make(map[string]float64)
	for _, r := range m.ratios() {
		got[r.Name] = r.Value
	}
	want := map[string]float64{
		"get-vs-wire": 0.75, "get-vs-groupcache": 3, "tls-vs-cleartext": 4, "cpu-vs-groupcache": 2,
		"vs-groupcache": 4, "vs-grpc": 4, "vs-http1": 4, "vs-h2c": 4, "vs-memcached": 4, "vs-rueidis": 4, "vs-goredis": 4, "vs-floor": 4,
	}
	for name, value := range want {
		if name = "remote/1KiB/c1/" + name; got[name] != value {
			t.Errorf("%s is %v, want %v", name, got[name], value)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d ratios, want %d: %v", len(got), len(want), got)
	}
}

func TestRatioOfBulk(t *testing.T) {
	cells := Matrix([]string{"fleetcache"}, false)
	m := Measured{Cell: cells[len(cells)-1], Samples: map[string][]Sample{
		"fleetcache": {sample(1, 10), sample(1, 20)},
		bulkLabel:    {sample(1, 15), sample(1, 30)},
	}}
	if got := m.ratios(); len(got) != 1 || got[0].Name != "remote/bulk/p99" || got[0].Value != 1.5 {
		t.Errorf("ratios %v, want remote/bulk/p99 1.5", got)
	}
}

// The names of ratios are what others look for.
func TestNamesOfRatios(t *testing.T) {
	got := make(map[string]bool)
	for _, cell := range Matrix(kind.Names(kind.All()), false) {
		m := Measured{Cell: cell, Samples: make(map[string][]Sample)}
		for _, e := range cell.Entries {
			m.Samples[e.Label] = []Sample{sample(1, 1)}
		}
		for _, r := range m.ratios() {
			if got[r.Name] {
				t.Errorf("%s is there twice", r.Name)
			}
			got[r.Name] = true
		}
	}
	want := []string{
		"getmany100/c1/vs-groupcache", "getmany100/c16/vs-rueidis", "getmany100/c16/get-vs-rueidis", "bulk/p99",
		"100B/c1/tls-vs-cleartext", "1KiB/c64/tls-vs-cleartext", "4KiB/c64/tls-vs-cleartext",
	}
	for _, size := range []string{"100B", "1KiB", "64KiB"} {
		for _, callers := range []int{1, 16, 64, 256} {
			for _, what := range append([]string{"get-vs-wire", "get-vs-groupcache", "cpu-vs-groupcache"}, prefixed("vs-", rivals)...) {
				want = append(want, fmt.Sprintf("%s/c%d/%s", size, callers, what))
			}
		}
	}
	for _, name := range want {
		if !got["remote/"+name] {
			t.Errorf("there is no remote/%s", name)
		}
	}
	for _, rival := range rivals {
		if !slices.Contains(kind.Names(kind.All()), rival) {
			t.Errorf("there is no kind %q", rival)
		}
	}
}

func prefixed(prefix string, names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, prefix+name)
	}
	return all
}
