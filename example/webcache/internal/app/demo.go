package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// instanceCount is how many instances the demo starts.
const instanceCount = 3

// runDemo starts an origin and instances, loads them with requests, and says what came of it. It returns
// an error if anything is not as it should be.
func runDemo(ctx context.Context, opts *options, stdout, stderr io.Writer) error {
	source := opts.folder
	if source == "" {
		goroot, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
		if err != nil {
			return fmt.Errorf("go env GOROOT: %w; name a folder with -source", err)
		}
		source = filepath.Join(strings.TrimSpace(string(goroot)), "src")
	}
	o, err := startOrigin(source)
	if err != nil {
		return err
	}
	defer o.close()
	fmt.Fprintf(stderr, "origin      %s  %d files of %s\n", o.url, len(o.paths), source)
	fleet, err := startFleet(ctx, opts, o.url, stderr)
	if err != nil {
		return err
	}
	defer fleet.kill()
	for _, in := range fleet.instances {
		fmt.Fprintf(stderr, "instance %d  %s  pid %d\n", in.index, in.url, in.cmd.Process.Pid)
	}

	result := drive(ctx, opts, o, fleet, stderr)
	if err := ctx.Err(); err != nil {
		return errors.New("interrupted")
	}
	r := newReport(o, fleet, result)
	r.print(stdout)
	if opts.serve {
		tryIt(stdout, o, fleet)
		<-ctx.Done()
	}
	return r.err()
}

// tryIt prints what can be tried with curl.
func tryIt(w io.Writer, o *origin, fleet *fleet) {
	fmt.Fprintf(w, "\nEverything stays up until Ctrl-C. The origin is %s. Try, and again at another instance:\n\n", o.url)
	for _, in := range fleet.instances {
		if !in.isGone() {
			fmt.Fprintf(w, "  curl -sI %s%s | grep -i -e '^cache-status' -e '^age'   # pid %d\n", in.url, o.example(), in.cmd.Process.Pid)
			fmt.Fprintf(w, "  curl -s %s/stats\n", in.admin)
		}
	}
}

// writeSecret makes a secret in a file that only this user can read.
func writeSecret(secret string) (file string, remove func(), err error) {
	dir, err := os.MkdirTemp("", "webcache")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	file = filepath.Join(dir, "secret")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		remove()
		return "", nil, err
	}
	return file, remove, nil
}
