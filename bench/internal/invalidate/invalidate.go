// Package invalidate checks in real processes that a value that was removed is never read again, anywhere in the fleet, and
// measures what a Remove takes. Readers in all processes compare what they get with the newest version that a Remove, in whatever
// process, has returned for; they learn of it from memory that the processes share.
package invalidate

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

const (
	defaultReads = 10_000_000
	shortReads   = 1_000_000

	// patience is how many times as long as it should take the reads of a setting may take.
	patience = 20
)

// Options say how much to measure.
type Options struct {
	Short    bool
	Duration time.Duration // of each setting; 0: 15 s, or 4 s if Short. Readers as fast as they can go on until they have read enough
	Progress func(format string, args ...any)
}

// A Setting is what readers and removers do.
type Setting struct {
	Name, Title string
	Readers     int  // in each process
	Paced       bool // they are
	Everywhere  bool // all processes remove at the same time; else one after the other
	Batch       int
	Pause       time.Duration // between two Removes in the fleet, at most
}

// Settings returns all of them.
func Settings() []Setting {
	return []Setting{
		{"flood", "readers as fast as they can, a remover in each process", 8, false, true, 1, 4 * time.Millisecond},
		{"single", "Remove of one key at a time, readers at a modest pace", 2, true, false, 1, 4 * time.Millisecond},
		{"batch", "Remove of 100 keys at a time, readers at a modest pace", 2, true, false, 100, 40 * time.Millisecond},
	}
}

// Sizes are the fleets that are measured.
var sizes = []int{3, 10}

// A Measured is what was found in a setting.
type Measured struct {
	Instances int
	Setting   Setting
	Found     *Found
}

// Run measures all fleets in all settings, and reports them.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	reads := int64(defaultReads)
	switch {
	case o.Duration > 0 && o.Duration < time.Second:
		reads = 0 // to try out
	case o.Short:
		reads = shortReads
	}
	if o.Duration == 0 {
		o.Duration = 15 * time.Second
		if o.Short {
			o.Duration = 4 * time.Second
		}
	}
	var measured []Measured
	for _, n := range sizes {
		found, err := measure(ctx, n, o, reads/int64(len(sizes)))
		if err != nil {
			return nil, fmt.Errorf("%d instances: %w", n, err)
		}
		measured = append(measured, found...)
	}
	return newReport(measured, o.Duration), nil
}

// measure measures one fleet in all settings.
func measure(ctx context.Context, n int, o Options, reads int64) (_ []Measured, err error) {
	f, err := open(ctx, n)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	var measured []Measured
	for _, s := range Settings() {
		o.Progress("%d instances: %s", n, s.Title)
		m := Measured{n, s, new(Found)}
		for round := 0; round == 0 || !s.Paced && m.Found.Reads < reads; round++ {
			if round == patience {
				return nil, fmt.Errorf("%s: %d reads in %v, want %d", s.Name, m.Found.Reads, patience*o.Duration, reads)
			}
			found, err := f.run(ctx, s, o.Duration)
			if err != nil {
				return nil, err
			}
			m.Found.add(found)
		}
		if err := m.Found.err(); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		measured = append(measured, m)
	}
	return measured, nil
}

// A fleet is the processes, and what they share.
type fleet struct {
	process.Fleet
	ledger string
}

// open starts n processes, and makes a fleet of their instances.
func open(ctx context.Context, n int) (_ *fleet, err error) {
	f := &fleet{}
	if f.ledger, err = createLedger(""); err != nil {
		return nil, err
	}
	if f.Fleet, err = process.OpenFleet(ctx, role, n, 3*joinTimeout, func(i int) any { return Setup{i, f.ledger} }); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// run has all processes do what a setting says, and returns what they found together.
func (f *fleet) run(ctx context.Context, s Setting, d time.Duration) (*Found, error) {
	n := time.Duration(len(f.Fleet))
	ctx, cancel := context.WithTimeout(ctx, d+3*callTimeout)
	defer cancel()
	found := make([]*Found, n)
	err := f.Each(func(i int, c *process.Child) error {
		p := Plan{Duration: d, Readers: s.Readers, Paced: s.Paced, End: d, Batch: s.Batch, Pause: s.Pause}
		if s.Everywhere {
			p.Pause *= n
		} else {
			p.Begin, p.End = d*time.Duration(i)/n, d*time.Duration(i+1)/n
		}
		return c.Call(ctx, "run", p, &found[i])
	})
	if err != nil {
		return nil, err
	}
	sum := new(Found)
	for _, g := range found {
		sum.add(g)
	}
	return sum, nil
}

func (f *fleet) close() error { return errors.Join(f.Close(), os.Remove(f.ledger)) }
