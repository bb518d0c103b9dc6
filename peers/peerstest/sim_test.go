package peerstest_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simRuns  = flag.Int("sim.runs", 60, "schedules of TestSim")
	simSeed  = flag.Uint64("sim.seed", 0, "run the one schedule of TestSim with this seed, and log it")
	simWorld = flag.String("sim.world", "", "kinds of schedules for TestSim, with commas between: "+strings.Join(worldNames(), ", ")+" (default all)")
)

// TestSim runs random schedules of calls, changes of membership and faults over a fleet of three to seven instances, in fake time, and
// checks of everything that is observed what the guarantees promise:
//
//   - G1: where nothing changes, each key is loaded once.
//   - G4: a Get that begins after an invalidation returned nil returns nothing older; a MirrorTTL after one that did not reach everybody,
//     nothing older of what another instance owns; and when all is healed, everybody hears of it.
//   - G5: each call returns by its context, or the library's own limits; no Get fails while the origin can be asked; and who is asked asks nobody.
//   - G7: nothing is served that is older than TTL + Stale.
//
// The kind of schedule is a part of the seed. Replay one that fails, or run many. A replay has the same calls, delays and faults, at the same
// times; but what happens at one instant may come in another order, so it is tried -sim.runs times:
//
//	go test ./peers/peerstest -run 'TestSim$' -sim.seed 42
//	go test ./peers/peerstest -run 'TestSim$' -sim.runs 10000000
func TestSim(t *testing.T) {
	if *simSeed != 0 {
		for run := range *simRuns {
			if found := simulate(t, *simSeed, faults{}, true); len(found) > 0 {
				t.Fatalf("at try %d:\n%s", run+1, strings.Join(found, "\n"))
			}
		}
		return
	}
	for range *simRuns {
		seed := newSeed()
		if found := simulate(t, seed, faults{}, false); len(found) > 0 {
			t.Fatalf("%s\n\nreplay with: go test ./peers/peerstest -run 'TestSim$' -sim.seed %d", strings.Join(found, "\n"), seed)
		}
	}
}

// newSeed returns a seed of one of the kinds that -sim.world names.
func newSeed() uint64 {
	for {
		seed := rand.Uint64() | 1
		if *simWorld == "" || strings.Contains(","+*simWorld+",", ","+kindOf(seed).name+",") {
			return seed
		}
	}
}

// simulate runs one schedule, and returns what broke a promise.
func simulate(t *testing.T, seed uint64, broken faults, log bool) (found []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, seed, broken, log)
		w.run()
		found = w.found
		if log && len(found) > 0 {
			t.Logf("seed %d: %s\n%s", seed, kindOf(seed).name, strings.Join(w.lines, "\n"))
		}
		for i, v := range found {
			found[i] = fmt.Sprintf("%s (%s)", v, w.kind.name)
		}
	})
	return found
}

// A kind says what may happen in a schedule. Some mistakes show only where messages are slow in the wrong place, so each
// has a kind that is made for it.
type kind struct {
	name      string
	calm      bool // nobody comes, leaves or invalidates
	joins     int  // joins, in tenths of what is even
	changes   int  // all other changes of membership, likewise
	parts     int  // partitions, likewise
	deaf      int  // times in which requests on some links are lost, in one direction, likewise
	slowHello bool // messages of those who join take long
	deafTo    bool // all requests to one instance are lost, for a short time
	lostHello bool // nobody says hello, and so nobody hears what it missed
	alone     bool // a partition cuts off one instance
	quiet     bool // invalidations begin only while messages are lost, so that none makes up for another that did not reach everybody
	members   int  // that run at first, 0: three to five
	slowLoads bool
	slowGets  bool // answers take long
	noTTL     bool
	mirrorTTL time.Duration
	lag       time.Duration // until an instance hears of a change, at most
}

var kinds = []kind{
	{name: "even", joins: 10, changes: 10, parts: 10, lag: 2 * time.Second},
	{name: "calm", calm: true, noTTL: true, lag: time.Second},
	{name: "joiner", joins: 60, changes: 3, slowHello: true, lag: 4 * time.Second},
	{name: "slow-loads", joins: 20, changes: 10, slowLoads: true, noTTL: true, lag: time.Second},
	{name: "slow-gets", joins: 5, changes: 5, parts: 10, slowGets: true, noTTL: true, lag: time.Second},
	{name: "leavers", joins: 20, changes: 60, parts: 10, noTTL: true, lag: 6 * time.Second},
	{name: "deaf-leavers", joins: 20, changes: 40, deaf: 60, noTTL: true, lag: 3 * time.Second},
	{name: "leases", deaf: 40, deafTo: true, lostHello: true, quiet: true, slowGets: true, noTTL: true, mirrorTTL: 2 * time.Second, lag: time.Second},
	{name: "islands", parts: 40, alone: true, lostHello: true, quiet: true, members: 6, noTTL: true, mirrorTTL: time.Second, lag: time.Second},
	{name: "partitions", joins: 5, changes: 5, parts: 60, noTTL: true, lag: 2 * time.Second},
	{name: "stable", noTTL: true, slowLoads: true, lag: time.Second},
	{name: "copies", joins: 10, changes: 40, parts: 30, deaf: 20, noTTL: true, mirrorTTL: 3 * time.Second, lag: 2 * time.Second},
}

func worldNames() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// kindOf returns the kind of the schedule with that seed.
func kindOf(seed uint64) kind { return kinds[(seed>>8)%uint64(len(kinds))] }
