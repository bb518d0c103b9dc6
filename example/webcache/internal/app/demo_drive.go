package app

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// zipf is the exponent of the popularity of the files: the n-th is asked for 1/n^zipf as often as the first.
const zipf = 1.01

// A class is where a response came from, as Cache-Status says.
type class int

const (
	own   class = iota // the instance's own memory
	peer               // another instance's memory
	fresh              // the origin; perhaps asked for somebody else
	classes
)

// result is what came of the requests.
type result struct {
	took    [classes][]time.Duration
	asked   map[string]bool // the paths that were got
	at      map[*instance]int
	lost    int // sent to an instance that was gone
	errors  int
	wrong   int // bodies that are not the file
	example error
	elapsed time.Duration
}

func (r *result) add(o *result) {
	for c := range r.took {
		r.took[c] = append(r.took[c], o.took[c]...)
	}
	for p := range o.asked {
		r.asked[p] = true
	}
	for in, n := range o.at {
		r.at[in] += n
	}
	r.lost, r.errors, r.wrong = r.lost+o.lost, r.errors+o.errors, r.wrong+o.wrong
	r.example = cmp.Or(r.example, o.example)
}

// A driver sends requests.
type driver struct {
	origin *origin
	fleet  *fleet
	client *http.Client
	byRank []string // paths, by popularity
	count  [classes]atomic.Int64
	done   atomic.Int64
	total  int64
}

// drive sends all requests, and reports on its way once a second.
func drive(ctx context.Context, opts *options, o *origin, f *fleet, stderr io.Writer) *result {
	transport := &http.Transport{MaxIdleConnsPerHost: opts.workers, DisableCompression: true}
	defer transport.CloseIdleConnections()
	d := &driver{origin: o, fleet: f, client: &http.Client{Transport: transport, Timeout: 30 * time.Second}, total: int64(opts.requests)}
	d.byRank = append(d.byRank, o.paths...)
	rand.New(rand.NewPCG(opts.seed, 0)).Shuffle(len(d.byRank), func(i, j int) { d.byRank[i], d.byRank[j] = d.byRank[j], d.byRank[i] })

	begin := time.Now()
	parts := make([]*result, opts.workers)
	var wg sync.WaitGroup
	for i := range parts {
		wg.Go(func() { parts[i] = d.work(ctx, rand.New(rand.NewPCG(opts.seed, uint64(i+1))), opts.kill) })
	}
	var rolled error
	if opts.roll {
		wg.Go(func() { rolled = d.roll(ctx) })
	}
	finished := make(chan struct{})
	go func() {
		wg.Wait()
		close(finished)
	}()
	d.watch(begin, finished, stderr)
	all := &result{asked: make(map[string]bool), at: make(map[*instance]int), elapsed: time.Since(begin)}
	for _, p := range parts {
		all.add(p)
	}
	if rolled != nil && ctx.Err() == nil {
		all.errors, all.example = all.errors+1, rolled
	}
	return all
}

// roll replaces one instance after the other. The first one goes when a quarter of the requests has been sent.
func (d *driver) roll(ctx context.Context) error {
	for i, in := range d.fleet.instances {
		for d.done.Load() < d.total*int64(i+1)/int64(len(d.fleet.instances)+1) && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		if err := d.fleet.replace(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

// watch prints a line a second until finished is closed.
func (d *driver) watch(begin time.Time, finished <-chan struct{}, w io.Writer) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for last := int64(0); ; {
		select {
		case <-finished:
			return
		case <-tick.C:
		}
		done := d.done.Load()
		fmt.Fprintf(w, "%3.0f s  %6d of %d requests, %5d a second: %d hits in own memory, %d at a peer, %d misses\n",
			time.Since(begin).Seconds(), min(done, d.total), d.total, done-last, d.count[own].Load(), d.count[peer].Load(), d.count[fresh].Load())
		last = done
	}
}

// work sends requests one after the other until all are sent.
func (d *driver) work(ctx context.Context, rng *rand.Rand, kill bool) *result {
	r := &result{asked: make(map[string]bool), at: make(map[*instance]int)}
	popular := rand.NewZipf(rng, zipf, 1, uint64(len(d.byRank)-1))
	for ctx.Err() == nil {
		n := d.done.Add(1)
		if n > d.total {
			return r
		}
		if kill && n == d.total/2 {
			d.fleet.instances[rng.IntN(len(d.fleet.instances))].cmd.Process.Kill()
		}
		path := d.byRank[popular.Uint64()]
		in := d.pick(rng)
		if in == nil {
			r.errors, r.example = r.errors+1, errors.New("all instances are gone")
			return r
		}
		d.one(ctx, in, path, r)
	}
	return r
}

// pick returns any of the instances that are there, each as likely as the others; nil if there are none.
func (d *driver) pick(rng *rand.Rand) *instance {
	var there [instanceCount]*instance
	n := 0
	for _, in := range d.fleet.instances {
		if !in.away.Load() && !in.isGone() {
			there[n] = in
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return there[rng.IntN(n)]
}

// one sends a request to an instance, and notes what came of it.
func (d *driver) one(ctx context.Context, in *instance, path string, r *result) {
	begin := time.Now()
	c, body, err := d.get(ctx, in.url+path)
	took := time.Since(begin)
	switch want, readErr := os.ReadFile(d.origin.files[path]); {
	case ctx.Err() != nil:
	case err != nil && in.goneSoon():
		r.lost++
	case err != nil || readErr != nil:
		r.errors++
		r.example = cmp.Or(r.example, err, readErr)
	case !bytes.Equal(body, want):
		r.wrong++
		r.example = cmp.Or(r.example, fmt.Errorf("%s%s: %d bytes, which are not the file's %d", in.url, path, len(body), len(want)))
	default:
		r.took[c] = append(r.took[c], took)
		r.asked[path] = true
		r.at[in]++
		d.count[c].Add(1)
	}
}

// goneSoon reports whether the instance's process is gone, or is just about to be.
func (in *instance) goneSoon() bool {
	select {
	case <-in.ended():
		return !in.away.Load() // else it was asked to end, and that is no excuse
	case <-time.After(2 * time.Second):
		return false
	}
}

func (d *driver) get(ctx context.Context, url string) (class, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, err
	}
	status := resp.Header.Get("Cache-Status")
	switch {
	case resp.StatusCode != http.StatusOK:
		return 0, nil, fmt.Errorf("%s: %s (%s)", url, resp.Status, status)
	case !strings.HasPrefix(status, "fleetcache; hit"):
		return fresh, body, nil
	case strings.Contains(status, "; peer="):
		return peer, body, nil
	}
	return own, body, nil
}
