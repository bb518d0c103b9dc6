package ring_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// fleet returns n members with IDs as a deployment has them; a different seed
// gives different ones.
func fleet(seed, n int) []ring.Member {
	members := make([]ring.Member, n)
	for i := range members {
		members[i].ID = fmt.Sprintf("http://10.%d.%d.%d:8080", seed, i/250, i%250+1)
	}
	return members
}

func mustNew(tb testing.TB, members ...ring.Member) *ring.Table {
	tb.Helper()
	t, err := ring.New(members...)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// ownerIDs returns the ID of every slot's owner.
func ownerIDs(t *ring.Table) []string {
	members := t.Members()
	ids := make([]string, ring.Slots)
	for slot := range ids {
		ids[slot] = members[t.OwnerOfSlot(slot)].ID
	}
	return ids
}

// owned returns how many slots each member owns.
func owned(t *ring.Table) []int {
	counts := make([]int, t.Len())
	for slot := range ring.Slots {
		counts[t.OwnerOfSlot(slot)]++
	}
	return counts
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name    string
		members []ring.Member
		say     []string
	}{
		{"empty ID", []ring.Member{{ID: "a"}, {}}, []string{"empty ID", "unique"}},
		{"duplicate ID", []ring.Member{{ID: "a"}, {ID: "b"}, {ID: "a", Weight: 2}}, []string{`"a"`, "once"}},
		{"negative weight", []ring.Member{{ID: "a"}, {ID: "b", Weight: -1}}, []string{`"b"`, "-1", "1 to 1000"}},
		{"large weight", []ring.Member{{ID: "c", Weight: ring.MaxWeight + 1}}, []string{`"c"`, "1001", "1 to 1000"}},
		{"too many", fleet(0, ring.MaxMembers+1), []string{"4097", "4096"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table, err := ring.New(test.members...)
			if err == nil || table != nil {
				t.Fatalf("New = %v, %v; want an error only", table, err)
			}
			for _, s := range append(test.say, "ring: ") {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error %q does not say %q", err, s)
				}
			}
		})
	}
}

func TestNewTakesTheLimits(t *testing.T) {
	members := fleet(0, ring.MaxMembers)
	for i := range members {
		members[i].Weight = 1 + i*(ring.MaxWeight-1)/(ring.MaxMembers-1)
	}
	table := mustNew(t, members...)
	checkCapacity(t, table)
	if got := slices.Sorted(table.Owners("key")); len(got) != ring.MaxMembers || got[len(got)-1] != ring.MaxMembers-1 {
		t.Errorf("Owners names %d members, the last %d", len(got), got[len(got)-1])
	}
}

func TestEmptyTable(t *testing.T) {
	var zero ring.Table
	for name, table := range map[string]*ring.Table{"New()": mustNew(t), "zero": &zero} {
		if got := table.Owner("key"); got != -1 {
			t.Errorf("%s: Owner = %d, want -1", name, got)
		}
		if got := table.OwnerOfSlot(ring.Slots - 1); got != -1 {
			t.Errorf("%s: OwnerOfSlot = %d, want -1", name, got)
		}
		for i := range table.Owners("key") {
			t.Errorf("%s: Owners has %d", name, i)
		}
		if _, ok := table.Index("a"); ok || table.Len() != 0 || len(table.Members()) != 0 {
			t.Errorf("%s: has members", name)
		}
	}
}

func TestMembers(t *testing.T) {
	given := []ring.Member{{ID: "c", Weight: 3}, {ID: "a"}, {ID: "b", Weight: 1000}}
	kept := slices.Clone(given)
	table := mustNew(t, given...)
	if !slices.Equal(given, kept) {
		t.Errorf("New changed the caller's slice to %v", given)
	}
	epoch, owners := table.Epoch(), ownerIDs(table)
	given[0], given[1] = ring.Member{ID: "x"}, ring.Member{ID: "y"}

	want := []ring.Member{{ID: "a", Weight: 1}, {ID: "b", Weight: 1000}, {ID: "c", Weight: 3}}
	got := table.Members()
	if !slices.Equal(got, want) {
		t.Fatalf("Members = %v, want %v", got, want)
	}
	got[0].ID = "z"
	for i, m := range want {
		if table.Member(i) != m {
			t.Errorf("Member(%d) = %v, want %v", i, table.Member(i), m)
		}
		if j, ok := table.Index(m.ID); j != i || !ok {
			t.Errorf("Index(%q) = %d, %v", m.ID, j, ok)
		}
	}
	for _, id := range []string{"", "0", "aa", "x", "z"} {
		if _, ok := table.Index(id); ok {
			t.Errorf("Index(%q) finds a member", id)
		}
	}
	if table.Epoch() != epoch || !slices.Equal(ownerIDs(table), owners) {
		t.Error("the table changed after New")
	}
}

func TestWeightZeroIsOne(t *testing.T) {
	a := mustNew(t, ring.Member{ID: "a"}, ring.Member{ID: "b", Weight: 1})
	b := mustNew(t, ring.Member{ID: "a", Weight: 1}, ring.Member{ID: "b"})
	if a.Epoch() != b.Epoch() {
		t.Error("epochs differ")
	}
}

// The family's bug: with colliding virtual nodes the peer listed last wins.
func TestFamilyOrderOfPeersDoesNotMatter(t *testing.T) {
	for _, n := range []int{2, 10, 100} {
		members := fleet(1, n)
		for i := range members {
			members[i].Weight = 1 + i%3
		}
		want := mustNew(t, members...)
		for seed := range uint64(few(4)) {
			rng := rand.New(rand.NewPCG(seed, 0))
			rng.Shuffle(n, func(i, j int) { members[i], members[j] = members[j], members[i] })
			got := mustNew(t, members...)
			if got.Epoch() != want.Epoch() {
				t.Fatalf("%d members: the epoch depends on their order", n)
			}
			if !slices.Equal(ownerIDs(got), ownerIDs(want)) {
				t.Fatalf("%d members: owners depend on their order", n)
			}
			for i := range 100 {
				key := fmt.Sprint("key", i)
				if !slices.Equal(slices.Collect(got.Owners(key)), slices.Collect(want.Owners(key))) {
					t.Fatalf("%d members: successors of %q depend on their order", n, key)
				}
			}
		}
	}
}

func TestOwnersStopsWhenTold(t *testing.T) {
	table := mustNew(t, fleet(0, 10)...)
	all := slices.Collect(table.Owners("key"))
	for n := 1; n <= len(all); n++ {
		var got []int
		for i := range table.Owners("key") {
			got = append(got, i)
			if len(got) == n {
				break
			}
		}
		if !slices.Equal(got, all[:n]) {
			t.Errorf("the first %d of Owners are %v, want %v", n, got, all[:n])
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	tests := []struct{ members, take, want int }{
		{3, 3, 0}, {64, 64, 0}, {65, 4, 0}, {65, 65, 1}, {300, 300, 1},
	}
	for _, test := range tests {
		table := mustNew(t, fleet(0, test.members)...)
		sum := 0
		if got := testing.AllocsPerRun(100, func() { sum += table.Owner("user:1000") }); got != 0 {
			t.Errorf("%d members: Owner allocates %v times", test.members, got)
		}
		got := testing.AllocsPerRun(100, func() {
			left := test.take
			for i := range table.Owners("user:1000") {
				sum += i
				if left--; left == 0 {
					break
				}
			}
		})
		if got != float64(test.want) {
			t.Errorf("%d members: taking %d Owners allocates %v times, want %d", test.members, test.take, got, test.want)
		}
	}
}
