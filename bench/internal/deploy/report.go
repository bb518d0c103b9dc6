package deploy

import (
	"fmt"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

// The ways that are compared.
const (
	cacheWay = "fleetcache"
	groupWay = "groupcache"
)

var ways = []struct{ name, prefix, about string }{
	{cacheWay, "deploy/", "a cache with a TTL; everything else is the default. An instance that is replaced is drained"},
	{groupWay, "deploy/groupcache-", "golang/groupcache, which has no TTL, as its users help themselves: the number of the TTL is a part of the key, and changes at another moment for each"},
}

const (
	steadyPhase   = "steady"
	replacedPhase = "replacement"
	crashedPhase  = "crash"
)

// A Phase is a time, and what was loaded in it by one way.
type Phase struct {
	Name     string
	From, To time.Duration
	Loads    int
	Again    int   // of Loads, of what had been loaded and was far from over
	Seconds  []int // loads in each second; the last one is whole, too
}

// count returns ph with what was loaded in it.
func (ph Phase) count(loads []loaded, second time.Duration) Phase {
	ph.Seconds = make([]int, max(1, int((ph.To-ph.From)/second)))
	for _, l := range loads {
		ph.Loads++
		if l.again {
			ph.Again++
		}
		if i := int((l.at - ph.From) / second); i < len(ph.Seconds) {
			ph.Seconds[i]++
		}
	}
	return ph
}

// rate returns the loads in a second, on average.
func (ph Phase) rate() float64 { return float64(ph.Loads) / (ph.To - ph.From).Seconds() }

// peak returns the loads in a second, in the second with most.
func (ph Phase) peak(second time.Duration) float64 {
	return float64(slices.Max(ph.Seconds)) / second.Seconds()
}

// A Measured is what was found.
type Measured struct {
	Plan   Plan
	Loads  map[string][]Phase // by way: steady, replacement, crash
	Counts map[string]Count
	Lost   int64
	Drains []time.Duration
}

func newReport(m Measured) *report.Report {
	p := m.Plan
	r := &report.Report{
		Name: "deploy",
		About: fmt.Sprintf("What it costs the origin that a fleet changes: %d processes on this machine's loopback, each with an instance of every way, measured at the same time by the same %d callers a second, "+
			"who ask for %d keys, the nth 1/n^%v times as often as the first; TTL %v. A load takes %v. All that is held fits into memory. "+
			"In turn each instance is drained, its process ends, and a new one begins at another address, of which each of the others learns at a random moment of the next %v; all %d in about %v. "+
			"Then one is killed, of which the others learn after %v.",
			p.Instances, p.Rate, keyCount, zipf, p.TTL, loadTakes, p.Lag, p.Instances, p.Replacement, p.Learnt),
		Notes: []string{
			"Ratios are of loads a second to those of the steady state before: on average over the whole replacement, in its peak second, and on average over the first " + p.Crash.String() + " after the crash. Less is better",
			fmt.Sprintf("A steady state has a peak second, too, by chance: see its table. The drains took %v to %v. Of the callers %d could not be sent on, since who they were sent to was ending",
				shortly(slices.Min(m.Drains)), shortly(slices.Max(m.Drains)), m.Lost),
		},
		Raw: m,
	}
	about := report.Table{Title: "What the ways are", Columns: []string{"way", "what it is"}}
	var tables []report.Table
	for _, w := range ways {
		r.Ratios = append(r.Ratios, m.ratios(w.name, w.prefix)...)
		tables = append(tables, m.table(w.name))
		about.Rows = append(about.Rows, []string{w.name, w.about})
	}
	r.Tables = append(append(tables, m.bySecond()), about)
	return r
}

func shortly(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

func (m Measured) ratios(way, prefix string) []report.Ratio {
	steady, replaced, crashed := m.Loads[way][0], m.Loads[way][1], m.Loads[way][2]
	rate := max(steady.rate(), 1)
	return []report.Ratio{
		{Name: prefix + "average", Value: replaced.rate() / rate},
		{Name: prefix + "peak", Value: replaced.peak(m.Plan.Second) / rate},
		{Name: prefix + "crash", Value: crashed.rate() / rate},
	}
}

func (m Measured) table(way string) report.Table {
	c := m.Counts[way]
	failed := "none"
	if c.Failed > 0 {
		failed = fmt.Sprintf("%d, one with %q,", c.Failed, c.Error)
	}
	t := report.Table{
		Title:   fmt.Sprintf("Loads of %s (%d calls, of which %s failed)", way, c.Asked, failed),
		Columns: []string{"phase", "time", "loads", "a second", "peak second", "again"},
	}
	for _, ph := range m.Loads[way] {
		t.Rows = append(t.Rows, []string{
			ph.Name, shortly(ph.To - ph.From).String(), fmt.Sprint(ph.Loads),
			report.Number(ph.rate()), report.Number(ph.peak(m.Plan.Second)), fmt.Sprint(ph.Again),
		})
	}
	return t
}

// bySecond has a row for each second of the crash, which is over before an average shows it.
func (m Measured) bySecond() report.Table {
	t := report.Table{Title: "Loads after the crash, over the steady state's", Columns: []string{"second"}}
	for _, w := range ways {
		t.Columns = append(t.Columns, w.name)
	}
	for i := range m.Loads[cacheWay][2].Seconds {
		row := []string{fmt.Sprint(i + 1)}
		for _, w := range ways {
			phases := m.Loads[w.name]
			row = append(row, report.Number(float64(phases[2].Seconds[i])/m.Plan.Second.Seconds()/max(phases[0].rate(), 1)))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}
