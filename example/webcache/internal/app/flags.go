package app

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// options are the flags' values.
type options struct {
	listen, self, admin         string
	origins                     originFlag
	preserveHost                bool
	findBy                      string    // the flag of the Finder that was chosen; "": none
	source                      NewSource // its
	interval                    time.Duration
	secret                      []byte
	insecure                    bool
	tls                         tlsFiles
	accessLog                   string
	stdout                      io.Writer // for an access log
	adminToken                  []byte
	maxBytes, maxObject         int64
	trustClient, storeSetCookie bool
	storePost                   bool
	drain, shutdown             time.Duration
	log                         slog.Level
	withStdin                   bool

	demo, kill, roll, serve bool
	requests, workers       int
	seed                    uint64
	folder                  string
}

const (
	defaultMaxBytes = 256 << 20

	// defaultShutdown leaves room for peers.DefaultDrainTime, and is over before a process that does not heed SIGTERM is usually killed.
	defaultShutdown = 25 * time.Second
)

// demoFlags are the flags that go with -demo, and with nothing else but each other.
var demoFlags = map[string]bool{"demo": true, "kill": true, "roll": true, "serve": true, "requests": true, "workers": true, "seed": true, "source": true, "max-bytes": true, "log": true}

// serviceToo are the demoFlags that the service has as well.
var serviceToo = map[string]bool{"max-bytes": true, "log": true}

// A program is the flags that a program has.
type program struct {
	*flag.FlagSet
	options
	config     string
	secretFile string
	tokenFile  string
	finders    []Finder
	sources    map[string]NewSource // by the Finders' flags
}

func newProgram(more []Finder) *program {
	p := &program{FlagSet: flag.NewFlagSet("webcache", flag.ContinueOnError), finders: append(builtin(), more...), sources: make(map[string]NewSource)}
	p.SetOutput(io.Discard)
	p.StringVar(&p.config, configFlag, "", "YAML `file` with values for these flags, by their names, such as max-bytes: 256MiB; the command line goes first")
	p.defineFleet()
	p.defineCache()
	p.tls.define(p.FlagSet)
	p.defineDemo()
	return p
}

func (p *program) defineFleet() {
	fs, o := p.FlagSet, &p.options
	fs.StringVar(&o.listen, "listen", "127.0.0.1:8080", "`address` that clients and other instances connect to")
	fs.StringVar(&o.self, "self", "", "`URL` by which the other instances reach this one, spelled as they find it")
	for _, f := range p.finders {
		p.sources[f.Flag] = f.Define(fs)
	}
	fs.DurationVar(&o.interval, IntervalFlag, 0, "how often -peers-file is read, or a name looked up (default 2s, or 10s)")
	fs.StringVar(&p.secretFile, "secret-file", "", "`file` with the fleet's shared secret: 16 random bytes or more; space around it does not count")
	fs.BoolVar(&o.insecure, "insecure", false, "run a fleet without a secret or certificates: whoever reaches -listen can read and replace what is cached")
	fs.DurationVar(&o.shutdown, "shutdown-timeout", defaultShutdown, "how long everything may take after SIGTERM: that other instances take over, and that requests finish")
	fs.DurationVar(&o.drain, "drain", peers.DefaultDrainTime, "of that, how long other instances may take over what this one holds")
	fs.BoolVar(&o.withStdin, "with-stdin", false, "also end, as on SIGTERM, when the standard input does")
}

func (p *program) defineCache() {
	fs, o := p.FlagSet, &p.options
	fs.Var(&o.origins, "origin", "`URL` of the origin, without a path; or host=URL, for requests for that host, which may be repeated: other hosts go to the one without host=, or are refused; required")
	fs.BoolVar(&o.preserveHost, "preserve-host", false, "have the origin see the host that clients ask for, and not its own")
	o.maxBytes = defaultMaxBytes
	fs.Var((*sizeFlag)(&o.maxBytes), "max-bytes", "memory for what is cached: a `size` such as 256MiB")
	fs.Var((*sizeFlag)(&o.maxObject), "max-object", "largest response that is cached, a `size`; at most -max-bytes (default 128MiB, or a quarter of that)")
	fs.BoolVar(&o.trustClient, "trust-client-cache-control", false, "heed the Cache-Control of requests: any client can have the origin asked")
	fs.BoolVar(&o.storePost, "store-post", false, "cache the response to a POST that says that a GET would give the same")
	fs.BoolVar(&o.storeSetCookie, "store-set-cookie", false, "cache responses that set cookies, too: everybody gets the same")
	fs.StringVar(&o.admin, "admin", "", "`address` for /healthz, /readyz, /stats and /purge; without a host, on loopback only (default none)")
	fs.StringVar(&p.tokenFile, "admin-token-file", "", "`file` with the token that a purge needs: 16 random characters or more; space around it does not count (default none: nobody may purge)")
	fs.StringVar(&o.accessLog, "access-log", "", "`file` that gets a line of JSON for each request of a client, or - for the standard output; it may be renamed away (default none)")
	fs.Var((*levelFlag)(&o.log), "log", "least `level` to log: debug, info, warn or error (default info, or warn for the instances of -demo)")
}

