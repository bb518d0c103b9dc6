package httpcache

import (
	"context"
	"maps"
	"net/http"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// An ask is what a request that the cache has no answer to brings along to where it is filled.
type ask struct {
	id     string      // unique, and nobody can guess it: what must not be shared is given to who has it
	method string      // GET or HEAD
	header http.Header // what the origin is to see of the request's
	than   string      // the asker of the stored response that is not good enough; "": any is
	cached bool        // only-if-cached: the origin is not to be asked
	behind bool        // nobody waits for the response
	from   string      // of a chunk: the instance that has it
}

type askKey struct{}

func withAsk(ctx context.Context, a *ask) context.Context { return context.WithValue(ctx, askKey{}, a) }

// askOf returns the ask of a fill. One that nobody asked for has an empty one.
func askOf(ctx context.Context) *ask {
	if a, ok := ctx.Value(askKey{}).(*ask); ok {
		return a
	}
	return &ask{id: newID(), method: http.MethodGet}
}

// maxAskHeader bounds the header of a request that is carried to another instance, which takes 8 KiB in all.
const maxAskHeader = 7 << 10

// size is about what a takes on the way.
func (a *ask) size() (n int) {
	for name, values := range a.header {
		for _, v := range values {
			n += len(name) + len(v) + 6
		}
	}
	return n
}

// carrier is the cache's Carrier: it takes asks to other instances.
type carrier struct{}

var _ cache.Carrier = carrier{}

// Inject implements cache.Carrier.
func (carrier) Inject(ctx context.Context) map[string]string {
	a, ok := ctx.Value(askKey{}).(*ask)
	if !ok {
		return nil
	}
	m := map[string]string{"id": a.id, "method": a.method, "than": a.than, "from": a.from}
	if a.cached {
		m["cached"] = "1"
	}
	if a.behind {
		m["behind"] = "1"
	}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	if len(a.header) > 0 {
		var w writer
		w.header(a.header)
		m["header"] = string(w.dst)
	}
	return m
}

// Extract implements cache.Carrier.
func (carrier) Extract(ctx context.Context, carried map[string]string) context.Context {
	if carried["id"] == "" && carried["from"] == "" {
		return ctx
	}
	a := &ask{id: carried["id"], method: carried["method"], than: carried["than"], from: carried["from"], cached: carried["cached"] != "", behind: carried["behind"] != ""}
	if h := carried["header"]; h != "" {
		r := reader{src: []byte(h)}
		a.header = r.header()
	}
	if a.method != http.MethodHead {
		a.method = http.MethodGet
	}
	return withAsk(ctx, a)
}
