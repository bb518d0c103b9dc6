package hitratio

import (
	"fmt"
	"math"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

// leastGap is how much the references differ by at least where a share of the way from one to the other says something: 0.1 points.
const leastGap = 0.001

// results are all traces.
type results struct {
	traces []*measured
	short  bool
	cut    int // how many were cut
}

// A summary is how a kind does over cells.
type summary struct {
	gap     float64 // mean share of the way from LRU to Belady's policy
	gaps    int     // of so many cells
	worst   float64 // points of hit ratio over LRU, in the cell where that is least
	worstIn string
	cells   int
}

// summarize returns how a kind does over all cells of traces that have it.
func summarize(kind string, traces ...*measured) summary {
	s := summary{worst: math.Inf(1)}
	for _, t := range traces {
		for _, c := range t.cells {
			hit, ok := c.hit[kind]
			if !ok {
				continue
			}
			s.cells++
			if over := 100 * (hit - c.lru); over < s.worst {
				s.worst, s.worstIn = over, fmt.Sprintf("%s at %d %%", t.name, c.percent)
			}
			if gap := c.opt - c.lru; gap >= leastGap {
				s.gap += (hit - c.lru) / gap
				s.gaps++
			}
		}
	}
	if s.gaps > 0 {
		s.gap /= float64(s.gaps)
	}
	return s
}

func (r *results) report(kinds []string) *report.Report {
	rep := &report.Report{Name: "hitratio", About: about(r), Notes: r.notes(kinds), Raw: r.raw()}
	means := report.Table{Title: "All traces", Columns: []string{"kind", "gap closed %", "worst points over LRU", "where", "cells"}}
	for _, kind := range kinds {
		s := summarize(kind, r.traces...)
		if s.cells == 0 {
			continue
		}
		rep.Ratios = append(rep.Ratios, s.ratios(kind)...)
		gap := "-"
		if s.gaps > 0 {
			gap = fmt.Sprintf("%.1f", 100*s.gap)
		}
		means.Rows = append(means.Rows, []string{kind, gap, fmt.Sprintf("%.2f", s.worst), s.worstIn, fmt.Sprint(s.cells)})
	}
	for _, t := range r.traces {
		if s := summarize(rival.Fleetcache, t); s.gaps > 0 {
			rep.Ratios = append(rep.Ratios, report.Ratio{Name: "hitratio/" + t.name + "/gap-closed", Value: s.gap})
		}
	}
	rep.Tables = append(rep.Tables, means)
	for _, t := range r.traces {
		rep.Tables = append(rep.Tables, t.table(kinds))
	}
	return rep
}

// ratios returns the ratios of a kind: fleetcache's without its name.
func (s summary) ratios(kind string) []report.Ratio {
	of := "/" + kind
	if kind == rival.Fleetcache {
		of = ""
	}
	ratios := []report.Ratio{{Name: "hitratio/worst-vs-lru" + of, Value: s.worst}}
	if s.gaps > 0 {
		ratios = append([]report.Ratio{{Name: "hitratio/gap-closed" + of, Value: s.gap}}, ratios...)
	}
	return ratios
}

// table has a row for each kind and a column for each size.
func (t *measured) table(kinds []string) report.Table {
	table := report.Table{
		Title:   fmt.Sprintf("%s: %d requests for %d keys, hit ratio in %% with room for a share of the %s", t.name, len(t.requests), len(t.keys), t.unit()),
		Columns: []string{"kind"},
	}
	row := func(name string, hit func(*cell) (float64, bool)) {
		cells, any := []string{name}, false
		for _, c := range t.cells {
			if h, ok := hit(c); ok {
				cells, any = append(cells, fmt.Sprintf("%.2f", 100*h)), true
			} else {
				cells = append(cells, "-")
			}
		}
		if any {
			table.Rows = append(table.Rows, cells)
		}
	}
	for _, c := range t.cells {
		table.Columns = append(table.Columns, fmt.Sprintf("%d %% (%d)", c.percent, c.capacity))
	}
	row("LRU", func(c *cell) (float64, bool) { return c.lru, true })
	for _, kind := range kinds {
		row(kind, func(c *cell) (float64, bool) { h, ok := c.hit[kind]; return h, ok })
	}
	row("Belady", func(c *cell) (float64, bool) { return c.opt, true })
	return table
}

// notes say what was left out.
func (r *results) notes(kinds []string) []string {
	var notes []string
	little, cells := 0, 0
	for _, t := range r.traces {
		notes = append(notes, t.notes...)
		for _, c := range t.cells {
			cells++
			if c.opt-c.lru < leastGap {
				little++
			}
		}
	}
	if little > 0 {
		notes = append(notes, fmt.Sprintf("Of %d cells, %d count in worst-vs-lru and not in gap-closed: Belady's policy is there less than 0.1 points better than LRU", cells, little))
	}
	for _, kind := range kinds {
		if n := summarize(kind, r.traces...).cells; n < cells {
			notes = append(notes, fmt.Sprintf("%s is measured in %d of %d cells", kind, n, cells))
		}
	}
	if r.cut > 0 {
		notes = append(notes, fmt.Sprintf("%d traces are cut to the first requests, so that all together have %d", r.cut, shortRequests))
	}
	return notes
}

// A rawCell is what JSON has of a cell.
type rawCell struct {
	Trace       string
	Percent     int
	Capacity    int64
	LRU, Belady float64
	Hit         map[string]float64
}

func (r *results) raw() []rawCell {
	var raw []rawCell
	for _, t := range r.traces {
		for _, c := range t.cells {
			raw = append(raw, rawCell{t.name, c.percent, c.capacity, c.lru, c.opt, c.hit})
		}
	}
	return raw
}
