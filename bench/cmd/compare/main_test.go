package main

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/remote"
)

func TestMain(m *testing.M) {
	children()
	m.Run()
}

func TestFlagsThatAreWrong(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-what remote,weather", `there is no "weather": use some of remote, stampede, deploy, invalidate`},
		{"-kinds fleetcache,post", `there is no kind "post": use some of fleetcache, fleetcache-get`},
		{"-rounds -1", "-rounds is -1"},
		{"-duration -1s", "-duration is -1s"},
		{"-what remote,conformance -markdown", "remote and conformance have pages of their own"},
		{"-what remote,conformance -into x.md", "remote and conformance have pages of their own"},
		{"-markdown -into x.md", "use one of them"},
		{"-traces x", "-traces is for -what hitratio"},
		{"-what hitratio -kinds memcached", `there is no kind "memcached": use some of fleetcache, fleetcache-arena, otter`},
		{"-id freshness-max-age", "-id, -base and -suite are for -what conformance"},
		{"-fast", "not defined: -fast"},
		{"remote", `"remote" is no flag`},
	} {
		var out, errs strings.Builder
		if code := run(strings.Fields(c.args), &out, &errs); code != 2 || !strings.Contains(errs.String(), c.want) || out.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, want 2 and %q", c.args, code, errs.String(), c.want)
		}
	}
}

func TestHelpListsWhatThereIs(t *testing.T) {
	var out, errs strings.Builder
	if code := run([]string{"-h"}, &out, &errs); code != 0 || errs.Len() > 0 {
		t.Errorf("exit code %d, %q", code, errs.String())
	}
	for _, want := range []string{"-markdown", "remote hits", "rueidis", "golang/groupcache"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help does not say %q", want)
		}
	}
}

// compared returns what the program prints with flags.
func compared(t *testing.T, flags string) string {
	t.Helper()
	var out, errs strings.Builder
	if code := run(strings.Fields(flags), &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	return out.String()
}

func TestCompare(t *testing.T) {
	file := filepath.Join(t.TempDir(), "raw.json")
	const flags = "-short -rounds 1 -duration 10ms -kinds fleetcache,http1"
	out := compared(t, flags+" -json "+file)
	benchtest.WantLines(t, out, `^machine: .+ cores`, `^ratio remote/1KiB/c1/vs-http1 [0-9.]+$`, `^ratio remote/1KiB/c64/vs-http1 [0-9.]+$`, `^  fleetcache +\d`)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Machine string
		Reports []struct {
			Name string
			Raw  []remote.Measured
		}
	}
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	if len(read.Reports) != 1 || len(read.Reports[0].Raw) != 2 || len(read.Reports[0].Raw[0].Samples["fleetcache"]) != 1 {
		t.Errorf("the file has %+v", read)
	}

	out = compared(t, flags+" -markdown")
	for _, want := range []string{"# Results", "-kinds fleetcache,http1 -markdown > bench/RESULTS.md", "| remote/1KiB/c64/vs-http1 |", "| fleetcache |"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing says %q in:\n%s", want, out)
		}
	}
}

func TestCompareStampede(t *testing.T) {
	out := compared(t, "-what stampede -short -duration 500ms -cells hot")
	benchtest.WantLines(t, out, `^machine: .+ cores`, `^ratio stampede/loads-per-ttl [0-9.]+$`, `^ratio stampede/waiting [0-9.e-]+$`, `^ratio stampede/loads-vs-groupcache [0-9.]+$`, `^  fleetcache-stale +\d`)
}

func TestCompareDeploy(t *testing.T) {
	out := compared(t, "-what deploy -duration 800ms")
	benchtest.WantLines(t, out, `^ratio deploy/average [0-9.]+$`, `^ratio deploy/peak [0-9.]+$`, `^ratio deploy/crash [0-9.]+$`, `^ratio deploy/groupcache-average [0-9.]+$`, `^  replacement +[0-9.]+`)
}

