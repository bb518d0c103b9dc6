package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// A fleet is instances of this program, each a process of its own.
type fleet struct {
	instances []*instance
}

type instance struct {
	index      int
	url, admin string // without a path
	cmd        *exec.Cmd
	stdin      io.Closer
	gone       chan struct{} // closed when the process has ended
}

func (in *instance) isGone() bool {
	select {
	case <-in.gone:
		return true
	default:
		return false
	}
}

// name is what the instance calls itself.
func (in *instance) name() string { return in.url + peers.DefaultPath }

// startFleet starts instances in front of an origin, and waits until they are healthy. If somebody else
// gets the ports that were free a moment ago, it tries others.
func startFleet(ctx context.Context, opts *options, origin string, stderr io.Writer) (f *fleet, err error) {
	secret, remove, err := writeSecret(rand.Text())
	if err != nil {
		return nil, err
	}
	defer remove() // instances that are healthy have read it; later, this process may end without a word
	for range 3 {
		f = &fleet{}
		if err = f.start(ctx, opts, origin, secret, stderr); err == nil {
			return f, nil
		}
		f.kill()
	}
	return nil, err
}

func (f *fleet) start(ctx context.Context, opts *options, origin, secret string, stderr io.Writer) error {
	addrs, err := freeAddrs(2 * instanceCount)
	if err != nil {
		return err
	}
	var urls []string
	for _, a := range addrs[:instanceCount] {
		urls = append(urls, "http://"+a)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	for i, u := range urls {
		in := &instance{index: i + 1, url: u, admin: "http://" + addrs[instanceCount+i], gone: make(chan struct{})}
		in.cmd = exec.Command(exe, "-listen", addrs[i], "-self", u, "-peers", strings.Join(urls, ","), "-origin", origin, "-secret-file", secret,
			"-admin", addrs[instanceCount+i], "-max-bytes", (*sizeFlag)(&opts.maxBytes).String(), "-log", opts.log.String(), "-with-stdin")
		in.cmd.Stderr = stderr
		in.cmd.SysProcAttr = endsWithUs()
		if in.stdin, err = in.cmd.StdinPipe(); err != nil {
			return err
		}
		if err := in.cmd.Start(); err != nil {
			return err
		}
		f.instances = append(f.instances, in)
		go func() {
			in.cmd.Wait() // how it ended is told by what it wrote
			close(in.gone)
		}()
	}
	for _, in := range f.instances {
		if err := in.waitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// freeAddrs returns addresses on loopback that nobody listens on.
func freeAddrs(n int) ([]string, error) {
	var addrs []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all of them at the end, so that they differ
		addrs = append(addrs, l.Addr().String())
	}
	return addrs, nil
}

// waitReady waits until the instance is ready, and has found all others.
func (in *instance) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if in.answers(ctx, client, "/readyz", nil) {
			var st stats
			if in.answers(ctx, client, "/stats", &st) && st.Pool != nil && !slices.ContainsFunc(st.Pool.Peers, func(p peers.PeerStats) bool { return !p.Up }) {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-in.gone:
			return fmt.Errorf("instance %d did not start: %v", in.index, in.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("instance %d did not start: %w", in.index, ctx.Err())
		}
	}
}

// answers reports whether the instance's admin listener answers a GET with 200, and decodes its body if into is not nil.
func (in *instance) answers(ctx context.Context, client *http.Client, path string, into any) bool {
	req, err := http.NewRequestWithContext(ctx, "GET", in.admin+path, nil)
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && (into == nil || json.NewDecoder(resp.Body).Decode(into) == nil)
}

// stop ends the instances as SIGTERM would, and those that do not heed it as SIGKILL does.
func (f *fleet) stop() {
	for _, in := range f.instances {
		in.stdin.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, in := range f.instances {
		select {
		case <-in.gone:
		case <-ctx.Done():
		}
	}
	f.kill()
}

func (f *fleet) kill() {
	var wg sync.WaitGroup
	for _, in := range f.instances {
		if err := in.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			continue // it cannot be waited for either
		}
		wg.Go(func() { <-in.gone })
	}
	wg.Wait()
}
