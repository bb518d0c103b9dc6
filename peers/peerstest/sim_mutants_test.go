//go:build mutants

package peerstest_test

import (
	"flag"
	"testing"

	rules "github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

var mutantRuns = flag.Int("sim.mutantruns", 4000, "schedules in which TestSimCatches must find a mutant")

// TestSimCatches breaks each rule of the protocol, and sees to it that TestSim would notice: a checker that has never failed proves
// nothing. It needs a build of its own:
//
//	go test -tags mutants ./peers/peerstest -run TestSimCatches
func TestSimCatches(t *testing.T) {
	for _, m := range rules.All() {
		t.Run(m.String(), func(t *testing.T) {
			rules.Set(m)
			defer rules.Set(rules.None)
			caught(t, faults{})
		})
	}
	for name, f := range map[string]faults{
		"CoalescedRemoves": {coalescesRemoves: true},
		"ForwardingServer": {forwards: true},
		"AbsoluteExpiry":   {skewedClocks: true},
	} {
		t.Run(name, func(t *testing.T) { caught(t, f) })
	}
}

// caught runs schedules until one breaks a promise.
func caught(t *testing.T, f faults) {
	for run := range *mutantRuns {
		seed := newSeed()
		if found := simulate(t, seed, f, false); len(found) > 0 {
			t.Logf("caught by schedule %d, seed %d: %s", run+1, seed, found[0])
			return
		}
	}
	t.Errorf("not caught in %d schedules", *mutantRuns)
}
