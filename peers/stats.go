package peers

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// Stats is what a Pool has seen since New. Counters only grow.
type Stats struct {
	Self  string // this instance's URL
	Epoch string // of the view, in hexadecimal: a JSON number would lose digits of it

	InFlight        int    // incoming requests being served
	Served          uint64 // incoming requests that a cache or a ping was answered for
	Challenged      uint64 // incoming requests that were not signed, or not lately: a peer's first, or a stranger's
	RejectedAuth    uint64 // incoming requests with a credential that is not the fleet's, or was used before
	RejectedLimit   uint64 // incoming requests over a limit: in flight, size, or time to arrive
	RejectedGarbage uint64 // incoming requests that make no sense, or were meant for another instance
	Panics          uint64 // incoming requests in which a cache panicked

	// EpochMismatches counts incoming requests of instances with another view that are not among Peers.
	EpochMismatches uint64

	Peers []PeerStats // the other members, by URL
}

// PeerStats is what a Pool has seen of a peer, since it came into the view.
type PeerStats struct {
	URL       string
	Up        bool
	InFlight  int    // calls to it that are under way or wait for their turn
	Calls     uint64 // calls to it, those that failed at once because it was down included
	Failures  uint64 // calls that returned an error
	LastError string // text of the last error that counted against its health; "" if there was none

	// EpochMismatches counts messages from it that carried another epoch than this instance's.
	EpochMismatches uint64
}

// traffic counts incoming requests.
type traffic struct {
	inFlight                                                                 atomic.Int64
	served, challenged, rejectedAuth, rejectedLimit, rejectedGarbage, panics atomic.Uint64
	strangers                                                                epochs
	lastWarning                                                              atomic.Int64 // time since start; 0: none
}

// Stats returns what the Pool has seen. Its figures are of about the same moment.
func (p *Pool) Stats() Stats {
	v := p.view.Load()
	t := &p.traffic
	s := Stats{
		Self:            p.self,
		Epoch:           hexEpoch(v.table.Epoch()),
		InFlight:        int(t.inFlight.Load()),
		Served:          t.served.Load(),
		Challenged:      t.challenged.Load(),
		RejectedAuth:    t.rejectedAuth.Load(),
		RejectedLimit:   t.rejectedLimit.Load(),
		RejectedGarbage: t.rejectedGarbage.Load(),
		Panics:          t.panics.Load(),
		EpochMismatches: t.strangers.mismatches.Load(),
		Peers:           make([]PeerStats, 0, len(v.peers)),
	}
	for _, pr := range v.peers {
		cause, inFlight, last := pr.health.state()
		ps := PeerStats{
			URL:             pr.url,
			Up:              cause == nil,
			InFlight:        inFlight,
			Calls:           pr.calls.Load(),
			Failures:        pr.failures.Load(),
			EpochMismatches: pr.epochs.mismatches.Load(),
		}
		if last != nil {
			ps.LastError = last.Error()
		}
		s.Peers = append(s.Peers, ps)
	}
	slices.SortFunc(s.Peers, func(a, b PeerStats) int { return cmp.Compare(a.URL, b.URL) })
	return s
}
