package cache

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// paceEvery says that one of so many fetches is timed.
	paceEvery = 8

	// paceLeast is how many must have been timed before it is known what is slow.
	paceLeast = 64

	// paceUp is the share of the estimate by which a slower fetch raises it, 1/paceUp; all others lower it so that one in 100 is slower.
	paceUp   = 16
	paceDown = paceUp * 99

	// A hedge takes hedgeCost of what a peer's fetches have earned, hedgeEarned each: 3 in a hundred. They save no more than hedgeBurst hedges.
	hedgeCost   = 100
	hedgeEarned = 3
	hedgeBurst  = 8
)

// A pace is how long fetches from one peer take. Its methods may be called concurrently, and take no lock: what is lost when two of them meet is a
// hint.
type pace struct {
	timed  atomic.Int64
	slow   atomic.Int64 // nanoseconds: one in a hundred fetches takes longer, about
	earned atomic.Int64
}

// note notes a fetch that was timed, one of paceEvery.
func (p *pace) note(took time.Duration) {
	n, slow := p.timed.Add(1), p.slow.Load()
	switch {
	case n <= paceLeast:
		slow = max(slow, int64(took))
	case int64(took) > slow:
		slow += slow/paceUp + 1
	default:
		slow -= slow / min(n, paceDown) // at first in larger steps: the first fetches are loads
	}
	p.slow.Store(slow)
	if p.earned.Load() < hedgeBurst*hedgeCost {
		p.earned.Add(hedgeEarned * paceEvery)
	}
}

// limit returns how long a fetch takes that is not slow, 0 if that is not known.
func (p *pace) limit() time.Duration {
	if p == nil || p.timed.Load() < paceLeast {
		return 0
	}
	return time.Duration(p.slow.Load())
}

// spend takes what a hedge costs, and returns false if there is not as much.
func (p *pace) spend() bool {
	for {
		earned := p.earned.Load()
		if earned < hedgeCost {
			return false
		}
		if p.earned.CompareAndSwap(earned, earned-hedgeCost) {
			return true
		}
	}
}

// paces are those of all peers.
type paces struct {
	byPeer atomic.Pointer[map[Peer]*pace] // never changed in place

	// mu is held to replace byPeer. It is a leaf.
	mu sync.Mutex
}

// of returns the pace of p, nil if it has none yet.
func (ps *paces) of(p Peer) *pace {
	if m := ps.byPeer.Load(); m != nil {
		return (*m)[p]
	}
	return nil
}

// add returns the pace of p, and forgets those of peers that are not among others.
func (ps *paces) add(p Peer, others []Peer) *pace {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if old := ps.of(p); old != nil {
		return old
	}
	next := make(map[Peer]*pace)
	if m := ps.byPeer.Load(); m != nil {
		maps.Copy(next, *m)
		maps.DeleteFunc(next, func(p Peer, _ *pace) bool { return !slices.Contains(others, p) })
	}
	next[p] = new(pace)
	ps.byPeer.Store(&next)
	return next[p]
}

// least returns the least limit of all that are known, or most if that is less.
func (ps *paces) least(most time.Duration) time.Duration {
	if m := ps.byPeer.Load(); m != nil {
		for _, p := range *m {
			if l := p.limit(); l > 0 {
				most = min(most, l)
			}
		}
	}
	return most
}
