package memberlist

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	gossip "github.com/hashicorp/memberlist"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// A state is what a Source knows of the nodes. hashicorp/memberlist tells it, with a lock of its own held: a state asks it for nothing.
type state struct {
	setup *setup

	mu          sync.Mutex
	self        discover.Member
	nodes       map[string]node // alive, by name; this instance's among them
	met         bool            // another node was alive once
	lost        bool            // the last other node died, or seems to have
	tried       bool            // the seeds, if there are any
	joining     trouble         // of the seeds
	subscribers map[chan struct{}]bool
}

// A node is what another instance says of itself.
type node struct {
	addr   netip.AddrPort
	member discover.Member
	known  bool // member was understood
}

// A trouble is why there may be more to know. The zero value is none.
type trouble struct {
	kind string // what is told once
	err  error
}

func newState(s *setup) *state {
	return &state{setup: s, self: s.self, nodes: make(map[string]node), tried: len(s.seeds) == 0, subscribers: make(map[chan struct{}]bool)}
}

// errCutOff is yielded in place of the list of an instance that lost all others at once.
var errCutOff = errors.New("memberlist: no other instance is heard of, though none of the last ones said that it leaves: this one may be cut off")

// members returns the list, and what is in doubt. The list is nil if it would be of this instance alone and that is in doubt, or not known yet.
func (s *state) members() ([]discover.Member, trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.joining
	if s.aloneLocked() {
		if t.kind == "" && s.lost {
			t = trouble{"cut off", errCutOff}
		}
		if s.lost || !s.met && (t.kind != "" || !s.tried) {
			return nil, t
		}
	}
	byURL := map[string]discover.Member{}
	for _, name := range slices.Sorted(maps.Keys(s.nodes)) {
		n := s.nodes[name]
		if other, ok := byURL[n.member.URL]; n.known && (!ok || other.Leaving || !n.member.Leaving) {
			byURL[n.member.URL] = n.member
		}
	}
	return slices.SortedFunc(maps.Values(byURL), func(a, b discover.Member) int { return strings.Compare(a.URL, b.URL) }), t
}

// aloneLocked says that no other node is alive. s.mu must be held.
func (s *state) aloneLocked() bool { return len(s.nodes) <= 1 }

// alone says that no other node is alive.
func (s *state) alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aloneLocked()
}

// addrs returns the addresses of the nodes that are alive, and whether each is this instance's own.
func (s *state) addrs() map[netip.AddrPort]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	addrs := make(map[netip.AddrPort]bool, len(s.nodes))
	for name, n := range s.nodes {
		// A process that was here before may be taken for alive still.
		addrs[n.addr] = addrs[n.addr] || name == s.setup.gossip.Name
	}
	return addrs
}

// setJoining says what came of trying to join.
func (s *state) setJoining(t trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.joining, s.tried = t, true
	s.changedLocked()
}

// edit changes what this instance says of itself.
func (s *state) edit(edit func(*discover.Member)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	edit(&s.self)
}

func (s *state) leaving() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.self.Leaving
}

// subscribe returns a channel that has something in it when something has changed.
func (s *state) subscribe() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan struct{}, 1)
	s.subscribers[c] = true
	return c
}

func (s *state) unsubscribe(c chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.subscribers, c)
}

// changedLocked tells the subscribers. s.mu must be held.
func (s *state) changedLocked() {
	for c := range s.subscribers {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// alive takes in what n says.
func (s *state) alive(n *gossip.Node) {
	member, err := decodeMeta(n.Meta)
	if err != nil {
		s.setup.logger.Warn("memberlist: a node is left out", "node", n.Name[:min(len(n.Name), 100)], "address", n.Address(), "error", err)
	}
	addr, _ := netip.AddrFromSlice(n.Addr)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nodes[n.Name] = node{netip.AddrPortFrom(addr.Unmap(), n.Port), member, err == nil}
	if n.Name != s.setup.gossip.Name {
		s.met, s.lost = true, false
	}
	s.changedLocked()
}

// gone takes in that n is dead, or has left.
func (s *state) gone(n *gossip.Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.nodes[n.Name].member.Leaving
	delete(s.nodes, n.Name)
	s.lost = s.aloneLocked() && !left
	s.changedLocked()
}

// events is a state as hashicorp/memberlist calls it when nodes come, change and go.
type events state

func (e *events) NotifyJoin(n *gossip.Node)   { (*state)(e).alive(n) }
func (e *events) NotifyUpdate(n *gossip.Node) { (*state)(e).alive(n) }
func (e *events) NotifyLeave(n *gossip.Node)  { (*state)(e).gone(n) }

// delegate is a state as hashicorp/memberlist asks it what to say of this instance. There are no messages besides.
type delegate state

func (d *delegate) NodeMeta(int) []byte {
	s := (*state)(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	return encodeMeta(s.self)
}

func (d *delegate) NotifyMsg([]byte)                {}
func (d *delegate) GetBroadcasts(int, int) [][]byte { return nil }
func (d *delegate) LocalState(bool) []byte          { return nil }
func (d *delegate) MergeRemoteState([]byte, bool)   {}
