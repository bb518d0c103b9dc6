package local

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

// A Speed is what was found of a cell: samples by kind and round.
type Speed struct {
	Name, Title string
	Workload    string
	PerCore     int
	Samples     map[string][]Sample
}

// measureSpeed runs all rounds. Each begins with another kind, so that none is always the first one, or the one after the heaviest. In
// each, every kind has a cache of its own, which is gone when the next one's turn comes: what others hold is
// no part of what the collector goes through.
func measureSpeed(ctx context.Context, kinds []rival.Kind, o Options) ([]Speed, error) {
	cells := o.cells()
	if len(cells) == 0 {
		return nil, nil
	}
	found := make([]Speed, len(cells))
	for i, c := range cells {
		found[i] = Speed{Name: c.Name(), Title: c.Workload.Title, Workload: c.Workload.Name, PerCore: c.PerCore, Samples: make(map[string][]Sample)}
	}
	ks := newKeys(keyCount, drawCount, 1)
	for round := range o.Rounds {
		o.Progress("speed, round %d of %d", round+1, o.Rounds)
		for i := range kinds {
			k := kinds[(i+round)%len(kinds)]
			err := measureKind(ctx, k, ks, cells, o.Duration, func(cell int, s Sample) {
				samples := found[cell].Samples
				samples[k.Name] = append(samples[k.Name], s)
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k.Name, err)
			}
		}
	}
	return found, nil
}

// measureKind measures cells of one kind, once each. Those with the same room that follow each other have one cache.
func measureKind(ctx context.Context, k rival.Kind, ks *keys, cells []Cell, d time.Duration, each func(cell int, s Sample)) error {
	var s *subject
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	for i, c := range cells {
		if s != nil && c.Workload.whole != cells[i-1].Workload.whole {
			s.Close()
			s = nil
		}
		if s == nil {
			var err error
			if s, err = open(k, c.Workload, ks); err != nil {
				return err
			}
		}
		sample, err := s.warmAndMeasure(c, d)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name(), err)
		}
		each(i, sample)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// warmAndMeasure measures a cell, after a quarter of the time to get used to it. The collector begins with nothing left over.
func (s *subject) warmAndMeasure(c Cell, d time.Duration) (Sample, error) {
	if _, err := s.measure(c.Workload, c.goroutines(), d/4); err != nil {
		return Sample{}, err
	}
	s.Settle()
	runtime.GC()
	return s.measure(c.Workload, c.goroutines(), d)
}
