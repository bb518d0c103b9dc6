package web

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/load"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// callTimeout bounds what should take no time.
const callTimeout = 20 * time.Second

// A Sample is what one measurement found.
type Sample struct {
	Ops      int64
	Elapsed  time.Duration
	P50, P99 time.Duration
	CPU      time.Duration // of the server's processes; 0 if it cannot be known here
}

// Rate is requests a second.
func (s Sample) Rate() float64 { return float64(s.Ops) / s.Elapsed.Seconds() }

// PerOp is CPU-seconds of the server for a million requests, or microseconds for one.
func (s Sample) PerOp() float64 { return s.CPU.Seconds() * 1e6 / float64(s.Ops) }

// A run is the connections of a cell to a server.
type run struct {
	*server
	origin *origin
	cell   Cell
	script string // for wrk; "": the connections ask by themselves
	conns  []*conn
}

// openRun opens the connections, each for a path of its own whose responses are hits.
func openRun(ctx context.Context, s *server, origin *origin, c Cell, script string) (_ *run, err error) {
	r := &run{server: s, origin: origin, cell: c, script: script}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for i := range c.Conns {
		opened, err := r.open(ctx, i)
		if err != nil {
			return nil, err
		}
		r.conns = append(r.conns, opened)
	}
	return r, nil
}

// open opens a connection to the first process that answers with hits.
func (r *run) open(ctx context.Context, i int) (*conn, error) {
	p := path(r.cell.Size, i)
	for {
		var last error
		for _, addr := range r.addrs {
			c, err := dial(ctx, addr, p, r.cell.Size)
			if err != nil {
				return nil, err
			}
			if last = errors.Join(c.SetDeadline(time.Now().Add(callTimeout)), c.check(r.origin.objects[p].body, r.hit)); last == nil {
				return c, nil
			}
			if err := c.Close(); err != nil {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: %w", p, last)
		case <-time.After(5 * time.Millisecond): // what was loaded may be stored a moment later
		}
	}
}

// fill has each process hold all of the site, whatever is measured first: what a Go program has in memory decides how often it collects garbage.
func (s *server) fill(ctx context.Context) error {
	for _, addr := range s.addrs {
		for _, size := range sizes {
			for i := range pathCount {
				c, err := dial(ctx, addr, path(size, i), size)
				if err != nil {
					return err
				}
				if err := errors.Join(c.SetDeadline(time.Now().Add(callTimeout)), c.ask(), c.Close()); err != nil {
					return fmt.Errorf("%s: %w", path(size, i), err)
				}
			}
		}
	}
	return nil
}

func (r *run) close() error {
	var errs []error
	for _, c := range r.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// checkAll is that all responses are still right, and hits.
func (r *run) checkAll() error {
	for i, c := range r.conns {
		p := path(r.cell.Size, i)
		if err := errors.Join(c.SetDeadline(time.Now().Add(callTimeout)), c.check(r.origin.objects[p].body, r.hit)); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	return nil
}

// measure warms up for a quarter of d, and then measures. All responses are hits: before and after they say so, and in between the origin is asked for
// nothing.
func (r *run) measure(d time.Duration) (Sample, error) {
	if err := r.checkAll(); err != nil {
		return Sample{}, err
	}
	if _, err := r.load(d / 4); err != nil {
		return Sample{}, err
	}
	asked := r.origin.asked.Load()
	before, err := r.spent()
	if err != nil {
		return Sample{}, err
	}
	begun := time.Now()
	s, err := r.load(d)
	if err != nil {
		return Sample{}, err
	}
	s.Elapsed = time.Since(begun)
	after, err := r.spent()
	if err != nil {
		return Sample{}, err
	}
	s.CPU = after - before
	if s.Ops == 0 {
		return s, errors.New("it answered nothing")
	}
	if n := r.origin.asked.Load() - asked; n > 0 {
		return s, fmt.Errorf("%d of %d responses were no hits", n, s.Ops)
	}
	return s, r.checkAll()
}

// load asks for all paths for d.
func (r *run) load(d time.Duration) (Sample, error) {
	if r.script != "" {
		return loadByWrk(r.script, r.conns, d)
	}
	if err := runAll(r.conns, d); err != nil {
		return Sample{}, err
	}
	var s Sample
	var all stats.Histogram
	for _, c := range r.conns {
		s.Ops += c.ops
		all.Merge(&c.latencies)
	}
	s.P50, s.P99 = all.Quantile(.5), all.Quantile(.99)
	return s, nil
}

// spent is the CPU time of all processes so far.
func (r *run) spent() (time.Duration, error) {
	var sum time.Duration
	for _, pid := range r.pids {
		u, err := load.SpentByTree(pid)
		if err != nil {
			return 0, err
		}
		sum += u.CPU
	}
	return sum, nil
}
