package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/deploy"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/invalidate"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/remote"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stampede"
)

func TestMain(m *testing.M) {
	deploy.Child()
	invalidate.Child()
	stampede.Child()
	remote.Child()
	m.Run()
}

func TestFlagsThatAreWrong(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-what remote,weather", `there is no "weather": use some of remote, stampede, deploy, invalidate`},
		{"-kinds fleetcache,post", `there is no kind "post": use some of fleetcache, fleetcache-get`},
		{"-rounds -1", "-rounds is -1"},
		{"-duration -1s", "-duration is -1s"},
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

func TestCompare(t *testing.T) {
	file := filepath.Join(t.TempDir(), "raw.json")
	args := []string{"-short", "-rounds", "1", "-duration", "10ms", "-kinds", "fleetcache,http1"}
	var out, errs strings.Builder
	if code := run(append(args, "-json", file), &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{`(?m)^machine: .+ cores`, `(?m)^ratio remote/1KiB/c1/vs-http1 [0-9.]+$`, `(?m)^ratio remote/1KiB/c64/vs-http1 [0-9.]+$`, `(?m)^  fleetcache +\d`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("nothing matches %s in:\n%s", want, out.String())
		}
	}
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

	out.Reset()
	if code := run(append(args, "-markdown"), &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{"# Results", "-kinds fleetcache,http1 -markdown > bench/RESULTS.md", "| remote/1KiB/c64/vs-http1 |", "| fleetcache |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("nothing says %q in:\n%s", want, out.String())
		}
	}
}

func TestCompareStampede(t *testing.T) {
	args := []string{"-what", "stampede", "-short", "-duration", "500ms", "-cells", "hot"}
	var out, errs strings.Builder
	if code := run(args, &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{`(?m)^machine: .+ cores`, `(?m)^ratio stampede/loads-per-ttl [0-9.]+$`, `(?m)^ratio stampede/waiting [0-9.e-]+$`, `(?m)^ratio stampede/loads-vs-groupcache [0-9.]+$`, `(?m)^  fleetcache-stale +\d`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("nothing matches %s in:\n%s", want, out.String())
		}
	}
}

func TestCompareDeploy(t *testing.T) {
	var out, errs strings.Builder
	if code := run(strings.Fields("-what deploy -duration 800ms"), &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{`(?m)^ratio deploy/average [0-9.]+$`, `(?m)^ratio deploy/peak [0-9.]+$`, `(?m)^ratio deploy/crash [0-9.]+$`, `(?m)^ratio deploy/groupcache-average [0-9.]+$`, `(?m)^  replacement +[0-9.]+`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("nothing matches %s in:\n%s", want, out.String())
		}
	}
}

func TestCompareInvalidate(t *testing.T) {
	var out, errs strings.Builder
	if code := run(strings.Fields("-what invalidate -duration 200ms"), &out, &errs); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs.String())
	}
	for _, want := range []string{`(?m)^ratio invalidate/stale-reads 0$`, `(?m)^ratio invalidate/3/remove-p99-ms [0-9.]+$`, `(?m)^ratio invalidate/10/us-per-key-in-100 [0-9.]+$`, `(?m)^10 instances$`} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("nothing matches %s in:\n%s", want, out.String())
		}
	}
}
