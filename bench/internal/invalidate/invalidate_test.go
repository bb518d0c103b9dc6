package invalidate

import (
	"context"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
)

func TestMain(m *testing.M) { benchtest.Main(m, Child) }

func TestG4NoStaleReadsInRealProcesses(t *testing.T) {
	r, err := Run(context.Background(), Options{Duration: 500 * time.Millisecond, Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	measured := r.Raw.([]Measured)
	if want := len(sizes) * len(Settings()); len(measured) != want {
		t.Fatalf("%d settings, want %d", len(measured), want)
	}
	for _, m := range measured {
		if f := m.Found; f.Reads == 0 || f.Removes == 0 || f.Loads == 0 || len(f.Took) == 0 {
			t.Errorf("%d instances, %s: %+v", m.Instances, m.Setting.Name, f)
		}
		for _, s := range m.Found.Stale {
			t.Errorf("%d instances, %s: %v", m.Instances, m.Setting.Name, s)
		}
	}
	benchtest.WantRatios(t, r, "invalidate/stale-reads", "invalidate/3/remove-p99-ms", "invalidate/10/remove-p99-ms", "invalidate/10/us-per-key-in-100")
}

// What reads a stale value is noticed: here by an instance that does not know of the others, and so removes for itself alone.
func TestStaleReadsAreNoticed(t *testing.T) {
	path, err := createLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var ins []*instance
	for number := range 2 {
		in, err := newInstance(Setup{number, path})
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		ins = append(ins, in)
	}
	var f Found
	for range 2 {
		ins[1].readOne(7, &f)
		version := ins[0].ledger.write(7)
		if _, err := ins[0].removeOnce([]string{keyName(7)}); err != nil {
			t.Fatal(err)
		}
		ins[0].ledger.removed(7, version)
	}
	ins[1].readOne(7, &f)
	if f.Reads != 3 || f.StaleReads != 2 || f.Stale[1] != (Stale{Key: 7, Floor: 2, Read: 0, Reader: 1}) {
		t.Errorf("%+v", f)
	}
	if got := f.Stale[1].String(); !strings.Contains(got, "version 0 of key-7") {
		t.Error(got)
	}
}

func TestLedger(t *testing.T) {
	path, err := createLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var shared []*ledger
	for range 2 {
		l, err := openLedger(path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.unmap()
		shared = append(shared, l)
	}
	first, second := shared[0].write(keyCount-1), shared[1].write(keyCount-1)
	shared[0].removed(keyCount-1, second)
	shared[1].removed(keyCount-1, first) // which does not lower the floor
	if floor := shared[1].floor(keyCount - 1).Load(); first != 1 || second != 2 || floor != 2 || shared[1].latest() != keyCount-1 {
		t.Errorf("versions %d and %d, floor %d, latest %d", first, second, floor, shared[1].latest())
	}
	if _, err := openLedger(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file that is not there was opened")
	}
}

func TestMeasured(t *testing.T) {
	m := Measured{10, Setting{Name: "batch", Batch: 100}, &Found{Took: []time.Duration{time.Millisecond, 3 * time.Millisecond}}}
	if r := m.ratios(); len(r) != 1 || r[0].Name != "invalidate/10/us-per-key-in-100" || math.Abs(r[0].Value-20) > 1e-9 {
		t.Errorf("%+v", r)
	}
	m.Setting.Name = "single"
	if r := m.ratios(); len(r) != 2 || math.Abs(r[1].Value-3) > .05 {
		t.Errorf("%+v", r)
	}
}
