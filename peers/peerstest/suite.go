package peerstest

import (
	"iter"
	"slices"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A Subject is a fleet whose cache.Peers are tested. Every instance has all of them, with
// equal weights, in its view, and reaches them.
type Subject struct {
	// Peers are the instances.
	Peers []cache.Peers

	// Stop kills instance i, calls under way included, as SIGKILL does to a process. It may return before that is
	// done. nil skips the checks that need it.
	Stop func(i int)

	// Hang makes instance i accept what it is sent and never answer, as SIGSTOP does. nil skips
	// the checks that need it.
	Hang func(i int)
}

// NewSubject returns a new fleet of n instances. It registers with t what ends it.
type NewSubject func(t testing.TB, n int) Subject

// A Check is one part of the suite.
type Check struct {
	Name  string
	Holds string // the sentence of package cache that it holds
	Size  int    // how many instances it needs
	run   func(*fixture)
}

// Run runs the check on a new fleet. It is called in a test of its own, or in a testing/synctest bubble
// of its own, and waits for events only. What should happen and does not fails the check after 20 s.
func (c Check) Run(t testing.TB, newSubject NewSubject) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("check %s holds: %s", c.Name, c.Holds)
		}
	})
	c.run(newFixture(t, newSubject(t, c.Size)))
}

// Checks yields the checks of the suite, for programs that run them in another way than [TestPeers] does: each
// in a testing/synctest bubble, above all.
func Checks() iter.Seq[Check] {
	return func(yield func(Check) bool) {
		for _, group := range [][]Check{
			attachChecks, viewChecks, getChecks, answersChecks, hitChecks, fieldChecks, copyChecks,
			contextChecks, errorChecks, writeChecks, failureChecks,
		} {
			if !slices.ContainsFunc(group, func(c Check) bool { return !yield(c) }) {
				continue
			}
			return
		}
	}
}

// TestPeers runs the suite that every implementation of cache.Peers must pass, each
// check as a subtest on a fleet of its own.
func TestPeers(t *testing.T, newSubject NewSubject) {
	for c := range Checks() {
		t.Run(c.Name, func(t *testing.T) { c.Run(t, newSubject) })
	}
}
