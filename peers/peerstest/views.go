package peerstest

import (
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// DefaultWindow is how long an instance remembers the views that it had, and those who were in them, unless
// [Fleet.SetWindow] says otherwise.
const DefaultWindow = time.Minute

// SetWindow sets for how long instances remember, from the next change of a view on.
func (f *Fleet) SetWindow(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.window = d
}

// setView makes v the view of in, and tells what is attached to it who came.
func (in *Instance) setView(v *view) {
	f := in.fleet
	f.mu.Lock()
	old := in.view.Swap(v)
	if old == nil || slices.Equal(old.members, v.members) {
		f.mu.Unlock()
		return
	}
	until := time.Now().Add(f.window)
	if len(old.others) == 0 { // in was alone: it comes to a fleet that owned everything
		rest := slices.DeleteFunc(slices.Clone(v.members), func(i int) bool { return i == in.index })
		old = &view{placed: sync.OnceValue(func() *placement { return f.place(rest) }), members: rest}
	}
	in.former = slices.Insert(slices.Clone(in.former), 0, formerView{placed: old.placed, until: until})
	var came, forgotten []cache.Peer
	for _, i := range v.members {
		if i != in.index && !slices.Contains(old.members, i) {
			came = append(came, in.links[i])
			if s := in.met[i]; s.gone || s.forgot {
				forgotten = append(forgotten, in.links[i])
			}
			delete(in.met, i)
		}
	}
	for _, i := range old.members {
		if i != in.index && !slices.Contains(v.members, i) {
			in.met[i] = stranger{until: until, left: true, life: in.heard[i]}
		}
	}
	var responders []cache.Responder
	for _, a := range in.attached {
		responders = append(responders, a.responder)
	}
	f.mu.Unlock()
	for _, r := range responders {
		if len(came) > 0 {
			r.Met(came, forgotten)
		}
		r.Moved()
	}
}

// Gained implements cache.Peers.
func (in *Instance) Gained() iter.Seq2[cache.Peer, *cache.Slots] {
	return func(yield func(cache.Peer, *cache.Slots) bool) {
		for from, slots := range in.gained() {
			if !yield(in.links[from], slots) {
				return
			}
		}
	}
}

func (in *Instance) gained() map[int]*cache.Slots {
	gained := make(map[int]*cache.Slots)
	now, views := in.view.Load().placed(), in.formerViews()
	add := func(from, slot int) {
		if gained[from] == nil {
			gained[from] = new(cache.Slots)
		}
		gained[from].Add(slot)
	}
	standIns := in.askedStandIns()
	for slot := range ring.Slots {
		if now.table.Len() == 0 || now.index[now.table.OwnerOfSlot(slot)] != in.index {
			continue
		}
		if i, ok := now.standIn(slot, standIns); ok {
			add(i, slot)
		}
		for _, old := range views {
			before := old.placed()
			if before.table.Len() == 0 {
				continue
			}
			from := before.index[before.table.OwnerOfSlot(slot)]
			if from == in.index {
				break
			}
			if slices.Contains(old.gone, from) {
				continue
			}
			add(from, slot)
		}
	}
	return gained
}

// Preceding implements cache.Peers.
func (in *Instance) Preceding() iter.Seq2[cache.Peer, *cache.Slots] {
	return func(yield func(cache.Peer, *cache.Slots) bool) {
		for owner, slots := range in.view.Load().placed().preceding(in.index) {
			if !yield(in.links[owner], slots) {
				return
			}
		}
	}
}

// preceding returns who owns the slots that instance i is next for.
func (p *placement) preceding(i int) map[int]*cache.Slots {
	preceding := make(map[int]*cache.Slots)
	if p.table.Len() < 2 {
		return preceding
	}
	for slot := range ring.Slots {
		owner := p.index[p.table.OwnerOfSlot(slot)]
		if owner == i || p.index[p.table.SecondOfSlot(slot)] != i {
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
func (in *Instance) Slot(key string) int { return ring.Slot(key) }

// Others implements cache.Peers.
func (in *Instance) Others() []cache.Peer {
	v := in.view.Load()
	others := slices.Clip(v.others)
	for _, i := range slices.Sorted(maps.Keys(in.known())) {
		if !slices.Contains(v.members, i) {
			others = append(others, in.links[i])
		}
	}
	return others
}

// A stranger is an instance that is known without being in the view.
type stranger struct {
	until  time.Time
	left   bool // it was in the view
	gone   bool // it left and was forgotten: kept so that what it still asks does not make it known again
	forgot bool // it was gone, in this life, and has not been told so
	heard  bool // it has asked for something since
	life   int  // that left, or asked; 0 if it is not known
}

// knownAs says what an instance is to one that knows it.
type knownAs struct {
	until        time.Time
	member, left bool
}

// known returns all of Others by their indexes.
func (in *Instance) known() map[int]knownAs {
	f := in.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(in.met, func(_ int, s stranger) bool { return !now.Before(s.until) })
	known := make(map[int]knownAs)
	for i, s := range in.met {
		if !s.gone {
			known[i] = knownAs{until: s.until, left: s.left}
		}
	}
	for _, i := range in.view.Load().members {
		known[i] = knownAs{until: now.Add(f.window), member: true}
	}
	delete(known, in.index)
	return known
}

// learn adds instances that another one knows to Others.
func (in *Instance) learn(known map[int]knownAs) {
	v := in.view.Load()
	in.fleet.mu.Lock()
	defer in.fleet.mu.Unlock()
	for i, k := range known {
		if i == in.index || slices.Contains(v.members, i) {
			continue
		}
		s, met := in.met[i]
		switch came := !k.member && !k.left; {
		case !met, s.gone && !k.left:
			s = stranger{until: k.until, left: k.left, forgot: s.gone || s.forgot, life: s.life}
		case s.left && !came: // who has it as a member has not heard yet, or will refuse to forget it
		case !s.left && k.left:
			s.left = !s.heard
		default:
			s.left = false
			if k.until.After(s.until) {
				s.until = k.until
			}
		}
		in.met[i] = s
	}
}

// hear adds one that asks, in some life of it, to Others. It returns true if in forgot it.
func (in *Instance) hear(from, life int) (forgotten bool) {
	v := in.view.Load()
	f := in.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	life++ // 0 says that none is known
	s, met := in.met[from]
	in.heard[from] = life
	same := met && s.life == life
	if slices.Contains(v.members, from) || same && s.left && !s.gone {
		return false
	}
	heard := stranger{until: time.Now().Add(f.window), heard: true, life: life}
	if same {
		heard.left, heard.gone, heard.forgot = s.left, s.gone, s.forgot
	}
	in.met[from] = heard
	return heard.gone || heard.forgot
}

// Left implements cache.Peers.
func (in *Instance) Left(p cache.Peer) bool {
	in.fleet.mu.Lock()
	defer in.fleet.mu.Unlock()
	s, met := in.met[p.(*link).to.index]
	return !slices.Contains(in.view.Load().others, p) && (s.left || !met)
}

// Forget implements cache.Peers.
func (in *Instance) Forget(addrs []string) bool {
	f := in.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	v := in.view.Load()
	var gone []int
	for _, other := range f.instances {
		if other != in && slices.Contains(addrs, other.name) {
			if slices.Contains(v.members, other.index) {
				return false
			}
			gone = append(gone, other.index)
		}
	}
	in.former = slices.Clone(in.former) // which others may be looking at
	for _, i := range gone {
		if s, ok := in.met[i]; ok && s.left {
			s.gone = true
			in.met[i] = s
		} else {
			delete(in.met, i)
		}
		for j := range in.former {
			old := &in.former[j]
			old.gone = append(slices.Clip(old.gone), i)
		}
	}
	return true
}

// Former implements cache.Peers.
func (in *Instance) Former(key string) iter.Seq[cache.Peer] {
	return func(yield func(cache.Peer) bool) {
		views, standIns := in.formerViews(), in.askedStandIns()
		if len(views) == 0 && len(standIns) == 0 {
			return
		}
		seen := []cache.Peer{nil, in.Owner(key)}
		if i, ok := in.view.Load().placed().standIn(ring.Slot(key), standIns); ok && seen[1] == nil {
			seen = append(seen, in.links[i])
			if !yield(in.links[i]) {
				return
			}
		}
		for _, old := range views {
			p := old.placed()
			if p.table.Len() == 0 {
				continue
			}
			i := p.index[p.table.Owner(key)]
			if former := in.reach(i); !slices.Contains(seen, former) && !slices.Contains(old.gone, i) {
				seen = append(seen, former)
				if !yield(former) {
					return
				}
			}
		}
	}
}

// formerViews returns the views that in remembers.
func (in *Instance) formerViews() []formerView {
	f := in.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	in.former = slices.DeleteFunc(slices.Clone(in.former), func(v formerView) bool { return !now.Before(v.until) })
	return in.former
}

// tookOver notes that another instance took over for in, and has the cache whose Responder is given pull from it.
func (in *Instance) tookOver(from int, r cache.Responder) {
	if in.noteStandIn(from) {
		r.Moved()
	}
}

func (in *Instance) noteStandIn(from int) bool {
	v := in.view.Load()
	f := in.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(v.members, from) {
		return false
	}
	in.standIns[from] = time.Now().Add(f.window)
	return true
}

// askedStandIns returns those that took over for in not long ago.
func (in *Instance) askedStandIns() map[int]bool {
	f := in.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(in.standIns, func(_ int, until time.Time) bool { return !now.Before(until) })
	asked := make(map[int]bool, len(in.standIns))
	for i := range in.standIns {
		asked[i] = true
	}
	return asked
}

// standIn returns the instance that comes next for a slot, if it is one of those.
func (p *placement) standIn(slot int, standIns map[int]bool) (i int, ok bool) {
	if len(standIns) == 0 || p.table.Len() < 2 {
		return 0, false
	}
	i = p.index[p.table.SecondOfSlot(slot)]
	return i, standIns[i]
}
