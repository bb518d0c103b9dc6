// Package stampede compares what becomes of a value that many callers want when its time is over: how often it is loaded, and
// how many of them wait for that. Ten processes, each with an instance of every way that is compared, ask for the same keys
// at random times.
package stampede

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

const (
	instances = 10
	// rate is how many callers come to an instance in a second, for each way: they do not wait for each other.
	rate = 200
	// maxTTL is the TTL, unless the measurement is too short for some of them.
	maxTTL  = 2 * time.Second
	minTTLs = 5
	// A load takes 1/loadShare of the TTL.
	loadShare = 40

	callTimeout = 30 * time.Second
)

// Options say how much to measure.
type Options struct {
	Short    bool
	Duration time.Duration  // of each setting; 0: a minute, or 10 s if Short
	Cells    *regexp.Regexp // of the settings' names; nil: all
	Progress func(format string, args ...any)
}

// A Setting is what the callers ask for.
type Setting struct {
	Name, Title string
	Keys        int // the nth is asked for 1/n times as often as the first
}

// Settings returns all of them.
func Settings() []Setting {
	return []Setting{
		{"hot", "One key", 1},
		{"keys32", "32 keys, the nth asked for 1/n times as often as the first", 32},
	}
}

// A Plan is what every process is told of a setting.
type Plan struct {
	Keys           int
	Warm, Duration time.Duration
}

// A Count is what came of one way, at one instance or all.
type Count struct {
	Asked  int64         // calls
	Waited int64         // of these, for a value that was loaded after they began
	Failed int64         // of Asked
	Loads  int64         // that began meanwhile
	Oldest time.Duration // age of the oldest value that was returned
}

func (c *Count) add(d Count) {
	c.Asked += d.Asked
	c.Waited += d.Waited
	c.Failed += d.Failed
	c.Loads += d.Loads
	c.Oldest = max(c.Oldest, d.Oldest)
}

// A Measured is what was found in a setting, by way.
type Measured struct {
	Setting       Setting
	TTL, Duration time.Duration
	Counts        map[string]Count
}

// LoadsPerTTL returns how often a key was loaded in a TTL.
func (m Measured) LoadsPerTTL(way string) float64 {
	return float64(m.Counts[way].Loads) / float64(m.Setting.Keys) / (float64(m.Duration) / float64(m.TTL))
}

// Waiting returns the share of the callers that waited for a load.
func (m Measured) Waiting(way string) float64 {
	c := m.Counts[way]
	return float64(c.Waited) / float64(max(c.Asked, 1))
}

// Run measures all settings, and reports them.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	if o.Duration == 0 {
		o.Duration = time.Minute
		if o.Short {
			o.Duration = 10 * time.Second
		}
	}
	ttl := min(maxTTL, o.Duration/minTTLs)
	f, err := open(ctx, ttl)
	if err != nil {
		return nil, err
	}
	var measured []Measured
	for _, s := range Settings() {
		if o.Cells != nil && !o.Cells.MatchString(s.Name) {
			continue
		}
		o.Progress("%s", s.Title)
		m := Measured{Setting: s, TTL: ttl, Duration: o.Duration}
		if m.Counts, err = f.run(ctx, Plan{Keys: s.Keys, Warm: ttl + ttl/2, Duration: o.Duration}); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		measured = append(measured, m)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	return newReport(measured, ttl, o.Duration), nil
}

// A fleet is the processes.
type fleet struct{ process.Fleet }

// open starts the processes, and makes fleets of their instances.
func open(ctx context.Context, ttl time.Duration) (*fleet, error) {
	f, err := process.OpenFleet(ctx, role, instances, callTimeout, func(int) any { return ttl })
	return &fleet{f}, err
}

// run has all processes measure at the same time, and returns what they found together.
func (f *fleet) run(ctx context.Context, p Plan) (map[string]Count, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Warm+p.Duration+callTimeout)
	defer cancel()
	found := make([]map[string]Count, instances)
	if err := f.Each(func(i int, c *process.Child) error { return c.Call(ctx, "run", p, &found[i]) }); err != nil {
		return nil, err
	}
	sums := make(map[string]Count)
	for _, counts := range found {
		for name, c := range counts {
			sum := sums[name]
			sum.add(c)
			sums[name] = sum
		}
	}
	for name, c := range sums {
		if c.Failed > 0 || c.Asked == 0 {
			return nil, fmt.Errorf("%s: %d of %d calls failed", name, c.Failed, c.Asked)
		}
	}
	return sums, nil
}
