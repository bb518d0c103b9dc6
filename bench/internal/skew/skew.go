// Package skew compares what becomes of hot keys in a fleet: how much more the member that owns them is asked for than the others. It simulates the
// traffic, and neither the placement nor what a member keeps of what others own: these are peers/ring and caches, as many as there are members, in one
// process, with calls between them that take no time.
package skew

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Options say how much to simulate.
type Options struct {
	Short    bool
	Cells    *regexp.Regexp // of the settings' names; nil: all
	Progress func(format string, args ...any)
}

// popularities are those that a fleet can be asked by, and what they are.
var popularities = []struct{ name, about string }{
	{"zipf0.99", "the nth key is asked for n^-0.99 times as often as the first"},
	{"zipf1.1", "the nth key n^-1.1 times as often"},
	{"zipf1.3", "the nth key n^-1.3 times as often"},
	{"uniform", "by an adversary who knows how many values a member mirrors: for twice as many, all equally often"},
	{"one-owner", "by one who knows the placement, too: for keys of one member, twice as many as others mirror, all equally often. No mirrors of a bounded size help against that. groupcache places them elsewhere, so that its figures here are as of uniform"},
	{"flash", "zipf0.99, and for a key that nobody knew before a fifth of all requests"},
}

// A fleet is what the settings of one number of members have in common.
type fleet struct {
	members, keys, rate int
	warm                time.Duration
	popularities        []string // nil: all
}

// How long a fleet is asked before counting begins. The first leases have run out then.
const (
	shortWarm = 35 * time.Second
	longWarm  = 65 * time.Second
)

// Fewer requests come to members of large fleets, for there is a bound to how many can be simulated. That makes the figures worse, for a lease lasts the same
// time, and so fewer requests.
var (
	fleets = []fleet{
		{3, 100_000, 1000, longWarm, nil}, {10, 100_000, 1000, longWarm, nil}, {100, 1_000_000, 300, longWarm, nil}, {1000, 1_000_000, 50, shortWarm, nil},
	}
	shortFleets = []fleet{
		{3, 100_000, 1000, shortWarm, nil}, {10, 100_000, 1000, shortWarm, nil}, {100, 300_000, 200, shortWarm, []string{"zipf0.99", "zipf1.3", "flash"}},
	}
)

// Settings returns all settings, or those of a short run.
func Settings(short bool) (settings []Setting) {
	all := fleets
	if short {
		all = shortFleets
	}
	for _, f := range all {
		for _, p := range popularities {
			if f.popularities == nil || slices.Contains(f.popularities, p.name) {
				settings = append(settings, Setting{Members: f.members, Keys: f.keys, Rate: f.rate, Popularity: p.name, Warm: f.warm, Time: cache.DefaultMirrorTTL, Seed: 1})
			}
		}
	}
	return settings
}

// Name is what the figures of a setting are called.
func (s Setting) Name() string { return fmt.Sprintf("%d/%s", s.Members, s.Popularity) }

// bound is how many of the hottest values a member has to mirror so that no popularity makes another member much hotter than the others, whatever the keys, unless who
// asks knows the placement: Fan, Lim, Andersen, Kaminsky, "Small cache, big effect", SoCC 2011.
func (s Setting) bound() int {
	n := float64(s.Members)
	return int(8 * n * math.Log(n))
}

// Run simulates all settings, and reports them.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	var settings []Setting
	for _, s := range Settings(o.Short) {
		if o.Cells == nil || o.Cells.MatchString(s.Name()) {
			settings = append(settings, s)
		}
	}
	measured, err := runAll(ctx, settings, o.Progress)
	if err != nil {
		return nil, err
	}
	return newReport(measured), nil
}

// runAll simulates settings, as many at the same time as there are cores, the largest first.
func runAll(ctx context.Context, settings []Setting, progress func(string, ...any)) ([]Measured, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	measured := make([]Measured, len(settings))
	next := make(chan int, len(settings))
	for i := range settings {
		next <- len(settings) - 1 - i
	}
	close(next)
	var mu sync.Mutex // guards progress and failed
	var failed error
	var wg sync.WaitGroup
	for range min(runtime.NumCPU(), len(settings)) {
		wg.Go(func() {
			err := withChild(ctx, func(c *process.Child) error {
				for i := range next {
					mu.Lock()
					progress("%d members, %s", settings[i].Members, settings[i].Popularity)
					mu.Unlock()
					if err := c.Call(ctx, "run", settings[i], &measured[i]); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
				cancel()
			}
		})
	}
	wg.Wait()
	return measured, failed
}

// withChild has do use a child.
func withChild(ctx context.Context, do func(*process.Child) error) error {
	c, err := process.Start(ctx, role)
	if err != nil {
		return err
	}
	err = do(c)
	return errors.Join(err, c.Close())
}
