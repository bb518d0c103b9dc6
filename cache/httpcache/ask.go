package httpcache

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// An ask is what a request that the cache has no answer to brings along to where it is filled. A hit has no use for it, so what costs something is made when it
// is needed.
type ask struct {
	made   sync.Once
	r      *http.Request // nil, if what it is made to is there
	id     string        // unique, and nobody can guess it: what must not be shared is given to who has it
	header http.Header   // what the origin is to see of the request's
	keep   bool          // its Cache-Control, too

	hints  hints
	method string // GET or HEAD
	than   string // the asker of the stored response that is not good enough; "": any is
	cached bool   // only-if-cached: the origin is not to be asked
	behind bool   // nobody waits for the response
	anew   bool   // what is stored is not all there: it is not to be validated

	// Of a chunk: the instance that its body comes to; the key of the response, and the Range and If-Range by which the origin has it; and how long
	// it is kept.
	from, of string
	keepFor  time.Duration
}

// ID returns a's ID.
func (a *ask) ID() string {
	a.made.Do(a.make)
	return a.id
}

// Header returns what the origin is to see. Nobody may change it.
func (a *ask) Header() http.Header {
	a.made.Do(a.make)
	return a.header
}

func (a *ask) make() {
	if a.id == "" {
		a.id = newID()
	}
	if a.r != nil {
		a.header = askedHeader(a.r.Header, a.keep)
	}
}

type askKey struct{}

func withAsk(ctx context.Context, a *ask) context.Context { return context.WithValue(ctx, askKey{}, a) }

// askOf returns the ask of a fill. One that nobody asked for has an empty one.
func askOf(ctx context.Context) *ask {
	if a, ok := ctx.Value(askKey{}).(*ask); ok {
		return a
	}
	return &ask{method: http.MethodGet}
}

// maxAskHeader bounds the header of a request that is carried to another instance, which takes 8 KiB in all.
const maxAskHeader = 7 << 10

// carrier is the cache's Carrier: it takes asks to other instances.
type carrier struct{}

var _ cache.Carrier = carrier{}

// Inject implements cache.Carrier.
func (carrier) Inject(ctx context.Context) map[string]string {
	a, ok := ctx.Value(askKey{}).(*ask)
	if !ok {
		return nil
	}
	m := map[string]string{"id": a.ID(), "method": a.method, "than": a.than, "from": a.from, "of": a.of}
	if a.cached {
		m["cached"] = "1"
	}
	if a.behind {
		m["behind"] = "1"
	}
	if a.anew {
		m["anew"] = "1"
	}
	if a.keepFor > 0 {
		m["keep"] = a.keepFor.String()
	}
	maps.DeleteFunc(m, func(_, v string) bool { return v == "" })
	if header := a.Header(); len(header) > 0 {
		var w writer
		w.header(header)
		m["header"] = string(w.dst)
	}
	return m
}

// Extract implements cache.Carrier.
func (carrier) Extract(ctx context.Context, carried map[string]string) context.Context {
	if carried["id"] == "" {
		return ctx
	}
	a := &ask{
		id: carried["id"], method: carried["method"], than: carried["than"], from: carried["from"], of: carried["of"],
		cached: carried["cached"] != "", behind: carried["behind"] != "", anew: carried["anew"] != "",
	}
	a.keepFor, _ = time.ParseDuration(carried["keep"])
	if h := carried["header"]; h != "" {
		r := reader{src: []byte(h)}
		a.header = r.header()
	}
	if a.method != http.MethodHead {
		a.method = http.MethodGet
	}
	return withAsk(ctx, a)
}
