package peerstest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// faults are ways to build the fleet wrong that are not mutants of the library's own code.
type faults struct {
	coalescesRemoves bool // a Remove joins one of the same key that is under way
	skewedClocks     bool // expiry is a time of day, and clocks differ
}

// A world is a fleet, its origin, and what has been promised.
type world struct {
	t      *testing.T
	kind   kind
	seed   uint64
	broken faults
	log    bool
	begun  time.Time
	fleet  *peerstest.Fleet
	origin *simOrigin
	nodes  []*node
	keys   map[string]*promises
	end    time.Time // of what happens by chance

	ttl, stale time.Duration
	mirrorTTL  time.Duration
	links      map[[2]int]peerstest.Faults // as they are when nothing is lost
	slow       time.Duration               // of a message, at most
	removes    removing

	logMu sync.Mutex
	lines []string // guarded by logMu

	forwards atomic.Bool // somebody asked on behalf of another

	// mu guards what follows. It is taken before logMu.
	mu       sync.Mutex
	members  []int // in ascending order
	found    []string
	cuts     int       // partitions that are on
	healedAt time.Time // the last time that there was none any more
}

// A node is an instance, in one life after the other.
type node struct {
	index  int
	cache  atomic.Pointer[cache.Cache[string, string]] // nil while it does not run
	listed atomic.Bool                                 // it is a member, and not on its way out
	life   atomic.Int64
	begun  time.Time // of the life; guarded by the world's mu
}

func newWorld(t *testing.T, seed uint64, broken faults, log bool) *world {
	rng := rand.New(rand.NewPCG(seed, 0))
	w := &world{
		t: t, kind: kindOf(seed), seed: seed, broken: broken, log: log, begun: time.Now(),
		keys:   map[string]*promises{"a": {}, "b": {}, "c": {}},
		origin: newSimOrigin(),
		links:  make(map[[2]int]peerstest.Faults),
		slow:   time.Duration(1+rng.IntN(200)) * time.Millisecond,
	}
	w.ttl = time.Duration(2+rng.IntN(8)) * time.Second
	w.stale = time.Duration(rng.IntN(3)) * time.Second
	if w.kind.noTTL {
		w.ttl, w.stale = 0, 0
	}
	w.mirrorTTL = cmp.Or(w.kind.mirrorTTL, cache.DefaultMirrorTTL)
	running := cmp.Or(w.kind.members, 3+rng.IntN(3))
	w.fleet = peerstest.NewFleet(running + 2) // the last ones come later
	w.fleet.SetDetection(time.Duration(200+rng.IntN(1500)) * time.Millisecond)
	w.fleet.SetWindow(time.Duration(20+rng.IntN(40)) * time.Second)
	w.origin.takes = time.Duration(rng.IntN(300)) * time.Millisecond
	if w.kind.slowLoads {
		w.origin.takes = time.Duration(rng.IntN(4000)) * time.Millisecond
	}
	for i := range w.fleet.Len() {
		w.nodes = append(w.nodes, &node{index: i})
		if i < running {
			w.members = append(w.members, i)
		} else {
			w.fleet.Stop(i)
		}
	}
	w.fleet.SetViewAll(w.members...)
	w.setFaults(rng)
	if w.kind.lostHello {
		w.fleet.Intercept(func(_ context.Context, m peerstest.Message) error {
			if m.Kind == peerstest.KindHello {
				return errors.New("lost")
			}
			return nil
		})
	}
	if log {
		w.fleet.Intercept(func(_ context.Context, m peerstest.Message) error {
			w.logf("    %v", m)
			return nil
		})
	}
	for _, i := range w.members {
		w.start(w.nodes[i])
	}
	return w
}

