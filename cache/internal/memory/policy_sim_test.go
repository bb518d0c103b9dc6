package memory

import (
	"math"
	"math/rand/v2"
	"testing"
)

// A simulated policy does what docs/eviction.md says in the plainest way: queues are slices, and ghosts are never forgotten before their time.
type simulated struct {
	max, bytes  int64
	entries     map[uint64]*simEntry
	small, main []*simEntry
	ghosts      map[uint64]simGhost
	added       map[ghostKind]int
	share       float64
	passed      int
	filled      bool
}

type simEntry struct {
	key          uint64
	cost         int64
	hits, passes int
}

type simGhost struct {
	kind       ghostKind
	number, at int
}

func newSimulated(maxBytes int64) *simulated {
	return &simulated{max: maxBytes, share: 0.1, entries: make(map[uint64]*simEntry), ghosts: make(map[uint64]simGhost), added: make(map[ghostKind]int)}
}

func (s *simulated) ask(key uint64, cost int64) bool {
	if e := s.entries[key]; e != nil {
		e.hits = min(e.hits+1, 2)
		return true
	}
	if cost > s.max {
		return false
	}
	for s.bytes+cost > s.max {
		e, kind := s.victim()
		delete(s.entries, e.key)
		s.bytes -= e.cost
		s.added[kind]++
		s.ghosts[e.key] = simGhost{kind, s.added[kind], s.passed}
	}
	e := &simEntry{key: key, cost: cost}
	if s.comesBack(e) {
		s.main = append(s.main, e)
	} else {
		s.small = append(s.small, e)
	}
	s.entries[key] = e
	s.bytes += cost
	return false
}

// comesBack learns from e's ghost, if it has one, and reports whether e goes to main.
func (s *simulated) comesBack(e *simEntry) bool {
	n := len(s.entries)
	remembered := map[ghostKind]int{fromSmall: max(2*n, 64), fromMain: max(n/2, 64)}
	g, ok := s.ghosts[e.key]
	delete(s.ghosts, e.key)
	age := s.added[g.kind] - g.number
	if !ok || age >= remembered[g.kind] {
		return false
	}
	if float64(age) <= float64(n)/8 {
		step := min(7*float64(e.cost)/float64(s.bytes+e.cost), 0.1)
		if g.kind == fromMain {
			step = -step
		}
		s.share = min(max(s.share+step, 0.02), 1)
	}
	if s.passed-g.at > len(s.main) {
		return false
	}
	if g.kind == fromMain {
		e.hits = 1
	}
	return true
}

func (s *simulated) victim() (*simEntry, ghostKind) {
	for first := !s.filled || len(s.main) == 0; first && len(s.small) > 1 && s.smallBytes() > s.share*float64(s.bytes); {
		s.main = append(s.main, s.small[0])
		s.small = s.small[1:]
	}
	s.filled = true
	for {
		queue, kind := &s.main, fromMain
		if len(s.small) > 0 && (len(s.main) == 0 || s.smallBytes() > s.share*float64(s.bytes)) {
			queue, kind = &s.small, fromSmall
		} else {
			s.passed++
		}
		e := (*queue)[0]
		*queue = (*queue)[1:]
		switch {
		case e.hits > 0 && kind == fromSmall:
			e.hits, e.passes = 0, 0
			queue = &s.main
		case e.hits > 0:
			e.hits, e.passes = e.hits-1, 0
		case e.passes < s.mayPass(e):
			e.passes++
		default:
			return e, kind
		}
		*queue = append(*queue, e)
	}
}

func (s *simulated) smallBytes() (sum float64) {
	for _, e := range s.small {
		sum += float64(e.cost)
	}
	return sum
}

// mayPass is how many halvings e is below the average cost, of what is queued.
func (s *simulated) mayPass(e *simEntry) int {
	n, bytes := int64(len(s.small)+len(s.main)), s.bytes-e.cost
	if n == 0 {
		return 0
	}
	halvings := 0
	for cost := e.cost; cost+cost/19 <= bytes/n && halvings < 7; cost *= 2 {
		halvings++
	}
	return halvings
}

// The policy finds as much as the simulated one: what its ghosts' table forgets too soon, or takes for another key, is a hint lost.
func TestPolicyAgainstSimulation(t *testing.T) {
	const requests = 20_000
	for _, w := range workloads() {
		for _, part := range []int64{50, 10, 4} {
			keys, limit := w.draw(rand.NewPCG(7, 8), requests, part)
			own, sim, hits, want := newPoliced(limit), newSimulated(limit), 0, 0
			for _, key := range keys {
				if own.ask(key, w.cost(key)) {
					hits++
				}
				if sim.ask(key, w.cost(key)) {
					want++
				}
				if sim.bytes != own.bytes() && !w.isSized() {
					t.Fatalf("%s, 1/%d: %d bytes, simulated %d", w.name, part, own.bytes(), sim.bytes)
				}
			}
			got, simulated := float64(hits)/requests, float64(want)/requests
			t.Logf("%-17s 1/%-3d %5.1f, simulated %5.1f", w.name, part, 100*got, 100*simulated)
			if math.Abs(got-simulated) > 0.01 {
				t.Errorf("%s, 1/%d: a hit ratio of %.3f, and %.3f simulated", w.name, part, got, simulated)
			}
		}
	}
}
