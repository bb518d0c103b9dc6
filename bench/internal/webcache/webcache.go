// Package webcache builds the example service, and starts fleets of it.
package webcache

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
)

const (
	program      = "github.com/seed-0f2aaebe/fleetcache/example/webcache"
	readyTimeout = 20 * time.Second
)

// A Binary is the program, built.
type Binary struct {
	File string
	Help string // what it says with -h
}

// Build builds it into a folder.
func Build(ctx context.Context, temp string) (*Binary, error) {
	b := &Binary{File: filepath.Join(temp, "webcache")}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.File, program).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s: %w: %s", program, err, out)
	}
	out, err := exec.CommandContext(ctx, b.File, "-h").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("webcache -h: %w: %s", err, out)
	}
	b.Help = string(out)
	return b, nil
}

// Knows reports whether the program has a flag.
func (b *Binary) Knows(flag string) bool {
	return slices.Contains(strings.Fields(b.Help), flag)
}

// Lacks returns those of the flags that the program does not have.
func (b *Binary) Lacks(flags []string) []string {
	return slices.DeleteFunc(slices.Clone(flags), b.Knows)
}

// A Fleet is instances of the program, each a process of its own.
type Fleet struct {
	URLs      []string
	Instances []*process.Program
}

// Start starts n instances in front of an origin, with those of the flags that the program has, and waits until they are ready. What they log goes to w, unless that is nil.
func (b *Binary) Start(ctx context.Context, temp string, n int, origin string, flags []string, w io.Writer) (f *Fleet, err error) {
	for range 3 { // somebody else may take a port first
		f = &Fleet{}
		if err = b.startFleet(ctx, f, temp, n, origin, flags, w); err == nil {
			return f, nil
		}
		if err = errors.Join(err, f.Close()); ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (b *Binary) startFleet(ctx context.Context, f *Fleet, temp string, n int, origin string, flags []string, w io.Writer) error {
	addrs, err := freeaddr.Find("127.0.0.1", 2*n)
	if err != nil {
		return err
	}
	for _, a := range addrs[:n] {
		f.URLs = append(f.URLs, "http://"+a)
	}
	args := append([]string{"-origin", origin}, slices.DeleteFunc(slices.Clone(flags), func(flag string) bool { return !b.Knows(flag) })...)
	if n > 1 {
		secret := filepath.Join(temp, "secret")
		if err := os.WriteFile(secret, []byte(rand.Text()), 0o600); err != nil {
			return err
		}
		args = append(args, "-peers", strings.Join(f.URLs, ","), "-secret-file", secret)
	}
	if w != nil {
		args = append(args, "-log", "debug")
	}
	for i := range n {
		own := append([]string{"-listen", addrs[i], "-admin", addrs[n+i]}, args...)
		if n > 1 {
			own = append(own, "-self", f.URLs[i])
		}
		cmd := exec.Command(b.File, own...)
		cmd.Stderr = w
		in, err := process.StartProgram(ctx, cmd, addrs[i])
		if err != nil {
			return err
		}
		f.Instances = append(f.Instances, in)
	}
	for i, in := range f.Instances {
		if err := waitReady(ctx, "http://"+addrs[n+i]); err != nil {
			return fmt.Errorf("instance %d: %w: %s", i+1, err, in.Said())
		}
	}
	return nil
}

// Close ends all instances.
func (f *Fleet) Close() error {
	return process.Each(f.Instances, func(_ int, in *process.Program) error { return in.Close() })
}

// waitReady waits until an instance is ready, and has found all others.
func waitReady(ctx context.Context, admin string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		var stats struct {
			Pool struct{ Peers []struct{ Up bool } }
		}
		err := errors.Join(get(ctx, admin+"/readyz", nil), get(ctx, admin+"/stats", &stats))
		if err == nil && !slices.ContainsFunc(stats.Pool.Peers, func(p struct{ Up bool }) bool { return !p.Up }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not ready after %v", readyTimeout), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// get is that a URL is answered by 200, with JSON if into is not nil.
func get(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
