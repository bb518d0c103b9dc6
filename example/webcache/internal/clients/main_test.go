package clients

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/example/webcache/internal/app"
	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// TestMain runs the tests; or, in a process that a test starts, the program.
func TestMain(m *testing.M) {
	if os.Getenv("WEBCACHE_TEST_MAIN") == "1" {
		os.Exit(app.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Setenv("WEBCACHE_TEST_MAIN", "1")
	os.Exit(m.Run())
}

// need returns the path of the first of some programs that is there. Without one the test is skipped, and fails in CI.
func need(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	skip := t.Skipf
	if os.Getenv("CI") != "" {
		skip = t.Fatalf
	}
	skip("there is no %s: install it", strings.Join(names, " or "))
	return ""
}

// A fleet is three instances, each a process of its own.
type fleet struct {
	all   []*processtest.Webcache
	token string // for a purge
}

// startFleet starts a fleet in front of an origin, with flags that all instances have.
func startFleet(t *testing.T, origin *origin, args ...string) *fleet {
	return startFleetAs(t, "http", origin, args...)
}

func startFleetAs(t *testing.T, scheme string, origin *origin, args ...string) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("it takes seconds, with processes of its own")
	}
	f := &fleet{token: rand.Text()}
	var urls []string
	for range 3 {
		w := processtest.NewWebcache(t, "127.0.0.1")
		w.URL = scheme + strings.TrimPrefix(w.URL, "http")
		f.all, urls = append(f.all, w), append(urls, w.URL)
	}
	args = append([]string{
		"-origin", origin.url, "-peers", strings.Join(urls, ","), "-log", "warn",
		"-secret-file", write(t, "secret", rand.Text()), "-admin-token-file", write(t, "token", f.token),
	}, args...)
	for _, w := range f.all {
		w.Start(t, os.Args[0], args...)
	}
	for _, w := range f.all {
		w.AwaitMembers(t, processtest.Others(f.all, w)...)
	}
	return f
}

// write writes a file that goes with the test, and returns its name.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
