package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
)

// A page is a file in the repository that -markdown prints.
type page struct{ title, file, intro string }

var results = page{"Results", "bench/RESULTS.md", `## How to read it

- A ratio is between two kinds that were measured in turn in one run, and the median over its rounds. More than 1 is in
  fleetcache's favour, except in ` + "`tls-vs-cleartext` and `bulk/p99`" + `, which are costs: 1.5 is half as much again. Ratios of
  web are costs, too, but for its rps. Ratios carry over to other machines, more or less; figures do not.
- Client and server share the machine's cores. With few cores, what saves system calls and wake-ups gains twice.
- Like is compared with like. ` + "`vs-groupcache`" + ` is a Peer's Get against the Get of an HTTPPool's getter; ` + "`get-vs-groupcache`" + ` is the
  whole way, Cache.Get against Group.Get, with the copies that both keep of others' values turned off. ` + "`vs-floor`" + ` is against
  one goroutine at each end of one connection that do nothing else: a bound, and not a rival.
- CPU-s/Mop is CPU-seconds of client and server together for a million operations, the generator of the load included. Where many
  keys are got in a call, an operation is a key, and p50 and p99 are of calls, which with groupcache have one key each.
- Of hitratio, 1 is Belady's optimum, and 0 what least-recently-used has; worst-vs-lru is in points of hit ratio. Its plots are of the same run as
  the section that shows them, and are written with it.
- A section that says how it was made is of a run of its own. ` + "`-into RESULTS.md`" + ` in place of ` + "`-markdown`" + ` makes one anew, and leaves the others.
- A dash is what cannot be known: allocations of a server that is no Go program.
- [GOALS.md](GOALS.md) says which goals were missed, and why.
`}

var conformancePage = page{"Conformance", "bench/CONFORMANCE.md", `## How to read it

- A test is required, as RFC 9111 has it, or optimal, which is what a cache should do, or a check, which asks what a cache does where
  both is right. The suite's own code tells what passed; a test that depends on one that did not pass has not passed either.
- A run is a profile and a number of instances. rfc is what the RFC lets a shared cache do: with -store-set-cookie, -store-post and
  -trust-client-cache-control. safe is the program's default, which refuses that.
- What is expected not to pass is in [expected.txt](internal/conformance/expected.txt), with why. The command fails if a
  required test fails that is not there, and says what is there and passes.
`}

// printMarkdown prints the page of what was compared.
func printMarkdown(w io.Writer, o *options, reports []*report.Report) error {
	p := o.what[0].page
	_, err := fmt.Fprintf(w, `# %s

This page is what a command prints. To make it anew, at the root of a clone:

    go run -C bench ./cmd/compare %s > %s

Machine: %s.

%s`, p.title, o.command(), p.file, report.Machine(), p.intro)
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

// renewSections puts what was compared in the place of its sections in a page, and at its end what it has no section of. Each says
// how it was made, since the page's head is about those that were made with it.
func renewSections(file string, o *options, reports []*report.Report) error {
	raw, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return fmt.Errorf("-into: %w", err)
	}
	page := string(raw)
	for _, r := range reports {
		section, err := sectionOf(file, o, r)
		if err != nil {
			return err
		}
		page = withSection(page, r.Name, section)
	}
	return os.WriteFile(file, []byte(page), 0o666)
}

// sectionOf returns the section of r in the page that is in file.
func sectionOf(file string, o *options, r *report.Report) (string, error) {
	linked := *r
	linked.Plots = nil
	for _, p := range r.Plots {
		if rel, err := filepath.Rel(filepath.Dir(file), p.File); err == nil {
			p.File = rel
		}
		linked.Plots = append(linked.Plots, p)
	}
	var b strings.Builder
	if err := linked.Markdown(&b); err != nil {
		return "", err
	}
	heading, rest, _ := strings.Cut(b.String(), "\n")
	return fmt.Sprintf("%s\n\nThis section is made by itself:\n\n    go run -C bench ./cmd/compare %s\n\nMachine: %s.\n%s", heading, o.command(), report.Machine(), rest), nil
}

// withSection returns the page with section in the place of the one that has this name, or at its end.
func withSection(page, name, section string) string {
	const mark = "\n## "
	begin := strings.Index(page, mark+name+"\n")
	if begin < 0 {
		return strings.TrimRight(page, "\n") + "\n\n" + section
	}
	begin++
	if length := strings.Index(page[begin:], mark); length >= 0 {
		return page[:begin] + section + page[begin+length:]
	}
	return page[:begin] + section
}

// command returns the flags, as they are given by anyone: where his traces are is nobody else's business.
func (o *options) command() string {
	var args []string
	for _, arg := range o.args {
		if o.traces != "" && (arg == o.traces || strings.HasSuffix(arg, "="+o.traces)) {
			arg = strings.TrimSuffix(arg, o.traces) + "DIR"
		}
		args = append(args, arg)
	}
	return strings.Join(args, " ")
}
