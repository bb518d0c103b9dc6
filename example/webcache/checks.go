package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// maxObjectShare is the share of -max-bytes that -max-object may be: httpcache takes no more than 1/maxObjectShare.
const maxObjectShare = 5

func (o *options) checkSizes() error {
	size := func(n int64) string { return (*sizeFlag)(&n).String() }
	if o.maxBytes < cache.MinMaxBytes {
		return fmt.Errorf("-max-bytes is %s: use at least %s; the default is %s", size(o.maxBytes), size(cache.MinMaxBytes), size(defaultMaxBytes))
	}
	if most := o.maxBytes / maxObjectShare; o.maxObject > most {
		return fmt.Errorf("-max-object is %s: use at most %s, a fifth of -max-bytes, which is %s", size(o.maxObject), size(most), size(o.maxBytes))
	}
	return nil
}

// checkDemo looks at the flags of -demo. given are the names of the flags on the command line.
func (o *options) checkDemo(given map[string]bool) error {
	if o.requests < 1 || o.workers < 1 || o.workers > 1000 {
		return fmt.Errorf("-requests is %d and -workers %d: use at least 1, and at most 1000 workers", o.requests, o.workers)
	}
	if given["source"] && o.source == "" {
		return errors.New("-source is empty: name a folder, or leave it out")
	}
	if !given["log"] {
		o.log = slog.LevelWarn
	}
	return nil
}

// checkService looks at what no package that is given it looks at, or speaks of in other words.
func (o *options) checkService(given map[string]bool, peerList, secretFile string) (err error) {
	if o.origin == "" {
		return errors.New("-origin is missing: give the URL of the origin, such as -origin http://10.0.0.9:8080")
	}
	if o.shutdown < 0 {
		return fmt.Errorf("-shutdown-timeout is %v: use a positive duration", o.shutdown)
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
	if !given["peers"] {
		for _, name := range []string{"self", "secret-file", "insecure"} {
			if given[name] {
				return fmt.Errorf("-%s is given without -peers: give the URLs of the instances too, or leave it out", name)
			}
		}
		return nil
	}
	return o.checkFleet(peerList, secretFile)
}

// checkFleet looks at the flags that go with -peers.
func (o *options) checkFleet(peerList, secretFile string) (err error) {
	for _, u := range strings.Split(peerList, ",") {
		if u = strings.TrimSpace(u); u != "" {
			o.peers = append(o.peers, u)
		}
	}
	switch {
	case len(o.peers) == 0:
		return errors.New("-peers names no instance: give their URLs, separated by commas, or leave it out")
	case o.self == "":
		return errors.New("-self is missing: with -peers, give the URL by which they reach this instance")
	case secretFile == "" && !o.insecure:
		return errors.New("-secret-file is missing: with -peers, give a file with a secret that all have, or say -insecure")
	case secretFile != "" && o.insecure:
		return errors.New("-insecure is given together with -secret-file: leave one of them out")
	}
	if err := checkURL("-self", o.self); err != nil {
		return err
	}
	for _, u := range o.peers {
		if err := checkURL("-peers", u); err != nil {
			return err
		}
	}
	if secretFile != "" {
		o.secret, err = readSecret(secretFile)
	}
	return err
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
