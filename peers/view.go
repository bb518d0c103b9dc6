package peers

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

const (
	// viewWindow is how long a Pool remembers the views that it had, and instances that it met without their being
	// members.
	viewWindow = time.Minute

	// maxFormer is how many views it remembers at most, and maxStrangers how many instances.
	maxFormer    = 8
	maxStrangers = 1 << 12
)

// A view is who is there, and who owns what. It is immutable, and replaced under the Pool's setMu.
type view struct {
	table    *ring.Table
	byRank   []cache.Peer          // by the table's indexes; nil for this instance
	peers    map[string]*peer      // members
	former   []formerView          // the latest first
	met      map[string]stranger   // those that are known, or were forgotten, and no members, by URL
	others   []cache.Peer          // members, and those that were met
	digest   uint64                // stands for others and this instance
	away     map[string]instanceID // members that said that they leave, by URL
	standIns map[cache.Peer]bool   // members that took over for this instance a while ago
	stale    time.Duration         // when something of this is over; 0: never
}

// A formerView is one that a Pool had before.
type formerView struct {
	owner func(slot int) cache.Peer // nil is this instance
	peers map[string]*peer          // its members
	gone  map[string]bool           // are not to be asked
	until time.Duration
}

// A stranger is an instance that is known and no member.
type stranger struct {
	until    time.Duration // by the Pool's clock
	left     bool          // it was a member: if it cannot be reached, it is gone
	gone     bool          // it left and was forgotten: kept so that what it still asks does not make it known again
	forgot   bool          // it was gone, in this life, and has not been told so
	heard    bool          // it has asked this instance something since
	instance instanceID    // that left; zero if it is not known
}

// formerView returns what is remembered of old. An instance that was alone comes to a fleet in which the others owned
// everything.
func (p *Pool) formerView(old *view, placed []ring.Member, until time.Duration) formerView {
	if len(old.peers) > 0 || len(placed) == 1 {
		return formerView{owner: old.owner, peers: old.peers, until: until}
	}
	rest := slices.DeleteFunc(slices.Clone(placed), func(m ring.Member) bool { return m.ID == p.self })
	f := formerView{peers: make(map[string]*peer, len(rest)), until: until}
	for _, m := range rest {
		f.peers[m.ID] = p.peerAt(m.ID)
	}
	placeRest := sync.OnceValue(func() *ring.Table { // when it is first needed, which may be never
		table, err := ring.New(rest...)
		if err != nil {
			panic("peers: members that were placed a moment ago: " + err.Error())
		}
		return table
	})
	f.owner = func(slot int) cache.Peer {
		table := placeRest()
		return f.peers[table.Member(table.OwnerOfSlot(slot)).ID]
	}
	return f
}

// owner returns the instance that owns a slot, nil if it is this one.
func (v *view) owner(slot int) cache.Peer { return v.byRank[v.table.OwnerOfSlot(slot)] }

// newView makes a view. setMu must be held, or the Pool not be shared yet.
func (p *Pool) newView(table *ring.Table, former []formerView, met map[string]stranger) *view {
	v := &view{
		table: table, byRank: p.ranks(table), former: former,
		peers: make(map[string]*peer, table.Len()), met: make(map[string]stranger, len(met)),
		digest: xxhash.Sum64String(p.self), away: maps.Clone(p.announced),
	}
	sooner := func(t time.Duration) {
		if v.stale == 0 || t < v.stale {
			v.stale = t
		}
	}
	for _, pr := range v.byRank {
		if pr != nil {
			v.peers[pr.(*peer).url] = pr.(*peer)
			v.others = append(v.others, pr)
		}
	}
	for url, until := range p.standIns {
		if pr := v.peers[url]; pr == nil || until <= p.now() {
			delete(p.standIns, url)
		} else {
			v.addStandIn(pr)
			sooner(until)
		}
	}
	for url, s := range met {
		if v.peers[url] == nil && s.until > p.now() {
			v.met[url] = s
			sooner(s.until)
			if !s.gone {
				v.others = append(v.others, p.peerAt(url))
			}
		}
	}
	for _, f := range former {
		sooner(f.until)
	}
	for _, o := range v.others {
		v.digest ^= xxhash.Sum64String(o.Addr())
	}
	p.dropUnknown(v)
	return v
}

// ranks returns the peers of a table, by its indexes.
func (p *Pool) ranks(table *ring.Table) []cache.Peer {
	ranks := make([]cache.Peer, 0, table.Len())
	for _, m := range table.Members() {
		if m.ID == p.self {
			ranks = append(ranks, nil)
		} else {
			ranks = append(ranks, p.peerAt(m.ID))
		}
	}
	return ranks
}

// peerAt returns the peer with that URL, which is the same one for as long as it is known. setMu must be held.
func (p *Pool) peerAt(url string) *peer {
	pr := p.registry[url]
	if pr == nil {
		pr = newPeer(p, url)
		p.registry[url] = pr
	}
	return pr
}

