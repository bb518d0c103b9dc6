package main

import (
	"context"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/conformance"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/deploy"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/hitratio"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/invalidate"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/local"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/named"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/remote"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/report"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/skew"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stampede"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/web"
)

// A suite is something that -what can name. Each is a package of its own.
type suite struct {
	name, about string
	run         func(ctx context.Context, o *options) (*report.Report, error)
	page        *page // that -markdown prints
}

var suites = []suite{
	{"remote", "remote hits: a value that another process has in memory", runRemote, &results},
	{"stampede", "values in demand whose time is over: how often they are loaded, and who waits for that", runStampede, &results},
	{"deploy", "a fleet whose instances are replaced in turn, and one that crashes: what the origin loads then", runDeploy, &results},
	{"invalidate", "values that are removed: whether they are ever read again, and what a Remove takes", runInvalidate, &results},
	{"local", "caches of one process: hits, fills and sets, memory beside keys and values, and what that costs the garbage collector", runLocal, &results},
	{"hitratio", "traces replayed to the caches of one process: how often each had what it was asked for, between LRU and Belady's optimum", runHitratio, &results},
	{"skew", "hot keys: what the member that owns them is asked for, in simulated fleets of up to 1000", runSkew, &results},
	{"web", "cached hits through the example service, against a bare handler of net/http and other caches: nginx, Varnish and Traffic Server where installed", runWeb, &results},
	{"conformance", "what an HTTP cache must and should do, by http-cache-tests: what of it the example service does", runConformance, &conformancePage},
}

func suiteNames() []string { return named.Names(suites, nameOf) }

func nameOf(s suite) string { return s.name }

func suitesNamed(names []string) ([]suite, error) {
	return named.Find(suites, nameOf, "-what: there is no", names)
}

func runRemote(ctx context.Context, o *options) (*report.Report, error) {
	return remote.Run(ctx, remote.Options{
		Short:    o.short,
		Rounds:   o.rounds,
		Duration: o.duration,
		Kinds:    o.kinds,
		Cells:    o.cells,
		Profile:  o.profile,
		Progress: o.progress,
	})
}

func runStampede(ctx context.Context, o *options) (*report.Report, error) {
	return stampede.Run(ctx, stampede.Options{
		Short:    o.short,
		Duration: o.duration,
		Cells:    o.cells,
		Progress: o.progress,
	})
}

func runDeploy(ctx context.Context, o *options) (*report.Report, error) {
	return deploy.Run(ctx, deploy.Options{Short: o.short, Duration: o.duration, Progress: o.progress})
}

func runInvalidate(ctx context.Context, o *options) (*report.Report, error) {
	return invalidate.Run(ctx, invalidate.Options{Short: o.short, Duration: o.duration, Progress: o.progress})
}

func runLocal(ctx context.Context, o *options) (*report.Report, error) {
	return local.Run(ctx, local.Options{
		Short:    o.short,
		Rounds:   o.rounds,
		Duration: o.duration,
		Kinds:    o.kinds,
		Cells:    o.cells,
		Plots:    o.plots,
		Progress: o.progress,
	})
}

func runHitratio(ctx context.Context, o *options) (*report.Report, error) {
	return hitratio.Run(ctx, hitratio.Options{
		Folder:   o.traces,
		Short:    o.short,
		Kinds:    o.kinds,
		Plots:    o.plots,
		Progress: o.progress,
	})
}

func runSkew(ctx context.Context, o *options) (*report.Report, error) {
	return skew.Run(ctx, skew.Options{Short: o.short, Cells: o.cells, Progress: o.progress})
}

func runWeb(ctx context.Context, o *options) (*report.Report, error) {
	return web.Run(ctx, web.Options{
		Short:    o.short,
		Wrk:      o.wrk,
		Rounds:   o.rounds,
		Duration: o.duration,
		Kinds:    o.kinds,
		Cells:    o.cells,
		Profile:  o.profile,
		Progress: o.progress,
	})
}

func runConformance(ctx context.Context, o *options) (*report.Report, error) {
	return conformance.Run(ctx, conformance.Options{
		Short:    o.short,
		Runs:     o.cells,
		Folder:   o.suiteFolder,
		Base:     o.base,
		ID:       o.id,
		Dump:     o.dump,
		Progress: o.progress,
	})
}
