//go:build linux

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// What is checked of each answer, by everything that happened before:
//
//   - It comes within requestTime, and is the origin's: 200 to a GET, 204 to a PUT or a POST. Excused is only what was asked of an instance that
//     was stopped or killed meanwhile.
//   - It is the object that was asked for, in a version that the origin had.
//   - When a PUT or POST that made a version was answered, no GET that begins later, at any instance, whatever becomes of the fleet, gets an
//     older one. This holds at once if all instances could be reached all the time that the request took. (Webcache
//     answers 204 as well if some could not.)
//   - If it was answered while the fleet was cut, it holds as long as that cut for all instances on the side of the one that was asked; for
//     nobody while the cut is healed, when an instance that has not heard of it may be asked again; and for everybody
//     when the fleet has settled. Settled means that all instances are ready and have reached all others, and that each of
//     them answers no older version of any object than was acknowledged, within settleTime.
//
// An instance that was killed or is stopped is a side of its own.
const (
	requestTime = 20 * time.Second
	settleTime  = 60 * time.Second
)

// A cut says who can reach whom.
type cut struct {
	what string
	side map[*instance]int // 0 for those that are not in it
}

// A history is what clients saw, and what is promised of it.
type history struct {
	// mu guards what follows.
	mu         sync.Mutex
	begun      time.Time
	phase      int  // grows when a cut begins, begins to be healed, and when the fleet has settled
	cut        *cut // nil: none
	healing    bool
	objects    map[string]*object
	events     []string
	violations []string
	gets, puts int
}

type object struct {
	settled int     // no instance may answer less
	cut     []floor // hold in one phase
	acked   int     // the newest version that a client knows to be there
	writes  int     // that were begun
	log     []string
}

type floor struct {
	version, phase int
	by             *instance
}

// An op is a request under way.
type op struct {
	in          *instance
	method      string
	path        string
	begun       time.Time
	phase       int
	hurt        int64
	calm        bool // no cut
	settled, at int  // the floors that hold whatever happens, and if the phase does not change
}

func newHistory() *history {
	return &history{begun: time.Now(), objects: make(map[string]*object)}
}

func (h *history) since(t time.Time) string { return fmt.Sprintf("%.3f", t.Sub(h.begun).Seconds()) }

// event notes what happened to the fleet, and who can reach whom from now on.
func (h *history) event(what string, c *cut, healing bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase++
	h.cut, h.healing = c, healing
	h.noteLocked(what)
}

// note notes what changes nothing of what is promised.
func (h *history) note(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noteLocked(what)
}

// noteLocked is note. mu must be held.
func (h *history) noteLocked(what string) {
	h.events = append(h.events, h.since(time.Now())+" "+what)
}

func (h *history) object(path string) *object {
	o := h.objects[path]
	if o == nil {
		o = &object{}
		h.objects[path] = o
	}
	return o
}

func (h *history) begin(in *instance, method, path string) *op {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.object(path)
	p := &op{in: in, method: method, path: path, begun: time.Now(), phase: h.phase, hurt: in.hurt.Load(), calm: h.cut == nil && !h.healing, settled: o.settled, at: o.settled}
	for _, f := range o.cut {
		if f.phase == h.phase && h.cut != nil && h.cut.side[f.by] == h.cut.side[in] {
			p.at = max(p.at, f.version)
		}
	}
	if method != "GET" {
		o.writes++
	}
	return p
}

// An answer is what came of an op.
type answer struct {
	err     error
	status  int
	path    string // as the body says
	version int
	from    string // Cache-Status
}

// end checks an answer. latest is the origin's newest version now.
func (h *history) end(p *op, a *answer, latest int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	o := h.object(p.path)
	o.log = append(o.log, fmt.Sprintf("%s-%s %s at %v: %d, version %d, %v, %s", h.since(p.begun), h.since(now), p.method, p.in, a.status, a.version, a.err, a.from))
	h.puts++
	if p.method == "GET" {
		h.puts, h.gets = h.puts-1, h.gets+1
	}
	want := 204
	if p.method == "GET" {
		want = 200
	}
	if a.err != nil || a.status != want {
		if p.in.hurt.Load() == p.hurt && p.hurt%2 == 0 {
			h.violate(p, o, "failed: %d, %v", a.status, a.err)
		}
		return
	}
	if p.method != "GET" {
		h.acknowledge(p, o, a.version)
		return
	}
	least := p.settled
	if h.phase == p.phase {
		least = p.at
	}
	switch {
	case a.path != p.path || a.version > latest:
		h.violate(p, o, "got %s in version %d, when the origin's was %d", a.path, a.version, latest)
	case a.version < least:
		h.violate(p, o, "got version %d; %d was promised", a.version, least)
	}
}

// acknowledge notes what is promised by the answer to a write. mu must be held.
func (h *history) acknowledge(p *op, o *object, version int) {
	o.acked = max(o.acked, version)
	switch {
	case h.phase != p.phase || h.healing:
	case p.calm:
		o.settled = max(o.settled, version)
	default:
		o.cut = append(o.cut, floor{version, p.phase, p.in})
	}
}

// violate notes a violation, with what was seen of the object. mu must be held.
func (h *history) violate(p *op, o *object, format string, args ...any) {
	if len(h.violations) >= 5 {
		return
	}
	log := o.log[max(0, len(o.log)-40):]
	h.violations = append(h.violations, fmt.Sprintf("%s %s at %v, begun at %s: %s\nthe fleet:\n\t%s\nthe object:\n\t%s", p.method, p.path, p.in, h.since(p.begun),
		fmt.Sprintf(format, args...), strings.Join(h.events, "\n\t"), strings.Join(log, "\n\t")))
}

// acked returns what each object must be at least when the fleet has settled.
func (h *history) acked() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	least := make(map[string]int)
	for path, o := range h.objects {
		least[path] = max(o.acked, o.settled)
	}
	return least
}

// settle makes what was acknowledged a promise, which all instances have been seen to keep.
func (h *history) settle(least map[string]int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for path, version := range least {
		o := h.objects[path]
		o.settled, o.cut = max(o.settled, version), nil
	}
}

// writesOf returns how many writes of each object were begun.
func (h *history) writesOf(paths []string) map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := make(map[string]int)
	for _, p := range paths {
		n[p] = h.object(p).writes
	}
	return n
}
