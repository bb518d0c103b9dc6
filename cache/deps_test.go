package cache_test

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/seed-0f2aaebe/fleetcache"

// A program that imports cache alone links no network code, and nothing that is not ours or Go's. What is linked beyond
// that has its reason in docs/dependencies.md.
func TestDependencies(t *testing.T) {
	for _, tt := range []struct {
		pkg    string
		ours   []string // what it may import of this module
		banned []string // of the standard library
		others []string // what it may import of other modules
	}{
		{"./cache", []string{"/cache", "/internal/mutant", "/cache/internal/memory", "/singleflight"}, []string{"net", "net/http", "net/url", "crypto/tls", "testing"}, nil},
		{"./cache/httpcache/internal/rules", []string{"/cache/httpcache/internal/rules"}, []string{"testing"}, []string{"github.com/dunglas/httpsfv"}},
		{"./peers/discover", []string{"/peers/discover", "/peers/internal/address", "/peers/internal/source"}, []string{"testing", "net/http", "log/slog"}, nil},
		{"./singleflight", []string{"/singleflight"}, []string{"net", "net/http", "testing", "encoding/json"}, nil},
	} {
		t.Run(tt.pkg, func(t *testing.T) {
			allowed := make(map[string]bool)
			for _, p := range tt.ours {
				allowed[module+p] = true
			}
			for _, p := range tt.others {
				allowed[p] = true
			}
			banned := make(map[string]bool)
			for _, p := range tt.banned {
				banned[p] = true
			}
			deps := listDeps(t, tt.pkg)
			for path, standard := range deps {
				if standard && banned[path] || !standard && !allowed[path] {
					t.Errorf("%s depends on %s", tt.pkg, path)
				}
			}
			for p := range allowed {
				if _, ok := deps[p]; !ok {
					t.Errorf("%s no longer depends on %s: is this test looking at the right thing?", tt.pkg, p)
				}
			}
		})
	}
}

// listDeps returns what pkg imports, directly or not, and whether that is in the standard library.
func listDeps(t *testing.T, pkg string) map[string]bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{.ImportPath}} {{.Standard}}", pkg)
	cmd.Dir = ".." // the module's root
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, &stderr)
	}
	deps := make(map[string]bool)
	for line := range strings.Lines(string(out)) {
		path, standard, _ := strings.Cut(strings.TrimSpace(line), " ")
		deps[path] = standard == "true"
	}
	if len(deps) < 10 {
		t.Fatalf("%v lists only %d packages:\n%s", cmd, len(deps), out)
	}
	return deps
}
