package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

func (o *options) checkSizes() error {
	size := func(n int64) string { return (*sizeFlag)(&n).String() }
	if o.maxBytes < cache.MinMaxBytes {
		return fmt.Errorf("-max-bytes is %s: use at least %s; the default is %s", size(o.maxBytes), size(cache.MinMaxBytes), size(defaultMaxBytes))
	}
	if o.maxObject > o.maxBytes {
		return fmt.Errorf("-max-object is %s: use at most %s, which is -max-bytes", size(o.maxObject), size(o.maxBytes))
	}
	return nil
}

// checkDemo looks at the flags of -demo. given are the names of the flags on the command line.
func (o *options) checkDemo(given map[string]bool) error {
	if o.requests < 1 || o.workers < 1 || o.workers > 1000 {
		return fmt.Errorf("-requests is %d and -workers %d: use at least 1, and at most 1000 workers", o.requests, o.workers)
	}
	if o.kill && o.roll {
		return errors.New("-roll is given together with -kill: leave one of them out")
	}
	if given["source"] && o.folder == "" {
		return errors.New("-source is empty: name a folder, or leave it out")
	}
	if !given["log"] {
		o.log = slog.LevelWarn
	}
	return nil
}

// checkService looks at what no package that is given it looks at, or speaks of in other words.
func (p *program) checkService(given map[string]bool) error {
	o := &p.options
	switch host := o.origins.twice; {
	case len(o.origins.byHost) == 0:
		return errors.New("-origin is missing: give the URL of the origin, such as -origin http://10.0.0.9:8080")
	case host == "*":
		return errors.New("-origin is given twice for all hosts: leave one of them out, or say for which host it is: host=URL")
	case host != "":
		return fmt.Errorf("-origin is given twice for %s: leave one of them out", host)
	}
	if err := o.checkTimes(given); err != nil {
		return err
	}
	if err := o.tls.check(given, o.origins.byHost); err != nil {
		return err
	}
	if err := checkAddress(o.listen); err != nil {
		return fmt.Errorf("-listen: %w: use a host and a port, such as 127.0.0.1:8080 or :8080", err)
	}
	if o.admin != "" {
		if err := checkAddress(o.admin); err != nil {
			return fmt.Errorf("-admin: %w: use a host and a port, such as 127.0.0.1:9090 or :9090", err)
		}
		if port, ok := strings.CutPrefix(o.admin, ":"); ok {
			o.admin = net.JoinHostPort("127.0.0.1", port)
		}
	}
	if err := p.checkAdmin(given); err != nil {
		return err
	}
	if given["access-log"] && o.accessLog == "" {
		return errors.New("-access-log is empty: name a file, or - for the standard output, or leave it out")
	}
	return p.checkFleet(given)
}

// checkAdmin looks at what goes with -admin, and reads the token.
func (p *program) checkAdmin(given map[string]bool) (err error) {
	switch {
	case !given["admin-token-file"]:
		return nil
	case p.admin == "":
		return errors.New("-admin is missing: with -admin-token-file, give the address that purges are sent to")
	}
	p.adminToken, err = readSecret("admin-token-file", p.tokenFile)
	return err
}

func (o *options) checkTimes(given map[string]bool) error {
	for name, d := range map[string]time.Duration{"shutdown-timeout": o.shutdown, "drain": o.drain, "peers-interval": o.interval} {
		if given[name] && d <= 0 {
			return fmt.Errorf("-%s is %v: use a positive duration", name, d)
		}
	}
	if given["drain"] && o.drain >= o.shutdown {
		return fmt.Errorf("-drain is %v: use less than -shutdown-timeout, which is %v", o.drain, o.shutdown)
	}
	return nil
}

// inFleet reports whether there is a way to find other instances.
func (o *options) inFleet() bool { return o.source != nil }

// find returns the Source of an instance in a fleet.
func (o *options) find(log *slog.Logger) (discover.Source, error) {
	self, err := url.Parse(o.self)
	if err != nil {
		return nil, err
	}
	return o.source(Instance{Self: self, Insecure: o.insecure, Interval: o.interval, Logger: log})
}

// checkFleet looks at the flags of an instance that has others.
func (p *program) checkFleet(given map[string]bool) (err error) {
	by, err := p.chosen(given)
	if err != nil || by == "" {
		return err
	}
	o := &p.options
	switch {
	case o.self == "":
		return fmt.Errorf("-self is missing: with -%s, give the URL by which the others reach this instance", by)
	case p.secretFile == "" && o.tls.peerCert == "" && !o.insecure:
		return fmt.Errorf("-secret-file is missing: with -%s, give a file with a secret that all have, or certificates with -peer-cert, or say -insecure", by)
	case p.secretFile != "" && o.insecure:
		return errors.New("-insecure is given together with -secret-file: leave one of them out")
	case o.tls.peerCert != "" && o.insecure:
		return errors.New("-insecure is given together with -peer-cert: leave one of them out")
	}
	if err := checkURL("-self", o.self); err != nil {
		return err
	}
	if err := o.tls.checkPeers(o.self); err != nil {
		return err
	}
	o.findBy, o.source = by, p.sources[by]
	if p.secretFile != "" {
		o.secret, err = readSecret("secret-file", p.secretFile)
	}
	return err
}

// chosen returns the flag of the Finder that is chosen, or none, if the other flags that are given go with that.
func (p *program) chosen(given map[string]bool) (by string, err error) {
	var chosen Finder
	var more []string // what goes with some Finder alone
	for _, f := range p.finders {
		more = append(more, f.More...)
		switch {
		case !given[f.Flag]:
		case by != "":
			return "", fmt.Errorf("-%s is given together with -%s: leave one of them out", f.Flag, by)
		case p.Lookup(f.Flag).Value.String() == "":
			return "", fmt.Errorf("-%s is empty: %s, or leave it out", f.Flag, f.Wants)
		default:
			chosen, by = f, f.Flag
		}
	}
	for _, name := range slices.Concat([]string{"self", "secret-file", "insecure", "drain"}, peerFlags, more) {
		if given[name] && by == "" {
			return "", fmt.Errorf("-%s is given without %s: say how to find the instances too, or leave it out", name, having(p.finders, "", "or"))
		}
	}
	for _, name := range more {
		if given[name] && !slices.Contains(chosen.More, name) {
			return "", fmt.Errorf("-%s is for %s: leave it out", name, having(p.finders, name, "and"))
		}
	}
	return by, nil
}

// checkAddress reports what is wrong with an address to listen on.
func checkAddress(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil:
		return err
	case port == "":
		return fmt.Errorf("address %s: missing port", addr)
	}
	_, err = net.ResolveTCPAddr("tcp", addr)
	return err
}

// checkURL reports what is wrong with the URL of an instance. It says the URL once, and
// not at all if there may be a password in it.
func checkURL(name, raw string) error {
	if strings.Contains(raw, "@") {
		return fmt.Errorf("%s has a URL with a user or a password: use http://host:port", name)
	}
	bad := func(why string) error { return fmt.Errorf("%s: %q %s: use http://host:port", name, raw, why) }
	u, err := url.Parse(raw)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https":
		return bad("is no http or https URL")
	case u.Hostname() == "":
		return bad("has no host")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#"):
		return bad("has a query or a fragment")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return bad("has a port that is not 1 to 65535")
	}
	return nil
}
