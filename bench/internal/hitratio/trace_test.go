package hitratio

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
)

// encode is the reverse of decode.
func encode(records []record) []byte {
	var b []byte
	for _, r := range records {
		b = binary.LittleEndian.AppendUint64(b, r.key)
		b = binary.LittleEndian.AppendUint32(b, r.size)
	}
	return b
}

// folderOf writes files to a folder.
func folderOf(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// keysOf makes records of one size each of these keys.
func keysOf(keys ...uint64) []record {
	records := make([]record, len(keys))
	for i, k := range keys {
		records[i] = record{k, 1}
	}
	return records
}

func TestReadFolder(t *testing.T) {
	one, two := []record{{1 << 63, 512}, {7, 1<<32 - 1}}, keysOf(3, 4)
	dir := folderOf(t, map[string][]byte{
		"b.bin.gz": benchtest.Gzipped(t, encode(one)), "a.bin.gz": benchtest.Gzipped(t, encode(two)), "README.md": []byte("no trace"),
	})
	got, err := readFolder(dir)
	if want := []named{{"a", two}, {"b", one}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %v, %v, want %v", got, err, want)
	}
}

func TestTracesThatAreBroken(t *testing.T) {
	good := encode(keysOf(1, 2, 3))
	whole := benchtest.Gzipped(t, good)
	badSum := slices.Clone(whole)
	badSum[len(badSum)-5] ^= 1
	for _, c := range []struct {
		name    string
		content []byte
		want    string
	}{
		{"plain", good, "x.bin.gz: it is not gzipped"},
		{"empty", benchtest.Gzipped(t, nil), "x.bin.gz: it has no records"},
		{"short record", benchtest.Gzipped(t, good[:29]), "x.bin.gz: record 2: the file ends after 5 of its 12 bytes"},
		{"cut", whole[:len(whole)-9], "x.bin.gz: record "},
		{"checksum", badSum, "x.bin.gz: record 3: gzip: invalid checksum"},
	} {
		_, err := readFolder(folderOf(t, map[string][]byte{"x.bin.gz": c.content}))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := readFolder(t.TempDir()); err == nil || !strings.Contains(err.Error(), "has no traces") {
		t.Errorf("a folder without traces: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encode(keysOf(1, 2, 1)))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		records, err := decode(bytes.NewReader(raw))
		if ok := len(raw) > 0 && len(raw)%recordLen == 0; ok != (err == nil) {
			t.Fatalf("%d bytes: %v", len(raw), err)
		}
		if err != nil {
			return
		}
		if !bytes.Equal(encode(records), raw) {
			t.Fatalf("%x is read as %v", raw, records)
		}
		tr := newTrace("fuzzed", records)
		for i, n := range tr.requests {
			if key := binary.LittleEndian.Uint64([]byte(tr.keys[n])); key != records[i].key || tr.sizes[n] < int64(records[i].size) {
				t.Fatalf("request %d is for %x of %d bytes, want %v", i, key, tr.sizes[n], records[i])
			}
		}
	})
}

func TestSizes(t *testing.T) {
	if tr := newTrace("x", keysOf(5, 5, 6)); tr.sized || tr.total != 2 {
		t.Errorf("sized %v, %d together, want two keys", tr.sized, tr.total)
	}
	tr := newTrace("x", []record{{5, 10}, {6, 0}, {5, 30}, {5, 20}})
	if !tr.sized || !slices.Equal(tr.sizes, []int64{30, 1}) || tr.total != 31 {
		t.Errorf("sized %v, sizes %v, %d together, want the largest of each key, and 1 for none", tr.sized, tr.sizes, tr.total)
	}
}

func TestCut(t *testing.T) {
	traces := []named{{"long", make([]record, 100)}, {"short", make([]record, 10)}, {"middle", make([]record, 50)}}
	if n := cut(traces, 90); n != 2 {
		t.Errorf("%d are shortened, want 2", n)
	}
	var got []int
	for _, n := range traces {
		got = append(got, len(n.records))
	}
	if !slices.Equal(got, []int{40, 10, 40}) {
		t.Errorf("cut to %v: what the shortest leaves is for the others", got)
	}
}

func TestGeneratedIsTheSameEveryTime(t *testing.T) {
	one, two := generated(), generated()
	if !reflect.DeepEqual(one, two) {
		t.Error("two calls differ")
	}
	for _, n := range one {
		tr := newTrace(n.name, n.records)
		if len(tr.requests) != generatedRequests || tr.sized != (n.name == "mixed-sizes") || len(tr.keys) < loopKeys {
			t.Errorf("%s: %d requests for %d keys, sized %v", n.name, len(tr.requests), len(tr.keys), tr.sized)
		}
	}
}
