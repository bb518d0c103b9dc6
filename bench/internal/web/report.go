package web

import (
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// ratios returns those of a cell: what a hit costs in CPU of the server, over what it costs in the bare handler; and how many requests a second there are,
// over those of the bare handler. Each is the median of what the rounds give, each by itself.
func (m Measured) ratios() []report.Ratio {
	var ratios []report.Ratio
	add := func(name, kind string, figure func(Sample) float64) {
		if value, ok := stats.Ratio(stats.Values(m.Samples[kind], figure), stats.Values(m.Samples[bare], figure)); ok && value > 0 {
			ratios = append(ratios, report.Ratio{Name: "web/" + m.Cell.Name() + "/" + name + "vs-" + bare, Value: value})
		}
	}
	add("", service, Sample.PerOp)
	add("rps-", service, Sample.Rate)
	for _, k := range kinds() {
		if k.name != bare && k.name != service {
			add(k.name+"-", k.name, Sample.PerOp)
		}
	}
	return ratios
}

func (m Measured) table(servers []*server) report.Table {
	title := fmt.Sprintf("%dKiB, %d connections", m.Cell.Size/kib, m.Cell.Conns)
	if m.Cell.Conns == 1 {
		title = fmt.Sprintf("%dKiB, 1 connection", m.Cell.Size/kib)
	}
	t := report.Table{Title: title, Columns: []string{"server", "requests/s", "p50", "p99", "server CPU-s/M"}}
	for _, s := range servers {
		samples := m.Samples[s.name]
		duration := func(of func(Sample) time.Duration) string {
			return report.Duration(time.Duration(stats.MedianOf(samples, func(s Sample) float64 { return float64(of(s)) })))
		}
		t.Rows = append(t.Rows, []string{
			s.name,
			report.Number(stats.MedianOf(samples, Sample.Rate)),
			duration(func(s Sample) time.Duration { return s.P50 }),
			duration(func(s Sample) time.Duration { return s.P99 }),
			report.NumberOrNone(stats.MedianOf(samples, Sample.PerOp)),
		})
	}
	return t
}

func newReport(measured []Measured, servers []*server, skipped []string, o Options) *report.Report {
	client := "the client is this one"
	if o.Wrk {
		client = "the client is wrk"
	}
	r := &report.Report{
		Name: "web",
		About: fmt.Sprintf("Cached hits through the example service: servers are processes of their own, %s, on this machine's loopback. "+
			"Each connection asks for a URL of its own, again and again. Each figure is the median of %d measurements of %v, which are interleaved over the servers. "+
			"Ratios are of the server's CPU time for a request, so less is better; rps is of requests a second.", client, o.Rounds, o.Duration),
		Notes: skipped,
		Raw:   measured,
	}
	about := report.Table{Title: "What the servers are", Columns: []string{"server", "what it is"}}
	for _, m := range measured {
		r.Ratios = append(r.Ratios, m.ratios()...)
		r.Tables = append(r.Tables, m.table(servers))
	}
	for _, s := range servers {
		about.Rows = append(about.Rows, []string{s.name, s.about})
	}
	r.Tables = append(r.Tables, about)
	return r
}
