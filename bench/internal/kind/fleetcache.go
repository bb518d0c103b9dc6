package kind

import (
	"context"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// Server and client are two instances of one service, with the defaults of the library and a shared Secret.
// The client uses the keys alone that the server owns, and keeps no mirrors, so that every call crosses.
var (
	fleetcache = fleet{}.kind("fleetcache",
		"the bare wire: cache.Peer.Get through a peers.Pool, with a Secret; nothing tuned; values are looked at and not kept, as by a Codec")
	fleetcacheGet = fleet{byCache: true}.kind("fleetcache-get",
		"the whole way: cache.Cache.Get and GetMany of []byte, which are their caller's own, without mirrors, so that every call crosses")
	fleetcacheTLS = fleet{secure: true}.kind("fleetcache-tls",
		"fleetcache with https URLs, and the Secret as well; TLS 1.3")
)

// A fleet is how the two instances reach each other.
type fleet struct {
	secure  bool // with https URLs
	byCache bool // through the client's cache, and not on the bare wire
}

func (f fleet) kind(name, about string) Kind {
	return Kind{Name: name, About: about, Many: true, Serve: f.serve, Dial: f.dial}
}

func (f fleet) serve(_ context.Context, s Setup) (*Server, error) {
	in, err := newInstance(s, f.secure)
	if err != nil {
		return nil, err
	}
	return &Server{Addr: in.url, Join: in.join, Close: in.close}, nil
}

func (f fleet) dial(_ context.Context, addr string, s Setup) (Client, error) {
	in, err := newInstance(s, f.secure)
	if err != nil {
		return nil, err
	}
	if err := in.join(addr); err != nil {
		in.close()
		return nil, err
	}
	return &fleetClient{instance: in, byCache: f.byCache}, nil
}

// A fleetClient is an instance that asks the other one.
type fleetClient struct {
	*instance
	byCache bool
}

func (c *fleetClient) URL() string { return c.url }

func (c *fleetClient) Crosses(key string) bool { return c.pool.Owner(key) != nil }

func (c *fleetClient) Callers(n int) ([]Caller, error) {
	if n > peers.DefaultMaxConnsPerPeer {
		return nil, fmt.Errorf("%d callers are more than a Pool's default lets through at a time", n)
	}
	callers := make([]Caller, n)
	for i := range callers {
		if c.byCache {
			callers[i] = cacheCaller{c.cache}
		} else {
			callers[i] = newAsker(c.pool)
		}
	}
	return callers, nil
}

func (c *fleetClient) Close() error { return c.close() }
