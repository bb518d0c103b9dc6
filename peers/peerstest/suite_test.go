package peerstest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// newSubject makes a Fleet the subject of the suite.
func newSubject(_ testing.TB, n int) peerstest.Subject {
	return subjectOf(peerstest.NewFleet(n))
}

func subjectOf(fleet *peerstest.Fleet) peerstest.Subject {
	s := peerstest.Subject{Stop: fleet.Stop, Hang: fleet.Hang}
	for i := range fleet.Len() {
		s.Peers = append(s.Peers, fleet.Instance(i))
	}
	return s
}

func TestFleetInRealTime(t *testing.T) {
	peerstest.TestPeers(t, func(_ testing.TB, n int) peerstest.Subject {
		fleet := peerstest.NewFleet(n)
		fleet.SetDetection(100 * time.Millisecond)
		return subjectOf(fleet)
	})
}

func TestFleetInBubble(t *testing.T) {
	for c := range peerstest.Checks() {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.Run(t, newSubject) })
		})
	}
}

// A fleet whose links duplicate what they may and take their time is still one that conforms.
func TestFleetWithFaults(t *testing.T) {
	for _, faults := range []peerstest.Faults{
		{DuplicateRequests: true},
		{DuplicateReplies: true},
		{RequestDelay: peerstest.Delay(7 * time.Millisecond), ReplyDelay: peerstest.DelayBetween(1, 0, 9*time.Millisecond)},
	} {
		for c := range peerstest.Checks() {
			t.Run(c.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c.Run(t, func(_ testing.TB, n int) peerstest.Subject {
						fleet := peerstest.NewFleet(n)
						fleet.SetFaultsAll(faults)
						return subjectOf(fleet)
					})
				})
			})
		}
	}
}
