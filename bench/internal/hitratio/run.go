package hitratio

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

// Options of a Run. Zero fields have the defaults that stand beside them.
type Options struct {
	Folder   string // with traces; "": workloads are generated
	Short    bool   // two sizes, the peers that matter most, and long traces cut
	Kinds    []string
	Plots    string // folder for a plot of each trace; "": none
	Progress func(format string, args ...any)
}

// The sizes of caches, in percent of what all keys of a trace take together.
var (
	percents      = []int{1, 5, 10, 25}
	shortPercents = []int{1, 10}
	shortKinds    = []string{rival.Fleetcache, "otter", "theine", "golang-lru-2q"}
)

const (
	// shortRequests is how many requests all traces together have in a short run.
	shortRequests = 1_500_000
	// gcPercent has the collector run less often than it would with what small caches take: it would take a third of the time.
	gcPercent = 400
	// minEntries is how many keys a cache has room for at least: with fewer, a hit more or less is luck.
	minEntries = 16
)

// Run replays traces to fleetcache and its peers.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	kinds, err := o.kinds()
	if err != nil {
		return nil, err
	}
	traces, err := o.traces()
	if err != nil {
		return nil, err
	}
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	r := &results{short: o.Short}
	sizes := percents
	if o.Short {
		sizes = shortPercents
		r.cut = cut(traces, shortRequests)
	}
	for i, n := range traces {
		t := newTrace(n.name, n.records)
		traces[i].records = nil // they are in t
		o.Progress("%s: %d requests for %d keys", t.name, len(t.requests), len(t.keys))
		m, err := measure(ctx, t, kinds, sizes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.name, err)
		}
		r.traces = append(r.traces, m)
	}
	rep := r.report(rival.Names(kinds))
	if o.Plots != "" {
		rep.Plots, err = r.plot(o.Plots, rival.Names(kinds))
	}
	return rep, err
}

// CheckKinds is that all of these can be measured.
func CheckKinds(names []string) error {
	_, err := rival.Named(names...)
	return err
}

func (o Options) kinds() ([]rival.Kind, error) {
	names := o.Kinds
	if len(names) == 0 && o.Short {
		names = shortKinds
	}
	return rival.Named(names...)
}

func (o Options) traces() ([]named, error) {
	if o.Folder == "" {
		return generated(), nil
	}
	return readFolder(filepath.Clean(o.Folder))
}

// A cell is one trace with one size of the cache.
type cell struct {
	percent  int
	capacity int64
	lru, opt float64            // hit ratios of the references
	hit      map[string]float64 // hit ratios by kind
}

// A measured is one trace.
type measured struct {
	*trace
	cells []*cell
	notes []string // of what was left out
}

// measure replays t to all kinds, as many at a time as there are cores.
func measure(ctx context.Context, t *trace, kinds []rival.Kind, sizes []int) (*measured, error) {
	m := &measured{trace: t}
	next := t.next()
	var jobs []job
	for _, p := range sizes {
		c := &cell{percent: p, capacity: t.total * int64(p) / 100, hit: make(map[string]float64)}
		if n := t.entries(c.capacity); n < minEntries {
			m.notes = append(m.notes, fmt.Sprintf("%s at %d %% is left out: that is room for %d keys, and with less than %d a hit more or less is luck", t.name, p, n, minEntries))
			continue
		}
		m.cells = append(m.cells, c)
		jobs = append(jobs,
			func(context.Context) (func(float64), int, error) {
				return func(hit float64) { c.lru = hit }, lru(t, c.capacity), nil
			},
			func(context.Context) (func(float64), int, error) {
				return func(hit float64) { c.opt = hit }, belady(t, next, c.capacity), nil
			})
		for _, k := range kinds {
			if why := t.leftOut(k, c.capacity); why != "" {
				continue
			}
			jobs = append(jobs, func(ctx context.Context) (func(float64), int, error) {
				hits, err := replay(ctx, t, k, c.capacity)
				if err != nil {
					err = fmt.Errorf("%s at %d %%: %w", k.Name, p, err)
				}
				return func(hit float64) { c.hit[k.Name] = hit }, hits, err
			})
		}
	}
	return m, runAll(ctx, jobs, len(t.requests))
}

// A job counts hits, and returns what keeps their ratio.
type job func(context.Context) (keep func(hitRatio float64), hits int, err error)

// runAll runs jobs until they are done or one fails, as many at a time as there are cores.
func runAll(ctx context.Context, jobs []job, requests int) error {
	var mu sync.Mutex // for what keep writes
	g, running := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, j := range jobs {
		g.Go(func() error {
			if running.Err() != nil {
				return context.Cause(running)
			}
			keep, hits, err := j(running)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			keep(float64(hits) / float64(requests))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx) // those that do not look at it may have been done all the same
}
