package httpcache

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// object makes the object of a response that may be shared, without its body.
func (x *exchange) object(e *rules.Exchange, p *rules.Policy) *object {
	o := &object{
		kind: kindResponse, asker: x.ask.ID(), status: e.Status, header: rules.StoredHeader(e, p), age: p.Age, arrived: x.arrived, since: x.arrived.Sub(x.sent),
		policy: policy{
			lifetime: p.Lifetime, whileRevalidate: p.StaleWhileRevalidate, ifError: p.StaleIfError,
			noCache: p.NoCache, mustRevalidate: p.MustRevalidate, validator: p.Validator, immutable: p.Immutable,
		},
		keys: surrogateKeys(e.Header), shown: new(shown),
	}
	o.keep = max(o.policy.lifetime-o.age, 0) + max(o.policy.whileRevalidate, o.policy.ifError, x.h.cfg.KeepStale)
	o.after = x.h.purges.before(x.sent, x.key, o.keys)
	o.variant.fields = p.Vary
	if len(p.Vary) > 0 {
		o.variant.values = rules.VaryValues(p.Vary, x.ask.Header())
		o.variant.family = familyOf(x.key)
		switch {
		case o.variant.family != "":
		case x.stored != nil && slices.Equal(x.stored.variant.fields, p.Vary):
			o.variant.family, o.variant.count = x.stored.variant.family, x.stored.variant.count
		default:
			o.variant.family, o.variant.count = newID(), new(variants)
		}
	}
	return o
}

// surrogateKeys are those of a response that the cache can keep.
func surrogateKeys(h http.Header) []string {
	keys := rules.SurrogateKeys(h)
	size := 0
	for i, k := range keys {
		if size += len(k) + 4; size > cache.MaxTagBytes {
			return keys[:i]
		}
	}
	return keys
}

// shared returns the entry of a response that may be shared: all of it if its body is there at once; else what there is, and later the rest.
func (x *exchange) shared(o *object) (cache.Entry[*object], error) {
	f, live := x.newFlow()
	f.held, f.keep, f.slow = true, o.keep, x.back
	if !x.ask.behind {
		f.awaited = time.Now().Add(firstPatience)
	}
	o.body = live
	x.h.flows.add(f)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		x.pump(f)
	}()
	if x.resp.ContentLength <= x.h.chunk {
		timer := time.NewTimer(wholeWithin)
		defer timer.Stop()
		select {
		case <-ended:
			return x.complete(context.Background(), o, f)
		case <-timer.C:
		}
	}
	return cache.Entry[*object]{Value: o, Tags: o.keys, Rest: func(ctx context.Context) (cache.Entry[*object], error) {
		return x.complete(ctx, o, f)
	}}, nil
}

// complete waits for the rest of a body, and returns the entry of all of the response. A body that is longer than a chunk is stored in chunks, as it
// comes.
func (x *exchange) complete(ctx context.Context, o *object, f *flow) (cache.Entry[*object], error) {
	h, all := x.h, *o
	longer := false
	defer func() {
		if longer {
			go x.awaitReaders(f, nil)
		} else {
			h.flows.linger(f)
		}
	}()
	all.body.live, all.body.at, all.body.chunk = false, "", 0
	var err error
	longer, err = f.awaitLonger(ctx, h.chunk)
	if err != nil {
		h.count.fillErrors.Add(1)
		return cache.Entry[*object]{}, err
	}
	if longer {
		all.body.chunk = h.chunk
		if err := h.storeChunks(ctx, o, f); err == errTooLong {
			x.back() // it goes on for those who read it
			return h.markOf(x, whyTooLarge, nil), nil
		} else if err != nil {
			h.count.fillErrors.Add(1)
			return cache.Entry[*object]{}, err
		}
	} else {
		all.body.inline = f.whole()
	}
	all.body.size = f.length()
	return again(&all), nil
}

// variants are those of a URL that its owner has stored, and until when.
type variants struct {
	mu    sync.Mutex           // guards until
	until map[string]time.Time // by key
}

// tooMany is why a variant is not stored: there are enough of its URL. The URL's own response is always stored.
func (h *Handler) tooMany(o *object, key string) string {
	base := baseOf(key)
	if base == key {
		return ""
	}
	first := h.storedAt(base)
	if first == nil || first.variant.count == nil {
		return ""
	}
	v, now := first.variant.count, time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.until == nil {
		v.until = make(map[string]time.Time)
	}
	if _, ok := v.until[key]; !ok && len(v.until) >= h.cfg.MaxVariants {
		for k, until := range v.until {
			if now.After(until) {
				delete(v.until, k)
			}
		}
		if len(v.until) >= h.cfg.MaxVariants {
			return whyVariants
		}
	}
	v.until[key] = now.Add(o.keep)
	return ""
}
