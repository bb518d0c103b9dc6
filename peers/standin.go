package peers

import "github.com/seed-0f2aaebe/fleetcache/cache"

// tookOver notes that another instance took over while this one could not be reached, and has the cache whose Responder is given pull from it.
func (p *Pool) tookOver(from string, r cache.Responder) {
	if !p.noteStandIn(from) {
		return
	}
	p.log.Info("peers: a peer took over while this instance could not be reached", "peer", from)
	r.Moved()
}

// noteStandIn notes that another instance took over, and returns false if it is no member.
func (p *Pool) noteStandIn(from string) bool {
	p.setMu.Lock()
	defer p.setMu.Unlock()
	v := p.view.Load()
	if v.peers[from] == nil {
		return false
	}
	p.standIns[from] = p.now() + p.viewWindow
	p.view.Store(p.newView(v.table, v.former, v.met))
	return true
}

func (v *view) addStandIn(pr *peer) {
	if v.standIns == nil {
		v.standIns = make(map[cache.Peer]bool, 1)
	}
	v.standIns[pr] = true
}

// standIn returns the instance that comes next in a slot's order, if this one owns it and that one took over not long ago; else nil.
func (v *view) standIn(slot int) cache.Peer {
	if len(v.standIns) == 0 || v.owner(slot) != nil {
		return nil
	}
	if pr := v.byRank[v.table.SecondOfSlot(slot)]; v.standIns[pr] {
		return pr
	}
	return nil
}