func (p *program) defineDemo() {
	fs, o := p.FlagSet, &p.options
	fs.BoolVar(&o.demo, "demo", false, "run three instances and an origin on this machine, and load them")
	fs.BoolVar(&o.kill, "kill", false, "with -demo: kill one of the instances in the middle of it")
	fs.BoolVar(&o.roll, "roll", false, "with -demo: replace one instance after the other in the middle of it, by SIGTERM and a new process")
	fs.BoolVar(&o.serve, "serve", false, "with -demo: stay up afterwards, to be tried with curl")
	fs.IntVar(&o.requests, "requests", 60_000, "with -demo: how many requests")
	fs.IntVar(&o.workers, "workers", 32, "with -demo: how many requests at a time")
	fs.Uint64Var(&o.seed, "seed", 1, "with -demo: seed of the order of requests")
	fs.StringVar(&o.folder, "source", "", "with -demo: `folder` that the origin serves (default src in `go env GOROOT`)")
}

func usage(w io.Writer, more ...Finder) {
	p := newProgram(more)
	p.SetOutput(w)
	fmt.Fprintln(w, "webcache is an HTTP cache in front of an origin, which shares its memory with other instances.\nTry: webcache -demo")
	p.PrintDefaults()
}

// parseFlags returns the options, or the first thing that is wrong with them, in one line.
func parseFlags(args []string, more ...Finder) (*options, error) {
	p := newProgram(more)
	o := &p.options
	if err := p.Parse(args); err != nil {
		return nil, err
	}
	if p.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q: every option begins with a dash", p.Arg(0))
	}
	given, err := p.given()
	if err == nil {
		err = o.checkSizes()
	}
	if err == nil && o.demo {
		err = o.checkDemo(given)
	} else if err == nil {
		err = p.checkService(given)
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

// given returns the names of the flags that have been given, on the command line or in the file.
func (p *program) given() (map[string]bool, error) {
	given := make(map[string]bool)
	visit := func(f *flag.Flag) { given[f.Name] = true }
	p.Visit(visit)
	if given[configFlag] && !p.demo {
		if err := p.readConfig(p.config, given); err != nil {
			return nil, err
		}
		p.Visit(visit)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		switch {
		case serviceToo[name]:
		case p.demo && !demoFlags[name]:
			return nil, fmt.Errorf("-%s does not go with -demo, which starts instances of its own", name)
		case !p.demo && demoFlags[name]:
			return nil, fmt.Errorf("-%s is for -demo", name)
		}
	}
	return given, nil
}

// readSecret returns what is in the file that a flag names: a secret.
func readSecret(name, file string) ([]byte, error) {
	secret, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-%s: %v", name, err)
	}
	if secret = bytes.TrimSpace(secret); len(secret) < peers.MinSecret {
		return nil, fmt.Errorf("-%s: %s has %d bytes: use %d random ones or more, such as from: openssl rand -hex 32", name, file, len(secret), peers.MinSecret)
	}
	return secret, nil
}

// A levelFlag is a level to log at.
type levelFlag slog.Level

func (f *levelFlag) Set(s string) error {
	if (*slog.Level)(f).UnmarshalText([]byte(s)) != nil {
		return errors.New("use debug, info, warn or error")
	}
	return nil
}

func (f *levelFlag) String() string { return strings.ToLower(slog.Level(*f).String()) }

// A sizeFlag is a number of bytes: a number and B, KiB, MiB, GiB or nothing.
type sizeFlag int64

func (f *sizeFlag) Set(s string) error {
	digits := strings.TrimRight(s, "BKMGi")
	shift, ok := map[string]uint{"": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30}[s[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n <= 0 || n > math.MaxInt64>>shift {
		return errors.New("use a number and B, KiB, MiB or GiB, such as 256MiB")
	}
	*f = sizeFlag(n << shift)
	return nil
}

func (f *sizeFlag) String() string {
	for shift, unit := range map[uint]string{10: "KiB", 20: "MiB", 30: "GiB"} {
		if n := int64(*f) >> shift; n > 0 && n < 1024 && n<<shift == int64(*f) {
			return strconv.FormatInt(n, 10) + unit
		}
	}
	return strconv.FormatInt(int64(*f), 10)
}
