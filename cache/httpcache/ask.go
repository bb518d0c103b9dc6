package httpcache

import (
	"context"
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

// carriedAsk is the name of an ask among what is carried. Its value is made of its fields as an object's encoding is; the header comes last.
const carriedAsk = "ask"

// Inject implements cache.Carrier.
func (carrier) Inject(ctx context.Context) map[string]string {
	a, ok := ctx.Value(askKey{}).(*ask)
	if !ok {
		return nil
	}
	var room [512]byte
	w := writer{room[:0]}
	w.strings(a.ID(), a.method, a.than, a.from, a.of)
	w.flags(a.cached, a.behind, a.anew)
	w.duration(a.keepFor)
	w.header(a.Header())
	return map[string]string{carriedAsk: string(w.dst)}
}

// Extract implements cache.Carrier.
func (carrier) Extract(ctx context.Context, carried map[string]string) context.Context {
	r := reader{src: []byte(carried[carriedAsk])}
	a := &ask{id: r.string(), method: r.string(), than: r.string(), from: r.string(), of: r.string()}
	r.flags(&a.cached, &a.behind, &a.anew)
	a.keepFor = r.duration()
	if a.header = r.header(); a.id == "" || r.failed {
		return ctx
	}
	if a.method != http.MethodHead {
		a.method = http.MethodGet
	}
	return withAsk(ctx, a)
}
