package ring

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func testMembers(n int, weights ...int) []Member {
	members := make([]Member, n)
	for i := range members {
		members[i] = Member{ID: fmt.Sprintf("peer-%04d", i), Weight: weights[i%len(weights)]}
	}
	return members
}

// The matching restated: go through all pairs of a slot and a member from the
// cheapest on, and match a pair if the slot is free and the member has room.
func TestTableIsTheStableMatching(t *testing.T) {
	for _, members := range [][]Member{
		testMembers(1, 1), testMembers(2, 1, 1000), testMembers(8, 3, 1, 50),
	} {
		type pair struct {
			cost         uint64
			member, slot int
		}
		pairs := make([]pair, 0, Slots*len(members))
		for i, m := range members {
			c := newScorer(m)
			for slot := range Slots {
				h := uint32(word(c.seed, uint64(slot/4))>>(slot%4*16)&0x7fff<<17 | word(c.seed, uint64(Slots/4+slot))>>47)
				pairs = append(pairs, pair{c.cost(h), i, slot})
			}
		}
		slices.SortFunc(pairs, func(a, b pair) int {
			return cmp.Or(cmp.Compare(a.cost, b.cost), cmp.Compare(a.member, b.member), cmp.Compare(a.slot, b.slot))
		})
		room := capacities(members)
		want := make([][]int, Slots) // owner, then successors
		for _, p := range pairs {
			if len(want[p.slot]) == 0 && room[p.member] > 0 {
				room[p.member]--
				want[p.slot] = append(want[p.slot], p.member)
			}
		}
		for _, p := range pairs {
			if p.member != want[p.slot][0] {
				want[p.slot] = append(want[p.slot], p.member)
			}
		}

		table := build(members, firstRound)
		for slot := range Slots {
			var got []int
			table.walk(slot, func(i int) bool { got = append(got, i); return true })
			if !slices.Equal(got, want[slot]) {
				t.Fatalf("%d members: slot %d has ranks %v, want %v", len(members), slot, got, want[slot])
			}
		}
	}
}

// No slot and member would both rather be matched with each other: with many
// members, where the restated matching would take too long.
func TestTableIsStable(t *testing.T) {
	for _, members := range [][]Member{testMembers(40, 5, 1, 2), testMembers(130, 1)} {
		table := build(members, firstRound)
		counts, worst := make([]int, len(members)), make([]rank, len(members))
		own := make([]rank, Slots) // the slot's rank for its owner
		for slot := range Slots {
			i := table.OwnerOfSlot(slot)
			own[slot] = table.scorers[i].rank(slot, i)
			counts[i]++
			worst[i] = max(worst[i], newRank(own[slot].cost(), slot))
		}
		full, turned := capacities(members), 0
		for slot := range Slots {
			for i, c := range table.scorers {
				r := c.rank(slot, i)
				if r >= own[slot] {
					continue
				}
				turned++
				if counts[i] < full[i] || newRank(r.cost(), slot) < worst[i] {
					t.Fatalf("%d members: slot %d is with %d, yet it and %d prefer each other", len(members), slot, own[slot].tie(), i)
				}
			}
		}
		if turned == 0 {
			t.Errorf("%d members: nobody was ever full: the test shows nothing", len(members))
		}
	}
}

// Every list is an exact prefix of the slot's preferences, as first found and as
// lengthened, also where members of different weights meet at its limit.
func TestPreferencesAreAPrefix(t *testing.T) {
	members := testMembers(40, 1000, 1, 1000, 2, 1000, 3, 1000, 5)
	var scorers []scorer
	for _, m := range members {
		scorers = append(scorers, newScorer(m))
	}
	p := newPreferences(members, scorers, firstRound)
	for slot := range Slots {
		var all []rank
		for i, c := range scorers {
			all = append(all, c.rank(slot, i))
		}
		slices.Sort(all)
		for range 2 {
			l := p.lists[slot]
			if got := p.arena[l.start:l.end]; !slices.Equal(got, all[:len(got)]) {
				t.Fatalf("slot %d, round %d: the list is %x, want %x", slot, l.round, got, all[:len(got)])
			}
			p.lengthen(slot)
			if have := l.end - l.start; have < 40 && p.lists[slot].end-p.lists[slot].start <= have {
				t.Fatalf("slot %d: the list was not lengthened", slot)
			}
		}
	}
}

// How much of the preferences is computed at first changes nothing but the time.
func TestFirstRoundDoesNotMatter(t *testing.T) {
	for _, members := range [][]Member{testMembers(12, 1), testMembers(40, 1000, 1, 1, 1, 30)} {
		want := build(members, firstRound)
		for _, first := range []int{1, len(members)} {
			got := build(members, first)
			if *got.owners != *want.owners || *got.follow != *want.follow {
				t.Errorf("%d members: a first round of %d changes the table", len(members), first)
			}
		}
	}
}

func TestCapacities(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for n := 1; n <= MaxMembers; n += 1 + n/20 {
		for _, top := range []int{1, 3, MaxWeight} {
			members := testMembers(n, 1)
			total := 0.0
			for i := range members {
				members[i].Weight = 1 + rng.IntN(top)
				total += float64(members[i].Weight)
			}
			sum := 0
			for i, c := range capacities(members) {
				share := Slots * float64(members[i].Weight) / total
				if float64(c) < share || float64(c) > max(1.05*share, share+1) {
					t.Fatalf("%d members: capacity %d for a share of %.2f", n, c, share)
				}
				sum += c
			}
			if sum <= Slots {
				t.Fatalf("%d members with weights up to %d: room for %d slots only", n, top, sum)
			}
		}
	}
}

// First choices follow the weights, before any bound: chi-square over members of
// very different weights.
func TestFirstChoicesFollowWeights(t *testing.T) {
	members := []Member{{"a", 1}, {"b", 2}, {"c", 4}, {"d", 8}, {"e", 100}, {"f", 333}, {"g", 1000}}
	total := 0
	var scorers []scorer
	for _, m := range members {
		total += m.Weight
		scorers = append(scorers, newScorer(m))
	}
	counts := make([]int, len(members))
	for slot := range Slots {
		best := rank(math.MaxUint64)
		for i, c := range scorers {
			best = min(best, c.rank(slot, i))
		}
		counts[best.tie()]++
	}
	chi := 0.0
	for i, n := range counts {
		want := Slots * float64(members[i].Weight) / float64(total)
		chi += (float64(n) - want) * (float64(n) - want) / want
	}
	if chi > 22.5 { // 6 degrees of freedom: exceeded once in 1000
		t.Errorf("first choices %v do not follow the weights: chi-square %.1f", counts, chi)
	}
}
