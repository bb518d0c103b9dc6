package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/seed-0f2aaebe/fleetcache/peers"
	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// newPool returns a Pool that knows the members, as far as they can be found out at once, and that follows what becomes of them
// until unfollow is called.
func newPool(opts *options, log *slog.Logger) (_ *peers.Pool, unfollow func(), err error) {
	source, err := newSource(opts)
	if err != nil {
		return nil, nil, err
	}
	pool, err := peers.New(peers.Config{Self: opts.self, Secret: opts.secret, Insecure: opts.insecure, DrainTime: opts.drain, Logger: log})
	if err != nil {
		return nil, nil, err
	}
	if err := setFirst(pool, source, opts); err != nil {
		return nil, nil, errors.Join(err, pool.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { _ = pool.Follow(ctx, source) }) // which logs what is wrong, and ends with ctx
	return pool, func() { cancel(); following.Wait() }, nil
}

// setFirst gives the pool the first list, before anything is cached. A name that cannot be looked up yet is not an error:
// it may have no addresses before one of the instances is ready.
func setFirst(pool *peers.Pool, source discover.Source, opts *options) error {
	for members, err := range source.Members(context.Background()) {
		switch {
		case err == nil:
			return pool.Set(members...)
		case opts.peersDNS == "":
			return err
		}
		return nil // Follow tries again, and logs why
	}
	return nil
}

// newSource returns what the one of -peers, -peers-file and -peers-dns that is given names.
func newSource(opts *options) (discover.Source, error) {
	switch {
	case opts.peersFile != "":
		return discover.NewFile(discover.FileConfig{Path: opts.peersFile, Interval: opts.interval})
	case opts.peersDNS != "":
		cfg, err := dnsConfig(opts)
		if err != nil {
			return nil, err
		}
		return discover.NewDNS(cfg)
	}
	var members discover.Static
	for _, u := range opts.peers {
		members = append(members, discover.Member{URL: u})
	}
	return members, nil
}

// dnsConfig returns how the members are looked up. All that a record does not say of an instance is as in -self, so that this one
// recognises itself.
func dnsConfig(opts *options) (discover.DNSConfig, error) {
	cfg := discover.DNSConfig{Name: opts.peersDNS, SRV: strings.HasPrefix(opts.peersDNS, "_"), Interval: opts.interval}
	self, err := url.Parse(opts.self)
	if err != nil {
		return cfg, err
	}
	cfg.Scheme, cfg.Path = self.Scheme, self.Path
	if cfg.SRV {
		return cfg, nil
	}
	addr, err := netip.ParseAddr(self.Hostname())
	if err != nil {
		return cfg, fmt.Errorf("-self: %q has a name for a host: with -peers-dns, give the address that is looked up", opts.self)
	}
	cfg.Network = "ip4"
	if addr.Is6() {
		cfg.Network = "ip6"
	}
	port := self.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[self.Scheme]
	}
	cfg.Port, err = strconv.Atoi(port)
	return cfg, err
}
