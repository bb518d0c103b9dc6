package skew

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// newTestGroup returns a group of three, and keys of members 0 and 1.
func newTestGroup(room int) (g *group, keysOf [3][]int) {
	g = newGroup(3, newKeys(300), room, rand.New(rand.NewPCG(1, 1)))
	for k, owner := range g.owners {
		keysOf[owner] = append(keysOf[owner], k)
	}
	return g, keysOf
}

func TestGroupKeepsOneInTen(t *testing.T) {
	g, keysOf := newTestGroup(1000)
	if g.get(0, keysOf[0][0]) {
		t.Error("a member asks another one for its own key")
	}
	kept, keys := 0, keysOf[1]
	for _, k := range keys {
		if !g.get(0, k) {
			t.Fatal("a member has what it was never asked for")
		}
		if _, ok := g.hot[0].Get(k); ok {
			kept++
			if g.get(0, k) {
				t.Error("a member asks for what it has kept")
			}
		}
	}
	if kept == 0 || kept > len(keys)/4 {
		t.Errorf("%d of %d were kept, want a tenth or so", kept, len(keys))
	}
	if want := []int64{0, int64(len(keys)), 0}; !slices.Equal(g.calls, want) {
		t.Errorf("asked %v, want %v", g.calls, want)
	}
	if got, want := g.duplicated(), float64(kept)/float64(kept+1+len(keys)); got != want {
		t.Errorf("duplicated %v, want %v", got, want)
	}
}

// Where memory is full, the hot cache gives way to the main one, down to an eighth of it.
func TestGroupSharesItsMemory(t *testing.T) {
	const room = 45
	g, keysOf := newTestGroup(room)
	for range 100 {
		for _, k := range keysOf[1] {
			g.get(0, k)
		}
	}
	if n := g.hot[0].Len(); n != room {
		t.Errorf("%d values of others are kept where there is nothing else, want %d", n, room)
	}
	for _, k := range keysOf[0][:20] {
		g.get(0, k)
	}
	if hot, main := g.hot[0].Len(), g.main[0]; main != 20 || hot != room-20 {
		t.Errorf("%d of its own, and %d of others, want 20 and %d", main, hot, room-20)
	}
	for _, k := range keysOf[0][20:] {
		g.get(0, k)
	}
	if hot, main := g.hot[0].Len(), g.main[0]; main != 40 || hot != 5 {
		t.Errorf("%d of its own, and %d of others, want 40 and 5", main, hot)
	}
}
