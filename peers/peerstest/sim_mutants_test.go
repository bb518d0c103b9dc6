//go:build mutants

package peerstest_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	rules "github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

var mutantRuns = flag.Int("sim.mutantruns", 8000, "schedules in which TestSimCatches must find a mutant")

// sharp are the kinds of schedules that find a mutant soonest.
var sharp = map[rules.Mutant]string{
	rules.NoViewOnAcks:      "joiner",
	rules.NoHandshake:       "joiner",
	rules.CoalescesBeforeIt: "joiner",
	rules.CachesLastResort:  "islands",
	rules.LeaseFromReceipt:  "leases",
	rules.ForgetsNobody:     "deaf-leavers",
	rules.ReturnsUntold:     "deaf-leavers",
}

// byName are the tests of package cache that find what schedules have not found in thousands of runs: it takes a place in time that they
// hardly ever meet.
var byName = map[rules.Mutant]string{
	rules.StoresAcrossTags:   "TestG4SetOvertakenByRemoveTag",
	rules.CopiesDuringHold:   "TestG4CopyDuringAHold",
	rules.CopyFromReceipt:    "TestG4CopyTermCountsFromSending",
	rules.RenewsAnyCopy:      "TestG4CopyOfAnotherVersionIsNotRenewed",
	rules.HedgesInDoubt:      "TestG4HedgeInDoubt",
	rules.StoresHedges:       "TestG4HedgeStoresNothing",
	rules.TakesFromForgotten: "TestG4ForgottenWhenItWasListed",
	rules.PeeksInDoubt:       "TestG4WhoReturnsAndWhoWasNotReached",
	rules.TellsTakeoverFirst: "TestG4WhoTookOverHearsWhatItMissedFirst",
}

// TestSimCatches breaks each rule of the protocol, and sees to it that TestSim would notice, or the test that byName says: a checker that
// has never failed proves nothing. It needs a build of its own:
//
//	go test -tags mutants ./peers/peerstest -run TestSimCatches
//
// With -sim.world, it tries kinds of schedules on all of them.
func TestSimCatches(t *testing.T) {
	for _, m := range rules.All() {
		t.Run(m.String(), func(t *testing.T) {
			if name := byName[m]; name != "" && *simWorld == "" {
				caughtByName(t, m, name)
				return
			}
			rules.Set(m)
			defer rules.Set(rules.None)
			caught(t, faults{}, sharp[m])
		})
	}
	for name, f := range map[string]faults{
		"CoalescedRemoves": {coalescesRemoves: true},
		"AbsoluteExpiry":   {skewedClocks: true},
	} {
		t.Run(name, func(t *testing.T) { caught(t, f, "") })
	}
}

// caught runs schedules of a kind, or of all, until one breaks a promise.
func caught(t *testing.T, f faults, world string) {
	if *simWorld == "" {
		*simWorld = world
		defer func() { *simWorld = "" }()
	}
	for run := range *mutantRuns {
		seed := newSeed()
		if found := simulate(t, seed, f, false); len(found) > 0 {
			t.Logf("caught by schedule %d, seed %d: %s", run+1, seed, found[0])
			return
		}
	}
	t.Errorf("not caught in %d schedules", *mutantRuns)
}

// caughtByName runs a test of package cache with a mutant. It must fail: at least once in twenty times, since what instances do every so often may
// come between.
func caughtByName(t *testing.T, m rules.Mutant, name string) {
	cmd := exec.CommandContext(t.Context(), "go", "test", "-tags", "mutants", "-count", "20", "-run", "^"+name+"$", "../../cache")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", rules.Env, m))
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: "+name) {
		t.Errorf("%s does not catch it: %v\n%s", name, err, out)
	}
}
