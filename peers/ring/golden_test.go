package ring_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/seed-0f2aaebe/fleetcache/peers/ring"
)

// golden compares got with a file. A difference means that instances of this
// version and of the last one place keys differently: if that is intended, the
// placement version in the digest must change with it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, lines := strings.Split(string(file), "\n"), strings.Split(got, "\n")
	if len(want) != len(lines) {
		t.Errorf("%s has %d lines, want %d", path, len(want), len(lines))
	}
	for i := range min(len(want), len(lines)) {
		if lines[i] != want[i] {
			t.Fatalf("%s:%d\n got %s\nwant %s", path, i+1, lines[i], want[i])
		}
	}
}

func goldenKeys() []string {
	keys := []string{"", "a", "abc", "a b", "a+b", "a//b", ".", "..", "\x00", "\xff\xfe", "ключ", "鍵", strings.Repeat("x", 1000)}
	for i := range 20 {
		keys = append(keys, fmt.Sprintf("user:%d", 1000+i))
	}
	return keys
}

func TestGoldenSlots(t *testing.T) {
	var b strings.Builder
	for _, key := range goldenKeys() {
		fmt.Fprintf(&b, "%+.20q %d %016x %d\n", key, len(key), xxhash.Sum64String(key), ring.Slot(key))
	}
	golden(t, "slots", b.String())
}

// The hash as its author publishes it, seed 0.
func TestXXHash64(t *testing.T) {
	for key, want := range map[string]uint64{
		"":    0xef46db3751d8e999,
		"a":   0xd24ec4f1a98c6e5b,
		"as":  0x1c330fb2d66be179,
		"asd": 0x631c37ce72a97393,
		"Call me Ishmael. Some years ago--never mind how long precisely-": 0x02a2e85470d6fd96,
	} {
		if got := xxhash.Sum64String(key); got != want {
			t.Errorf("xxhash64(%q) = %016x, want %016x", key, got, want)
		}
		if got := ring.Slot(key); got != int(want>>48) {
			t.Errorf("Slot(%q) = %d, want %d", key, got, want>>48)
		}
	}
}

func TestGoldenPlacement(t *testing.T) {
	weighted := func(seed, n int) []ring.Member {
		members := fleet(seed, n)
		for i := range members {
			members[i].Weight = []int{1, 2, 5, 1000, 7}[i%5]
		}
		return members
	}
	var b strings.Builder
	for _, set := range []struct {
		name    string
		members []ring.Member
	}{
		{"none", nil},
		{"one", []ring.Member{{ID: "a"}}},
		{"two, one of twice the weight", []ring.Member{{ID: "a"}, {ID: "b", Weight: 2}}},
		{"three", []ring.Member{{ID: "http://a:8080"}, {ID: "http://b:8080"}, {ID: "http://c:8080"}}},
		{"ten", fleet(0, 10)},
		{"twelve weighted", weighted(1, 12)},
		{"hundred", fleet(2, 100)},
		{"five hundred", fleet(3, 500)},
		{"three hundred weighted", weighted(4, 300)},
	} {
		writePlacement(t, &b, set.name, mustNew(t, set.members...))
	}
	golden(t, "placement", b.String())
}

// writePlacement writes the epoch, a digest of the first ranks of every slot
// there is a key for, and samples that show what they are made of.
func writePlacement(t *testing.T, b *strings.Builder, name string, table *ring.Table) {
	t.Helper()
	fmt.Fprintf(b, "# %s\nepoch %016x members %d\n", name, table.Epoch(), table.Len())
	if table.Len() == 0 {
		return
	}
	all := xxhash.New()
	for slot := range ring.Slots {
		fmt.Fprintln(all, slot, table.OwnerOfSlot(slot))
	}
	fmt.Fprintf(b, "owners %016x\n", all.Sum64())

	all.Reset()
	for i := range 100 {
		key := fmt.Sprintf("key%d", i)
		fmt.Fprintln(all, key, slices.Collect(table.Owners(key)))
	}
	fmt.Fprintf(b, "successors %016x\n", all.Sum64())

	for slot := 0; slot < ring.Slots; slot += 4099 {
		fmt.Fprintf(b, "slot %d %d\n", slot, table.OwnerOfSlot(slot))
	}
	for _, key := range goldenKeys() {
		ranks := slices.Collect(table.Owners(key))
		fmt.Fprintf(b, "key %+.20q %v\n", key, ranks[:min(len(ranks), 6)])
	}
}
