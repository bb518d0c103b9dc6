package peerstest

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// An Instance is one process of a [Fleet]. It implements cache.Peers: give it to the caches of that process.
// All methods may be called concurrently, and none of them blocks.
type Instance struct {
	fleet *Fleet
	index int
	name  string
	links []*link // by the index of the other end; nil at index. Never changes.

	view atomic.Pointer[view]

	// Guarded by fleet.mu.
	attached      map[string]*attachment
	stopped, hung bool
	met           map[int]stranger  // those that are among Others without being in the view
	heard         map[int]int       // in which life another instance asked this one something last, counted from 1
	former        []formerView      // the latest first
	standIns      map[int]time.Time // those that took over for this instance, and until when they are asked
	lives         int               // how often the process was killed; a call is bound to the life that it began in
	group         int               // of the partition; instances of different groups do not reach each other
}

var _ cache.Peers = (*Instance)(nil)

// An attachment is a Responder under the name of its cache. Its address tells it from later ones of that name.
type attachment struct{ responder cache.Responder }

// A view is who one instance believes is there. It does not change.
type view struct {
	// placed computes the placement, once for all instances that have the view, when it is first
	// needed: many tests never ask who owns a key.
	placed  func() *placement
	members []int // in ascending order
	others  []cache.Peer
}

// A formerView is one that an instance had before.
type formerView struct {
	placed func() *placement
	until  time.Time
	gone   []int // are not to be asked
}

// A placement is what the instances of one view agree on.
type placement struct {
	table *ring.Table
	index []int // the number of each member of the table in the fleet
}

// Index returns the number of the instance within its fleet.
func (in *Instance) Index() int { return in.index }

// Self implements cache.Peers: the instance's name is its address.
func (in *Instance) Self() string { return in.name }

// String returns the name. Without it, printing an Instance would print the fleet, and race with it.
func (in *Instance) String() string { return in.name }

// Peer returns instance to as this one reaches it, whether or not it is in the view. It is
// the same value that Owners and Others have for it.
func (in *Instance) Peer(to int) cache.Peer { return in.fleet.link(in.index, to) }

// Attach implements cache.Peers.
func (in *Instance) Attach(name string, r cache.Responder) (detach func(), err error) {
	if r == nil {
		return nil, errors.New("peerstest: Attach with a nil Responder")
	}
	in.fleet.mu.Lock()
	defer in.fleet.mu.Unlock()
	if in.attached[name] != nil {
		return nil, fmt.Errorf("peerstest: cache %q is attached to %s already", name, in.name)
	}
	a := &attachment{r}
	in.attached[name] = a
	return func() {
		in.fleet.mu.Lock()
		defer in.fleet.mu.Unlock()
		if in.attached[name] == a {
			delete(in.attached, name)
		}
	}, nil
}

// responder returns what is attached under name, or nil.
func (in *Instance) responder(name string) cache.Responder {
	in.fleet.mu.Lock()
	defer in.fleet.mu.Unlock()
	if a := in.attached[name]; a != nil {
		return a.responder
	}
	return nil
}

// tellMet tells what is attached that an instance can be reached again.
func (in *Instance) tellMet(l *link) {
	in.fleet.mu.Lock()
	var responders []cache.Responder
	for _, a := range in.attached {
		responders = append(responders, a.responder)
	}
	in.fleet.mu.Unlock()
	for _, r := range responders {
		r.Met([]cache.Peer{l}, nil)
	}
}

// Owners implements cache.Peers. The view is the one that holds when the iteration begins.
func (in *Instance) Owners(key string) iter.Seq[cache.Peer] {
	return func(yield func(cache.Peer) bool) {
		p := in.view.Load().placed()
		for i := range p.table.Owners(key) {
			if !yield(in.reach(p.index[i])) {
				return
			}
		}
	}
}

// Owner implements cache.Peers.
func (in *Instance) Owner(key string) cache.Peer {
	p := in.view.Load().placed()
	if p.table.Len() == 0 {
		return nil
	}
	return in.reach(p.index[p.table.Owner(key)])
}

// reach returns instance i as in reaches it: nil for itself.
func (in *Instance) reach(i int) cache.Peer {
	if i == in.index {
		return nil
	}
	return in.links[i]
}

// SetView makes members the view of instance i. A view without i itself is allowed: i then owns nothing and
// asks others for everything. An instance that is in nobody's view is still there: it asks and
// answers like any other, as one that has just joined or left does. A member that comes twice counts once.
func (f *Fleet) SetView(i int, members ...int) {
	f.setViews(f.instances[i:i+1], members)
}

// SetViewAll makes members the view of every instance, those that are not among them included.
func (f *Fleet) SetViewAll(members ...int) { f.setViews(f.instances, members) }

func (f *Fleet) setViews(instances []*Instance, members []int) {
	members = slices.Clone(members)
	slices.Sort(members)
	members = slices.Compact(members)
	for _, i := range members {
		_ = f.instances[i] // panics now, and not when the view is needed
	}
	placed := sync.OnceValue(func() *placement { return f.place(members) })
	for _, in := range instances {
		v := &view{placed: placed, members: members}
		for _, i := range members {
			if i != in.index {
				v.others = append(v.others, in.links[i])
			}
		}
		in.setView(v)
	}
}

// placements keeps what place has computed, by the names of the members: it depends on nothing else, and takes its time.
var placements sync.Map

// place computes who owns what if members are there.
func (f *Fleet) place(members []int) *placement {
	ms := make([]ring.Member, len(members))
	number := make(map[string]int)
	for j, i := range members {
		ms[j] = ring.Member{ID: f.instances[i].name}
		number[ms[j].ID] = i
	}
	key := fmt.Sprint(ms)
	made, ok := placements.Load(key)
	if !ok {
		table, err := ring.New(ms...)
		if err != nil {
			panic(fmt.Sprintf("peerstest: %v", err))
		}
		made, _ = placements.LoadOrStore(key, table)
	}
	table := made.(*ring.Table)
	p := &placement{table: table, index: make([]int, table.Len())}
	for i := range p.index {
		p.index[i] = number[table.Member(i).ID]
	}
	return p
}