func TestCompareInvalidate(t *testing.T) {
	out := compared(t, "-what invalidate -duration 200ms")
	benchtest.WantLines(t, out, `^ratio invalidate/stale-reads 0$`, `^ratio invalidate/3/remove-p99-ms [0-9.]+$`, `^ratio invalidate/10/us-per-key-in-100 [0-9.]+$`, `^10 instances$`)
}

func TestCompareLocal(t *testing.T) {
	out := compared(t, "-what local -rounds 1 -duration 2ms -kinds fleetcache,golang-lru -cells ^(hit|fill)/g1$")
	benchtest.WantLines(t, out, `^ratio local/hit/vs-golang-lru [\d.]+$`, `^ratio local/fill/g1/vs-golang-lru [\d.]+$`, `^  golang-lru .* %$`)
}

func TestCompareSkew(t *testing.T) {
	out := compared(t, "-what skew -short -cells ^3/zipf1.3$")
	benchtest.WantLines(t, out, `^ratio skew/3/zipf1.3/hottest [0-9.]+$`, `^ratio skew/3/zipf1.3/hottest-groupcache [0-9.]+$`, `^ratio skew/3/zipf1.3/hottest-plain [0-9.]+$`, `^ratio skew/3/zipf1.3/crossing [0-9.]+$`, `^  zipf1.3 +[0-9.]+`)
}

func TestCompareHitratio(t *testing.T) {
	dir := t.TempDir()
	traces := filepath.Join(dir, "traces")
	if err := os.Mkdir(traces, 0o700); err != nil {
		t.Fatal(err)
	}
	writeTrace(t, filepath.Join(traces, "squares.bin.gz"))
	out := compared(t, "-what hitratio -kinds fleetcache,otter -traces "+traces)
	benchtest.WantLines(t, out, `^machine: .+ cores`, `^ratio hitratio/gap-closed [0-9.-]+$`, `^ratio hitratio/worst-vs-lru/otter [0-9.-]+$`,
		`^ratio hitratio/squares/gap-closed [0-9.-]+$`, `^  Belady +\d`)

	page := filepath.Join(dir, "page.md")
	const before, after = "# Results\n\n## remote\n\nold\n", "\n## web\n\nold, too\n"
	if err := os.WriteFile(page, []byte(before+"\n## hitratio\n\ngone\n"+after), 0o600); err != nil {
		t.Fatal(err)
	}
	compared(t, "-what hitratio -kinds fleetcache -into "+page+" -plots "+filepath.Join(dir, "plots")+" -traces="+traces)
	renewed, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	got := string(renewed)
	if !strings.HasPrefix(got, before) || !strings.HasSuffix(got, after) || strings.Contains(got, "gone") || strings.Contains(got, traces) {
		t.Errorf("other sections have changed, or the old one is there, in:\n%s", got)
	}
	for _, want := range []string{"\n## hitratio\n", "-traces=DIR\n", "![squares](plots/hitratio-squares.svg)", "| hitratio/gap-closed |"} {
		if !strings.Contains(got, want) {
			t.Errorf("nothing says %q in:\n%s", want, got)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "plots", "hitratio-squares.svg")); err != nil {
		t.Error(err)
	}
}

func TestSectionThatIsNew(t *testing.T) {
	if got, want := withSection("# Results\n\n## a\n\nx\n", "b", "## b\n"), "# Results\n\n## a\n\nx\n\n## b\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// writeTrace writes a trace of some hundred keys.
func writeTrace(t *testing.T, file string) {
	t.Helper()
	var raw []byte
	for i := range uint64(20_000) {
		raw = binary.LittleEndian.AppendUint64(raw, i*i%1009+i%31)
		raw = binary.LittleEndian.AppendUint32(raw, 1)
	}
	if err := os.WriteFile(file, benchtest.Gzipped(t, raw), 0o600); err != nil {
		t.Fatal(err)
	}
}
