package memory

import (
	"sync"
	"sync/atomic"
	"testing"
)

// never is before the end of any entry here, whose items are zero.
const never = Instant(-1)

// policed is a cache of keys that are their own hashes, with a policy.
type policed struct {
	policy[int]
	entries map[uint64]*entry[int]
	max     int64
}

func newPoliced(maxBytes int64) *policed {
	c := &policed{entries: make(map[uint64]*entry[int]), max: maxBytes}
	c.init(false)
	return c
}

// ask reports whether key is there, and puts it there if not, evicting first what is in the way, as the store does.
func (c *policed) ask(key uint64, cost int64) bool {
	if e := c.entries[key]; e != nil {
		e.touch()
		return true
	}
	if cost > c.max {
		return false
	}
	for c.bytes()+cost > c.max {
		e, kind := c.victim(never)
		delete(c.entries, uint64(e.number))
		c.evicted(spread(uint64(e.number)), kind)
	}
	e := &entry[int]{number: uint32(key), hash: spread(key), cost: cost}
	c.entries[key] = e
	c.insert(e)
	return false
}

// spread makes a key into a hash.
func spread(key uint64) uint64 {
	key *= 0x9e3779b97f4a7c15
	return key ^ key>>29
}

// full returns a cache that holds the keys 0 to 99 and is full.
func full(t *testing.T) *policed {
	t.Helper()
	c := newPoliced(100)
	for key := range uint64(100) {
		c.ask(key, 1)
	}
	if c.len() != 100 {
		t.Fatalf("%d entries", c.len())
	}
	return c
}

func TestShareFollowsGhosts(t *testing.T) {
	for _, tt := range []struct {
		name string
		kind ghostKind
		more int // that are evicted before it is asked for
		want int // of the share: it becomes larger, or smaller
	}{
		{"from small", fromSmall, 0, +1},
		{"from main", fromMain, 0, -1},
		{"from small, late", fromSmall, 50, 0},
		{"from main, late", fromMain, 49, 0},
		{"asked for", seen, 0, 0},
		{"not remembered", fromMain, 5000, 0},
	} {
		c := full(t)
		c.evicted(spread(1000), tt.kind)
		for i := range tt.more {
			c.evicted(spread(uint64(2000+i)), tt.kind)
		}
		c.ask(1000, 1)
		switch got := c.share - firstShare; {
		case tt.want > 0 && got <= 0, tt.want < 0 && got >= 0, tt.want == 0 && got != 0:
			t.Errorf("%s: the share changed by %.3f", tt.name, got)
		}
	}
}

func TestShareIsBounded(t *testing.T) {
	for kind, want := range map[ghostKind]float64{fromSmall: 1, fromMain: minShare} {
		c := full(t)
		for key := uint64(1000); key < 1100; key++ {
			c.evicted(spread(key), kind)
			c.ask(key, 50) // large: but for maxStep one of them would do
			if d := c.share - firstShare; key == 1000 && (d > maxStep || d < -maxStep) {
				t.Errorf("kind %d: one ghost changed the share by %.2f", kind, d)
			}
		}
		if c.share != want {
			t.Errorf("kind %d: the share is %v, want %v", kind, c.share, want)
		}
	}
}

func TestInsertByGhost(t *testing.T) {
	for _, tt := range []struct {
		name   string
		kind   ghostKind
		passed int // by main's hand, beyond a turn
		main   bool
		hits   uint32
	}{
		{"from small", fromSmall, 0, true, 0},
		{"from main", fromMain, 0, true, 1},
		{"asked for", seen, 0, true, 0},
		{"from small, after a turn", fromSmall, 1, false, 0},
		{"from main, after a turn", fromMain, 1, false, 0},
	} {
		c := full(t)
		for c.ask(2000, 1); c.small.len > 0; { // main has its part now
			c.small.remove(c.small.oldest())
		}
		c.evicted(spread(1000), tt.kind)
		c.passed += uint32(c.main.len + tt.passed)
		e := &entry[int]{hash: spread(1000), cost: 1}
		c.insert(e)
		if main := e.in == inMain; main != tt.main || e.hits.Load() != tt.hits {
			t.Errorf("%s: in main: %t, with %d hits", tt.name, main, e.hits.Load())
		}
	}
}

func TestReplace(t *testing.T) {
	for _, tt := range []struct {
		name     string
		was      bool // in main
		hits     uint32
		main     bool
		wantHits uint32
	}{
		{"small, not asked for", false, 0, false, 0},
		{"small, asked for", false, 2, true, 0},
		{"main, not asked for", true, 0, true, 0},
		{"main, asked for", true, 2, true, 2},
	} {
		c := full(t)
		e := &entry[int]{cost: 1}
		old := &entry[int]{cost: 1}
		old.hits.Store(tt.hits)
		c.replace(e, old, tt.was)
		if main := e.in == inMain; main != tt.main || e.hits.Load() != tt.wantHits {
			t.Errorf("%s: in main: %t, with %d hits", tt.name, main, e.hits.Load())
		}
	}
}

// TestVictims: whatever was asked for, everything comes out, once.
func TestVictims(t *testing.T) {
	c := newPoliced(1000)
	for key := range uint64(100) {
		for range key % 6 {
			c.ask(key, int64(1+key%20))
		}
		if key%9 == 0 {
			c.ask(key/2, 1)
		}
	}
	left := c.len()
	if left == 0 {
		t.Fatal("nothing is there")
	}
	for ; left > 0; left-- {
		e, _ := c.victim(never)
		if e == nil || c.entries[uint64(e.number)] != e || e.in != inNone {
			t.Fatalf("with %d left: %+v", left, e)
		}
		delete(c.entries, uint64(e.number))
	}
	if e, _ := c.victim(never); e != nil || c.bytes() != 0 || c.len() != 0 {
		t.Errorf("%+v is left, %d bytes, %d entries", e, c.bytes(), c.len())
	}
}

// TestMainIsFilled: when the memory is full for the first time main gets its part, whether or not it has something.
func TestMainIsFilled(t *testing.T) {
	for _, early := range []int{0, 3} {
		c := newPoliced(100)
		for key := range uint64(early) {
			c.see(spread(key))
		}
		for key := range uint64(101) {
			c.ask(key, 1)
		}
		if c.small.len > 12 || c.len() != 100 {
			t.Errorf("%d of %d entries are in the small queue, with %d in main before", c.small.len, c.len(), early)
		}
	}
}

// TestLargeGoesFirst: of what nobody asks for, what is large goes before what is small, although it came later.
func TestLargeGoesFirst(t *testing.T) {
	c := newPoliced(1000)
	for key := range uint64(20) {
		c.ask(key, 10)
	}
	for key := uint64(20); key < 28; key++ {
		c.ask(key, 100)
	}
	c.ask(28, 100)
	for key := range uint64(20) {
		if c.entries[key] == nil {
			t.Errorf("%d is gone, for one that is ten times as large", key)
		}
	}
}

// Hits are counted while a victim is looked for, and may be counted faster than they are taken back.
func TestVictimIsFoundBesideHits(t *testing.T) {
	var p policy[int]
	p.init(false)
	var entries []*entry[int]
	for i := range 3 {
		e := &entry[int]{hash: spread(uint64(i)), cost: 1}
		entries = append(entries, e)
		p.main.push(e)
	}
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				for _, e := range entries {
					e.touch()
				}
			}
		})
	}
	for range 20_000 {
		e, _ := p.victim(never)
		p.main.push(e)
	}
	stop.Store(true)
	wg.Wait()
}
