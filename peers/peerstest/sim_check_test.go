package peerstest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// promises are what has been promised of one key.
type promises struct {
	// mu guards what follows.
	mu      sync.Mutex
	floors  []floor
	partial []partial
}

// A floor is an invalidation that returned nil: a Get that begins now returns nothing older.
type floor struct {
	version int
	// strangers are lives that nobody knew whom the invalidation reached, since they were cut off from all of them as long as they
	// lasted. Nothing is promised there.
	strangers []life
}

type life struct {
	index int
	life  int64
}

// floorAt returns the oldest version that a Get at l may return. p.mu must be held.
func (p *promises) floorAt(l life) int {
	oldest := 0
	for i := range p.floors {
		if f := &p.floors[i]; f.version > oldest && !slices.Contains(f.strangers, l) {
			oldest = f.version
		}
	}
	return oldest
}

// A partial is an invalidation that did not reach everybody.
type partial struct {
	version int
	begun   time.Time
	caller  *node
	life    int64            // of the caller
	missed  map[string]error // whom it did not reach
}

// everybodys returns the newest version that an invalidation has told of, or still tells those whom it did not reach at first.
func (p *promises) everybodys() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	newest := 0
	for _, f := range p.floors {
		newest = max(newest, f.version)
	}
	for _, i := range p.partial {
		if i.caller.life.Load() == i.life {
			newest = max(newest, i.version)
		}
	}
	return newest
}

// An observation is what is known before a Get.
type observation struct {
	n           *node
	key         string
	life        int64
	listed      bool
	begun       time.Time
	floor       int
	othersFloor int // of what others own, who can be asked
	trace       cache.Trace
}

func (w *world) observe(n *node, key string) *observation {
	p := w.keys[key]
	p.mu.Lock()
	defer p.mu.Unlock()
	o := &observation{n: n, key: key, life: n.life.Load(), listed: n.listed.Load(), begun: time.Now()}
	o.floor = p.floorAt(life{n.index, o.life})
	w.mu.Lock()
	healed, cut := w.healedAt, w.cuts > 0
	w.mu.Unlock()
	owner := w.fleet.Instance(n.index).Owner(key)
	for _, i := range p.partial {
		if owner == nil || i.missed[owner.Addr()] != nil {
			continue // who owns it has it until its time is over, or he is told
		}
		if !cut && time.Since(healed) > w.mirrorTTL && time.Since(i.begun) > w.mirrorTTL {
			o.othersFloor = max(o.othersFloor, i.version)
		}
	}
	return o
}

// check checks what a Get returned.
func (w *world) check(ctx context.Context, o *observation, value string, err error) {
	if o.n.life.Load() != o.life || !o.listed || !o.n.listed.Load() {
		return // it is on its way out, or was killed meanwhile: nothing is promised there
	}
	if err != nil {
		if ctx.Err() == nil || !errors.Is(err, context.DeadlineExceeded) || errors.As(err, new(*cache.RemoteError)) {
			w.violation("G5: Get(%q) at %d, which began at %v: %v", o.key, o.n.index, o.begun.Sub(w.begun), err)
		}
		return
	}
	key, version, load := parseValue(value)
	w.logf("%d has %s since %v: %s, %+v", o.n.index, o.key, o.begun.Sub(w.begun), value, o.trace)
	switch {
	case key != o.key:
		w.violation("Get(%q) at %d returned %q", o.key, o.n.index, value)
	case version < o.floor:
		w.violation("G4: Get(%q) at %d, which began at %v, returned %q; version %d was promised; %+v", o.key, o.n.index, o.begun.Sub(w.begun), value, o.floor, o.trace)
	case version < o.othersFloor && w.kind.lostHello && o.trace == (cache.Trace{}) && time.Since(o.begun) == 0: // so it was in memory
		w.violation("G4: Get(%q) at %d, which began at %v, returned %q, though others own it; version %d is older than a MirrorTTL", o.key, o.n.index, o.begun.Sub(w.begun), value, o.othersFloor)
	}
	if age := o.begun.Sub(w.origin.endOf(load)); w.ttl > 0 && age > w.ttl+w.stale {
		w.violation("G7: Get(%q) at %d, which began at %v, returned %q, which was %v old", o.key, o.n.index, o.begun.Sub(w.begun), value, age)
	}
}

