package local

import (
	"fmt"
	"math"
	"runtime"
	"slices"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// vs returns the ratio of the rate of one kind to another's in a cell: the median of what the rounds, each by itself, give.
func (m Speed) vs(own, other string) (float64, bool) {
	return stats.Ratio(stats.Values(m.Samples[own], Sample.Rate), stats.Values(m.Samples[other], Sample.Rate))
}

// isOurs reports whether the kind of that name is this library.
func isOurs(name string) bool { return name == rival.Fleetcache || name == rival.Arena }

// without returns the names of all kinds but one.
func without(own string, kinds []rival.Kind) []string {
	return slices.DeleteFunc(rival.Names(kinds), func(name string) bool { return name == own })
}

// geometricMean is 0 for no values.
func geometricMean(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sum := 0.0
	for _, v := range values {
		sum += math.Log(v)
	}
	return math.Exp(sum / float64(len(values)))
}

// speedRatios returns the ratios of this library's kind of that name to others, for each workload, and then for its cells. The fastest is that of the
// others that is not this library, too.
func speedRatios(group, own string, found []Speed, others []string) []report.Ratio {
	var ratios, single []report.Ratio
	for _, w := range Workloads() {
		name := group + "/" + w.Name + "/"
		cells := slices.DeleteFunc(slices.Clone(found), func(m Speed) bool { return m.Workload != w.Name })
		fastest := 0.0
		for _, other := range others {
			var of []float64
			for _, m := range cells {
				if v, ok := m.vs(own, other); ok {
					of = append(of, v)
					single = append(single, report.Ratio{Name: group + "/" + m.Name + "/vs-" + other, Value: v})
				}
			}
			if mean := geometricMean(of); mean > 0 {
				ratios = append(ratios, report.Ratio{Name: name + "vs-" + other, Value: mean})
				if !isOurs(other) && (fastest == 0 || mean < fastest) {
					fastest = mean
				}
			}
		}
		if fastest > 0 {
			ratios = append(ratios, report.Ratio{Name: name + "vs-fastest", Value: fastest})
		}
		if samples := samplesOf(own, cells); len(samples) > 0 {
			ratios = append(ratios, report.Ratio{Name: name + "allocs", Value: whole(stats.MedianOf(samples, Sample.AllocsPerOp))})
		}
	}
	return append(ratios, single...)
}

// samplesOf returns the samples of a kind in all cells.
func samplesOf(kind string, cells []Speed) (samples []Sample) {
	for _, m := range cells {
		samples = append(samples, m.Samples[kind]...)
	}
	return samples
}

// whole returns v without what the measurement itself allocates: some objects in hundreds of thousands of operations.
func whole(v float64) float64 { return math.Round(v*100) / 100 }

// footprintRatios returns the figures of this library's kind of that name, and how many times as much others take.
func footprintRatios(group, name string, found map[string]Footprint, others []string) []report.Ratio {
	own, ok := found[name]
	if !ok {
		return nil
	}
	ratios := []report.Ratio{
		{Name: group + "/footprint/bytes-per-entry", Value: own.PerEntry()},
		{Name: group + "/footprint/objects-per-entry", Value: own.ObjectsPerEntry()},
		{Name: group + "/footprint/held", Value: float64(own.Held)},
	}
	for _, figure := range []struct {
		name string
		of   func(Footprint) float64
	}{
		{"footprint", Footprint.PerEntry},
		{"gc-cpu", Footprint.GCPerEntry},
		{"gc-p9999", func(f Footprint) float64 { return float64(f.P9999) }},
	} {
		for _, other := range others {
			if f, ok := found[other]; ok && figure.of(own) > 0 {
				ratios = append(ratios, report.Ratio{Name: group + "/" + figure.name + "/vs-" + other, Value: figure.of(f) / figure.of(own)})
			}
		}
	}
	return ratios
}

func (m Speed) table(kinds []rival.Kind) report.Table {
	t := report.Table{
		Title:   m.Title + "; " + goroutinesPerCore(m.PerCore),
		Columns: []string{"cache", "ops/s", "ns/op", "allocs/op", "hit ratio"},
	}
	for _, k := range kinds {
		samples := m.Samples[k.Name]
		hits := "-"
		if m.Workload != "set" {
			hits = fmt.Sprintf("%.1f %%", 100*stats.MedianOf(samples, Sample.HitRatio))
		}
		t.Rows = append(t.Rows, []string{
			k.Name,
			report.Number(stats.MedianOf(samples, Sample.Rate)),
			report.Number(stats.MedianOf(samples, Sample.NsPerOp)),
			report.Number(whole(stats.MedianOf(samples, Sample.AllocsPerOp))),
			hits,
		})
	}
	return t
}

func footprintTable(found map[string]Footprint, kinds []rival.Kind, o Options) report.Table {
	t := report.Table{
		Title: fmt.Sprintf("Room for %d entries with values of %d B, full", o.Entries, footprintSize),
		Columns: []string{"cache", "entries", "heap B/entry", "resident B/entry", "objects/entry", "GC CPU", "of an entry",
			"get p50 in GC", "p99.99"},
	}
	for _, k := range kinds {
		f := found[k.Name]
		t.Rows = append(t.Rows, []string{
			k.Name,
			fmt.Sprint(f.Held),
			report.Number(f.PerEntry()),
			report.Number(f.ResidentPerEntry()),
			report.Number(f.ObjectsPerEntry()),
			report.Duration(f.GC),
			report.Number(f.GCPerEntry()) + "ns",
			report.Duration(f.P50),
			report.Duration(f.P9999),
		})
	}
	return t
}

func newReport(speed []Speed, footprints map[string]Footprint, kinds []rival.Kind, o Options) *report.Report {
	beside, besideArena := without(rival.Fleetcache, kinds), without(rival.Arena, kinds)
	r := &report.Report{
		Name: "local",
		About: fmt.Sprintf("Caches of one process. Speed: %d keys, the nth asked for 1/n^%v times as often as the first, values of %d B that a load or set makes anew, 1, 2 and 8 goroutines on each of %d cores. "+
			"Each figure is the median of %d measurements of %v, which are interleaved over the caches. Footprint: a process for each cache, with nothing else in it, filled with %d %% of the keys that it "+
			"has room for; bytes are beside those of keys and values, objects are all. vs-*, unless a cost is named, are of operations a second; of footprint, gc-cpu and gc-p9999 they are how many times as much "+
			"the other takes. More than 1 is in fleetcache's favour in all of them.",
			keyCount, exponent, valueSize, runtime.GOMAXPROCS(0), o.Rounds, o.Duration, overfill),
		Notes: []string{
			"A cache that drops what it is given is fast: what a ratio is worth the hit ratio beside it tells. Where none is for sets, fills tell",
			"fleetcache copies a byte slice that is Set, with Config.Arena those that are loaded too, and hands out the one that it keeps, which nobody may change, as otter, theine, ristretto, golang-lru and groupcache do with both; freecache and bigcache copy in and out",
			"Loads run on the goroutine of the first who asks, fleetcache's by InlineLoads. Without, each starts on a goroutine of its own, so that whoever waits may leave, which takes about a microsecond more",
			"Room is counted in entries, but in freecache and bigcache in the bytes that these would take, all of which they have from the beginning",
			"Objects count the key and the value of an entry, which are two where they are not part of something larger; ristretto keeps hashes in place of keys. Allocations count the value that a load or set makes. A collection's CPU time is that of a forced one, on all cores",
		},
		Ratios: slices.Concat(
			speedRatios("local", rival.Fleetcache, speed, beside), footprintRatios("local", rival.Fleetcache, footprints, beside),
			speedRatios("local/arena", rival.Arena, speed, besideArena), footprintRatios("local/arena", rival.Arena, footprints, besideArena)),
		Raw: struct {
			Speed      []Speed
			Footprints map[string]Footprint
		}{speed, footprints},
	}
	for _, m := range speed {
		r.Tables = append(r.Tables, m.table(kinds))
	}
	if footprints != nil {
		r.Tables = append(r.Tables, footprintTable(footprints, kinds, o))
	}
	about := report.Table{Title: "What the caches are", Columns: []string{"cache", "what it is"}}
	for _, k := range kinds {
		about.Rows = append(about.Rows, []string{k.Name, k.About})
	}
	r.Tables = append(r.Tables, about)
	return r
}