// dropUnknown forgets the peers that v does not know. setMu must be held.
func (p *Pool) dropUnknown(v *view) {
	known := make(map[string]bool, len(p.registry))
	for _, o := range v.others {
		known[o.Addr()] = true
	}
	for _, f := range v.former {
		for url := range f.peers {
			known[url] = true
		}
	}
	maps.DeleteFunc(p.registry, func(url string, _ *peer) bool { return !known[url] })
}

// tell tells all caches what has changed.
func (p *Pool) tell(c changes) {
	for _, a := range *p.attached.Load() {
		if len(c.came) > 0 {
			a.r.Met(c.came, c.forgotten)
		}
		if c.moved {
			a.r.Moved()
		}
	}
}

// current returns the view, without what is over.
func (p *Pool) current() *view {
	v := p.view.Load()
	if v.stale == 0 || p.now() < v.stale {
		return v
	}
	p.setMu.Lock()
	defer p.setMu.Unlock()
	v = p.view.Load()
	now := p.now()
	former := slices.DeleteFunc(slices.Clone(v.former), func(f formerView) bool { return f.until <= now })
	v = p.newView(v.table, former, v.met)
	p.view.Store(v)
	return v
}

// learn adds instances that another one knows to those that are known.
func (p *Pool) learn(known []wire.Known) {
	v := p.current()
	if !slices.ContainsFunc(known, func(k wire.Known) bool { _, changed := p.meet(v, k); return changed }) {
		return
	}
	p.setMu.Lock()
	defer p.setMu.Unlock()
	v = p.view.Load()
	met := maps.Clone(v.met)
	for _, k := range known {
		s, changed := p.meet(v, k)
		if !changed || len(met) >= maxStrangers {
			continue
		}
		if url, err := normalize(k.URL); err == nil && url == k.URL && checkScheme(url, p.tlsOnly) == nil {
			met[k.URL] = s
		}
	}
	p.view.Store(p.newView(v.table, v.former, met))
}

// meet returns what an instance that another one knows is to this one, and whether that is news.
func (p *Pool) meet(v *view, k wire.Known) (s stranger, changed bool) {
	if k.URL == p.self || v.peers[k.URL] != nil {
		return s, false
	}
	until := p.now() + min(k.For, p.viewWindow)
	s, met := v.met[k.URL]
	switch {
	case !met, s.gone && k.As != wire.KnownLeft:
		return stranger{until: until, left: k.As == wire.KnownLeft, forgot: s.gone || s.forgot, instance: s.instance}, true
	case s.left && k.As != wire.KnownCame: // who has it as a member has not heard yet, or will refuse to forget it
		return s, false
	case !s.left && k.As == wire.KnownLeft:
		s.left = true
		return s, !s.heard
	}
	changed = s.left || until > s.until+p.viewWindow/8
	s.left, s.until = false, max(s.until, until)
	return s, changed
}

// hear notes that an instance asks this one something: then it may keep what it gets. If it said in another life that it leaves, it
// is back. It returns true if this instance forgot it: then invalidations pass it by, and it must not take itself to be up to date.
func (p *Pool) hear(from string, instance instanceID) (forgotten bool) {
	v := p.view.Load()
	if left, ok := v.away[from]; ok && left != instance {
		p.comesBack(from, left)
		v = p.view.Load()
	}
	if pr := v.peers[from]; pr != nil {
		if last := pr.instance.Load(); last == nil || *last != instance {
			pr.instance.Store(&instance)
		}
		if pr.health.hint(time.Now()) {
			p.monitor.poke()
		}
		return false
	}
	s, met := v.met[from]
	same := met && s.instance == instance
	forgotten = same && (s.gone || s.forgot)
	lately := met && s.until > p.now()+p.viewWindow*7/8
	switch {
	case from == "", from == p.self, same && s.left && !s.gone, lately && (s.heard || forgotten):
		return forgotten
	}
	p.setMu.Lock()
	defer p.setMu.Unlock()
	v = p.view.Load()
	if url, err := normalize(from); v.peers[from] != nil || len(v.met) >= maxStrangers || err != nil || url != from || checkScheme(url, p.tlsOnly) != nil {
		return forgotten
	}
	strangers := maps.Clone(v.met)
	heard := stranger{until: p.now() + p.viewWindow, heard: true, instance: instance}
	if s, met = v.met[from]; met && s.instance == instance {
		heard.left, heard.gone, heard.forgot = s.left, s.gone, s.forgot
	}
	strangers[from] = heard
	if !heard.gone {
		p.peerAt(from).instance.Store(&instance)
	}
	p.view.Store(p.newView(v.table, v.former, strangers))
	return forgotten
}

// known returns whom this instance knows, for those whose digest is another one.
func (p *Pool) known(digest uint64) []wire.Known {
	v := p.current()
	if v.digest == digest {
		return nil
	}
	known := make([]wire.Known, 0, len(v.others)+1)
	for url := range v.peers {
		known = append(known, wire.Known{URL: url, For: p.viewWindow})
	}
	for url, s := range v.met {
		if s.gone {
			continue
		}
		as := wire.KnownCame
		if s.left {
			as = wire.KnownLeft
		}
		known = append(known, wire.Known{URL: url, For: s.until - p.now(), As: as})
	}
	return known
}

