package remote

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/load"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

// Options say how much to measure.
type Options struct {
	Short    bool
	Rounds   int            // 0: 5, or 4 if Short
	Duration time.Duration  // of each measurement; 0: 400 ms, or 250 ms if Short
	Kinds    []string       // none: all
	Cells    *regexp.Regexp // of names; nil: all
	Profile  string         // a folder for CPU profiles of all processes; "": none are made
	Progress func(format string, args ...any)
}

func (o Options) withDefaults() Options {
	rounds, duration := 5, 400*time.Millisecond
	if o.Short {
		rounds, duration = 4, 250*time.Millisecond
	}
	if o.Rounds == 0 {
		o.Rounds = rounds
	}
	if o.Duration == 0 {
		o.Duration = duration
	}
	return o
}

// A Measured is what was found in a cell: samples by entry and round.
type Measured struct {
	Cell    Cell
	Samples map[string][]Sample // by the entries' labels
}

// Run measures the matrix and reports it.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	o = o.withDefaults()
	if o.Profile != "" {
		if err := os.Setenv(profileVariable, o.Profile); err != nil {
			return nil, err
		}
	}
	kinds, err := kind.Named(o.Kinds...)
	if err != nil {
		return nil, err
	}
	pairs, skipped, err := OpenAll(ctx, kinds)
	if err != nil {
		return nil, err
	}
	for _, why := range skipped {
		o.Progress("%v", why)
	}
	var measured []Measured
	for _, c := range Matrix(slices.Collect(maps.Keys(pairs)), o.Short) {
		if o.Cells != nil && !o.Cells.MatchString(c.Name) {
			continue
		}
		m, err := measureCell(ctx, pairs, c, o)
		if err != nil {
			return nil, errors.Join(err, CloseAll(pairs))
		}
		measured = append(measured, m)
	}
	if err := CloseAll(pairs); err != nil {
		return nil, err
	}
	return newReport(measured, kinds, skipped, o), nil
}

// measureCell runs all rounds of a cell. Each round begins with another entry, so that none is always the first
// one after a pause, or the one after the heaviest.
func measureCell(ctx context.Context, pairs map[string]*Pair, c Cell, o Options) (Measured, error) {
	o.Progress("%s", c.Title)
	m := Measured{Cell: c, Samples: make(map[string][]Sample)}
	for round := range o.Rounds {
		for i := range c.Entries {
			e := c.Entries[(i+round)%len(c.Entries)]
			p := pairs[e.Kind]
			s, err := p.measure(ctx, e.Shape, o.Duration)
			if err != nil {
				return m, fmt.Errorf("%s: %s: %w", c.Name, e.Label, err)
			}
			m.Samples[e.Label] = append(m.Samples[e.Label], s)
		}
	}
	return m, nil
}

// measure warms up for a quarter of d, and then measures.
func (p *Pair) measure(ctx context.Context, s load.Shape, d time.Duration) (Sample, error) {
	if err := p.Prepare(ctx, s); err != nil {
		return Sample{}, err
	}
	if _, err := p.Run(ctx, load.Limit{Duration: d / 4}); err != nil {
		return Sample{}, err
	}
	return p.Run(ctx, load.Limit{Duration: d})
}
