package memory

import (
	"math/rand/v2"
	"testing"
)

func TestGhosts(t *testing.T) {
	const entries = 1000
	var g ghosts
	r := rand.New(rand.NewPCG(1, 2))
	hashes := make([]uint64, 4*entries)
	for i := range hashes {
		hashes[i] = r.Uint64()
		g.add(hashes[i], fromSmall, uint32(i), entries)
	}
	if len(g.slots) > 2*entries+2*ways {
		t.Errorf("%d slots for %d entries", len(g.slots), entries)
	}
	for i, h := range hashes[:2*entries] {
		if g.has(h, entries) {
			t.Errorf("%d is remembered, after twice as many as there are entries", i)
		}
	}
	kept := 0
	for i, h := range hashes[2*entries:] {
		if !g.has(h, entries) {
			continue
		}
		kept++
		got, _ := g.take(h, entries)
		if want := (ghost{fromSmall, uint32(2*entries - 1 - i), uint32(2*entries + i)}); got != want {
			t.Errorf("took %+v, want %+v", got, want)
		}
		if g.has(h, entries) {
			t.Error("what was taken is remembered")
		}
	}
	// A set has room for as many as it gets on average: some are forgotten early.
	if kept < 2*entries*3/4 {
		t.Errorf("%d of %d are remembered", kept, 2*entries)
	}
	for _, h := range hashes[3*entries:] {
		g.add(h, fromSmall, 0, entries)
	}
	if _, ok := g.take(hashes[0], entries); ok {
		t.Error("took what is not remembered")
	}
}

func TestGhostsOfKinds(t *testing.T) {
	var g ghosts
	if g.has(1, 0) {
		t.Error("the zero value remembers something")
	}
	if _, ok := g.take(1, 0); ok {
		t.Error("the zero value gives something")
	}
	const n = 200
	for i := range uint64(n) {
		g.add(i<<24, fromSmall, 0, n)
		g.add(i<<24, seen, 0, n) // the last word counts
		g.add(i<<24+1, fromMain, 0, n)
	}
	if got, ok := g.take((n-1)<<24, n); !ok || got.kind != seen || got.age != 0 {
		t.Errorf("took %+v, %t", got, ok)
	}
	if got, ok := g.take((n-2)<<24+1, n); !ok || got.kind != fromMain || got.age != 1 {
		t.Errorf("took %+v, %t", got, ok)
	}
	if g.has(1, n) {
		t.Error("main's ghosts are remembered for longer than half of what there are entries")
	}
}

func TestGhostsFit(t *testing.T) {
	var g ghosts
	r := rand.New(rand.NewPCG(3, 4))
	latest := make([]uint64, minGhosts/2)
	for _, entries := range []int{10, 100, 10_000, 9_000, 100_000, 100, 0} {
		for i := range latest {
			latest[i] = r.Uint64()
			g.add(latest[i], fromSmall, 7, entries)
		}
		g.shrink(entries / 2)
		if most := 5*max(entries, minGhosts)/2 + 2*ways; len(g.slots) > most {
			t.Errorf("%d slots for %d entries, want no more than %d", len(g.slots), entries, most)
		}
		kept := 0
		for _, h := range latest {
			if got, ok := g.take(h, entries); ok && got.turn == 7 {
				kept++
			}
		}
		if kept < len(latest)*3/4 {
			t.Errorf("%d of %d are remembered with %d entries", kept, len(latest), entries)
		}
	}
}

func TestGhostsCountOn(t *testing.T) {
	var g ghosts
	for kind := range ghostKinds {
		g.added[kind] = atMask - 1
		for i := range uint64(4) {
			g.add(i<<28, kind, 0, 100)
		}
		for i := range uint64(4) {
			if got, ok := g.take(i<<28, 100); !ok || got.kind != kind || got.age > 4 {
				t.Errorf("ghost %d of kind %d: %+v, %t", i, kind, got, ok)
			}
		}
	}
}