// Owner implements cache.Peers.
func (p *Pool) Owner(key string) cache.Peer { return p.view.Load().owner(ring.Slot(key)) }

// Owners implements cache.Peers. The order is that of the view at the time of the call.
func (p *Pool) Owners(key string) iter.Seq[cache.Peer] {
	v := p.view.Load()
	return func(yield func(cache.Peer) bool) {
		for i := range v.table.Owners(key) {
			if !yield(v.byRank[i]) {
				return
			}
		}
	}
}

// Former implements cache.Peers.
func (p *Pool) Former(key string) iter.Seq[cache.Peer] {
	v := p.view.Load()
	if len(v.former) == 0 && len(v.standIns) == 0 {
		return func(func(cache.Peer) bool) {}
	}
	return func(yield func(cache.Peer) bool) {
		v := p.current()
		slot := ring.Slot(key)
		seen := []cache.Peer{nil, v.owner(slot)}
		if pr := v.standIn(slot); pr != nil {
			seen = append(seen, pr)
			if !yield(pr) {
				return
			}
		}
		for _, f := range v.former {
			pr := f.owner(slot)
			if slices.Contains(seen, pr) || f.gone[pr.Addr()] {
				continue
			}
			seen = append(seen, pr)
			if !yield(pr) {
				return
			}
		}
	}
}

// Gained implements cache.Peers.
func (p *Pool) Gained() iter.Seq2[cache.Peer, *cache.Slots] {
	return func(yield func(cache.Peer, *cache.Slots) bool) {
		for from, slots := range p.current().gained() {
			if !yield(from, slots) {
				return
			}
		}
	}
}

// gained returns who owned what this instance owns now, in any of the views since it did not own it, or took over for it.
func (v *view) gained() map[cache.Peer]*cache.Slots {
	gained := make(map[cache.Peer]*cache.Slots)
	add := func(from cache.Peer, slot int) {
		if gained[from] == nil {
			gained[from] = new(cache.Slots)
		}
		gained[from].Add(slot)
	}
	for slot := range ring.Slots {
		if v.owner(slot) != nil {
			continue
		}
		if pr := v.standIn(slot); pr != nil {
			add(pr, slot)
		}
		for i := range v.former {
			f := &v.former[i]
			from := f.owner(slot)
			if from == nil {
				break
			}
			if f.gone[from.Addr()] {
				continue
			}
			add(from, slot)
		}
	}
	return gained
}

// Preceding implements cache.Peers.
func (p *Pool) Preceding() iter.Seq2[cache.Peer, *cache.Slots] {
	return func(yield func(cache.Peer, *cache.Slots) bool) {
		for owner, slots := range p.view.Load().preceding() {
			if !yield(owner, slots) {
				return
			}
		}
	}
}

// preceding returns who owns the slots that this instance is next for.
func (v *view) preceding() map[cache.Peer]*cache.Slots {
	preceding := make(map[cache.Peer]*cache.Slots)
	if v.table.Len() < 2 {
		return preceding
	}
	for slot := range ring.Slots {
		owner := v.owner(slot)
		if owner == nil || v.byRank[v.table.SecondOfSlot(slot)] != nil {
			continue
		}
		if preceding[owner] == nil {
			preceding[owner] = new(cache.Slots)
		}
		preceding[owner].Add(slot)
	}
	return preceding
}

// Slot implements cache.Peers.
func (p *Pool) Slot(key string) int { return ring.Slot(key) }

// Others implements cache.Peers.
func (p *Pool) Others() []cache.Peer { return p.current().others }

// Left implements cache.Peers.
func (p *Pool) Left(pr cache.Peer) bool {
	v := p.view.Load()
	s, met := v.met[pr.Addr()]
	return v.peers[pr.Addr()] != pr && (s.left || !met)
}

// Forget implements cache.Peers.
func (p *Pool) Forget(addrs []string) bool {
	p.setMu.Lock()
	defer p.setMu.Unlock()
	v := p.view.Load()
	if slices.ContainsFunc(addrs, func(addr string) bool { return v.peers[addr] != nil || addr == p.self }) {
		return false
	}
	met := maps.Clone(v.met)
	for _, addr := range addrs {
		if s, ok := met[addr]; ok && s.left {
			s.gone = true
			met[addr] = s
		} else {
			delete(met, addr)
		}
	}
	former := slices.Clone(v.former)
	for i, f := range former {
		gone := maps.Clone(f.gone)
		if gone == nil {
			gone = make(map[string]bool, len(addrs))
		}
		for _, addr := range addrs {
			gone[addr] = true
		}
		former[i].gone = gone
	}
	p.view.Store(p.newView(v.table, former, met))
	return true
}

// Epoch returns the digest of the members and their weights. Instances with the same one
// agree on the owner of every key.
func (p *Pool) Epoch() uint64 { return p.view.Load().table.Epoch() }

// OwnerURL returns the URL of the instance that owns key, for people to read. It may be down.
func (p *Pool) OwnerURL(key string) string {
	t := p.view.Load().table
	return t.Member(t.Owner(key)).ID
}
