package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/deploy"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/invalidate"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/remote"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stampede"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/web"
)

func TestMain(m *testing.M) {
	deploy.Child()
	invalidate.Child()
	stampede.Child()
	web.Child()
	remote.Child()
	m.Run()
}

func TestFlagsThatAreWrong(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-what remote,weather", `there is no "weather": use some of remote, stampede, deploy, invalidate`},
		{"-kinds fleetcache,post", `there is no kind "post": use some of fleetcache, fleetcache-get`},
		{"-rounds -1", "-rounds is -1"},
		{"-duration -1s", "-duration is -1s"},
		{"-what remote,conformance -markdown", "remote and conformance have pages of their own"},
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
