// Package load makes callers that get values from a client as fast as they can, and measures what they see and what
// their process spends.
package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// A Shape is what is asked for.
type Shape struct {
	Size    int // of a value, in bytes
	Callers int // how many call at a time
	Many    int // keys in a call; 0: calls of one key
	Bulk    int // size of the values that one more caller, which is not measured, gets all the time; 0: there is none
}

// A Limit ends a run: Duration, or when Ops keys are done if that is not 0.
type Limit struct {
	Duration time.Duration
	Ops      int64
}

// A Result is what a run saw. Ops counts keys, and with Many the latencies are of whole calls.
type Result struct {
	Ops      int64
	Elapsed  time.Duration
	P50, P99 time.Duration
	Spent    Usage // by this process, generator included
}

// A Generator holds the callers of one Shape. Its methods must not be called concurrently.
type Generator struct {
	client    kind.Client
	pipelined bool
	filled    map[string]bool // keys that the server has in memory

	shape   Shape
	callers []*caller
	bulk    *caller // nil: none
}

// New returns a Generator for client, whose kind is pipelined or not.
func New(client kind.Client, pipelined bool) *Generator {
	return &Generator{client: client, pipelined: pipelined, filled: make(map[string]bool)}
}

// keyCount returns how many different values of a size are asked for: enough that each caller has some of its own,
// and that a call of many keys never has one twice.
func keyCount(size, callers, many int) int {
	if size > mib {
		return 4 // of the bulk's
	}
	return max(256, callers*max(many, 1))
}

const mib = 1 << 20

// maxRun bounds a run besides its Limit, so that a call that hangs is an error.
const maxRun = 30 * time.Second

// Prepare makes the callers for s, gives each keys of its own, so that no two ever wait for the same one, and
// gets each value once, unless an earlier Prepare did: from then on the server has it in memory. Each of these
// values is compared in full.
func (g *Generator) Prepare(ctx context.Context, s Shape) error {
	if s == g.shape {
		return nil
	}
	g.shape, g.callers, g.bulk = Shape{}, nil, nil // until all is well
	if err := g.makeCallers(s); err != nil {
		return err
	}
	if err := g.fill(ctx); err != nil {
		return err
	}
	g.shape = s
	return nil
}

func (g *Generator) makeCallers(s Shape) error {
	callers, many := s.Callers, s.Many
	if g.pipelined {
		callers, many = 1, s.Callers
	}
	total := callers
	if s.Bulk > 0 {
		total++
	}
	made, err := g.client.Callers(total)
	if err != nil {
		return err
	}
	keys := g.keys(s.Size, keyCount(s.Size, callers, many))
	for i := range callers {
		c := &caller{Caller: made[i], size: s.Size, many: many}
		for k := i; k < len(keys); k += callers {
			c.keys = append(c.keys, keys[k])
		}
		if err := c.init(); err != nil {
			return err
		}
		g.callers = append(g.callers, c)
	}
	if s.Bulk > 0 {
		g.bulk = &caller{Caller: made[callers], size: s.Bulk, keys: g.keys(s.Bulk, keyCount(s.Bulk, 1, 0))}
		return g.bulk.init()
	}
	return nil
}

// keys returns n keys that the server owns, always the same ones.
func (g *Generator) keys(size, n int) []string {
	m, isMember := g.client.(kind.Member)
	keys := make([]string, 0, n)
	for i := 0; len(keys) < n; i++ {
		if key := payload.Key(size, i); !isMember || m.Crosses(key) {
			keys = append(keys, key)
		}
	}
	return keys
}

// fill brings every value into the server's memory that is not there.
func (g *Generator) fill(ctx context.Context) error {
	if g.bulk != nil {
		if err := g.bulk.fill(ctx, g.filled); err != nil {
			return err
		}
		g.note(g.bulk)
	}
	if err := g.each(ctx, func(ctx context.Context, c *caller) error { return c.fill(ctx, g.filled) }); err != nil {
		return err
	}
	for _, c := range g.callers {
		g.note(c)
	}
	return nil
}

func (g *Generator) note(c *caller) {
	for _, key := range c.keys {
		g.filled[key] = true
	}
}

// each runs f for all callers at the same time.
func (g *Generator) each(ctx context.Context, f func(ctx context.Context, c *caller) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(g.callers))
	var wg sync.WaitGroup
	for i, c := range g.callers {
		wg.Go(func() {
			if errs[i] = f(ctx, c); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}

// Run lets the callers of the last Prepare call until limit. The first error of any of them ends it and is returned.
func (g *Generator) Run(ctx context.Context, limit Limit) (Result, error) {
	if len(g.callers) == 0 {
		return Result{}, errors.New("load: Run before Prepare")
	}
	ctx, cancel := context.WithTimeout(ctx, limit.Duration+maxRun)
	defer cancel() // which an error of the bulk caller does, too
	for i, c := range g.callers {
		c.latencies, c.ops, c.quota = stats.Histogram{}, 0, 0
		if limit.Ops > 0 {
			n := int64(len(g.callers))
			c.quota = (limit.Ops + n - 1 - int64(i)) / n
		}
	}
	before, err := Spent()
	if err != nil {
		return Result{}, err
	}
	stopBulk := g.startBulk(ctx, cancel)
	start := time.Now()
	err = g.each(ctx, func(ctx context.Context, c *caller) error { return c.run(ctx, start.Add(limit.Duration)) })
	elapsed := time.Since(start)
	if bulkErr := stopBulk(); bulkErr != nil {
		err = bulkErr // the others' is that they were ended
	}
	after, spentErr := Spent()
	r := g.result(elapsed, after.Minus(before))
	if err = errors.Join(err, spentErr); err != nil {
		return r, fmt.Errorf("after %v, with %d operations begun: %w", elapsed, r.Ops, err)
	}
	return r, nil
}

func (g *Generator) result(elapsed time.Duration, spent Usage) Result {
	r := Result{Elapsed: elapsed, Spent: spent}
	var all stats.Histogram
	for _, c := range g.callers {
		r.Ops += c.ops
		all.Merge(&c.latencies)
	}
	r.P50, r.P99 = all.Quantile(0.5), all.Quantile(0.99)
	return r
}

// startBulk lets the bulk caller call until what it returns is called, which waits for the call under way. An
// error ends it, and calls failed.
func (g *Generator) startBulk(ctx context.Context, failed func()) (stop func() error) {
	if g.bulk == nil {
		return func() error { return nil }
	}
	stopping, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		err := g.bulk.untilClosed(ctx, stopping)
		if err != nil {
			failed()
		}
		ended <- err
	}()
	return func() error {
		close(stopping)
		if err := <-ended; err != nil {
			return fmt.Errorf("bulk: %w", err)
		}
		return nil
	}
}
