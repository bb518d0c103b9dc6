package ring_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// sets draws sets of members with arbitrary IDs.
func sets(minLen, maxLen, maxWeight int) *rapid.Generator[[]ring.Member] {
	member := rapid.Custom(func(t *rapid.T) ring.Member {
		return ring.Member{
			ID:     rapid.StringN(1, -1, 40).Draw(t, "id"),
			Weight: rapid.IntRange(0, maxWeight).Draw(t, "weight"),
		}
	})
	return rapid.SliceOfNDistinct(member, minLen, maxLen, func(m ring.Member) string { return m.ID })
}

func draw(t *rapid.T, members []ring.Member) *ring.Table {
	table, err := ring.New(members...)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestPropertyOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := sets(1, 12, ring.MaxWeight).Draw(t, "members")
		a := draw(t, members)
		b := draw(t, rapid.Permutation(members).Draw(t, "permuted"))
		if a.Epoch() != b.Epoch() || !slices.Equal(a.Members(), b.Members()) {
			t.Fatal("the epoch or the members depend on the order")
		}
		if !slices.Equal(ownerIDs(a), ownerIDs(b)) {
			t.Fatal("owners depend on the order")
		}
	})
}

func TestPropertyCapacity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		maxWeight := rapid.SampledFrom([]int{1, 10, ring.MaxWeight}).Draw(t, "max weight")
		checkCapacity(t, draw(t, sets(1, 60, maxWeight).Draw(t, "members")))
	})
}

func TestPropertyOwnersIsAPermutation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := draw(t, sets(1, 90, 10).Draw(t, "members"))
		for _, key := range rapid.SliceOfN(rapid.String(), 1, 50).Draw(t, "keys") {
			got := slices.Collect(table.Owners(key))
			if got[0] != table.Owner(key) || got[0] != table.OwnerOfSlot(ring.Slot(key)) {
				t.Fatalf("Owners(%q) begins with %d, the owner is %d", key, got[0], table.Owner(key))
			}
			slices.Sort(got)
			for i := range table.Len() {
				if len(got) != table.Len() || got[i] != i {
					t.Fatalf("Owners(%q) is not a permutation: %v sorted", key, got)
				}
			}
		}
	})
}

// When a member leaves, hardly a slot moves that it did not own, and the
// successors of the others keep their order.
func TestPropertyLeaving(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := sets(2, 12, 10).Draw(t, "members")
		gone := rapid.IntRange(0, len(members)-1).Draw(t, "gone")
		id := members[gone].ID
		with := draw(t, members)
		without := draw(t, slices.Delete(slices.Clone(members), gone, gone+1))
		if with.Epoch() == without.Epoch() {
			t.Fatal("the epoch is the same without a member")
		}
		moved, must := moves(with, without, id)
		if moved < must || moved-must > ring.Slots/100 {
			t.Fatalf("%d slots moved, %d must", moved, must)
		}
		for _, key := range rapid.SliceOfN(rapid.String(), 20, 20).Draw(t, "keys") {
			checkSuccessors(t, with, without, key, id)
		}
	})
}

// checkSuccessors checks that two tables, the second without the member id,
// order the members that own the key in neither alike.
func checkSuccessors(t *rapid.T, with, without *ring.Table, key, id string) {
	skip := map[string]bool{
		id:                                    true,
		with.Member(with.Owner(key)).ID:       true,
		without.Member(without.Owner(key)).ID: true,
	}
	rest := func(table *ring.Table) (ids []string) {
		for i := range table.Owners(key) {
			if m := table.Member(i); !skip[m.ID] {
				ids = append(ids, m.ID)
			}
		}
		return ids
	}
	if a, b := rest(with), rest(without); !slices.Equal(a, b) {
		t.Fatalf("the successors of %q are %q, and %q without %q", key, a, b, id)
	}
}

func TestPropertyEpoch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := sets(1, 4, ring.MaxWeight-1).Draw(t, "members")
		i := rapid.IntRange(0, len(members)-1).Draw(t, "which")
		if members[i].Weight == 0 {
			members[i].Weight = 1
		}
		epochs := map[uint64]string{draw(t, members).Epoch(): "as it is"}
		differs := func(change string, members []ring.Member) {
			e := draw(t, members).Epoch()
			if other, ok := epochs[e]; ok {
				t.Fatalf("the epoch %#x is that of the set %s and of the set %s", e, other, change)
			}
			epochs[e] = change
		}
		changed := slices.Clone(members)
		changed[i].Weight++
		differs("with another weight", changed)
		changed = slices.Clone(members)
		changed[i].ID += "x"
		for _, m := range members {
			if m.ID == changed[i].ID {
				t.Skip("there is such a member")
			}
		}
		differs("with another ID", changed)
		changed[i].ID = members[i].ID + "\x00\x01" // what could be mistaken for a weight and a length
		differs("with a longer ID", changed)
		differs("without a member", slices.Delete(slices.Clone(members), i, i+1))
		differs("with one more", append(slices.Clone(members), ring.Member{ID: members[i].ID + "x"}))
	})
}
