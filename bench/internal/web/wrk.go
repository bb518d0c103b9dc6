package web

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// wrkProgram is the load generator that may take the place of the own client.
const wrkProgram = "wrk"

// wrkScript has each request ask for the next of its arguments, and prints what is needed in a form of its own: the summary is for people, and rounds.
const wrkScript = `local paths, i = {}, 0
function init(args)
	for n, p in ipairs(args) do paths[n] = wrk.format("GET", p) end
end
function request()
	i = i % #paths + 1
	return paths[i]
end
function done(summary, latency)
	local e = summary.errors
	io.write(string.format("fleetcache requests=%d errors=%d p50=%d p99=%d\n", summary.requests,
		e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
`

var wrkLine = regexp.MustCompile(`(?m)^fleetcache requests=(\d+) errors=(\d+) p50=(\d+) p99=(\d+)$`)

// writeWrkScript writes what wrk runs to dir, and returns the file's name.
func writeWrkScript(dir string) (string, error) {
	if _, err := exec.LookPath(wrkProgram); err != nil {
		return "", fmt.Errorf("-wrk: %s is not installed (apt-get install wrk)", wrkProgram)
	}
	file := filepath.Join(dir, "wrk.lua")
	return file, os.WriteFile(file, []byte(wrkScript), 0o644)
}

// loadByWrk has wrk ask for the paths of the connections, by as many connections of its own, for d in whole seconds, a second at least: a wrk for each
// process that is asked, all at the same time.
func loadByWrk(script string, conns []*conn, d time.Duration) (Sample, error) {
	paths := make(map[string][]string) // by address
	for _, c := range conns {
		addr := c.RemoteAddr().String()
		paths[addr] = append(paths[addr], c.path)
	}
	addrs := slices.Sorted(maps.Keys(paths))
	samples, errs := make([]Sample, len(addrs)), make([]error, len(addrs))
	var wg sync.WaitGroup
	for i, addr := range addrs {
		wg.Go(func() { samples[i], errs[i] = runWrk(script, addr, paths[addr], d) })
	}
	wg.Wait()
	var all Sample
	for _, s := range samples {
		all.Ops += s.Ops
		all.P50, all.P99 = max(all.P50, s.P50), max(all.P99, s.P99)
	}
	return all, errors.Join(errs...)
}

func runWrk(script, addr string, paths []string, d time.Duration) (Sample, error) {
	seconds := strconv.Itoa(int(max((d+time.Second-1)/time.Second, 1)))
	args := append([]string{"-t", "1", "-c", strconv.Itoa(len(paths)), "-d", seconds + "s", "--timeout", "10s", "-s", script, "http://" + addr, "--"}, paths...)
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(wrkProgram, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return Sample{}, fmt.Errorf("wrk of %s: %w: %.500s", addr, err, strings.TrimSpace(stderr.String()))
	}
	return parseWrk(stdout.String())
}

// parseWrk reads what wrkScript printed.
func parseWrk(out string) (Sample, error) {
	m := wrkLine.FindStringSubmatch(out)
	if m == nil {
		return Sample{}, fmt.Errorf("wrk printed no figures: %.500q", out)
	}
	var n [4]int64
	for i := range n {
		var err error
		if n[i], err = strconv.ParseInt(m[i+1], 10, 64); err != nil {
			return Sample{}, fmt.Errorf("wrk: %w", err)
		}
	}
	if n[1] > 0 {
		return Sample{}, fmt.Errorf("wrk counts %d errors among %d requests", n[1], n[0])
	}
	return Sample{Ops: n[0], P50: time.Duration(n[2]) * time.Microsecond, P99: time.Duration(n[3]) * time.Microsecond}, nil
}
