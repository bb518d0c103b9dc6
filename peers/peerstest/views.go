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
	in.former = slices.Insert(in.former, 0, formerView{placed: old.placed, until: until})
	var came []cache.Peer
	for _, i := range v.members {
		if i != in.index && !slices.Contains(old.members, i) {
			came = append(came, in.links[i])
		}
	}
	for _, i := range old.members {
		if i != in.index && !slices.Contains(v.members, i) {
			in.met[i] = until
		}
	}
	var responders []cache.Responder
	for _, a := range in.attached {
		responders = append(responders, a.responder)
	}
	f.mu.Unlock()
	for _, r := range responders {
		if len(came) > 0 {
			r.Met(came)
		}
		r.Moved()
	}
}

// Gained implements cache.Peers.
func (in *Instance) Gained() iter.Seq2[cache.Peer, *cache.Slots] {
	return func(yield func(cache.Peer, *cache.Slots) bool) {
		views := in.formerViews()
		if len(views) == 0 {
			return
		}
		now, before := in.view.Load().placed(), views[0].placed()
		gained := make(map[int]*cache.Slots)
		if now.table.Len() > 0 && before.table.Len() > 0 {
			for slot := range ring.Slots {
				from := before.index[before.table.OwnerOfSlot(slot)]
				if now.index[now.table.OwnerOfSlot(slot)] != in.index || from == in.index || slices.Contains(views[0].gone, from) {
					continue
				}
				if gained[from] == nil {
					gained[from] = new(cache.Slots)
				}
				gained[from].Add(slot)
			}
		}
		for from, slots := range gained {
			if !yield(in.links[from], slots) {
				return
			}
		}
	}
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

// known returns the indexes of all of Others, and until when each is among them at least.
func (in *Instance) known() map[int]time.Time {
	f := in.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(in.met, func(_ int, until time.Time) bool { return !now.Before(until) })
	known := maps.Clone(in.met)
	for _, i := range in.view.Load().members {
		known[i] = now.Add(f.window)
	}
	delete(known, in.index)
	return known
}

// learn adds instances to Others, until the times given.
func (in *Instance) learn(known map[int]time.Time) {
	v := in.view.Load()
	in.fleet.mu.Lock()
	defer in.fleet.mu.Unlock()
	for i, until := range known {
		if i != in.index && !slices.Contains(v.members, i) && until.After(in.met[i]) {
			in.met[i] = until
		}
	}
}

// hear adds one that asks to Others.
func (in *Instance) hear(from int) {
	if !slices.Contains(in.view.Load().members, from) {
		in.learn(map[int]time.Time{from: time.Now().Add(in.fleet.currentWindow())})
	}
}

func (f *Fleet) currentWindow() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.window
}

// Left implements cache.Peers.
func (in *Instance) Left(p cache.Peer) bool { return !slices.Contains(in.view.Load().others, p) }

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
	for _, i := range gone {
		delete(in.met, i)
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
		views := in.formerViews()
		if len(views) == 0 {
			return
		}
		seen := []cache.Peer{nil, in.Owner(key)}
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
