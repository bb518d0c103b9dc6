// Package conformance runs http-cache-tests, a suite of tests for what an HTTP cache must and should do by RFC 9111, against the example
// service: through one instance, and through a fleet of three in turn, so that each request of a test comes to another instance than
// the one before. The suite is a package of npm, which is installed outside of the source tree; it runs in Node.js, with its own origin and its own
// judgement of what passed.
//
// What is expected to fail is in expected.txt, with why.
package conformance

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/webcache"
)

//go:embed runner.mjs
var runner []byte

// runTimeout is how long a run may take. It takes most of its time in pauses of the tests.
const runTimeout = 10 * time.Minute

// sizes are the fleets that are tested.
var sizes = []int{1, 3}

// Options say what to run.
type Options struct {
	Short    bool           // only the profile rfc
	Runs     *regexp.Regexp // only what has a name that it matches; nil: all
	Folder   string         // that the suite is installed in; "": one in the user's cache
	Base     string         // URLs of instances to test in place of own ones, with commas between. Their origin must be the suite's
	ID       string         // of a single test, of which all is told
	Dump     io.Writer      // where that is told
	Progress func(format string, args ...any)
}

// Run runs the suite and reports how it came out. The report's Err is that something failed that should not.
func Run(ctx context.Context, o Options) (_ *report.Report, err error) {
	exceptions, err := parseExceptions(expectedText)
	if err != nil {
		return nil, err
	}
	s, err := install(ctx, o.Folder, o.Progress)
	if err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if o.ID == "" {
		o.Dump = nil
	}
	var runs []*Measured
	var notes []string
	if o.Base != "" {
		runs, err = runGiven(ctx, o, s, temp)
	} else {
		runs, notes, err = runAll(ctx, o, s, temp)
	}
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, errors.New("no run has a name that -cells matches: they are rfc/1, rfc/3, safe/1 and safe/3")
	}
	if o.ID != "" || o.Base != "" {
		return newReport(runs, notes, nil), nil
	}
	v := compare(runs, exceptions)
	r := newReport(runs, append(notes, v.notes()...), exceptions)
	r.Err = v.err()
	return r, nil
}

// runAll starts the suite's origin and, for each run, instances in front of it.
func runAll(ctx context.Context, o Options, s *suite, temp string) (runs []*Measured, notes []string, err error) {
	b, err := webcache.Build(ctx, temp)
	if err != nil {
		return nil, nil, err
	}
	origin, err := s.startOrigin(ctx, temp, o.Dump)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, origin.Close()) }()
	for _, p := range profiles() {
		if o.Short && p.name != "rfc" {
			continue
		}
		if missing := b.Lacks(p.flags); len(missing) > 0 {
			notes = append(notes, fmt.Sprintf("The program does not have %s, which profile %s is about: it was run without", strings.Join(missing, " "), p.name))
			o.Progress("%s", notes[len(notes)-1])
		}
		for _, n := range sizes {
			run := &Measured{Profile: p.name, Instances: n}
			if o.Runs != nil && !o.Runs.MatchString(run.Name()) {
				continue
			}
			if err := run.through(ctx, o, s, b, temp, "http://"+origin.Addr, p); err != nil {
				return nil, nil, fmt.Errorf("%s: %w", run.Name(), err)
			}
			runs = append(runs, run)
		}
	}
	return runs, notes, nil
}

// through runs the suite through instances of its own.
func (r *Measured) through(ctx context.Context, o Options, s *suite, b *webcache.Binary, temp, origin string, p profile) (err error) {
	begun := time.Now()
	f, err := b.Start(ctx, temp, r.Instances, origin, p.flags, o.Dump)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if r.Results, err = s.run(ctx, temp, strings.Join(f.URLs, ","), o.ID, o.Dump); err != nil {
		return err
	}
	r.tell(o, begun)
	return nil
}

// runGiven runs the suite through instances that somebody else started.
func runGiven(ctx context.Context, o Options, s *suite, temp string) ([]*Measured, error) {
	begun := time.Now()
	urls := strings.ReplaceAll(o.Base, "/,", ",")
	run := &Measured{Profile: "given", Instances: strings.Count(urls, ",") + 1}
	var err error
	if run.Results, err = s.run(ctx, temp, strings.TrimSuffix(urls, "/"), o.ID, o.Dump); err != nil {
		return nil, err
	}
	run.tell(o, begun)
	return []*Measured{run}, nil
}

func (r *Measured) tell(o Options, begun time.Time) {
	req, reqs := r.score(ofKind(required))
	opt, opts := r.score(ofKind(optimal))
	o.Progress("%s: %d/%d required, %d/%d optimal, in %.0fs", r.Name(), req, reqs, opt, opts, time.Since(begun).Seconds())
}
