//go:build e2e && linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// inside is set in the process that has the network namespace. It is the folder with the binary, which all users can read.
const inside = "FLEETCACHE_E2E_DIR"

// skipped says why these tests cannot run here.
var skipped string

// TestMain builds the binary, and runs the tests in a process with a network of its own.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := makeNetwork(); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if skipped = missing(); skipped != "" {
		if os.Getenv("CI") == "true" {
			fmt.Fprintln(os.Stderr, "e2e: CI is true, and these tests cannot run:", skipped)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	code, err := runInside()
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	os.Exit(code)
}

// missing returns what these tests need and do not have.
func missing() string {
	if os.Geteuid() != 0 {
		return "they need root, for a network namespace of their own"
	}
	for name, pkg := range map[string]string{"unshare": "util-linux", "ip": "iproute2", "nft": "nftables"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Sprintf("there is no %s: install %s", name, pkg)
		}
	}
	if out, err := exec.Command("unshare", "-n", "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("unshare -n: %v: %s", err, strings.TrimSpace(string(out)))
	}
	return ""
}

func runInside() (code int, err error) {
	dir, err := os.MkdirTemp("", "fleetcache-e2e")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // instances are no root
		return 1, err
	}
	args := []string{"build", "-o", dir + "/webcache"}
	if raceEnabled {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "./example/webcache")...)
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("go build: %w\n%s", err, out)
	}
	runtime.LockOSThread() // Pdeathsig is told when the thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.Command("unshare", append([]string{"-n", "--", os.Args[0]}, os.Args[1:]...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var exit *exec.ExitError
	if err := cmd.Run(); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	} else if err != nil {
		return 1, err
	}
	return 0, nil
}

// readSources reads what the binary was made of, so that the go command knows that what it remembers of these tests hangs on it.
func readSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