// setFaults gives each link its speed.
func (w *world) setFaults(rng *rand.Rand) {
	n := w.fleet.Len()
	for from := range n {
		lateness := rng.IntN(3) // of one who joins: on no link, on some, or on all
		for to := range n {
			if from == to {
				continue
			}
			replies := w.slow * time.Duration(rng.IntN(4))
			if w.kind.slowGets {
				replies = time.Duration(1000+rng.IntN(3000)) * time.Millisecond
			}
			requests := w.slow * time.Duration(rng.IntN(4))
			// No invalidation takes no time: so who has written has called before another's call returns.
			least := time.Millisecond
			if w.kind.slowHello && from >= n-2 && rng.IntN(2) < lateness { // some later than they are waited for
				least = time.Duration(500+rng.IntN(3500)) * time.Millisecond
			}
			f := peerstest.Faults{
				RequestDelay:      peerstest.DelayBetween(rng.Uint64(), least, least+requests),
				ReplyDelay:        peerstest.DelayBetween(rng.Uint64(), 0, replies),
				DuplicateRequests: rng.IntN(4) == 0,
				DuplicateReplies:  rng.IntN(4) == 0,
			}
			w.links[[2]int{from, to}] = f
			w.fleet.SetFaults(from, to, f)
		}
	}
}

// start begins a life of a node, which runs in the fleet.
func (w *world) start(n *node) {
	life := n.life.Add(1)
	w.mu.Lock()
	n.begun = time.Now()
	w.mu.Unlock()
	var p cache.Peers = w.fleet.Instance(n.index)
	if w.broken.skewedClocks {
		p = &skewed{Peers: p, by: time.Duration(n.index) * 5 * time.Second}
	}
	c, err := cache.New(cache.Config[string, string]{
		Name: "sim", Peers: p, TTL: w.ttl, Stale: w.stale, MirrorTTL: w.mirrorTTL, LoadTimeout: simLoadTimeout, Arena: n.index%2 == 0, Carry: noForwarding{w},
		Load: func(ctx context.Context, key string) (cache.Entry[string], error) {
			v, err := w.origin.load(ctx, fmt.Sprint(n.index, "/", life), key)
			return cache.Entry[string]{Value: v, Tags: tagsOf(key)}, err
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	n.cache.Store(c)
	n.listed.Store(true)
	w.logf("%d begins life %d", n.index, life)
}

// tagged are the keys of each tag.
var tagged = map[string][]string{"x": {"a", "b"}, "y": {"c"}, "z": {"b", "c"}}

func tagsOf(key string) (tags []string) {
	for tag, keys := range tagged {
		if slices.Contains(keys, key) {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return tags
}

const simLoadTimeout = 20 * time.Second

// stop ends a life of a node, as SIGKILL does.
func (w *world) stop(n *node) {
	n.listed.Store(false)
	n.life.Add(1)
	w.fleet.Stop(n.index)
	if c := n.cache.Swap(nil); c != nil {
		c.Close()
	}
	w.logf("%d is dead", n.index)
}

// change makes members the members. Each instance hears of it by and by.
func (w *world) change(rng *rand.Rand, change func(members []int) []int) {
	w.mu.Lock()
	w.members = change(slices.Clone(w.members))
	slices.Sort(w.members)
	w.mu.Unlock()
	for _, n := range w.nodes {
		lag := time.Duration(rng.Int64N(int64(w.kind.lag)))
		time.AfterFunc(lag, func() {
			if n.cache.Load() != nil {
				w.see(n)
			}
		})
	}
}

// see makes the members of this moment the view of a node.
func (w *world) see(n *node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.logf("%d sees %v", n.index, w.members)
	w.fleet.SetView(n.index, w.members...)
}

func without(members []int, i int) []int {
	return slices.DeleteFunc(members, func(m int) bool { return m == i })
}

// violation notes that a promise was broken.
func (w *world) violation(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.found = append(w.found, fmt.Sprintf("at %v: %s", time.Since(w.begun), fmt.Sprintf(format, args...)))
}

func (w *world) logf(format string, args ...any) {
	if w.log {
		w.logMu.Lock()
		defer w.logMu.Unlock()
		w.lines = append(w.lines, fmt.Sprintf("%12v %s", time.Since(w.begun), fmt.Sprintf(format, args...)))
	}
}
