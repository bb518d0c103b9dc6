// Package kind has the ways of getting a value from another process that are compared, a file for each. A Kind is a
// server and a client; which process runs which is not its concern. Each is tuned as a careful user of it would, and
// says how.
package kind

import (
	"context"
	"fmt"
	"os/exec"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/named"
)

// A Kind is one way of getting values from another process.
type Kind struct {
	Name  string
	About string // what it is, and what was tuned, in a line
	// Needs is a program that must be in PATH, "" if the kind needs none.
	Needs string
	// Pipelined says that one goroutine stands for all callers: it sends as many requests as there are
	// callers in one go. Its client must be a ManyCaller.
	Pipelined bool
	// Many says that its callers are ManyCallers. Others get many keys one after the other.
	Many bool

	Serve func(ctx context.Context, s Setup) (*Server, error)
	Dial  func(ctx context.Context, addr string, s Setup) (Client, error)
}

// Setup is what both sides of a kind are given.
type Setup struct {
	// Cert and Key are a certificate for 127.0.0.1 that signs itself and its private key, in PEM, for
	// those who want TLS.
	Cert, Key []byte
}

// A Server is the other process's side. Close ends it.
type Server struct {
	Addr string
	// PID is the process that does the work, 0 if it is this one.
	PID int
	// Join tells the server the URL of the client's own instance, for those that must know; else nil.
	Join  func(url string) error
	Close func() error
}

// A Client reaches a server.
type Client interface {
	// Callers readies the client for n callers at a time, and returns one for each. It ends those that an earlier
	// call returned: none of their calls may be under way.
	Callers(n int) ([]Caller, error)
	Close() error
}

// A Caller makes one call at a time. What it returns is good until its next call.
type Caller interface {
	Get(ctx context.Context, key string) ([]byte, error)
}

// A Rester is a Caller that keeps something between calls, which it gives back when there are none for a while.
type Rester interface{ Rest() }

// A ManyCaller gets many values at a time. It calls got once for each key, with its index, in any order, and not
// concurrently.
type ManyCaller interface {
	GetMany(ctx context.Context, keys []string, got func(i int, value []byte) error) error
}

// A Storer is a Caller whose server must be given the values first.
type Storer interface {
	Store(ctx context.Context, key string, value []byte) error
}

// A Member is a Client that is an instance of the server's fleet. Keys that the server does not own never cross.
type Member interface {
	URL() string
	Crosses(key string) bool
}

// All returns every kind, fleetcache first.
func All() []Kind {
	return []Kind{
		fleetcache, fleetcacheGet, fleetcacheTLS,
		groupcacheHTTP, groupcacheGet,
		grpcUnary, http1, h2c,
		memcached, redisRueidis, redisGo,
		floor,
	}
}

// Named returns the kinds of these names, all of them if there are none. The error says which there are.
func Named(names ...string) ([]Kind, error) {
	if len(names) == 0 {
		return All(), nil
	}
	return named.Find(All(), nameOf, "there is no kind", names)
}

// Names returns the names of kinds.
func Names(kinds []Kind) []string { return named.Names(kinds, nameOf) }

func nameOf(k Kind) string { return k.Name }

// Missing returns an error if the program that k needs is not there.
func (k Kind) Missing() error {
	if k.Needs == "" {
		return nil
	}
	if _, err := exec.LookPath(k.Needs); err != nil {
		return fmt.Errorf("%s is left out: %s is not in PATH", k.Name, k.Needs)
	}
	return nil
}
