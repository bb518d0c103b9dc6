// Compare measures fleetcache side by side with others, in one run on one machine, so that what disturbs one
// disturbs all. It prints a line for each ratio, and then tables:
//
//	go run -C bench ./cmd/compare -what remote -short
//	ratio remote/1KiB/c64/vs-groupcache 21.4
//	...
//
// Progress goes to standard error. It exits with 2 if a flag is wrong, and with 1 if something could not be measured, or
// a required test of conformance fails that is not expected to.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/deploy"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/invalidate"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/local"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/remote"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/skew"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stampede"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/web"
)

// children runs this process's part, if it is a child of a suite's, and does not return then.
func children() {
	deploy.Child()
	invalidate.Child()
	local.Child()
	skew.Child()
	stampede.Child()
	web.Child()
	remote.Child()
}

func main() {
	children()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main, and returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseFlags(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		usage(stdout)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "compare: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal has its usual effect
	if err := compare(ctx, o, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "compare: %v\n", err)
		return 1
	}
	return 0
}

func compare(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	begun := time.Now()
	o.progress = func(format string, args ...any) {
		fmt.Fprintf(stderr, "%4.0fs  %s\n", time.Since(begun).Seconds(), fmt.Sprintf(format, args...))
	}
	o.dump = stderr
	var reports []*report.Report
	var failed error // what was found is not good enough
	for _, s := range o.what {
		r, err := s.run(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		reports = append(reports, r)
		if r.Err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", s.name, r.Err))
		}
	}
	o.progress("done")
	if o.json != "" {
		if err := writeJSON(o.json, reports); err != nil {
			return err
		}
	}
	if o.into != "" {
		return errors.Join(renewSections(o.into, o, reports), failed)
	}
	if o.markdown {
		return errors.Join(printMarkdown(stdout, o, reports), failed)
	}
	if _, err := fmt.Fprintf(stdout, "machine: %s\n", report.Machine()); err != nil {
		return err
	}
	for _, r := range reports {
		if err := r.Text(stdout); err != nil {
			return err
		}
	}
	return failed
}

// writeJSON writes every single measurement.
func writeJSON(file string, reports []*report.Report) error {
	raw, err := json.MarshalIndent(struct {
		Machine string
		Reports []*report.Report
	}{report.Machine(), reports}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(raw, '\n'), 0o666)
}
