package ring_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// checkCapacity checks that nobody owns more than 1.05 of its fair share, or
// more than its share rounded up (one more if it is whole).
func checkCapacity(t interface{ Fatalf(string, ...any) }, table *ring.Table) {
	total := 0
	for _, m := range table.Members() {
		total += m.Weight
	}
	for i, n := range owned(table) {
		share := ring.Slots * float64(table.Member(i).Weight) / float64(total)
		if float64(n) > max(1.05*share, share+1) {
			t.Fatalf("%v owns %d slots; its fair share is %.2f", table.Member(i), n, share)
		}
	}
}

func TestBalance(t *testing.T) {
	for _, test := range []struct {
		members, seeds int
		mean           float64 // of the peak over the average
	}{
		{3, 12, 1.01}, {10, 12, 1.03}, {100, 8, 1.05}, {983, 1, 1.05}, {1000, 3, 1.05},
	} {
		mean, worst, seeds := 0.0, 0.0, few(test.seeds)
		for seed := range seeds {
			table := mustNew(t, fleet(seed, test.members)...)
			peak := float64(slices.Max(owned(table))) * float64(test.members) / ring.Slots
			mean += peak / float64(seeds)
			worst = max(worst, peak)
		}
		t.Logf("%d members: peak over average %.4f, at worst %.4f", test.members, mean, worst)
		if mean > test.mean || worst > 1.05 {
			t.Errorf("%d members: peak over average %.4f, at worst %.4f; want at most %v and 1.05", test.members, mean, worst, test.mean)
		}
	}
}

// moves compares the tables of a set of members and of the set without one: how
// many slots have another owner, and how many must, being the one member's own.
func moves(with, without *ring.Table, id string) (moved, must int) {
	before, after := ownerIDs(with), ownerIDs(without)
	for slot := range before {
		if before[slot] != after[slot] {
			moved++
		}
		if before[slot] == id {
			must++
		}
	}
	return moved, must
}

// The same figures hold for a member that joins: a table knows no history.
func TestMoves(t *testing.T) {
	for _, test := range []struct {
		members, seeds int
		want           float64
	}{
		{3, 10, 1.001}, {10, 10, 1.01}, {30, 8, 1.03}, {100, 8, 1.10},
	} {
		mean, worst, seeds := 0.0, 0.0, few(test.seeds)
		for seed := range seeds {
			members := fleet(seed, test.members)
			gone := seed * 7 % test.members
			with := mustNew(t, members...)
			without := mustNew(t, slices.Delete(slices.Clone(members), gone, gone+1)...)
			moved, must := moves(with, without, members[gone].ID)
			ratio := float64(moved) / float64(must)
			mean += ratio / float64(seeds)
			worst = max(worst, ratio)
			if fair := float64(ring.Slots) / float64(test.members); float64(moved) > 1.10*fair {
				t.Errorf("%d members, seed %d: %d slots moved, more than 1.10 of a member's share", test.members, seed, moved)
			}
		}
		t.Logf("%d members: %.4f of the least moves, at worst %.4f", test.members, mean, worst)
		if worst > test.want {
			t.Errorf("%d members: %.4f of the least moves at worst, want at most %v", test.members, worst, test.want)
		}
	}
}

// A change of weight moves little more than the difference.
func TestMovesOnChangeOfWeight(t *testing.T) {
	members := fleet(0, 20)
	for i := range members {
		members[i].Weight = 10
	}
	before := mustNew(t, members...)
	members[7].Weight = 20
	after := mustNew(t, members...)
	a, b, moved, gained := ownerIDs(before), ownerIDs(after), 0, 0
	for slot := range a {
		if a[slot] != b[slot] {
			moved++
			if b[slot] == members[7].ID {
				gained++
			}
		}
	}
	if least := ring.Slots * (20.0/210 - 10.0/200); float64(gained) < 0.9*least || float64(moved) > 1.2*least {
		t.Errorf("%d slots moved, %d of them to the member; the difference in shares is %.0f", moved, gained, least)
	}
}

// The family's bug: an unmixed FNV-1 puts user:1000 to user:1999 on one owner.
// Over the owners, sequential keys must be as even as independent random ones
// are: by chi-square against each owner's share of the slots.
func TestFamilySequentialKeysSpread(t *testing.T) {
	// Exceeded by random keys once in 10,000.
	limits := map[int]float64{3: 18.4, 5: 23.5, 10: 33.7, 100: 161.3}
	sequences := map[string]func(i int) (string, bool){
		"user:1000..1999": func(i int) (string, bool) { return fmt.Sprintf("user:%d", 1000+i), i < 1000 },
		"0..99999":        func(i int) (string, bool) { return strconv.Itoa(i), i < 100_000 },
	}
	rng := rand.New(rand.NewPCG(7, 8))
	sequences["random"] = func(i int) (string, bool) { return strconv.FormatUint(rng.Uint64(), 36), i < 100_000 }
	for n, limit := range limits {
		table := mustNew(t, fleet(0, n)...)
		slots := owned(table)
		for name, key := range sequences {
			counts, keys := make([]int, n), 0
			for k, ok := key(0); ok; k, ok = key(keys) {
				counts[table.Owner(k)]++
				keys++
			}
			chi := 0.0
			for i, got := range counts {
				want := float64(keys) * float64(slots[i]) / ring.Slots
				chi += (float64(got) - want) * (float64(got) - want) / want
			}
			t.Logf("%d members, %s: chi-square %.1f, most %d of %d", n, name, chi, slices.Max(counts), keys)
			if chi > limit {
				t.Errorf("%d members, %s: chi-square %.1f, want at most %.1f: %v", n, name, chi, limit, counts)
			}
		}
	}
}
