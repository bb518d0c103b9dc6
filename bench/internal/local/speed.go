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
	var found []Speed
	index := make(map[string]int)
	for _, w := range Workloads() {
		for _, n := range perCore {
			c := Cell{w, n}
			if o.wants(c.Name()) {
				index[c.Name()] = len(found)
				found = append(found, Speed{Name: c.Name(), Title: w.Title, Workload: w.Name, PerCore: n, Samples: make(map[string][]Sample)})
			}
		}
	}
	if len(found) == 0 {
		return nil, nil
	}
	ks := newKeys(keyCount, drawCount, 1)
	for round := range o.Rounds {
		o.Progress("speed, round %d of %d", round+1, o.Rounds)
		for i := range kinds {
			k := kinds[(i+round)%len(kinds)]
			err := measureKind(ctx, k, ks, o, func(c Cell, s Sample) {
				samples := found[index[c.Name()]].Samples
				samples[k.Name] = append(samples[k.Name], s)
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", k.Name, err)
			}
		}
	}
	return found, nil
}

// measureKind measures the cells of one kind, once each. Workloads with the same room follow each other in one cache.
func measureKind(ctx context.Context, k rival.Kind, ks *keys, o Options, each func(Cell, Sample)) error {
	var s *subject
	defer func() {
		if s != nil {
			s.Close()
		}
	}()
	whole := false
	for _, w := range Workloads() {
		for _, n := range perCore {
			c := Cell{w, n}
			if !o.wants(c.Name()) {
				continue
			}
			if s != nil && whole != w.whole {
				s.Close()
				s = nil
			}
			if s == nil {
				var err error
				if s, err = open(k, w, ks); err != nil {
					return err
				}
				whole = w.whole
			}
			sample, err := s.warmAndMeasure(c, o.Duration)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name(), err)
			}
			each(c, sample)
			if err := ctx.Err(); err != nil {
				return err
			}
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
