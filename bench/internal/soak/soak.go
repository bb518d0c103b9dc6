// Package soak runs a fleet of three instances behind connections that break, stall and lag, with callers that leave,
// and looks for wrong bytes, calls that hang, and leaks.
package soak

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// Options say how much to do.
type Options struct {
	Duration time.Duration
	Callers  int
	Seed     uint64 // of what is called and disturbed; how it falls together differs from run to run
}

// counts are what happened.
type counts struct {
	gets, getManys, sets, removes         atomic.Uint64 // calls
	values, bytes                         atomic.Uint64 // that calls returned, all of them checked
	cancelled, unreached, timedOut        atomic.Uint64 // calls that failed, as they may
	loads                                 atomic.Uint64
	conns                                 atomic.Uint64 // through the proxies
	kills, cuts, stalls, trickles, delays atomic.Uint64
	peakHeap                              atomic.Uint64
}

func (c *counts) sawHeap(live uint64) {
	for peak := c.peakHeap.Load(); live > peak && !c.peakHeap.CompareAndSwap(peak, live); {
		peak = c.peakHeap.Load()
	}
}

// A Summary is what a run found.
type Summary struct {
	Options
	counts        *counts
	found         *findings
	caches        []cache.Stats
	pools         []peers.Stats
	before, after baseline
	maxHeap       uint64
}

// Run soaks for o.Duration, or until ctx ends. The error is that the fleet could not be made or closed; what is wrong
// with it is in the Summary.
func Run(ctx context.Context, o Options) (*Summary, error) {
	s := &Summary{Options: o, counts: new(counts), found: new(findings), before: takeBaseline()}
	// What the caches hold, and for each caller a value or two in each place that a value passes.
	s.maxHeap = instances*maxBytes + uint64(o.Callers)*2*maxValue + 64<<20
	if err := s.live(ctx); err != nil {
		return nil, err
	}
	s.after = s.before.check(s.found)
	s.checkCounts()
	return s, nil
}

// live is the life of a fleet. Nothing of it is left when it returns, save by mistake.
func (s *Summary) live(ctx context.Context) error {
	f, err := newFleet(s.Seed, s.counts)
	if err != nil {
		return err
	}
	s.soak(ctx, f)
	for _, in := range f.members {
		s.caches = append(s.caches, in.cache.Stats())
		s.pools = append(s.pools, in.pool.Stats())
	}
	return f.close()
}

// soak lets callers call. It returns when all calls have, or when they have had all the time that they may take.
func (s *Summary) soak(ctx context.Context, f *fleet) {
	stop, watching := make(chan struct{}), make(chan struct{})
	var callers []*caller
	for i := range s.Callers {
		rng := rand.New(rand.NewPCG(s.Seed, 1<<32+uint64(i)))
		callers = append(callers, newCaller(i, f.members[i%instances], rng, s.counts, s.found))
	}
	var watcher, wg sync.WaitGroup
	watcher.Go(func() { watch(watching, callers, s.counts, s.found) })
	for _, c := range callers {
		wg.Go(func() { c.run(stop) })
	}
	pause(ctx.Done(), s.Duration)
	close(stop)
	ended := make(chan struct{})
	go func() { // until the last call has returned
		wg.Wait()
		close(ended)
	}()
	pause(ended, patience+2*grace) // a call that hangs for longer has been found
	close(watching)
	watcher.Wait()
}

// longEnough is how long a run must be for a request between instances to be under way when its connection ends, for certain.
const longEnough = 10 * time.Second

// checkCounts finds things that did not happen: then what was to be tried was not.
func (s *Summary) checkCounts() {
	c := s.counts
	var fetches, failures, callFailures uint64
	for i := range s.caches {
		fetches += s.caches[i].Fetches
		failures += s.caches[i].FetchFailures
		for _, p := range s.pools[i].Peers {
			callFailures += p.Failures
		}
	}
	if s.Duration < longEnough {
		failures = max(failures, 1) // it may not have come to that
	}
	for _, n := range []struct {
		what string
		n    uint64
	}{
		{"Get", c.gets.Load()}, {"GetMany", c.getManys.Load()}, {"Set", c.sets.Load()}, {"Remove", c.removes.Load()},
		{"value that was checked", c.values.Load()}, {"call that was cancelled", c.cancelled.Load()}, {"load", c.loads.Load()},
		{"connection that was killed", c.kills.Load()}, {"cut", c.cuts.Load()}, {"stall", c.stalls.Load()},
		{"slow reader", c.trickles.Load()}, {"delay", c.delays.Load()},
		{"fetch from a peer", fetches}, {"request to a peer that failed", failures}, {"call of a peer that its caller left", callFailures},
	} {
		if n.n == 0 {
			s.found.add("there was not one %s", n.what)
		}
	}
	if peak := c.peakHeap.Load(); peak > s.maxHeap {
		s.found.add("the heap grew to %s, more than %s", size(peak), size(s.maxHeap))
	}
}

// Err returns an error if anything is wrong.
func (s *Summary) Err() error {
	s.found.mu.Lock()
	defer s.found.mu.Unlock()
	if s.found.total > 0 {
		return fmt.Errorf("%d things are wrong; the first: %s", s.found.total, s.found.list[0])
	}
	return nil
}

// Print tells what happened, and all that is wrong.
func (s *Summary) Print(w io.Writer) error {
	c := s.counts
	var total cache.Stats
	for _, one := range s.caches {
		total.Fetches += one.Fetches
		total.FetchFailures += one.FetchFailures
		total.Takeovers += one.Takeovers
		total.LastResorts += one.LastResorts
		total.Evictions += one.Evictions
	}
	text := fmt.Sprintf("%v, %d callers, seed %d\n", s.Duration, s.Callers, s.Seed)
	text += fmt.Sprintf("calls:       %d Get, %d GetMany, %d Set, %d Remove\n", c.gets.Load(), c.getManys.Load(), c.sets.Load(), c.removes.Load())
	text += fmt.Sprintf("values:      %d, %s, every byte checked\n", c.values.Load(), size(c.bytes.Load()))
	text += fmt.Sprintf("failures:    %d callers left, %d invalidations did not reach everybody, %d loads took too long\n",
		c.cancelled.Load(), c.unreached.Load(), c.timedOut.Load())
	text += fmt.Sprintf("fleet:       %d loads, %d fetches, %d failed requests, %d takeovers, %d last resorts, %d evictions\n",
		c.loads.Load(), total.Fetches, total.FetchFailures, total.Takeovers, total.LastResorts, total.Evictions)
	text += fmt.Sprintf("connections: %d, of which %d killed; %d cuts of all, %d stalls, %d slow readers, %d delays\n",
		c.conns.Load(), c.kills.Load(), c.cuts.Load(), c.stalls.Load(), c.trickles.Load(), c.delays.Load())
	text += fmt.Sprintf("memory:      heap %s before, %s at its peak (at most %s), %s after; goroutines %d before, %d after\n",
		size(s.before.heap), size(c.peakHeap.Load()), size(s.maxHeap), size(s.after.heap), s.before.goroutines, s.after.goroutines)
	s.found.mu.Lock()
	defer s.found.mu.Unlock()
	for _, f := range s.found.list {
		text += "WRONG: " + f + "\n"
	}
	if more := s.found.total - len(s.found.list); more > 0 {
		text += fmt.Sprintf("WRONG: and %d more\n", more)
	}
	if s.found.dump != "" {
		text += "\nAll goroutines:\n" + s.found.dump
	}
	_, err := io.WriteString(w, text)
	return err
}
