package skew

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// members are instances in one process, with the placement that peers.Pool has, and calls between them that take no time. Nobody
// invalidates anything, joins or leaves: none has Others that it would have to tell.
type members struct {
	table *ring.Table
	all   []*member    // in the table's order
	calls atomic.Int64 // Gets of one key by another member than its owner, of all members
}

// newMembers returns n members, to which nothing is attached yet.
func newMembers(n int) (*members, error) {
	ms := &members{}
	ids := make([]ring.Member, n)
	for i := range ids {
		ids[i].ID = memberName(i)
		ms.all = append(ms.all, &member{fleet: ms, name: ids[i].ID})
	}
	var err error
	ms.table, err = ring.New(ids...)
	return ms, err
}

// memberName returns the address of member i. They are in the order of their numbers.
func memberName(i int) string { return fmt.Sprintf("http://member-%04d:8080", i) }

// A member is an instance as itself, cache.Peers, and as all others reach it, cache.Peer.
type member struct {
	fleet     *members
	name      string
	responder cache.Responder
	asked     atomic.Int64 // keys that others asked it for
}

var (
	_ cache.Peers = (*member)(nil)
	_ cache.Peer  = (*member)(nil)
)

// Attach implements cache.Peers. A member has one cache.
func (m *member) Attach(_ string, r cache.Responder) (detach func(), err error) {
	if m.responder != nil {
		return nil, errors.New("skew: a member has one cache")
	}
	m.responder = r
	return func() {}, nil
}

// Self implements cache.Peers.
func (m *member) Self() string { return m.name }

// Owners implements cache.Peers.
func (m *member) Owners(key string) iter.Seq[cache.Peer] {
	return func(yield func(cache.Peer) bool) {
		for i := range m.fleet.table.Owners(key) {
			if !yield(m.reach(i)) {
				return
			}
		}
	}
}

// Owner implements cache.Peers.
func (m *member) Owner(key string) cache.Peer { return m.reach(m.fleet.table.Owner(key)) }

// reach returns member i as m reaches it: nil for itself.
func (m *member) reach(i int) cache.Peer {
	if other := m.fleet.all[i]; other != m {
		return other
	}
	return nil
}

// Former implements cache.Peers.
func (m *member) Former(string) iter.Seq[cache.Peer] { return func(func(cache.Peer) bool) {} }

// Gained implements cache.Peers.
func (m *member) Gained() iter.Seq2[cache.Peer, *cache.Slots] {
	return func(func(cache.Peer, *cache.Slots) bool) {}
}

// Preceding implements cache.Peers: without it there are no copies.
func (m *member) Preceding() iter.Seq2[cache.Peer, *cache.Slots] { return m.Gained() }

// Slot implements cache.Peers.
func (m *member) Slot(key string) int { return ring.Slot(key) }

// Others implements cache.Peers.
func (m *member) Others() []cache.Peer { return nil }

// Left implements cache.Peers.
func (m *member) Left(cache.Peer) bool { return false }

// Forget implements cache.Peers.
func (m *member) Forget([]string) bool { return true }

// Addr implements cache.Peer.
func (m *member) Addr() string { return m.name }

// Get implements cache.Peer: it asks the member's Responder, and counts that.
func (m *member) Get(req *cache.GetRequest, _ time.Duration) cache.Answers {
	m.asked.Add(int64(len(req.Keys)))
	m.fleet.calls.Add(int64(len(req.Keys)))
	a := new(answers)
	if len(req.Keys) == 1 && !req.Reload && !req.Peek {
		if hit, ok := m.responder.Hit(req.Version, req.Keys[0]); ok {
			a.one[0] = indexed{0, hit}
			a.left = a.one[:]
			return a
		}
	}
	a.err = m.responder.Get(context.Background(), req, func(i int, answer cache.Answer) { a.left = append(a.left, indexed{i, answer}) })
	return a
}

// answers are there before anyone asks for them.
type answers struct {
	left []indexed
	one  [1]indexed
	err  error // after those that are left; nil: io.EOF
}

type indexed struct {
	i int
	a cache.Answer
}

// Next implements cache.Answers.
func (a *answers) Next(context.Context) (int, cache.Answer, error) {
	if len(a.left) > 0 {
		next := a.left[0]
		a.left = a.left[1:]
		return next.i, next.a, nil
	}
	if a.err != nil {
		return 0, cache.Answer{}, a.err
	}
	return 0, cache.Answer{}, io.EOF
}

// Close implements cache.Answers.
func (a *answers) Close() {}

// errNotSimulated is what comes of what no member does.
var errNotSimulated = errors.New("skew: this is not simulated")

// Hello implements cache.Peer.
func (m *member) Hello(context.Context, *cache.HelloRequest) (*cache.HelloReply, error) {
	return nil, errNotSimulated
}

// List implements cache.Peer.
func (m *member) List(context.Context, *cache.ListRequest) (*cache.ListReply, error) {
	return nil, errNotSimulated
}

// Fence implements cache.Peer.
func (m *member) Fence(context.Context, *cache.FenceRequest) error { return errNotSimulated }

// Release implements cache.Peer.
func (m *member) Release(context.Context, *cache.ReleaseRequest) error { return errNotSimulated }

// Store implements cache.Peer.
func (m *member) Store(context.Context, *cache.StoreRequest) error { return errNotSimulated }
