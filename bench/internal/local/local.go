// Package local compares caches of one process with each other: how fast they are, what memory they take beside the keys and values
// that they hold, and what they cost the garbage collector.
package local

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

// Options say how much to measure.
type Options struct {
	Short    bool
	Rounds   int            // of speed; 0: 5, or 3 if Short
	Duration time.Duration  // of each measurement of speed; 0: 200 ms, or 25 ms if Short
	Entries  int            // of footprint; 0: 2 million, or 100,000 if Short
	Kinds    []string       // none: all
	Cells    *regexp.Regexp // of names: fill/g8, or footprint; nil: all
	Plots    string         // a folder for plots of speed; "": none
	Progress func(format string, args ...any)
}

func (o Options) withDefaults() Options {
	rounds, duration, entries := 5, 200*time.Millisecond, 2_000_000
	if o.Short {
		rounds, duration, entries = 3, 25*time.Millisecond, 100_000
	}
	if o.Rounds == 0 {
		o.Rounds = rounds
	}
	if o.Duration == 0 {
		o.Duration = duration
	}
	if o.Entries == 0 {
		o.Entries = entries
	}
	return o
}

// wants reports whether a cell is to be measured.
func (o Options) wants(name string) bool { return o.Cells == nil || o.Cells.MatchString(name) }

// CheckKinds is that there are kinds with these names.
func CheckKinds(names []string) error {
	_, err := chosen(names)
	return err
}

// chosen returns the kinds with these names, or else those that are measured: other policies of a library's have names of their own.
func chosen(names []string) ([]rival.Kind, error) {
	kinds, err := rival.Named(names...)
	if len(names) == 0 {
		kinds = slices.DeleteFunc(kinds, func(k rival.Kind) bool { return slices.Contains(variants, k.Name) })
	}
	return kinds, err
}

// variants are kinds that are measured if they are named, only: their libraries are there by their first choice.
var variants = []string{"golang-lru-2q", "golang-lru-arc"}

// A Cell is a workload and a number of goroutines.
type Cell struct {
	Workload Workload
	PerCore  int // goroutines
}

// Name is the cell's in the names of ratios.
func (c Cell) Name() string { return fmt.Sprintf("%s/g%d", c.Workload.Name, c.PerCore) }

func (c Cell) goroutines() int { return c.PerCore * runtime.GOMAXPROCS(0) }

// cells returns all cells that are to be measured. Those of workloads with the same room follow each other.
func (o Options) cells() (cells []Cell) {
	for _, w := range Workloads() {
		for _, n := range perCore {
			if c := (Cell{w, n}); o.wants(c.Name()) {
				cells = append(cells, c)
			}
		}
	}
	return cells
}

// goroutinesPerCore says how many there are.
func goroutinesPerCore(n int) string {
	if n == 1 {
		return "1 goroutine per core"
	}
	return fmt.Sprintf("%d goroutines per core", n)
}

// perCore are the numbers of goroutines that are measured.
var perCore = []int{1, 2, 8}

// Run measures, and reports.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	o = o.withDefaults()
	kinds, err := chosen(o.Kinds)
	if err != nil {
		return nil, err
	}
	speed, err := measureSpeed(ctx, kinds, o)
	if err != nil {
		return nil, err
	}
	var footprints map[string]Footprint
	if o.wants("footprint") {
		if footprints, err = measureFootprints(ctx, kinds, o); err != nil {
			return nil, err
		}
	}
	r := newReport(speed, footprints, kinds, o)
	if o.Plots != "" {
		if r.Plots, err = plotSpeed(speed, rival.Names(kinds), o.Plots); err != nil {
			return nil, err
		}
	}
	return r, nil
}
