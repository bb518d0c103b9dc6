package conformance

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

// A profile is flags of the program.
type profile struct {
	name, about string
	flags       []string
}

// profiles returns all of them.
func profiles() []profile {
	return []profile{
		{"rfc", "what RFC 9111 lets a shared cache do: it stores responses that set cookies, and heeds the client's Cache-Control", []string{"-store-set-cookie", "-trust-client-cache-control"}},
		{"safe", "the program's default", nil},
	}
}

// A binary is the program, built.
type binary struct {
	file string
	help string
}

func build(ctx context.Context, temp string) (*binary, error) {
	b := &binary{file: filepath.Join(temp, "webcache")}
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.file, program).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build %s: %w: %s", program, err, out)
	}
	out, err := exec.CommandContext(ctx, b.file, "-h").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("webcache -h: %w: %s", err, out)
	}
	b.help = string(out)
	return b, nil
}

// knows reports whether the program has a flag.
func (b *binary) knows(flag string) bool {
	return slices.Contains(strings.Fields(b.help), flag)
}

// lacks returns the flags of a profile that the program does not have.
func (b *binary) lacks(p profile) []string {
	return slices.DeleteFunc(slices.Clone(p.flags), b.knows)
}

// A fleet is instances of the program, each a process of its own.
type fleet struct {
	urls      []string
	instances []*process.Program
}

// start starts n instances in front of an origin, and waits until they are ready.
func (b *binary) start(ctx context.Context, temp string, n int, origin string, p profile, w io.Writer) (f *fleet, err error) {
	for range 3 { // somebody else may take a port first
		f = &fleet{}
		if err = b.startFleet(ctx, f, temp, n, origin, p, w); err == nil {
			return f, nil
		}
		if err = errors.Join(err, f.close()); ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (b *binary) startFleet(ctx context.Context, f *fleet, temp string, n int, origin string, p profile, w io.Writer) error {
	addrs, err := freeaddr.Find("127.0.0.1", 2*n)
	if err != nil {
		return err
	}
	for _, a := range addrs[:n] {
		f.urls = append(f.urls, "http://"+a)
	}
	args := append([]string{"-origin", origin}, slices.DeleteFunc(slices.Clone(p.flags), func(flag string) bool { return !b.knows(flag) })...)
	if n > 1 {
		secret := filepath.Join(temp, "secret")
		if err := os.WriteFile(secret, []byte(rand.Text()), 0o600); err != nil {
			return err
		}
		args = append(args, "-peers", strings.Join(f.urls, ","), "-secret-file", secret)
	}
	if w != nil {
		args = append(args, "-log", "debug")
	}
	for i := range n {
		own := append([]string{"-listen", addrs[i], "-admin", addrs[n+i]}, args...)
		if n > 1 {
			own = append(own, "-self", f.urls[i])
		}
		cmd := exec.Command(b.file, own...)
		cmd.Stderr = w
		in, err := process.StartProgram(ctx, cmd, addrs[i])
		if err != nil {
			return err
		}
		f.instances = append(f.instances, in)
	}
	for i, in := range f.instances {
		if err := waitReady(ctx, "http://"+addrs[n+i]); err != nil {
			return fmt.Errorf("instance %d: %w: %s", i+1, err, in.Said())
		}
	}
	return nil
}

func (f *fleet) close() error {
	return process.Each(f.instances, func(_ int, in *process.Program) error { return in.Close() })
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