// invalidate writes a version of each key to the origin, invalidates, and notes what is promised.
func (w *world) invalidate(n *node, keys []string, do func(values []string) error) {
	life, listed := n.life.Load(), n.listed.Load()
	versions := make([]int, len(keys))
	values := make([]string, len(keys))
	for i, key := range keys {
		versions[i] = w.origin.write(key)
		values[i] = w.origin.set(key, versions[i], fmt.Sprint(n.index, "/", life))
	}
	begun := time.Now()
	known := w.fleet.Instance(n.index).Others()
	err := do(values)
	strangers := w.strangers(n, known)
	w.logf("%d has invalidated %v since %v, versions %d: %v", n.index, keys, begun.Sub(w.begun), versions, err)
	if n.life.Load() != life || !listed {
		return // nobody was told how it went
	}
	var ue *cache.UnreachedError
	if err != nil && !errors.As(err, &ue) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, cache.ErrClosed) {
			w.violation("G5: the invalidation of %v at %d: %v", keys, n.index, err)
		}
		return
	}
	for i, key := range keys {
		p := w.keys[key]
		p.mu.Lock()
		if err == nil {
			p.floors = append(p.floors, floor{versions[i], strangers})
		} else {
			p.partial = append(p.partial, partial{versions[i], begun, n, life, ue.Errors})
		}
		p.mu.Unlock()
	}
}

// strangers returns the lives that the caller of an invalidation need not have reached: it did not know them, and the fleet
// has been cut in two since they began.
func (w *world) strangers(caller *node, known []cache.Peer) (strangers []life) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.nodes {
		if n == caller || n.cache.Load() == nil || slices.Contains(known, w.fleet.Instance(caller.index).Peer(n.index)) {
			continue
		}
		if w.cuts > 0 || w.healedAt.After(n.begun) {
			strangers = append(strangers, life{n.index, n.life.Load()})
		}
	}
	return strangers
}

// A noForwarding is a Carrier that carries nothing. It knows by the context of a request whether somebody else's is behind it: who is asked asks nobody.
type noForwarding struct{ w *world }

type servedKey struct{}

func (c noForwarding) Inject(ctx context.Context) map[string]string {
	if ctx.Value(servedKey{}) != nil && !c.w.forwards.Swap(true) {
		c.w.violation("G5: an instance that was asked for a key asks another one")
	}
	return nil
}

// Extract has nobody answer any more once somebody has forwarded: instances that forward to each other in a circle would do so until the memory is full.
func (c noForwarding) Extract(ctx context.Context, _ map[string]string) context.Context {
	if c.w.forwards.Load() {
		over, cancel := context.WithCancel(ctx)
		cancel()
		return over
	}
	return context.WithValue(ctx, servedKey{}, true)
}

// checkTime checks that a call returned when it had to.
func (w *world) checkTime(ctx context.Context, begun time.Time) {
	limit := begun.Add(2*simLoadTimeout + 10*time.Second)
	if d, ok := ctx.Deadline(); ok {
		limit = d
	}
	if late := time.Since(limit); late > time.Millisecond {
		w.violation("G5: a call that began at %v returned %v late", begun.Sub(w.begun), late)
	}
}

// checkCalm checks that each key was loaded once, if nothing has happened that could be a reason for more.
func (w *world) checkCalm() {
	if !w.kind.calm {
		return
	}
	w.origin.mu.Lock()
	defer w.origin.mu.Unlock()
	for key, n := range w.origin.loads {
		if n > 1 {
			w.found = append(w.found, fmt.Sprintf("G1: %q was loaded %d times", key, n))
		}
	}
}
