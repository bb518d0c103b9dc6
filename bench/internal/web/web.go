// Package web compares what a cached hit costs through the example service with what it costs in a bare handler of net/http, and in other
// HTTP caches.
package web

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

// Options say how much to measure.
type Options struct {
	Short    bool
	Rounds   int            // 0: 7, or 4 if Short
	Duration time.Duration  // of each measurement; 0: 500 ms, or 250 ms if Short
	Kinds    []string       // none: all
	Cells    *regexp.Regexp // of names; nil: all
	Wrk      bool           // load by wrk, and not by the own client
	Profile  string         // a folder for CPU profiles of the children that are this program; "": none are made
	Progress func(format string, args ...any)
}

func (o Options) withDefaults() Options {
	rounds, duration := 7, 500*time.Millisecond
	if o.Short {
		rounds, duration = 4, 250*time.Millisecond
	}
	if o.Rounds == 0 {
		o.Rounds = rounds
	}
	if o.Duration == 0 {
		o.Duration = duration
	}
	if o.Wrk { // which takes whole seconds
		o.Duration = max(o.Duration, time.Second)
	}
	return o
}

// A Cell is a size of bodies, and a number of connections.
type Cell struct{ Size, Conns int }

// Name is the cell's in the names of ratios.
func (c Cell) Name() string { return fmt.Sprintf("%dKiB/c%d", c.Size/kib, c.Conns) }

func cells(o Options) []Cell {
	all := []Cell{{kib, 1}, {kib, 16}, {kib, 64}, {64 * kib, 1}, {64 * kib, 16}, {64 * kib, 64}}
	if o.Short {
		all = []Cell{{kib, 16}, {kib, 64}, {64 * kib, 64}}
	}
	return slices.DeleteFunc(all, func(c Cell) bool { return o.Cells != nil && !o.Cells.MatchString(c.Name()) })
}

// A Measured is what was found in a cell: samples by kind and round.
type Measured struct {
	Cell    Cell
	Samples map[string][]Sample
}

// Run measures, and reports.
func Run(ctx context.Context, o Options) (_ *report.Report, err error) {
	o = o.withDefaults()
	if err := CheckKinds(o.Kinds); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "fleetcache-web-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	var script string
	if o.Wrk {
		if script, err = writeWrkScript(temp); err != nil {
			return nil, err
		}
	}
	origin, err := newOrigin()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, origin.server.Close()) }()
	servers, skipped, err := openAll(ctx, o, temp, origin)
	defer func() {
		err = errors.Join(err, process.Each(servers, func(_ int, s *server) error { return s.close() }))
	}()
	if err != nil {
		return nil, err
	}
	var measured []Measured
	for _, c := range cells(o) {
		o.Progress("%s", c.Name())
		m, err := measureCell(ctx, servers, origin, c, script, o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name(), err)
		}
		measured = append(measured, m)
	}
	return newReport(measured, servers, skipped, o), nil
}

// openAll starts all kinds that are wanted and whose programs are here. skipped says why others are left out.
func openAll(ctx context.Context, o Options, temp string, origin *origin) (servers []*server, skipped []string, err error) {
	for _, k := range kinds() {
		if len(o.Kinds) > 0 && !slices.Contains(o.Kinds, k.name) {
			continue
		}
		if err := k.missing(); err != nil {
			skipped = append(skipped, err.Error())
			o.Progress("%v", err)
			continue
		}
		own := filepath.Join(temp, k.name)
		if err := os.Mkdir(own, 0o755); err != nil {
			return servers, nil, err
		}
		s, err := k.open(ctx, env{temp: own, origin: origin.url, profile: o.Profile})
		if err != nil {
			return servers, nil, fmt.Errorf("%s: %w", k.name, err)
		}
		s.kind = k
		servers = append(servers, s)
		if err := s.fill(ctx); err != nil {
			return servers, nil, fmt.Errorf("%s: %w", k.name, err)
		}
	}
	return servers, skipped, nil
}

// measureCell runs all rounds of a cell. Each round begins with another server, so that none is always the first one after a pause, or the one after the
// heaviest.
func measureCell(ctx context.Context, servers []*server, origin *origin, c Cell, script string, o Options) (_ Measured, err error) {
	m := Measured{Cell: c, Samples: make(map[string][]Sample)}
	runs := make([]*run, len(servers))
	defer func() {
		for _, r := range runs {
			if r != nil {
				err = errors.Join(err, r.close())
			}
		}
	}()
	for i, s := range servers {
		if runs[i], err = openRun(ctx, s, origin, c, script); err != nil {
			return m, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for round := range o.Rounds {
		for i := range runs {
			r := runs[(i+round)%len(runs)]
			s, err := r.measure(o.Duration)
			if err != nil {
				return m, fmt.Errorf("%s: %w", r.name, err)
			}
			m.Samples[r.name] = append(m.Samples[r.name], s)
			if ctx.Err() != nil {
				return m, ctx.Err()
			}
		}
	}
	return m, nil
}
