package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// BuildCommand builds the servers, in the repository's root.
const BuildCommand = "GOWORK=off nice go run -C peers/kubernetes/e2e ./build"

// A Server is a program that the tests start.
type Server struct {
	Name    string
	Package string // main
	Module  string
	Version string // of the module
}

// Servers returns the servers, in the versions of this module's go.mod, and the folder where they are once they have been built. The
// process must be in this module.
func Servers(ctx context.Context) (dir string, _ []Server, _ error) {
	servers := []Server{
		{Name: "etcd", Module: "go.etcd.io/etcd/server/v3", Package: "go.etcd.io/etcd/server/v3"},
		{Name: "kube-apiserver", Module: "k8s.io/kubernetes", Package: "k8s.io/kubernetes/cmd/kube-apiserver"},
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", nil, err
	}
	var name strings.Builder
	for i := range servers {
		s := &servers[i]
		out, err := GoCommand(ctx, "list", "-m", "-f", "{{.Version}}", s.Module).Output()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		if err != nil {
			return "", nil, fmt.Errorf("the version of %s: %w", s.Module, err)
		}
		s.Version = strings.TrimSpace(string(out))
		fmt.Fprintf(&name, "%s-%s_", s.Name, s.Version)
	}
	fmt.Fprintf(&name, "%s-%s", runtime.GOOS, runtime.GOARCH)
	return filepath.Join(cache, "fleetcache-e2e", name.String()), servers, nil
}

// Missing returns the servers that are not in dir.
func Missing(dir string, servers []Server) (missing []Server) {
	for _, s := range servers {
		if _, err := os.Stat(filepath.Join(dir, s.Name)); err != nil {
			missing = append(missing, s)
		}
	}
	return missing
}

// GoCommand returns a command of Go's for this module.
func GoCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	return cmd
}
