package memberlist

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	gossip "github.com/hashicorp/memberlist"
)

// A memnet is a network in memory, of nodes at 10.0.0.1:1 and so on. Packets to nobody are lost, as are those that are too many.
type memnet struct {
	mu    sync.Mutex
	nodes map[string]*memnode
	cut   func(from, to string) bool // true: nothing goes that way
}

// newMemnet returns a network in the bubble of the test.
func newMemnet(t *testing.T) *memnet {
	t.Cleanup(func() { time.Sleep(time.Minute) }) // what is left running of hashicorp/memberlist waits for time-outs
	return &memnet{nodes: make(map[string]*memnode), cut: func(string, string) bool { return false }}
}

// A memnode is the transport of one node.
type memnode struct {
	net     *memnet
	addr    netip.AddrPort
	packets chan *gossip.Packet
	streams chan net.Conn

	conns []net.Conn // both ends; guarded by the net's mu
}

var _ gossip.NodeAwareTransport = (*memnode)(nil)

// join returns the transport of a node at addr, which takes the place of one that was there.
func (n *memnet) join(addr string) *memnode {
	n.mu.Lock()
	defer n.mu.Unlock()
	node := &memnode{net: n, addr: netip.MustParseAddrPort(addr), packets: make(chan *gossip.Packet, 1000), streams: make(chan net.Conn, 100)}
	n.nodes[addr] = node
	return node
}

// kill does what SIGKILL does to the node at addr.
func (n *memnet) kill(addr string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.nodes, addr)
}

// setCut cuts the ways that are named, and mends the others.
func (n *memnet) setCut(cut func(from, to string) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut = cut
}

// split cuts the nodes in one part off from the others.
func (n *memnet) split(part ...string) {
	n.setCut(func(from, to string) bool { return slices.Contains(part, from) != slices.Contains(part, to) })
}

func (n *memnet) mend() { n.split() }

// to returns the node at addr, if m is alive and the way there is open. n's mu must be held.
func (m *memnode) toLocked(addr string) (*memnode, error) {
	dest := m.net.nodes[addr]
	if dest == nil || m.net.nodes[m.addr.String()] != m || m.net.cut(m.addr.String(), addr) {
		return nil, errors.New("no route to " + addr)
	}
	return dest, nil
}

func (m *memnode) WriteToAddress(b []byte, to gossip.Address) (time.Time, error) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	if dest, err := m.toLocked(to.Addr); err == nil {
		select {
		case dest.packets <- &gossip.Packet{Buf: slices.Clone(b), From: net.UDPAddrFromAddrPort(m.addr), Timestamp: time.Now()}:
		default:
		}
	}
	return time.Now(), nil
}

func (m *memnode) DialAddressTimeout(to gossip.Address, _ time.Duration) (net.Conn, error) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	dest, err := m.toLocked(to.Addr)
	if err != nil {
		return nil, err
	}
	here, there := net.Pipe()
	m.conns = append(m.conns, here, there)
	select {
	case dest.streams <- there:
	default:
	}
	return here, nil
}

func (m *memnode) Shutdown() error {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	if m.net.nodes[m.addr.String()] == m {
		delete(m.net.nodes, m.addr.String())
	}
	for _, c := range m.conns {
		c.Close()
	}
	return nil
}

func (m *memnode) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	return m.addr.Addr().AsSlice(), int(m.addr.Port()), nil
}

func (m *memnode) WriteTo(b []byte, addr string) (time.Time, error) {
	return m.WriteToAddress(b, gossip.Address{Addr: addr})
}

func (m *memnode) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return m.DialAddressTimeout(gossip.Address{Addr: addr}, timeout)
}

func (m *memnode) PacketCh() <-chan *gossip.Packet { return m.packets }
func (m *memnode) StreamCh() <-chan net.Conn       { return m.streams }
