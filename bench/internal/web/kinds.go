package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/named"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/webcache"
)

// A kind is something that serves the site.
type kind struct {
	name, about string
	program     string // that it needs; "": none
	install     string // how one gets it
	open        func(ctx context.Context, e env) (*server, error)
	hit         func(http.Header) error // that a response is one from the cache, in the way that it is measured
}

// An env is what a server is opened with.
type env struct {
	temp    string // a folder of its own
	origin  string // URL
	profile string // a folder; "": none
}

// A server is a kind that runs: one process or more. It must be closed.
type server struct {
	*kind
	addrs []string
	pids  []int // each with its descendants
	close func() error
}

const (
	bare    = "nethttp"
	service = "webcache"
	handler = "httpcache"
	peer    = "peer"
)

func kinds() []*kind {
	return []*kind{
		{name: bare, about: "a handler of net/http that writes the same bytes, with the same header but for Age and Cache-Status, all of it made beforehand", open: openBare,
			hit: func(http.Header) error { return nil }},
		{name: service, about: "the example service, one instance: hits in its own memory", open: openService, program: "go", install: "see go.dev/dl", hit: ownHit},
		{name: handler, about: "cache/httpcache in a program that has nothing else", open: openHandler, hit: ownHit},
		{name: peer, about: "two of these, without mirrors: each is asked for what the other owns. CPU is that of both", open: openPeers, hit: peerHit},
		{name: "nginx", about: "nginx, proxy_cache, two workers", open: openNginx, program: "nginx", install: "apt-get install nginx-light", hit: fieldHas("X-Cache", "HIT")},
		{name: "varnish", about: "Varnish, storage in memory, its own VCL", open: openVarnish, program: "varnishd", install: "apt-get install varnish", hit: varnishHit},
		{name: "trafficserver", about: "Apache Traffic Server, two event threads, with a RAM cache", open: openTrafficServer, program: "traffic_server",
			install: "apt-get install trafficserver", hit: trafficHit},
	}
}

// Kinds are the names of what can be measured.
func Kinds() []string { return named.Names(kinds(), nameOf) }

func nameOf(k *kind) string { return k.name }

// CheckKinds is that all of these can be measured.
func CheckKinds(names []string) error {
	_, err := named.Find(kinds(), nameOf, "there is no kind", names)
	return err
}

// missing is why a kind cannot be measured here.
func (k *kind) missing() error {
	if k.program == "" {
		return nil
	}
	if _, err := exec.LookPath(k.program); err != nil {
		return fmt.Errorf("%s is left out, since %s is not installed (%s)", k.name, k.program, k.install)
	}
	return nil
}

func fieldHas(field, part string) func(http.Header) error {
	return func(h http.Header) error {
		if !strings.Contains(h.Get(field), part) {
			return fmt.Errorf("no hit: %s is %q", field, h.Get(field))
		}
		return nil
	}
}

func ownHit(h http.Header) error {
	if s := h.Get("Cache-Status"); !strings.Contains(s, "; hit;") || strings.Contains(s, "peer=") {
		return fmt.Errorf("no hit in its own memory: Cache-Status is %q", s)
	}
	return nil
}

func peerHit(h http.Header) error {
	if s := h.Get("Cache-Status"); !strings.Contains(s, "; hit;") || !strings.Contains(s, "peer=") {
		return fmt.Errorf("no hit of another instance: Cache-Status is %q", s)
	}
	return nil
}

// varnishHit is that X-Varnish has the request that filled the cache, too.
func varnishHit(h http.Header) error {
	if ids := h.Get("X-Varnish"); len(strings.Fields(ids)) != 2 {
		return fmt.Errorf("no hit: X-Varnish is %q", ids)
	}
	return nil
}

// trafficHit is that Via has a hit in its notes, on disk or in memory.
func trafficHit(h http.Header) error {
	if via := h.Get("Via"); !strings.Contains(via, "[cH") && !strings.Contains(via, "[cR") {
		return fmt.Errorf("no hit: Via is %q", via)
	}
	return nil
}

func openBare(ctx context.Context, e env) (*server, error) {
	return openChildren(ctx, e, bare, 1, setup{})
}

func openHandler(ctx context.Context, e env) (*server, error) {
	return openChildren(ctx, e, handler, 1, setup{Origin: e.origin})
}

func openPeers(ctx context.Context, e env) (*server, error) {
	return openChildren(ctx, e, peer, 2, setup{Origin: e.origin, Secret: rand.Text()})
}

func openChildren(ctx context.Context, e env, name string, n int, s setup) (*server, error) {
	f, err := process.OpenFleet(ctx, role, n, 2*joinTimeout, func(i int) any {
		own := s
		if e.profile != "" {
			own.Profile = filepath.Join(e.profile, fmt.Sprintf("web-%s-%d.pprof", name, i+1))
		}
		return own
	})
	if err != nil {
		return nil, err
	}
	srv := &server{close: f.Close, pids: make([]int, n)}
	urls := make([]string, n)
	if err := f.Each(func(i int, c *process.Child) error {
		return errors.Join(c.Call(ctx, "pid", nil, &srv.pids[i]), c.Call(ctx, "url", nil, &urls[i]))
	}); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	for _, u := range urls {
		srv.addrs = append(srv.addrs, strings.TrimPrefix(u, "http://"))
	}
	return srv, nil
}

func openService(ctx context.Context, e env) (*server, error) {
	b, err := webcache.Build(ctx, e.temp)
	if err != nil {
		return nil, err
	}
	f, err := b.Start(ctx, e.temp, 1, e.origin, nil, nil)
	if err != nil {
		return nil, err
	}
	return &server{addrs: []string{strings.TrimPrefix(f.URLs[0], "http://")}, pids: []int{f.Instances[0].PID}, close: f.Close}, nil
}
