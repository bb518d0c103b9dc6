package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
)

const (
	packageName    = "http-cache-tests"
	packageVersion = "0.4.5"
)

// A suite is the package, installed.
type suite struct {
	node   string // the program
	folder string // the package's
}

// install returns the suite in a folder, and has npm install it there if it is not yet. An empty folder is one in the user's cache.
func install(ctx context.Context, folder string, progress func(string, ...any)) (_ *suite, err error) {
	s := &suite{}
	if s.node, err = exec.LookPath("node"); err != nil {
		return nil, fmt.Errorf("the suite needs Node.js, with node and npm in the PATH: %w", err)
	}
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return nil, fmt.Errorf("%w: name a folder for the suite with -suite", err)
		}
		folder = filepath.Join(cache, "fleetcache", packageName+"-"+packageVersion)
	}
	if folder, err = filepath.Abs(folder); err != nil {
		return nil, err
	}
	s.folder = filepath.Join(folder, "node_modules", packageName)
	if s.installed() == nil {
		return s, nil
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return nil, fmt.Errorf("%s is not in %s, and npm is needed to install it: %w", packageName, folder, err)
	}
	progress("npm installs %s %s into %s", packageName, packageVersion, folder)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, npm, "install", "--prefix", folder, "--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--save-exact", packageName+"@"+packageVersion)
	cmd.Dir = folder
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm install %s@%s: %w: %s", packageName, packageVersion, err, bytes.TrimSpace(out))
	}
	return s, s.installed()
}

// installed returns why the suite is not there.
func (s *suite) installed() error {
	raw, err := os.ReadFile(filepath.Join(s.folder, "package.json"))
	if err != nil {
		return err
	}
	var p struct{ Version string }
	if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("%s: %w", s.folder, err)
	}
	if p.Version != packageVersion {
		return fmt.Errorf("%s has version %s, want %s", s.folder, p.Version, packageVersion)
	}
	return nil
}

// startOrigin starts the suite's origin, which says to w, unless that is nil, what it is asked in a single test. temp is a folder for its file.
func (s *suite) startOrigin(ctx context.Context, temp string, w io.Writer) (*process.Program, error) {
	var failed error
	for range 3 { // somebody else may take the port first
		addrs, err := freeaddr.Find("127.0.0.1", 1)
		if err != nil {
			return nil, err
		}
		_, port, err := net.SplitHostPort(addrs[0])
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(s.node, filepath.Join("server", "server.mjs"))
		cmd.Dir = s.folder
		cmd.Stdout = w
		cmd.Env = append(os.Environ(), "npm_package_config_protocol=http", "npm_package_config_port="+port, "npm_package_config_base=",
			"npm_package_config_pidfile="+filepath.Join(temp, "origin.pid"))
		p, err := process.StartProgram(ctx, cmd, addrs[0])
		if err == nil {
			return p, nil
		}
		if failed = err; ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("the suite's origin: %w", failed)
}

// run runs the tests, or the one with an ID, through the instances at URLs. What it says of the one goes to w.
func (s *suite) run(ctx context.Context, temp, urls, id string, w io.Writer) (_ []Result, err error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	script, file := filepath.Join(temp, "runner.mjs"), filepath.Join(temp, "results.json")
	if err := os.WriteFile(script, runner, 0o666); err != nil {
		return nil, err
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, s.node, "--no-warnings", script, s.folder, file, urls, id)
	cmd.Dir = s.folder
	cmd.Stdout, cmd.Stderr = w, &said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("the runner: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	results, err := parseResults(raw)
	if err == nil && len(results) == 0 {
		err = fmt.Errorf("the suite has no test %q", id)
	}
	return results, err
}
