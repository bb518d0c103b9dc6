package peers

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// Stats is what a Pool has seen since New. Counters only grow.
type Stats struct {
	Self  string // this instance's URL
	Epoch string // of the view, in hexadecimal: a JSON number would lose digits of it

	InFlight        int    // incoming requests being served, but for those that are answered from memory at once
	Connections     int    // incoming connections that are upgraded
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
	URL         string
	Up          bool
	Transport   string // how it is asked: "upgraded", "post", or "" before the first call and while there is no connection
	NotUpgraded string // with "post": why its connections are not upgraded
	Upgrades    uint64 // connections to it that were upgraded
	InFlight    int    // calls to it that are under way or wait for their turn
	Calls       uint64 // calls to it, those that failed at once because it was down included
	Failures    uint64 // calls that returned an error
	LastError   string // text of the last error that counted against its health; "" if there was none

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
		Connections:     len(p.allSessions()),
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
		how, reason, upgrades, onLinks := pr.transport()
		ps := PeerStats{
			URL:             pr.url,
			Up:              cause == nil,
			Transport:       how,
			NotUpgraded:     reason,
			Upgrades:        upgrades,
			InFlight:        inFlight + onLinks,
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

// transport returns how the peer is asked, why its connections are not upgraded if so, how many were, and the calls
// that are under way on them.
func (p *peer) transport() (how, reason string, upgrades uint64, calls int) {
	w := &p.way
	w.mu.Lock()
	switch {
	case p.link.Load() != nil:
		how = "upgraded"
	case w.posts:
		how, reason = "post", w.reason
	}
	upgrades = w.opened
	w.mu.Unlock()
	for _, l := range p.links() {
		l.mu.Lock()
		calls += l.pending
		l.mu.Unlock()
	}
	return how, reason, upgrades, calls
}

// tellStats answers a request for Stats.
func (p *Pool) tellStats(deliver func(int, cache.Answer)) (wire.Code, string) {
	b, err := json.Marshal(p.Stats())
	if err != nil {
		return wire.Failed, err.Error()
	}
	deliver(0, cache.Answer{Value: b})
	return wire.OK, ""
}

// StatsOf asks the member with that URL, in the spelling of Stats, for its Stats. It blocks on ctx. The errors are those of
// any call to a peer; ErrUnsupported if the member's program is too old.
func (p *Pool) StatsOf(ctx context.Context, url string) (Stats, error) {
	var s Stats
	if url == p.self {
		return p.Stats(), nil
	}
	pr := p.view.Load().peers[url]
	if pr == nil {
		return s, fmt.Errorf("peers: StatsOf: %q is not a member: use a URL of Stats().Peers", shown(url))
	}
	pr.calls.Add(1)
	var derr error
	err := pr.call(ctx, &wire.Request{Verb: wire.Stats, MaxValue: uint64(p.cfg.MaxValueBytes)}, func(_ int, a cache.Answer) {
		derr = json.Unmarshal(a.Value, &s)
	})
	if err == nil && derr != nil {
		err = pr.fault(ErrProtocol, "told its Stats in a form that makes no sense", derr)
	}
	return s, err
}
