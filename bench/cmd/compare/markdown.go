package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

// printMarkdown prints RESULTS.md.
func printMarkdown(w io.Writer, o *options, reports []*report.Report) error {
	_, err := fmt.Fprintf(w, `# Results

This page is what a command prints. To make it anew, at the root of a clone:

    go run -C bench ./cmd/compare %s > bench/RESULTS.md

Machine: %s.

## How to read it

- A ratio is between two kinds that were measured in turn in one run, and the median over its rounds. More than 1 is in
  fleetcache's favour, except in `+"`tls-vs-cleartext` and `bulk/p99`"+`, which are costs: 1.5 is half as much again. Ratios carry over
  to other machines, more or less; figures do not.
- Client and server share the machine's cores. With few cores, what saves system calls and wake-ups gains twice.
- Like is compared with like. `+"`vs-groupcache`"+` is a Peer's Get against the Get of an HTTPPool's getter; `+"`get-vs-groupcache`"+` is the
  whole way, Cache.Get against Group.Get, with the copies that both keep of others' values turned off. `+"`vs-floor`"+` is against
  one goroutine at each end of one connection that do nothing else: a bound, and not a rival.
- CPU-s/Mop is CPU-seconds of client and server together for a million operations, the generator of the load included. Where many
  keys are got in a call, an operation is a key, and p50 and p99 are of calls, which with groupcache have one key each.
- A dash is what cannot be known: allocations of a server that is no Go program.
- [GOALS.md](GOALS.md) says which goals were missed, and why.
`, strings.Join(o.args, " "), report.Machine())
	if err != nil {
		return err
	}
	for _, r := range reports {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := r.Markdown(w); err != nil {
			return err
		}
	}
	return nil
}
