package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
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
	progress func(format string, args ...any)
	dump     io.Writer // for what a single test tells

	// Of conformance.
	suiteFolder, base, id string
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
		if o.markdown && s.page != o.what[0].page {
			return fmt.Errorf("-markdown: %s and %s have pages of their own: name one of them", o.what[0].name, s.name)
		}
	}
	if (o.id != "" || o.base != "" || o.suiteFolder != "") && (len(o.what) > 1 || o.what[0].name != "conformance") {
		return errors.New("-id, -base and -suite are for -what conformance")
	}
	return nil
}

// checkKinds is that web, or else remote, has the kinds.
func (o *options) checkKinds() error {
	if o.what[0].name == "web" {
		return web.CheckKinds(o.kinds)
	}
	_, err := kind.Named(o.kinds...)
	return err
}

func (o *options) flagSet() (flags *flag.FlagSet, what, kinds, cells *string) {
	flags = flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints errors and help
	what = flags.String("what", "remote", "what to compare, `names` with commas between: "+strings.Join(suiteNames(), ", "))
	kinds = flags.String("kinds", "", "measure only these, `names` with commas between: "+strings.Join(kind.Names(kind.All()), ", ")+
		"; or of web: "+strings.Join(web.Kinds(), ", ")+" (default all whose programs are installed)")
	flags.BoolVar(&o.short, "short", false, "measure the few most telling figures only, in less than a minute")
	flags.IntVar(&o.rounds, "rounds", 0, "measure remote or web this many times, and take medians (default 5, or 7 of web; or 4 with -short)")
	flags.DurationVar(&o.duration, "duration", 0, "of each single measurement (default 400ms, or 500ms of web; or 250ms with -short; of stampede a minute, or 10s; of deploy the TTL, 30s or 6s; of each setting of invalidate 15s, or 4s)")
	cells = flags.String("cells", "", "measure only what has a name that `regexp` matches, as in the ratios' names: 1KiB/c64$, say")
	flags.StringVar(&o.profile, "profile", "", "write a CPU profile of each process to the folder `dir`")
	flags.StringVar(&o.json, "json", "", "write every single measurement to `file` as well")
	flags.BoolVar(&o.markdown, "markdown", false, "print the page that is kept in the repository: RESULTS.md, or CONFORMANCE.md")
	flags.StringVar(&o.id, "id", "", "of conformance: run only the `test` with this ID, and print all requests and responses to standard error")
	flags.StringVar(&o.base, "base", "", "of conformance: test the instances at these `URLs`, with commas between, whose origin is the suite's, in place of own ones")
	flags.StringVar(&o.suiteFolder, "suite", "", "of conformance: `folder` that the suite is installed in, if it is not there yet (default one in the user's cache folder)")
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
