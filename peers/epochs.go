package peers

import (
	"fmt"
	"sync/atomic"
)

// hexEpoch returns an epoch as people see it.
func hexEpoch(epoch uint64) string { return fmt.Sprintf("%016x", epoch) }

// epochs counts how often a peer's view was another than this instance's.
type epochs struct {
	mismatches atomic.Uint64
	logged     atomic.Uint64 // the epoch that was logged last
}

// noteStranger is note for all instances that are not in the view.
func (e *epochs) noteStranger(p *Pool, name string, theirs uint64) {
	if ours := p.Epoch(); theirs != ours {
		e.mismatches.Add(1)
		if p.mayWarn() {
			p.log.Warn("peers: an instance that is not in the view has another one", "peer", name, "epoch", hexEpoch(theirs), "own", hexEpoch(ours))
		}
	}
}

// note compares the epoch that came with a message from the instance named name. Each epoch is logged when
// it is first seen; during a rollout instances differ for a while, and nothing else comes of it.
func (e *epochs) note(p *Pool, name string, theirs uint64) {
	ours := p.Epoch()
	if theirs == ours {
		if e.logged.Load() != theirs {
			e.logged.Store(theirs)
		}
		return
	}
	e.mismatches.Add(1)
	if e.logged.Swap(theirs) != theirs {
		p.log.Warn("peers: an instance has another view of the members", "peer", name, "epoch", hexEpoch(theirs), "own", hexEpoch(ours))
	}
}
