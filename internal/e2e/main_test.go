//go:build linux

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inside is set in the process that has the network namespace. It is the folder with the binary, which all users can read.
const inside = "FLEETCACHE_E2E_DIR"

// skippedFile is where that process says why the tests cannot run in the namespace.
const skippedFile = "skipped"

// outside runs the tests that are to be run in a process with a network of its own, and reports true; in that process it makes the network, and
// reports false. The test is skipped where that is not possible.
func outside(t *testing.T) bool {
	t.Helper()
	if dir := os.Getenv(inside); dir != "" {
		if err := makeNetwork(); err != nil {
			if err := os.WriteFile(filepath.Join(dir, skippedFile), []byte(err.Error()), 0o644); err != nil {
				t.Fatal(err)
			}
			t.Skip(err)
		}
		return false
	}
	if testing.Short() {
		t.Skip("it takes a minute")
	}
	if why := missing(); why != "" {
		t.Skip(why)
	}
	readSources(t)
	dir, err := os.MkdirTemp("", "fleetcache-e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // instances are no root
		t.Fatal(err)
	}
	if err := build(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	err = runInside(t, dir)
	if why, readErr := os.ReadFile(filepath.Join(dir, skippedFile)); readErr == nil {
		t.Skipf("a network namespace cannot be made as it has to be: %s", why)
	}
	if err != nil {
		t.Error(err)
	}
	return true
}

// missing returns what these tests need and do not have.
func missing() string {
	if os.Geteuid() != 0 {
		return "it needs root, for a network namespace of its own"
	}
	for name, pkg := range map[string]string{"unshare": "util-linux", "ip": "iproute2", "nft": "nftables"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Sprintf("there is no %s: install %s", name, pkg)
		}
	}
	if out, err := exec.Command("unshare", "-n", "true").CombinedOutput(); err != nil {
		return fmt.Sprintf("a network namespace cannot be made here: unshare -n: %v: %s", err, strings.TrimSpace(string(out)))
	}
	return ""
}

// build builds the program, with the race detector if these tests have it.
func build(ctx context.Context, dir string) error {
	args := []string{"build", "-o", dir + "/webcache"}
	if raceEnabled {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./example/webcache")...)
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// runInside runs the tests that this process was to run, in one with a network of its own.
func runInside(t *testing.T, dir string) error {
	t.Helper()
	args := []string{"-n", "--", os.Args[0], "-test.v", "-test.count=1", "-test.run=" + flag.Lookup("test.run").Value.String(), "-test.skip=" + flag.Lookup("test.skip").Value.String()}
	if end, ok := t.Deadline(); ok { // so that it is the one who tells what it waits for
		args = append(args, "-test.timeout="+(time.Until(end)-10*time.Second).String())
	}
	runtime.LockOSThread() // Pdeathsig is told when the thread ends
	defer runtime.UnlockOSThread()
	cmd := exec.Command("unshare", args...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	cmd.Env = append(os.Environ(), inside+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("in the namespace: %w", err)
	}
	return err
}

// readSources reads what the binary is made of, so that the go command knows that what it remembers of these tests hangs on it.
func readSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join("..", ".."), func(_ string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
