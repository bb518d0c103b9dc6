package web

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// role is the part of every child.
const role = "web"

const joinTimeout = 10 * time.Second

// Child runs this process's part, if it is a child of this package's, and does not return then. Programs and tests that
// call Run call it before anything else.
func Child() {
	process.Part(role, func() error {
		return process.ServeInstance(newInstance, func(in *instance) process.Methods {
			return process.Methods{
				"pid": process.Method(func(context.Context, any) (int, error) { return os.Getpid(), nil }),
				"url": process.Method(func(context.Context, any) (string, error) { return in.url, nil }),
			}
		})
	})
}

// A setup is what a child is told when it begins.
type setup struct {
	Origin  string // of an httpcache.Handler; "": the bare handler of net/http
	Secret  string // of its fleet; "": it is alone
	Profile string // file for a CPU profile; "": none is made
}

// An instance is a child's part.
type instance struct {
	url     string
	server  *http.Server
	handler *httpcache.Handler // nil: the bare one
	pool    *peers.Pool        // nil: alone
	profile *os.File           // nil: none
}

func newInstance(s setup) (_ *instance, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	in := &instance{url: "http://" + l.Addr().String()}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close(), in.Close())
		}
	}()
	h, err := in.newHandler(s)
	if err != nil {
		return nil, err
	}
	if s.Profile != "" {
		if in.profile, err = os.Create(filepath.Clean(s.Profile)); err != nil {
			return nil, err
		}
		if err := pprof.StartCPUProfile(in.profile); err != nil {
			return nil, err
		}
	}
	in.server = newServer(h)
	go func() { _ = in.server.Serve(l) }() // the error is that it was closed
	return in, nil
}

func (in *instance) newHandler(s setup) (http.Handler, error) {
	if s.Origin == "" {
		return newSite(), nil
	}
	cfg := httpcache.Config{Origin: s.Origin, Instance: in.url, MirrorTTL: -1}
	var err error
	if s.Secret != "" {
		if in.pool, err = peers.New(peers.Config{Self: in.url, Secret: []byte(s.Secret)}); err != nil {
			return nil, err
		}
		cfg.Peers = in.pool
	}
	if in.handler, err = httpcache.New(cfg); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if in.pool != nil && r.URL.Path == peers.DefaultPath { // as the example service does
			in.pool.ServeHTTP(w, r)
			return
		}
		in.handler.ServeHTTP(w, r)
	}), nil
}

// URL implements process.Instance, as do Join and Close.
func (in *instance) URL() string { return in.url }

// Join makes urls the members, and returns when this instance reaches them all.
func (in *instance) Join(ctx context.Context, urls []string) error {
	if in.pool == nil {
		return nil
	}
	if err := in.pool.Set(process.Members(urls)...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	return process.AwaitJoin(ctx, in.joined)
}

func (in *instance) joined() bool {
	for _, p := range in.pool.Stats().Peers {
		if !p.Up {
			return false
		}
	}
	return true
}

// Close ends the instance.
func (in *instance) Close() error {
	var errs []error
	if in.profile != nil {
		pprof.StopCPUProfile()
		errs = append(errs, in.profile.Close())
	}
	if in.server != nil {
		errs = append(errs, in.server.Close())
	}
	if in.handler != nil {
		errs = append(errs, in.handler.Close())
	}
	if in.pool != nil {
		errs = append(errs, in.pool.Close())
	}
	return errors.Join(errs...)
}
