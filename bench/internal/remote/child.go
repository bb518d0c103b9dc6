package remote

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/load"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
)

// A child's role is one of these and the name of a kind.
const (
	serverRole = "server "
	clientRole = "client "
)

// profileVariable tells a child to profile itself, and into which folder.
const profileVariable = "FLEETCACHE_BENCH_PROFILE"

// dial is what a client is opened with.
type dial struct {
	Addr  string
	Setup kind.Setup
}

// Child runs this process's part, if it is a child of a Pair's, and does not return then. Programs and tests that
// open Pairs call it before anything else.
func Child() {
	role, ok := process.Role()
	if !ok {
		return
	}
	process.Exit(role, profiled(role, runChild))
}

// profiled calls run, and writes a profile of that if one is wanted.
func profiled(role string, run func(role string) error) (err error) {
	dir := os.Getenv(profileVariable)
	if dir == "" {
		return run(role)
	}
	f, err := os.Create(filepath.Join(dir, strings.ReplaceAll(role, " ", "-")+".pprof"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return run(role)
}

func runChild(role string) error {
	name, isServer := strings.CutPrefix(role, serverRole)
	if !isServer {
		name = strings.TrimPrefix(role, clientRole)
	}
	kinds, err := kind.Named(name)
	if err != nil {
		return err
	}
	if isServer {
		return runServer(kinds[0])
	}
	return runClient(kinds[0])
}

var errNotOpen = errors.New("not opened yet")

func runServer(k kind.Kind) (err error) {
	var s *kind.Server
	defer func() {
		if s != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	return process.Serve(os.Stdin, os.Stdout, process.Methods{
		"open": process.Method(func(ctx context.Context, setup kind.Setup) (addr string, err error) {
			if s, err = k.Serve(ctx, setup); err != nil {
				return "", err
			}
			return s.Addr, nil
		}),
		"join": process.Method(func(_ context.Context, url string) (any, error) {
			if s == nil || s.Join == nil {
				return nil, errors.New("there is nothing to join")
			}
			return nil, s.Join(url)
		}),
		"spent": process.Method(func(context.Context, any) (load.Usage, error) {
			switch {
			case s == nil:
				return load.Usage{}, errNotOpen
			case s.PID != 0:
				return load.SpentBy(s.PID)
			}
			return load.Spent()
		}),
	})
}

func runClient(k kind.Kind) (err error) {
	var c kind.Client
	var g *load.Generator
	defer func() {
		if c != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	return process.Serve(os.Stdin, os.Stdout, process.Methods{
		"open": process.Method(func(ctx context.Context, d dial) (url string, err error) {
			if c, err = k.Dial(ctx, d.Addr, d.Setup); err != nil {
				return "", err
			}
			g = load.New(c, k.Pipelined)
			if m, ok := c.(kind.Member); ok {
				url = m.URL()
			}
			return url, nil
		}),
		"prepare": process.Method(func(ctx context.Context, s load.Shape) (any, error) {
			if g == nil {
				return nil, errNotOpen
			}
			return nil, g.Prepare(ctx, s)
		}),
		"run": process.Method(func(ctx context.Context, l load.Limit) (load.Result, error) {
			if g == nil {
				return load.Result{}, errNotOpen
			}
			return g.Run(ctx, l)
		}),
	})
}
