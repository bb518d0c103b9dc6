package main

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/example/webcache/internal/app"
	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/memberlist"
)

const (
	seedsFlag = "peers-memberlist-seeds"
	bindFlag  = "peers-memberlist-bind"
	keyFlag   = "peers-memberlist-key-file"
)

// gossip finds instances by hashicorp/memberlist.
var gossip = app.Finder{
	Flag:   seedsFlag,
	Wants:  "name some instances, this one perhaps among them, or a name that has the addresses of all",
	More:   []string{bindFlag, keyFlag, app.IntervalFlag},
	Define: defineGossip,
}

func defineGossip(fs *flag.FlagSet) app.NewSource {
	seeds := app.List(fs, seedsFlag, fmt.Sprintf("`hosts` to find all others by gossip from, separated by commas: names or IP addresses, with or without a port; looked up every -%s (default %v)",
		app.IntervalFlag, memberlist.DefaultRejoin))
	bind := fs.String(bindFlag, "", fmt.Sprintf("IP `address` to listen on for gossip, by UDP and TCP, with or without a port (default 0.0.0.0:%d)", memberlist.DefaultPort))
	keyFile := fs.String(keyFlag, "", "`file` with the keys that encrypt the gossip, a line each, of 64 hexadecimal digits: the first is used, any is understood")
	return func(in app.Instance) (discover.Source, error) {
		cfg := memberlist.Config{Self: in.Self.String(), Bind: *bind, Advertise: advertised(*bind, in), Seeds: *seeds, Rejoin: in.Interval, Insecure: in.Insecure, Logger: in.Logger}
		switch {
		case *keyFile == "" && !in.Insecure:
			return nil, fmt.Errorf("-%s is missing: with -%s, give a file with a key that all have, such as from: openssl rand -hex 32; or say -insecure", keyFlag, seedsFlag)
		case *keyFile != "":
			var err error
			if cfg.Keys, err = readKeys(*keyFile); err != nil {
				return nil, fmt.Errorf("-%s: %w", keyFlag, err)
			}
		}
		source, err := memberlist.New(cfg)
		if err != nil {
			return nil, errors.New(gossipFlags.Replace(err.Error()))
		}
		return source, nil
	}
}

// gossipFlags makes the flags' names of the fields that they become.
var gossipFlags = strings.NewReplacer(
	"memberlist: Config.Self", "-self", "memberlist: Config.Insecure is set", "-insecure is given", "memberlist: Config.Bind", "-"+bindFlag,
	"memberlist: Config.Advertise is empty", "-self has a name for a host", "memberlist: Config.Seeds", "-"+seedsFlag, "memberlist: cannot listen", "-"+bindFlag+": cannot listen",
	"together with Keys", "together with -"+keyFlag, "Bind", "-"+bindFlag)

// advertised returns where others reach the gossip of an instance that listens on every address: where they reach the instance, if that is
// an address. Else memberlist finds out.
func advertised(bind string, in app.Instance) string {
	host := strings.Trim(bind, "[]")
	if at, err := netip.ParseAddrPort(bind); err == nil {
		host = at.Addr().String()
	}
	all, err := netip.ParseAddr(host)
	if bind != "" && (err != nil || !all.IsUnspecified()) {
		return ""
	}
	self, err := netip.ParseAddr(in.Self.Hostname())
	if err != nil || self.IsUnspecified() {
		return ""
	}
	return self.String()
}

// readKeys reads the keys in a file.
func readKeys(file string) (keys [][]byte, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		key, err := hex.DecodeString(strings.TrimSpace(line))
		if err != nil || len(key) != 16 && len(key) != 24 && len(key) != 32 { // whose text is nobody's business
			return nil, fmt.Errorf("%s: line %d is no key of 64 hexadecimal digits: use such as from: openssl rand -hex 32", file, i+1)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
