package peerstest_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// A mutant is an implementation of cache.Peers with one bug. Each function wraps a part of a Fleet, which has none.
type mutant struct {
	name   string
	caught string // one of the checks that must catch it

	// The caller's side.
	get     func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error
	answers func(w *wrapped, req *cache.GetRequest, timeout time.Duration) cache.Answers // if get is nil
	fence   func(w *wrapped, ctx context.Context, req *cache.FenceRequest) error
	free    func(w *wrapped, ctx context.Context, req *cache.ReleaseRequest) error
	store   func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error
	hello   func(w *wrapped, ctx context.Context, req *cache.HelloRequest) (*cache.HelloReply, error)
	addr    func(w *wrapped) string

	// The instance.
	attach func(m *mutated, name string, r cache.Responder) (func(), error)
	owners func(m *mutated, key string) iter.Seq[cache.Peer]
	owner  func(m *mutated, key string) cache.Peer // if nil, the first of owners
	others func(m *mutated) []cache.Peer
	self   func(m *mutated) string

	preceding func(m *mutated) iter.Seq2[cache.Peer, *cache.Slots]
}

// mutated is an instance of a mutant.
type mutated struct {
	*peerstest.Instance
	mutant *mutant
	family *family

	mu    sync.Mutex // guards known
	known map[cache.Peer]*wrapped
}

// A family is what the instances of one fleet share and should not: its map is the leak between them.
type family struct {
	mu     sync.Mutex // guards leaked
	leaked map[string]any
}

func (f *family) put(name string, v any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaked[name] = v
}

// add adds a call to those that were added under name.
func (f *family) add(name string, call cache.Answers) {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls, _ := f.leaked[name].([]cache.Answers)
	f.leaked[name] = append(calls, call)
}

// take returns what was put under name, and forgets it.
func (f *family) take(name string) any {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.leaked[name]
	delete(f.leaked, name)
	return v
}

// wrapped is a Peer of a mutant.
type wrapped struct {
	cache.Peer
	home *mutated
}

// subject returns the mutant's NewSubject.
func (m *mutant) subject(t testing.TB, n int) peerstest.Subject {
	fleet := peerstest.NewFleet(n)
	f := &family{leaked: make(map[string]any)}
	s := peerstest.Subject{Stop: fleet.Stop, Hang: fleet.Hang}
	for i := range n {
		s.Peers = append(s.Peers, &mutated{
			Instance: fleet.Instance(i), mutant: m, family: f, known: make(map[cache.Peer]*wrapped),
		})
	}
	return s
}

// wrap returns the same value for the same Peer.
func (m *mutated) wrap(p cache.Peer) cache.Peer {
	if p == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known[p] == nil {
		m.known[p] = &wrapped{p, m}
	}
	return m.known[p]
}

func (m *mutated) Attach(name string, r cache.Responder) (func(), error) {
	if m.mutant.attach != nil {
		return m.mutant.attach(m, name, r)
	}
	return m.Instance.Attach(name, r)
}

func (m *mutated) Owners(key string) iter.Seq[cache.Peer] {
	owners := m.Instance.Owners
	if m.mutant.owners != nil {
		owners = func(key string) iter.Seq[cache.Peer] { return m.mutant.owners(m, key) }
	}
	return func(yield func(cache.Peer) bool) {
		for p := range owners(key) {
			if !yield(m.wrap(p)) {
				return
			}
		}
	}
}

func (m *mutated) Owner(key string) cache.Peer {
	if m.mutant.owner != nil {
		return m.mutant.owner(m, key)
	}
	if m.mutant.owners != nil {
		return m.first(key)
	}
	return m.wrap(m.Instance.Owner(key))
}

func (m *mutated) first(key string) cache.Peer {
	for p := range m.Owners(key) {
		return p
	}
	return nil
}

func (m *mutated) Self() string {
	if m.mutant.self != nil {
		return m.mutant.self(m)
	}
	return m.Instance.Self()
}

func (m *mutated) Others() []cache.Peer {
	if m.mutant.others != nil {
		return m.mutant.others(m)
	}
	var all []cache.Peer
	for _, p := range m.Instance.Others() {
		all = append(all, m.wrap(p))
	}
	return all
}

func (m *mutated) Preceding() iter.Seq2[cache.Peer, *cache.Slots] {
	preceding := m.Instance.Preceding
	if m.mutant.preceding != nil {
		preceding = func() iter.Seq2[cache.Peer, *cache.Slots] { return m.mutant.preceding(m) }
	}
	return func(yield func(cache.Peer, *cache.Slots) bool) {
		for p, slots := range preceding() {
			if !yield(m.wrap(p), slots) {
				return
			}
		}
	}
}

func (w *wrapped) Addr() string {
	if w.home.mutant.addr != nil {
		return w.home.mutant.addr(w)
	}
	return w.Peer.Addr()
}

func (w *wrapped) Get(req *cache.GetRequest, timeout time.Duration) cache.Answers {
	m := w.home.mutant
	if m.get != nil {
		return cache.GoGet(func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			return m.get(w, ctx, req, deliver)
		}, req, timeout)
	}
	if m.answers != nil {
		return m.answers(w, req, timeout)
	}
	return w.Peer.Get(req, timeout)
}

func (w *wrapped) Fence(ctx context.Context, req *cache.FenceRequest) error {
	if w.home.mutant.fence != nil {
		return w.home.mutant.fence(w, ctx, req)
	}
	return w.Peer.Fence(ctx, req)
}

func (w *wrapped) Hello(ctx context.Context, req *cache.HelloRequest) (*cache.HelloReply, error) {
	if w.home.mutant.hello != nil {
		return w.home.mutant.hello(w, ctx, req)
	}
	return w.Peer.Hello(ctx, req)
}

func (w *wrapped) Release(ctx context.Context, req *cache.ReleaseRequest) error {
	if w.home.mutant.free != nil {
		return w.home.mutant.free(w, ctx, req)
	}
	return w.Peer.Release(ctx, req)
}

func (w *wrapped) Store(ctx context.Context, req *cache.StoreRequest) error {
	if w.home.mutant.store != nil {
		return w.home.mutant.store(w, ctx, req)
	}
	return w.Peer.Store(ctx, req)
}

// The suite catches every mutant, with the check that is there for its bug.
func TestSuiteCatchesMutants(t *testing.T) {
	checks := make(map[string]peerstest.Check)
	for c := range peerstest.Checks() {
		checks[c.Name] = c
	}
	covered := make(map[string]bool)
	for _, m := range slices.Concat(getMutants, answersMutants, hitMutants, answerMutants, crossingMutants, failureMutants, writeMutants, viewMutants) {
		covered[m.caught] = true
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			c, ok := checks[m.caught]
			if !ok {
				t.Fatalf("there is no check %q", m.caught)
			}
			complaints := failures(t, c, m.subject)
			if len(complaints) == 0 {
				t.Fatalf("check %s did not catch it", m.caught)
			}
			t.Logf("%s: %.200s", m.caught, complaints[0])
		})
	}
	for name := range checks {
		if !covered[name] {
			t.Errorf("no mutant is there for check %s", name)
		}
	}
}

// The wrappers alone break nothing.
func TestSuitePassesWithoutMutation(t *testing.T) {
	m := &mutant{name: "none"}
	for c := range peerstest.Checks() {
		t.Run(c.Name, func(t *testing.T) {
			for _, complaint := range failures(t, c, m.subject) {
				t.Error(complaint)
			}
		})
	}
}
