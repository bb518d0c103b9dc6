package remote

import (
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// A comparison is of two entries of a cell, by a figure of their samples.
type comparison struct {
	name   string
	over   string // its figure is divided by
	under  string // that of this one
	figure func(Sample) float64
}

// comparisons returns those that a cell may have. For all but tls-vs-cleartext and bulk, which are costs, more than 1 is
// in fleetcache's favour.
func comparisons() []comparison {
	cs := []comparison{
		{"get-vs-wire", "fleetcache-get", "fleetcache", Sample.Rate},
		{"get-vs-groupcache", "fleetcache-get", "groupcache-get", Sample.Rate},
		{"tls-vs-cleartext", "fleetcache", "fleetcache-tls", Sample.Rate}, // rates the other way round are times
		{"cpu-vs-groupcache", "groupcache", "fleetcache", Sample.CPU},
	}
	for _, rival := range rivals {
		cs = append(cs, comparison{"vs-" + rival, "fleetcache", rival, Sample.Rate})
	}
	return cs
}

// ratios returns the ratios of a cell: the medians of what its rounds, each by itself, give.
func (m Measured) ratios() []report.Ratio {
	if m.Cell.Name == bulkCell {
		p99 := comparison{"p99", bulkLabel, "fleetcache", func(s Sample) float64 { return float64(s.P99) }}
		return m.ratio(nil, p99)
	}
	cs := comparisons()
	if m.many() {
		cs = append(cs, comparison{"get-vs-rueidis", "fleetcache-get", "rueidis", Sample.Rate})
	}
	var ratios []report.Ratio
	for _, c := range cs {
		ratios = m.ratio(ratios, c)
	}
	return ratios
}

func (m Measured) many() bool { return len(m.Cell.Entries) > 0 && m.Cell.Entries[0].Shape.Many > 0 }

func (m Measured) ratio(ratios []report.Ratio, c comparison) []report.Ratio {
	if value, ok := stats.Ratio(stats.Values(m.Samples[c.over], c.figure), stats.Values(m.Samples[c.under], c.figure)); ok {
		ratios = append(ratios, report.Ratio{Name: "remote/" + m.Cell.Name + "/" + c.name, Value: value})
	}
	return ratios
}

func (m Measured) table() report.Table {
	t := report.Table{
		Title:   m.Cell.Title,
		Columns: []string{"kind", "ops/s", "p50", "p99", "CPU-s/Mop", "allocs/op client", "server"},
	}
	for _, e := range m.Cell.Entries {
		samples := m.Samples[e.Label]
		duration := func(of func(Sample) time.Duration) string {
			d := time.Duration(stats.MedianOf(samples, func(s Sample) float64 { return float64(of(s)) }))
			return report.Duration(d)
		}
		t.Rows = append(t.Rows, []string{
			e.Label,
			report.Number(stats.MedianOf(samples, Sample.Rate)),
			duration(func(s Sample) time.Duration { return s.P50 }),
			duration(func(s Sample) time.Duration { return s.P99 }),
			report.NumberOrNone(stats.MedianOf(samples, Sample.CPU)),
			report.Number(stats.MedianOf(samples, Sample.ClientAllocs)),
			report.NumberOrNone(stats.MedianOf(samples, Sample.ServerAllocs)),
		})
	}
	return t
}

func newReport(measured []Measured, kinds []kind.Kind, skipped []error, o Options) *report.Report {
	r := &report.Report{
		Name: "remote",
		About: fmt.Sprintf("Remote hits: client and server are processes of their own on this machine's loopback. "+
			"Each figure is the median of %d measurements of %v, which are interleaved over the kinds.", o.Rounds, o.Duration),
		Raw: measured,
	}
	for _, m := range measured {
		r.Ratios = append(r.Ratios, m.ratios()...)
		r.Tables = append(r.Tables, m.table())
	}
	about := report.Table{Title: "What the kinds are", Columns: []string{"kind", "what it is, and what was tuned"}}
	for _, k := range kinds {
		about.Rows = append(about.Rows, []string{k.Name, k.About})
	}
	r.Tables = append(r.Tables, about)
	for _, why := range skipped {
		r.Notes = append(r.Notes, why.Error())
	}
	return r
}
