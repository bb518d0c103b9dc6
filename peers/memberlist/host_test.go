package memberlist

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gossip "github.com/hashicorp/memberlist"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// A host is an instance in a memnet, in the bubble of a test.
type host struct {
	*Source
	t    *testing.T
	addr string
	log  *buffer

	mu    sync.Mutex
	items []string // what was yielded
}

// A buffer is what a host logs.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start starts an instance at 10.0.0.i:1, whose URL is http://i. Its seeds are all of 10.0.0.1 to 10.0.0.3, unless edit says otherwise.
func start(t *testing.T, n *memnet, i int, edit func(*Config)) *host {
	t.Helper()
	h := &host{t: t, addr: fmt.Sprintf("10.0.0.%d:1", i), log: new(buffer)}
	cfg := Config{
		Self: fmt.Sprintf("http://%d", i), Keys: [][]byte{testKey}, Bind: h.addr, Seeds: []string{"10.0.0.1:1", "10.0.0.2", "seed.test."},
		Logger: slog.New(slog.NewTextHandler(h.log, nil)),
		Tune: func(g *gossip.Config) {
			g.Transport = n.join(h.addr)
			g.EnableCompression = false // which would take most of the test's time
		},
	}
	if edit != nil {
		edit(&cfg)
	}
	var err error
	h.Source, err = newSource(cfg, func(_ context.Context, name string) ([]netip.Addr, error) {
		if name != "seed.test." {
			return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
		}
		return []netip.Addr{netip.MustParseAddr("10.0.0.3")}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for members, err := range h.Members(ctx) {
			h.mu.Lock()
			h.items = append(h.items, show(members, err))
			h.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		h.Close()
	})
	return h
}

// show returns what was yielded, in one line: 1 2*5 3! is of three, of which 2 has the weight 5 and 3 is leaving.
func show(members []discover.Member, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var words []string
	for _, m := range members {
		word := strings.TrimSuffix(strings.TrimPrefix(m.URL, "http://"), "/_fleetcache/")
		if m.Weight != 1 {
			word += fmt.Sprintf("*%d", m.Weight)
		}
		if m.Leaving {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// healed is how long it may take until all know all again: to join a seed, and to compare with one that did.
const healed = 3*DefaultRejoin + 5*time.Second

// told is how long it may take until all know what one says: gossip may miss one of them, who then knows when it compares
// all it knows with another's, twice a minute.
const told = time.Minute

// take returns what was yielded since it was called last.
func (h *host) take() (items []string) {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	items, h.items = h.items, nil
	return items
}

// want waits, and then says what the last thing that h yielded must be.
func want(t *testing.T, after time.Duration, last string, hosts ...*host) {
	t.Helper()
	time.Sleep(after)
	for _, h := range hosts {
		items := h.take()
		if len(items) == 0 || items[len(items)-1] != last {
			t.Errorf("%s yielded %q, want %q at last", h.addr, items, last)
		}
	}
}

// wantNothing waits, and then says that h has yielded nothing.
func wantNothing(t *testing.T, after time.Duration, hosts ...*host) {
	t.Helper()
	time.Sleep(after)
	for _, h := range hosts {
		if items := h.take(); len(items) > 0 {
			t.Errorf("%s yielded %q, want nothing", h.addr, items)
		}
	}
}

func fleet(t *testing.T, n *memnet, size int) (all []*host) {
	t.Helper()
	var names []string
	for i := 1; i <= size; i++ {
		all = append(all, start(t, n, i, nil))
		names = append(names, fmt.Sprint(i))
	}
	slices.Sort(names)
	want(t, told, strings.Join(names, " "), all...)
	return all
}
