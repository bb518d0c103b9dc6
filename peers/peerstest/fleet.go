package peerstest

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// DefaultDetection is how long a call waits for an instance that does not answer,
// unless [Fleet.SetDetection] says otherwise.
const DefaultDetection = 2 * time.Second

// A Fleet is instances of a service in one process, and the links between them. Make one with [NewFleet] or
// [NewFleetOf]; the zero value has no instances and gets none.
//
// All methods may be called concurrently, at any time, and none of them blocks. They panic
// if an index is that of no instance: from, to and i count from 0.
type Fleet struct {
	instances []*Instance // never changes

	// mu guards everything below, and of each Instance and link the fields that say so.
	// It is never held across a wait, nor while a function of the test or a Responder runs.
	mu        sync.Mutex
	detection time.Duration
	window    time.Duration
	calls     uint64        // calls so far
	changed   chan struct{} // closed, and replaced, when an instance or a link changes
	intercept []*interceptor
}

// NewFleet returns a fleet of n instances, called instance-0, instance-1 and so on. Each has
// all of them in its view.
func NewFleet(n int) *Fleet {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("instance-%d", i)
	}
	return NewFleetOf(names...)
}

// NewFleetOf returns a fleet of instances with the names given, which are their addresses. Each has
// all of them in its view. It panics if a name is empty or comes twice.
func NewFleetOf(names ...string) *Fleet {
	f := &Fleet{detection: DefaultDetection, window: DefaultWindow, changed: make(chan struct{})}
	taken := make(map[string]bool)
	for i, name := range names {
		if name == "" || taken[name] {
			panic(fmt.Sprintf("peerstest: name %q of instance %d is empty or taken", name, i))
		}
		taken[name] = true
		f.instances = append(f.instances, &Instance{
			fleet: f, index: i, name: name, attached: make(map[string]*attachment), met: make(map[int]stranger), heard: make(map[int]int),
			standIns: make(map[int]time.Time),
		})
	}
	for _, from := range f.instances {
		from.links = make([]*link, len(names))
		for _, to := range f.instances {
			if from != to {
				from.links[to.index] = &link{fleet: f, from: from, to: to}
			}
		}
	}
	f.SetViewAll(f.all()...)
	return f
}

// Len returns the number of instances.
func (f *Fleet) Len() int { return len(f.instances) }

// Instance returns instance i. It is the same value every time.
func (f *Fleet) Instance(i int) *Instance { return f.instances[i] }

// SetDetection sets how long a call waits once nothing can come back to it: its request or reply was lost,
// the other instance hangs or is cut off. Then it fails with [ErrUnreachable], and later calls on the same link
// fail at once with cache.ErrPeerDown, for as long as something blocks it: a fault that loses messages, a
// partition, an instance that hangs or is stopped. Zero or less: calls wait for their contexts only.
func (f *Fleet) SetDetection(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.detection = d
	f.announceLocked()
}

// Stop kills the process of instance i, as SIGKILL does: whatever is attached to it is gone; every call
// to it or from it, those under way included, fails at once with [ErrUnreachable], and from the second on
// with cache.ErrPeerDown too; the contexts of the calls that it serves end.
func (f *Fleet) Stop(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.killLocked(f.instances[i])
	f.instances[i].stopped = true
	f.announceLocked()
}

// Restart starts a new process for instance i, and stops the old one first if it runs. Nothing is
// attached to it until a cache is made for it. Close the caches of the old process: the fleet
// cannot tell what they send from what the new ones do.
func (f *Fleet) Restart(i int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.instances[i]
	if !in.stopped {
		f.killLocked(in)
	}
	in.stopped = false
	f.announceLocked()
}

// killLocked ends the process of in: its links are reset and its attachments lost. f.mu must be held.
func (f *Fleet) killLocked(in *Instance) {
	in.lives++
	in.hung = false
	clear(in.attached)
	clear(in.met)
	clear(in.heard)
	clear(in.standIns)
	v := in.view.Load()
	rest := slices.DeleteFunc(slices.Clone(v.members), func(i int) bool { return i == in.index })
	in.former = []formerView{{placed: sync.OnceValue(func() *placement { return in.fleet.place(rest) }), until: time.Now().Add(in.fleet.window)}}
}

// Hang stops instance i from sending and receiving until Resume, as SIGSTOP does: connections
// to it stay, messages wait in them, and nobody is told.
func (f *Fleet) Hang(i int) { f.setHung(i, true) }

// Resume ends Hang. Messages that wait go on, if their calls are not over.
func (f *Fleet) Resume(i int) { f.setHung(i, false) }

func (f *Fleet) setHung(i int, hung bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instances[i].hung = hung
	f.announceLocked()
}

// Partition cuts the fleet into groups that do not reach each other: messages between
// them are lost. The instances that no group names form one more. It replaces an earlier partition.
func (f *Fleet) Partition(groups ...[]int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, in := range f.instances {
		in.group = 0
	}
	for g, group := range groups {
		for _, i := range group {
			f.instances[i].group = g + 1
		}
	}
	f.announceLocked()
}

// Heal ends the partition. Faults of links, MarkDown and what happened to single instances stay.
func (f *Fleet) Heal() { f.Partition() }

// MarkDown makes from take to for down, as a circuit breaker does: calls that begin
// now fail at once with cache.ErrPeerDown and [ErrUnreachable]. Calls under way go on. It stays so until MarkDown with down false.
func (f *Fleet) MarkDown(from, to int, down bool) {
	l := f.link(from, to)
	f.mu.Lock()
	defer f.mu.Unlock()
	l.marked = down
}

// announceLocked wakes all calls, which look again at what stands in their way. f.mu must be held.
func (f *Fleet) announceLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// link returns the link between two instances, and panics if they are one.
func (f *Fleet) link(from, to int) *link {
	l := f.instances[from].links[to]
	if l == nil {
		panic(fmt.Sprintf("peerstest: instance %d has no link to itself", from))
	}
	return l
}

// all returns the indexes of all instances.
func (f *Fleet) all() []int {
	all := make([]int, len(f.instances))
	for i := range all {
		all[i] = i
	}
	return all
}
