package web

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestParseWrk(t *testing.T) {
	for _, c := range []struct {
		out  string
		want Sample
		err  string
	}{
		{out: "Running 1s test\nfleetcache requests=12 errors=0 p50=34 p99=560\nTransfer/sec: 1MB\n", want: Sample{Ops: 12, P50: 34 * time.Microsecond, P99: 560 * time.Microsecond}},
		{out: "fleetcache requests=12 errors=3 p50=34 p99=560\n", err: "wrk counts 3 errors among 12 requests"},
		{out: "Running 1s test\n", err: `wrk printed no figures: "Running 1s test\n"`},
		{out: "fleetcache requests=99999999999999999999 errors=0 p50=34 p99=560\n", err: "value out of range"},
	} {
		got, err := parseWrk(c.out)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%q: %v, %v", c.out, got, err)
		}
	}
}

// TestLoadByWrk has a program in wrk's place that says how it was called.
func TestLoadByWrk(t *testing.T) {
	dir := t.TempDir()
	fake := "#!/bin/sh\necho \"$@\" >> " + filepath.Join(dir, "called") + "\necho 'fleetcache requests=5 errors=0 p50=7 p99=9'\n"
	if err := os.WriteFile(filepath.Join(dir, wrkProgram), []byte(fake), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	script, err := writeWrkScript(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, b := dialed(t, func(http.ResponseWriter, *http.Request) {}), dialed(t, func(http.ResponseWriter, *http.Request) {})
	a2 := *a
	a2.path = "/1KiB/1"
	got, err := loadByWrk(script, []*conn{a, b, &a2}, 1500*time.Millisecond)
	if want := (Sample{Ops: 10, P50: 7 * time.Microsecond, P99: 9 * time.Microsecond}); err != nil || got != want {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	called, err := os.ReadFile(filepath.Join(dir, "called"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"-t 1 -c 2 -d 2s --timeout 10s -s " + script + " http://" + a.RemoteAddr().String() + " -- /1KiB/0 /1KiB/1\n",
		"-t 1 -c 1 -d 2s --timeout 10s -s " + script + " http://" + b.RemoteAddr().String() + " -- /1KiB/0\n",
	} {
		if !strings.Contains(string(called), want) {
			t.Errorf("wrk was called with\n%s, want\n%s", called, want)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := writeWrkScript(dir); err == nil || !strings.Contains(err.Error(), "-wrk: wrk is not installed") {
		t.Errorf("%v without wrk", err)
	}
	if _, err := loadByWrk(script, []*conn{a}, time.Second); err == nil || !strings.Contains(err.Error(), "wrk of ") {
		t.Errorf("%v without wrk", err)
	}
}
