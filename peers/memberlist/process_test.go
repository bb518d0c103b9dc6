package memberlist

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gossip "github.com/hashicorp/memberlist"
	"go.uber.org/goleak"

	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// patience is how long tests wait for what should happen soon.
const patience = 30 * time.Second

// childVariable tells the test's binary that it is an instance: its number, its key, and its seeds.
const childVariable = "MEMBERLIST_TEST_CHILD"

func childOrTests(m *testing.M) {
	if spec := os.Getenv(childVariable); spec != "" {
		if err := child(strings.Fields(spec)); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// A severed is a transport that reaches only whom it may.
type severed struct {
	*gossip.NetTransport

	mu  sync.Mutex
	cut []string
}

func (s *severed) blocks(addr string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.cut, addr)
}

func (s *severed) WriteToAddress(b []byte, to gossip.Address) (time.Time, error) {
	if s.blocks(to.Addr) {
		return time.Now(), nil
	}
	return s.NetTransport.WriteToAddress(b, to)
}

func (s *severed) DialAddressTimeout(to gossip.Address, timeout time.Duration) (net.Conn, error) {
	if s.blocks(to.Addr) {
		return nil, fmt.Errorf("no route to %s", to.Addr)
	}
	return s.NetTransport.DialAddressTimeout(to, timeout)
}

// child is an instance, with a Pool whose URL is http://number. It prints its address, and what its Source yields; and does what it reads.
func child(spec []string) error {
	self, key, seeds := spec[0], spec[1], spec[2:]
	transport := new(severed)
	source, err := New(Config{
		Self: "http://" + self, Keys: [][]byte{[]byte(key)}, Bind: "127.0.0.1:0", Seeds: seeds, Rejoin: time.Second,
		Tune: func(g *gossip.Config) {
			for range 10 { // a port that is free for TCP may not be for UDP
				transport.NetTransport, _ = gossip.NewNetTransport(&gossip.NetTransportConfig{BindAddrs: []string{"127.0.0.1"}, Logger: log.New(io.Discard, "", 0)})
				if transport.NetTransport != nil {
					break
				}
			}
			g.Transport = transport
			g.ProbeInterval, g.ProbeTimeout, g.GossipInterval = 250*time.Millisecond, 150*time.Millisecond, 50*time.Millisecond
			g.SuspicionMult, g.GossipToTheDeadTime = 2, time.Second
		},
	})
	if err != nil {
		return err
	}
	pool, err := peers.New(peers.Config{Self: "http://" + self, Insecure: true})
	if err != nil {
		return err
	}
	go pool.Follow(context.Background(), source)
	fmt.Println("at", source.Addr())
	go func() {
		for members, err := range source.Members(context.Background()) {
			fmt.Println("list", show(members, err))
		}
	}()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		words := strings.Fields(in.Text())
		switch words[0] {
		case "cut":
			transport.mu.Lock()
			transport.cut = words[1:]
			transport.mu.Unlock()
		case "weight":
			weight, _ := strconv.Atoi(words[1])
			err = source.SetWeight(context.Background(), weight)
		case "drain":
			err = pool.Drain(context.Background())
		case "close":
			err = source.Close()
		}
		members := 0
		for _, p := range pool.Others() {
			if !pool.Left(p) {
				members++
			}
		}
		fmt.Println("done", err, members)
	}
	return nil
}

// A process is a child.
type process struct {
	t     *testing.T
	name  string
	addr  string
	cmd   *exec.Cmd
	stdin io.Writer
	lines chan string // but lists

	mu      sync.Mutex
	last    string // list
	changed chan bool
}

func startProcess(t *testing.T, name, key string, seeds ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, lines: make(chan string, 100), changed: make(chan bool, 1)}
	p.cmd = exec.Command(self)
	p.cmd.Env = append(os.Environ(), childVariable+"="+strings.Join(append([]string{name, key}, seeds...), " "))
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan bool)
	go func() {
		defer close(read)
		for in := bufio.NewScanner(stdout); in.Scan(); {
			list, ok := strings.CutPrefix(in.Text(), "list ")
			if !ok {
				p.lines <- in.Text()
				continue
			}
			p.mu.Lock()
			p.last = list
			p.mu.Unlock()
			select {
			case p.changed <- true:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-read
		p.cmd.Wait()
	})
	p.addr = strings.TrimPrefix(p.next(), "at ")
	return p
}

// next returns the next line that is no list.
func (p *process) next() string {
	p.t.Helper()
	select {
	case line := <-p.lines:
		return line
	case <-time.After(patience):
		p.t.Fatalf("%s says nothing", p.name)
		return ""
	}
}

// do makes p do something, without an error, and returns how many others its Pool knows then.
func (p *process) do(command ...string) (others string) {
	p.t.Helper()
	fmt.Fprintln(p.stdin, strings.Join(command, " "))
	line := p.next()
	others, ok := strings.CutPrefix(line, "done <nil> ")
	if !ok {
		p.t.Errorf("%s: %v: %s", p.name, command, line)
	}
	return others
}

// knows waits until p's Pool knows so many others. It follows the Source beside the one who prints the lists.
func (p *process) knows(others string) {
	p.t.Helper()
	for end := time.Now().Add(patience); p.do("nothing") != others; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("the Pool of %s does not know %s others", p.name, others)
		}
	}
}

// see waits until each of the processes has yielded the list last.
func see(t *testing.T, what, list string, all ...*process) {
	t.Helper()
	began := time.Now()
	for _, p := range all {
		for {
			p.mu.Lock()
			last := p.last
			p.mu.Unlock()
			if last == list {
				break
			}
			select {
			case <-p.changed:
			case <-time.After(patience):
				t.Fatalf("%s: %s sees %q, want %q", what, p.name, last, list)
			}
		}
	}
	t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond))
}

// Five processes on the loopback, and what happens to a fleet.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	key := string(testKey)
	all := []*process{startProcess(t, "1", key)}
	for _, name := range []string{"2", "3", "4", "5"} {
		all = append(all, startProcess(t, name, key, all[0].addr))
	}
	see(t, "all see all", "1 2 3 4 5", all...)

	stranger := startProcess(t, "6", strings.Repeat("x", 16), all[0].addr)
	for _, p := range all {
		p.do("weight", p.name)
	}
	see(t, "weights", "1 2*2 3*3 4*4 5*5", all...)
	all[0].knows("4")

	for i, p := range all {
		other := []string{"cut"}
		for j, q := range all {
			if (i < 2) != (j < 2) {
				other = append(other, q.addr)
			}
		}
		p.do(other...)
	}
	see(t, "one part", "1 2*2", all[:2]...)
	see(t, "the other part", "3*3 4*4 5*5", all[2:]...)
	time.Sleep(1500 * time.Millisecond) // the dead are gossiped to for a second
	for _, p := range all {
		p.do("cut")
	}
	see(t, "healed", "1 2*2 3*3 4*4 5*5", all...)

	all[3].cmd.Process.Kill()
	see(t, "one is killed", "1 2*2 3*3 5*5", all[0], all[1], all[2], all[4])

	all[4].do("drain")
	see(t, "one drains", "1 2*2 3*3 5*5!", all[0], all[1], all[2], all[4])
	all[0].knows("2") // for one that leaves owns nothing
	all[4].do("close")
	see(t, "one has left", "1 2*2 3*3", all[:3]...)

	stranger.mu.Lock()
	defer stranger.mu.Unlock()
	if !strings.HasPrefix(stranger.last, "error: memberlist: no seed could be joined") {
		t.Errorf("a stranger sees %q", stranger.last)
	}
}
