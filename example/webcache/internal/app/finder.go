package app

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// A Finder is a way to find the instances of a fleet, with flags of its own.
type Finder struct {
	// Flag is the name of the flag that chooses the Finder, and Wants says what that needs, for who gives it nothing. A program takes one of its
	// Finders at most.
	Flag, Wants string

	// More are flags that go with Flag alone. IntervalFlag, which is there already, may be one.
	More []string

	// Define defines Flag and those of More. What it returns is called when all flags have been parsed, if Flag is given.
	Define func(*flag.FlagSet) NewSource
}

// NewSource returns a Source for an instance. An error names the flag that is wrong, and says how to mend it. If the Source is an io.Closer it is
// closed when the others have taken over what the instance held.
type NewSource func(Instance) (discover.Source, error)

// An Instance is who looks for others.
type Instance struct {
	Self     *url.URL      // -self
	Insecure bool          // -insecure
	Interval time.Duration // IntervalFlag; 0: not given
	Logger   *slog.Logger
}

// Port returns the port of -self, which may be that of its scheme.
func (in *Instance) Port() (int, error) {
	port := in.Self.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[in.Self.Scheme]
	}
	return strconv.Atoi(port)
}

// IntervalFlag is the flag that says how often a Finder looks.
const IntervalFlag = "peers-interval"

// builtin returns the Finders that every program has.
func builtin() []Finder {
	return []Finder{
		{Flag: "peers", Wants: "give the URLs of the instances, separated by commas", Define: definePeers},
		{Flag: "peers-file", Wants: "name a file with the URLs of the instances", More: []string{IntervalFlag}, Define: definePeersFile},
		{Flag: "peers-dns", Wants: "give the name that has an address for each instance", More: []string{IntervalFlag}, Define: definePeersDNS},
	}
}

// A listFlag is words with commas between them; empty ones do not count.
type listFlag []string

func (f *listFlag) Set(s string) error {
	*f = nil
	for word := range strings.SplitSeq(s, ",") {
		if word = strings.TrimSpace(word); word != "" {
			*f = append(*f, word)
		}
	}
	return nil
}

func (f *listFlag) String() string { return strings.Join(*f, ",") }

// List defines a flag on fs that takes words with commas between them, and returns where they will be.
func List(fs *flag.FlagSet, name, usage string) *[]string {
	words := new([]string)
	fs.Var((*listFlag)(words), name, usage)
	return words
}

func definePeers(fs *flag.FlagSet) NewSource {
	urls := List(fs, "peers", "`URLs` of the instances, separated by commas, with or without this one")
	return func(Instance) (discover.Source, error) {
		var members discover.Static
		for _, u := range *urls {
			if err := checkURL("-peers", u); err != nil {
				return nil, err
			}
			members = append(members, discover.Member{URL: u})
		}
		return members, nil
	}
}

func definePeersFile(fs *flag.FlagSet) NewSource {
	path := fs.String("peers-file", "", "`file` with the URLs of the instances, one a line; it is read again and again. Replace it by a rename")
	return func(in Instance) (discover.Source, error) {
		file, err := discover.NewFile(discover.FileConfig{Path: *path, Interval: in.Interval})
		if err != nil {
			return nil, err
		}
		for _, err := range file.Members(context.Background()) { // which yields at once what the file says now
			if err != nil {
				return nil, fmt.Errorf("-peers-file: %s", strings.TrimPrefix(err.Error(), "discover: "))
			}
			break
		}
		return file, nil
	}
}

func definePeersDNS(fs *flag.FlagSet) NewSource {
	name := fs.String("peers-dns", "", "`name` that has an address for each instance, which has scheme, port and path as in -self; if it begins with _, one that has SRV records")
	return func(in Instance) (discover.Source, error) {
		cfg, err := dnsConfig(*name, in)
		if err != nil {
			return nil, err
		}
		return discover.NewDNS(cfg)
	}
}

// dnsConfig returns how the members are looked up. All that a record does not say of an instance is as in -self, so that this one
// recognises itself.
func dnsConfig(name string, in Instance) (discover.DNSConfig, error) {
	cfg := discover.DNSConfig{Name: name, SRV: strings.HasPrefix(name, "_"), Interval: in.Interval, Scheme: in.Self.Scheme, Path: in.Self.Path}
	if cfg.SRV {
		return cfg, nil
	}
	addr, err := netip.ParseAddr(in.Self.Hostname())
	if err != nil {
		return cfg, fmt.Errorf("-self: %q has a name for a host: with -peers-dns, give the address that is looked up", in.Self)
	}
	cfg.Network = "ip4"
	if addr.Is6() {
		cfg.Network = "ip6"
	}
	cfg.Port, err = in.Port()
	return cfg, err
}

// having returns the flags of those Finders that have one among More, or all, in words.
func having(finders []Finder, more, last string) string {
	var flags []string
	for _, f := range finders {
		if more == "" || slices.Contains(f.More, more) {
			flags = append(flags, "-"+f.Flag)
		}
	}
	if n := len(flags) - 1; n > 0 {
		flags = append(flags[:n-1], flags[n-1]+" "+last+" "+flags[n])
	}
	return strings.Join(flags, ", ")
}
