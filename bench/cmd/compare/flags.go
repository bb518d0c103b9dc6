package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/hitratio"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/local"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/web"
)

// options are the flags, checked.
type options struct {
	what     []suite
	args     []string // as given
	short    bool
	rounds   int
	duration time.Duration
	kinds    []string
	cells    *regexp.Regexp // nil: all
	profile  string
	json     string
	markdown bool
	into     string // a page whose sections are renewed; "": none
	progress func(format string, args ...any)
	dump     io.Writer // for what a single test tells

	wrk bool // of web

	// Of conformance.
	suiteFolder, base, id string

	// Of hitratio: folders.
	traces, plots string
}

func parseFlags(args []string) (*options, error) {
	o := &options{args: args}
	flags, what, kinds, cells := o.flagSet()
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%q is no flag: see -h", flags.Arg(0))
	case o.rounds < 0:
		return nil, fmt.Errorf("-rounds is %d: use a positive number, or 0 for the default", o.rounds)
	case o.markdown && o.into != "":
		return nil, errors.New("-markdown prints a whole page and -into renews sections of one: use one of them")
	case o.duration < 0:
		return nil, fmt.Errorf("-duration is %v: use a positive duration, or 0 for the default", o.duration)
	}
	if *kinds != "" {
		o.kinds = strings.Split(*kinds, ",")
	}
	var err error
	if *cells != "" {
		if o.cells, err = regexp.Compile(*cells); err != nil {
			return nil, fmt.Errorf("-cells: %w", err)
		}
	}
	if o.what, err = suitesNamed(strings.Split(*what, ",")); err != nil {
		return nil, err
	}
	return o, o.checkWhat()
}

// checkWhat looks at flags that go with some suites only.
func (o *options) checkWhat() error {
	if len(o.kinds) > 0 {
		if err := o.checkKinds(); err != nil {
			return fmt.Errorf("-kinds: %w", err)
		}
	}
	for _, s := range o.what {
		if (o.markdown || o.into != "") && s.page != o.what[0].page {
			return fmt.Errorf("-markdown or -into: %s and %s have pages of their own: name one of them", o.what[0].name, s.name)
		}
	}
	if (o.id != "" || o.base != "" || o.suiteFolder != "") && (len(o.what) > 1 || o.what[0].name != "conformance") {
		return errors.New("-id, -base and -suite are for -what conformance")
	}
	has := func(names ...string) bool {
		return slices.ContainsFunc(o.what, func(s suite) bool { return slices.Contains(names, s.name) })
	}
	switch {
	case o.wrk && !has("web"):
		return errors.New("-wrk is for -what web")
	case o.traces != "" && !has("hitratio"):
		return errors.New("-traces is for -what hitratio")
	case o.plots != "" && !has("hitratio", "local"):
		return errors.New("-plots is for -what hitratio and local")
	}
	return nil
}

// checkKinds is that local, web, or hitratio, or else remote, has the kinds.
func (o *options) checkKinds() error {
	switch o.what[0].name {
	case "local":
		return local.CheckKinds(o.kinds)
	case "web":
		return web.CheckKinds(o.kinds)
	case "hitratio":
		return hitratio.CheckKinds(o.kinds)
	}
	_, err := kind.Named(o.kinds...)
	return err
}

func (o *options) flagSet() (flags *flag.FlagSet, what, kinds, cells *string) {
	flags = flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints errors and help
	what = flags.String("what", "remote", "what to compare, `names` with commas between: "+strings.Join(suiteNames(), ", "))
	kinds = flags.String("kinds", "", "measure only these, `names` with commas between: "+strings.Join(kind.Names(kind.All()), ", ")+
		"; or of web: "+strings.Join(web.Kinds(), ", ")+"; or of local and hitratio: "+strings.Join(rival.Names(rival.All()), ", ")+" (default all whose programs are installed)")
	flags.BoolVar(&o.short, "short", false, "measure the few most telling figures only, in less than a minute")
	flags.IntVar(&o.rounds, "rounds", 0, "measure remote, web or local this many times, and take medians (default 5, or 7 of web; or 4 with -short, 3 of local)")
	flags.DurationVar(&o.duration, "duration", 0, "of each single measurement (default 400ms, 500ms of web, 200ms of local; or 250ms with -short, 40ms of local; of stampede a minute, or 10s; of deploy the TTL, 30s or 6s; of each setting of invalidate 15s, or 4s)")
	cells = flags.String("cells", "", "measure only what has a name that `regexp` matches, as in the ratios' names: 1KiB/c64$, say")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of each process to the folder `dir`")
	flags.StringVar(&o.json, "json", "", "write every single measurement to `file` as well")
	flags.BoolVar(&o.markdown, "markdown", false, "print the page that is kept in the repository: RESULTS.md, or CONFORMANCE.md")
	flags.BoolVar(&o.wrk, "wrk", false, "of web: load by wrk, which must be installed, in place of the own client")
	flags.StringVar(&o.into, "into", "", "renew the sections of what is compared in `file`, a page that -markdown printed, and leave its other sections")
	flags.StringVar(&o.id, "id", "", "of conformance: run only the `test` with this ID, and print all requests and responses to standard error")
	flags.StringVar(&o.base, "base", "", "of conformance: test the instances at these `URLs`, with commas between, whose origin is the suite's, in place of own ones")
	flags.StringVar(&o.suiteFolder, "suite", "", "of conformance: `folder` that the suite is installed in, if it is not there yet (default one in the user's cache folder)")
	flags.StringVar(&o.traces, "traces", "", "of hitratio: replay the traces in `folder`, each a gzipped file of 12-byte records, uint64 key and uint32 size, whose name ends in .bin.gz (default generated workloads)")
	flags.StringVar(&o.plots, "plots", "", "of hitratio and local: write an SVG file of each trace, or of the speed, to `folder`")
	return flags, what, kinds, cells
}

func usage(w io.Writer) {
	flags, _, _, _ := new(options).flagSet()
	fmt.Fprintf(w, "Compare measures fleetcache side by side with others.\n\nusage: compare [flags]\n")
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprintf(w, "\nWhat can be compared:\n")
	for _, s := range suites {
		fmt.Fprintf(w, "  %-10s %s\n", s.name, s.about)
	}
	fmt.Fprintf(w, "\nKinds of remote:\n")
	for _, k := range kind.All() {
		fmt.Fprintf(w, "  %-15s %s\n", k.Name, k.About)
	}
}
