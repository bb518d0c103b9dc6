//go:build linux

package clients

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// browse has Chromium load a URL, until the end of the test.
func browse(t *testing.T, url string) *processtest.Output {
	t.Helper()
	program := need(t, "chromium", "chromium-browser", "google-chrome")
	dir, err := os.MkdirTemp("", "fleetcache-browser")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program,
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run", "--no-proxy-server",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-extensions",
		"--remote-debugging-port=0", "--user-data-dir="+dir, url)
	out := new(processtest.Output)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it is many processes
		_ = cmd.Wait()
		_ = os.RemoveAll(dir) // one that is about to end may still write
	})
	return out
}

// A browser loads a site, seeks in a film, talks by WebSocket and hears events; then it loads the page again, and validates what it has. Each file is
// the origin's once.
func TestBrowser(t *testing.T) {
	s := newSite(t)
	log := filepath.Join(t.TempDir(), "access.log")
	f := startFleet(t, s.origin, "-access-log", log)
	out := browse(t, f.all[0].URL+"/")
	var reports []string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 {
		select {
		case r := <-s.reports:
			reports = append(reports, r)
		case <-ctx.Done():
			t.Fatalf("the page told %v, and nothing more: %+v\n%s", reports, logged(t, log), out)
		}
	}
	for i, want := range []string{
		`{"color":"rgb(1, 2, 3)","picture":40,"film":{"duration":120,"at":[108,48]},"echo":["one","two"],"events":["begin","end"]}`,
		`{"color":"rgb(1, 2, 3)","picture":40,"again":["200 true","200 true","200 true"]}`,
	} {
		if reports[i] != want {
			t.Errorf("the page told\n%s, want\n%s", reports[i], want)
		}
	}
	for _, path := range []string{"/", "/style.css", "/site.js", "/picture.svg", "/film.wav"} {
		s.origin.wantRequests(t, "GET "+path, 1)
	}
	checkLog(t, log)
}

// checkLog looks at what the access log has of the browser's requests.
func checkLog(t *testing.T, file string) {
	t.Helper()
	validated := make(map[string]bool)
	processtest.WaitFor(t, "what was validated to be in the access log", func() bool {
		for _, l := range logged(t, file) {
			if l.Status == 304 && l.Cache == "hit" {
				validated[l.path()] = true
			}
		}
		return len(validated) == 4 // the page, and what it asks for again
	})
	parts := 0
	for _, l := range logged(t, file) {
		switch {
		case l.path() == "/film.wav" && l.Status == 206:
			parts++
		case l.Status >= 400 && l.Status != 499: // who seeks does not want what he had asked for
			t.Errorf("%+v", l)
		}
	}
	if parts < 2 {
		t.Errorf("%d requests for the film were answered with a part", parts)
	}
}

// A line is what an access log says of a request.
type line struct {
	Method, URL string
	Cache       string
	CacheStatus string `json:"cache_status"`
	Status      int
}

// path returns the path, with the query.
func (l *line) path() string {
	_, path, _ := strings.Cut(l.URL, "/")
	return "/" + path
}

// logged returns the lines of an access log.
func logged(t *testing.T, file string) (lines []line) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(text)) {
		if !strings.HasSuffix(text, "\n") {
			break // it is being written
		}
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	return lines
}
