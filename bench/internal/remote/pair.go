// Package remote compares ways of getting values from another process: for each kind one process that serves and one
// that asks, all of them started once and idle while another pair is measured.
package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/load"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
)

// A Sample is what one measurement found.
type Sample struct {
	load.Result            // of the client's process
	Server      load.Usage // of the server's
}

// Rate is keys a second.
func (s Sample) Rate() float64 { return float64(s.Ops) / s.Elapsed.Seconds() }

// CPU is CPU-seconds of both processes for a million keys; 0 if it is not known.
func (s Sample) CPU() float64 {
	return (s.Spent.CPU + s.Server.CPU).Seconds() * 1e6 / float64(s.Ops)
}

// ClientAllocs and ServerAllocs are allocations a key.
func (s Sample) ClientAllocs() float64 { return float64(s.Spent.Allocs) / float64(s.Ops) }

// ServerAllocs is 0 if the server is no Go program.
func (s Sample) ServerAllocs() float64 { return float64(s.Server.Allocs) / float64(s.Ops) }

// A Pair is a kind's two processes. Its methods must not be called concurrently.
type Pair struct {
	kind.Kind
	server, client *process.Child
}

// callTimeout bounds what is asked of a child that should take no time; measurements have more.
const callTimeout = 30 * time.Second

// Open starts the processes of k. They end with ctx, or with Close.
func Open(ctx context.Context, k kind.Kind, s kind.Setup) (_ *Pair, err error) {
	p := &Pair{Kind: k}
	defer func() {
		if err != nil {
			p.Close() // the first error says more
		}
	}()
	if p.server, err = process.Start(ctx, serverRole+k.Name); err != nil {
		return nil, err
	}
	if p.client, err = process.Start(ctx, clientRole+k.Name); err != nil {
		return nil, err
	}
	opening, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var addr, url string
	if err := p.server.Call(opening, "open", s, &addr); err != nil {
		return nil, err
	}
	if err := p.client.Call(opening, "open", dial{addr, s}, &url); err != nil {
		return nil, err
	}
	if url != "" {
		if err := p.server.Call(opening, "join", url, nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// OpenAll opens a Pair for each kind whose program is here. It returns the kinds that are left out as errors
// that say why, in skipped.
func OpenAll(ctx context.Context, kinds []kind.Kind) (pairs map[string]*Pair, skipped []error, err error) {
	setup, err := newSetup()
	if err != nil {
		return nil, nil, err
	}
	opened, errs := make([]*Pair, len(kinds)), make([]error, len(kinds))
	var wg sync.WaitGroup
	for i, k := range kinds {
		if missing := k.Missing(); missing != nil {
			skipped = append(skipped, missing)
			continue
		}
		wg.Go(func() { opened[i], errs[i] = Open(ctx, k, setup) })
	}
	wg.Wait()
	pairs = make(map[string]*Pair)
	for _, p := range opened {
		if p != nil {
			pairs[p.Name] = p
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, errors.Join(err, CloseAll(pairs))
	}
	return pairs, skipped, nil
}

// Close ends both processes and waits for their ends.
func (p *Pair) Close() error {
	var errs [2]error
	var wg sync.WaitGroup
	for i, c := range []*process.Child{p.client, p.server} {
		if c != nil {
			wg.Go(func() { errs[i] = c.Close() })
		}
	}
	wg.Wait()
	return errors.Join(errs[:]...)
}

// CloseAll closes all pairs.
func CloseAll(pairs map[string]*Pair) error {
	var mu sync.Mutex // guards errs
	var errs []error
	var wg sync.WaitGroup
	for _, p := range pairs {
		wg.Go(func() {
			err := p.Close()
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Prepare brings both sides into the state in which s can be measured. It does nothing if they are.
func (p *Pair) Prepare(ctx context.Context, s load.Shape) error {
	if !p.Many {
		s.Many = 0
	}
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	return p.client.Call(ctx, "prepare", s, nil)
}

// Run measures what was prepared.
func (p *Pair) Run(ctx context.Context, l load.Limit) (Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, l.Duration+2*callTimeout)
	defer cancel()
	var s Sample
	var before, after load.Usage
	if err := p.server.Call(ctx, "spent", nil, &before); err != nil {
		return s, err
	}
	if err := p.client.Call(ctx, "run", l, &s.Result); err != nil {
		return s, err
	}
	if err := p.server.Call(ctx, "spent", nil, &after); err != nil {
		return s, err
	}
	s.Server = after.Minus(before)
	if s.Ops == 0 {
		return s, fmt.Errorf("%s did nothing in %v", p.Name, s.Elapsed)
	}
	return s, nil
}
