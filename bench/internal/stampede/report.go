package stampede

import (
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

// The ways that are compared.
const (
	cacheWay = "fleetcache"
	staleWay = "fleetcache-stale"
	groupWay = "groupcache"
	onceWay  = "singleflight"
	asideWay = "aside"
)

var ways = []struct{ name, about string }{
	{cacheWay, "a cache with a TTL; everything else is the default"},
	{staleWay, "the same with a Stale as long as the TTL"},
	{groupWay, "golang/groupcache, which has no TTL, as its users help themselves: the number of the TTL since 1970 is a part of the key"},
	{onceWay, "a map with a TTL in each instance, which loads a key once at a time"},
	{asideWay, "a map with a TTL in each instance; everyone who finds nothing there loads"},
}

func newReport(measured []Measured, ttl, duration time.Duration) *report.Report {
	r := &report.Report{
		Name: "stampede",
		About: fmt.Sprintf("What becomes of values in demand when their TTL of %v is over, with loads that take %v: %d processes on this machine's loopback, each with an instance of every "+
			"way, measured at the same time for %v, and %d callers a second at each. Who gets a value that was loaded after he had come has waited for a load.",
			ttl, ttl/loadShare, instances, duration, rate),
		Notes: []string{
			"All of loads-per-ttl and waiting, of fleetcache without a Stale unless the name says another, are costs: less is better. vs-* are how many times as many loads the other way made",
			"With groupcache all callers change to a new key at one moment: one load a TTL is the least there is, everyone who comes meanwhile waits, and clocks must agree",
		},
		Raw: measured,
	}
	for _, m := range measured {
		r.Ratios = append(r.Ratios, m.ratios()...)
		r.Tables = append(r.Tables, m.table())
	}
	about := report.Table{Title: "What the ways are", Columns: []string{"way", "what it is"}}
	for _, w := range ways {
		about.Rows = append(about.Rows, []string{w.name, w.about})
	}
	r.Tables = append(r.Tables, about)
	return r
}

// ratios returns the figures of a setting. Those of the one key have the short names.
func (m Measured) ratios() []report.Ratio {
	prefix := "stampede/"
	if m.Setting.Keys > 1 {
		prefix += m.Setting.Name + "/"
	}
	ratios := []report.Ratio{
		{Name: prefix + "loads-per-ttl", Value: m.LoadsPerTTL(cacheWay)},
		{Name: prefix + "waiting", Value: m.Waiting(cacheWay)},
		{Name: prefix + "stale/loads-per-ttl", Value: m.LoadsPerTTL(staleWay)},
		{Name: prefix + "stale/waiting", Value: m.Waiting(staleWay)},
	}
	if loads := m.LoadsPerTTL(cacheWay); loads > 0 {
		for _, way := range []string{groupWay, onceWay, asideWay} {
			ratios = append(ratios, report.Ratio{Name: prefix + "loads-vs-" + way, Value: m.LoadsPerTTL(way) / loads})
		}
	}
	return ratios
}

func (m Measured) table() report.Table {
	t := report.Table{Title: m.Setting.Title, Columns: []string{"way", "loads per TTL", "waiting", "calls", "oldest"}}
	for _, w := range ways {
		c := m.Counts[w.name]
		t.Rows = append(t.Rows, []string{
			w.name,
			report.Number(m.LoadsPerTTL(w.name)),
			fmt.Sprintf("%.3f %%", 100*m.Waiting(w.name)),
			fmt.Sprint(c.Asked),
			report.Duration(c.Oldest),
		})
	}
	return t
}
