package app

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
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// A fleet is instances of this program, each a process of its own.
type fleet struct {
	instances []*instance
	args      []string // that all processes have
	secret    string
	stderr    io.Writer
	replaced  int // instances that were replaced
}

type instance struct {
	index      int
	url, admin string      // without a path
	away       atomic.Bool // no requests are sent there: it is being replaced

	mu    sync.Mutex // guards what follows while it may be replaced
	cmd   *exec.Cmd
	stdin io.Closer
	gone  chan struct{} // closed when the process has ended
}

// ended returns what is closed when the process has ended.
func (in *instance) ended() <-chan struct{} {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.gone
}

func (in *instance) isGone() bool {
	select {
	case <-in.ended():
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
	secret := rand.Text()
	for range 3 {
		f = &fleet{secret: secret, stderr: stderr}
		if err = f.start(ctx, opts, origin); err == nil {
			return f, nil
		}
		f.kill()
	}
	return nil, err
}

func (f *fleet) start(ctx context.Context, opts *options, origin string) error {
	addrs, err := freeaddr.Find("127.0.0.1", 2*instanceCount)
	if err != nil {
		return err
	}
	var urls []string
	for _, a := range addrs[:instanceCount] {
		urls = append(urls, "http://"+a)
	}
	f.args = []string{"-peers", strings.Join(urls, ","), "-origin", origin, "-max-bytes", (*sizeFlag)(&opts.maxBytes).String(), "-log", opts.log.String(), "-with-stdin"}
	for i, u := range urls {
		f.instances = append(f.instances, &instance{index: i + 1, url: u, admin: "http://" + addrs[instanceCount+i]})
	}
	return f.run(ctx, f.instances...)
}

// run starts processes for instances, and waits until they are ready.
func (f *fleet) run(ctx context.Context, instances ...*instance) error {
	secret, remove, err := writeSecret(f.secret)
	if err != nil {
		return err
	}
	defer remove() // instances that are ready have read it; later, this process may end without a word
	for _, in := range instances {
		if err := f.spawn(in, secret); err != nil {
			return err
		}
	}
	for _, in := range instances {
		if err := in.waitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// spawn starts a process for an instance.
func (f *fleet) spawn(in *instance, secret string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	address := func(url string) string { return strings.TrimPrefix(url, "http://") }
	cmd, gone := exec.Command(exe, append([]string{"-listen", address(in.url), "-self", in.url, "-admin", address(in.admin), "-secret-file", secret}, f.args...)...), make(chan struct{})
	cmd.Stderr = f.stderr
	cmd.SysProcAttr = endsWithUs()
	if in.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in.cmd, in.gone = cmd, gone
	go func() {
		cmd.Wait() // how it ended is told by what it wrote
		close(gone)
	}()
	return nil
}

// replace has an instance end, and starts another process in its place. Requests are sent elsewhere meanwhile.
func (f *fleet) replace(ctx context.Context, in *instance) error {
	in.away.Store(true)
	select {
	case <-time.After(noticeTime):
	case <-ctx.Done():
		return ctx.Err()
	}
	in.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-in.ended():
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := f.run(ctx, in); err != nil {
		return err
	}
	f.replaced++
	in.away.Store(false)
	return nil
}

// noticeTime is how long the demo's clients, like a load balancer, need to notice that an instance goes.
const noticeTime = 200 * time.Millisecond

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
		case <-in.ended():
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

// kill ends the instances at once: if they left in good order, at the same time, they would tell each other, and the terminal.
func (f *fleet) kill() {
	var wg sync.WaitGroup
	for _, in := range f.instances {
		if in.cmd == nil {
			continue
		}
		if err := in.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			continue // it cannot be waited for either
		}
		wg.Go(func() { <-in.gone })
	}
	wg.Wait()
}
