// Package deploy compares what it costs the origin that a fleet changes: that its instances are replaced in turn, as a deployment
// does, and that one crashes. Ten processes, each with an instance of every way that is compared, hold what callers ask for,
// which has a TTL and fits into their memory; the origin is in the process that measures, and counts.
package deploy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/pause"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

const (
	defaultTTL = 30 * time.Second
	shortTTL   = 6 * time.Second

	callTimeout = 30 * time.Second
)

// Options say how much to measure.
type Options struct {
	Short    bool
	Duration time.Duration // the TTL, on which all others depend; 0: half a minute, or 6 s if Short
	Progress func(format string, args ...any)
}

// A Plan is how many take part, and how long what takes.
type Plan struct {
	Instances   int
	Rate        int // callers that come in a second, to all instances together
	TTL         time.Duration
	Warm        time.Duration // before anything counts
	Steady      time.Duration
	Replacement time.Duration // of all instances, about; they begin at equal distances
	After       time.Duration // how long it goes on counting as the replacement
	Lag         time.Duration // of an instance that learns who the members are, at most
	Learnt      time.Duration // until the members of a fleet learn of a crash
	Crash       time.Duration // how long what follows the crash counts
	Second      time.Duration // in which a peak is counted
}

// NewPlan returns the plan for a TTL. One of less than 2 s is for trying out: three instances do.
func NewPlan(ttl time.Duration) Plan {
	instances, rate := 10, 2000
	if ttl < 2*time.Second {
		instances, rate = 3, 200
	}
	return Plan{
		Instances: instances, Rate: rate, TTL: ttl, Warm: 2*ttl - ttl/4, Steady: ttl + ttl/4,
		Replacement: ttl + ttl/4, After: ttl / 10, Lag: min(ttl/40, 500*time.Millisecond),
		Learnt: min(2*time.Second, ttl/4), Crash: min(10*time.Second, 2*ttl), Second: min(time.Second, ttl/4),
	}
}

// Run measures, and reports.
func Run(ctx context.Context, o Options) (_ *report.Report, err error) {
	ttl := o.Duration
	if ttl == 0 {
		ttl = defaultTTL
		if o.Short {
			ttl = shortTTL
		}
	}
	p := NewPlan(ttl)
	from, err := newOrigin(ttl)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	t := newTraffic(p.Rate)
	f, err := open(ctx, p, from.url, t)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()

	coming, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { t.run(coming) })
	phases, err := f.run(ctx, p, from.now, o.Progress)
	if err != nil {
		return nil, err
	}
	stop()
	wg.Wait()
	if err := f.finish(ctx); err != nil {
		return nil, err
	}
	m := Measured{Plan: p, Counts: f.counts, Lost: t.lost.Load(), Drains: f.drains, Loads: make(map[string][]Phase)}
	for _, w := range ways {
		for _, ph := range phases {
			m.Loads[w.name] = append(m.Loads[w.name], ph.count(from.between(w.name, ph.From, ph.To), p.Second))
		}
	}
	return newReport(m), nil
}

// run has the fleet live through all phases, and returns when they were.
func (f *fleet) run(ctx context.Context, p Plan, now func() time.Duration, progress func(format string, args ...any)) ([]Phase, error) {
	progress("%d instances, TTL %v: callers come", p.Instances, p.TTL)
	if err := pause.For(ctx, p.Warm); err != nil {
		return nil, err
	}
	progress("steady state")
	steady := Phase{Name: steadyPhase, From: now()}
	if err := pause.For(ctx, p.Steady); err != nil {
		return nil, err
	}
	steady.To = now()

	progress("instances are replaced")
	replaced := Phase{Name: replacedPhase, From: steady.To}
	for i := range p.Instances {
		next := replaced.From + p.Replacement*time.Duration(i)/time.Duration(p.Instances)
		if err := pause.For(ctx, next-now()); err != nil {
			return nil, err
		}
		if err := f.replace(ctx); err != nil {
			return nil, err
		}
	}
	if err := pause.For(ctx, p.After); err != nil {
		return nil, err
	}
	replaced.To = now()

	progress("one crashes")
	crashed := Phase{Name: crashedPhase, From: now()}
	crashed.To = crashed.From + p.Crash
	if err := f.crash(ctx, p.Learnt); err != nil {
		return nil, err
	}
	return []Phase{steady, replaced, crashed}, pause.For(ctx, crashed.To-now())
}
