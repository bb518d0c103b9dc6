package peerstest_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

// onAnswer returns a Get that changes each answer.
func onAnswer(change func(w *wrapped, key string, a *cache.Answer)) func(*wrapped, context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
	return func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		return peerstest.Get(ctx, w.Peer, req, func(i int, a cache.Answer) {
			change(w, req.Keys[i], &a)
			deliver(i, a)
		})
	}
}

// onRequest returns a Get that changes a copy of the request.
func onRequest(change func(req *cache.GetRequest)) func(*wrapped, context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
	return func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		c := *req
		c.Keys, c.Carried = slices.Clone(req.Keys), maps.Clone(req.Carried)
		change(&c)
		return peerstest.Get(ctx, w.Peer, &c, deliver)
	}
}

// collect makes a Get whose answers are held back.
func collect(w *wrapped, ctx context.Context, req *cache.GetRequest) (map[int]cache.Answer, error) {
	answers := make(map[int]cache.Answer)
	err := peerstest.Get(ctx, w.Peer, req, func(i int, a cache.Answer) { answers[i] = a })
	return answers, err
}

var getMutants = []*mutant{
	{name: "delivers twice", caught: "GetEveryKey",
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			return peerstest.Get(ctx, w.Peer, req, func(i int, a cache.Answer) { deliver(i, a); deliver(i, a) })
		}},
	{name: "loses the last key", caught: "GetEveryKey",
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			return peerstest.Get(ctx, w.Peer, req, func(i int, a cache.Answer) {
				if i == 0 || i < len(req.Keys)-1 {
					deliver(i, a)
				}
			})
		}},
	{name: "counts the order of answers and not of keys", caught: "GetAnyOrder",
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			n := 0
			return peerstest.Get(ctx, w.Peer, req, func(_ int, a cache.Answer) { deliver(n, a); n++ })
		}},
	{name: "refuses a request without keys", caught: "GetNoKeys",
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			if len(req.Keys) == 0 {
				return errors.New("no keys")
			}
			return peerstest.Get(ctx, w.Peer, req, deliver)
		}},
	{name: "waits for the slowest key", caught: "GetAsReady",
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			answers, err := collect(w, ctx, req)
			for i, a := range answers {
				deliver(i, a)
			}
			return err
		}},
	{name: "cleans keys as paths", caught: "GetAnyKey",
		get: onRequest(func(req *cache.GetRequest) {
			for i, key := range req.Keys {
				req.Keys[i] = strings.ReplaceAll(key, "//", "/")
			}
		})},
	{name: "makes keys valid UTF-8", caught: "GetAnyKey",
		get: onRequest(func(req *cache.GetRequest) {
			for i, key := range req.Keys {
				req.Keys[i] = strings.ToValidUTF8(key, "\ufffd")
			}
		})},
	{name: "mixes up concurrent requests", caught: "Concurrent",
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			return peerstest.Get(ctx, w.Peer, req, func(i int, a cache.Answer) {
				w.home.family.mu.Lock()
				defer w.home.family.mu.Unlock()
				if last, ok := w.home.family.leaked["value"].([]byte); ok {
					w.home.family.leaked["value"], a.Value = a.Value, last
				} else {
					w.home.family.leaked["value"] = a.Value
				}
				deliver(i, a)
			})
		}},
}

// getter is a Responder with another Get.
type getter struct {
	cache.Responder
	get func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error
}

func (getter) Hit(string, string) (cache.Answer, bool) { return cache.Answer{}, false }

func (g getter) Get(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
	return g.get(ctx, req, deliver)
}

var answerMutants = []*mutant{
	{name: "loses TTLs", caught: "AnswerFields", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) { a.TTL = 0 })},
	{name: "loses Stale", caught: "AnswerFields", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) { a.Stale = 0 })},
	{name: "takes a queued load for an answer", caught: "GetQueued", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) {
		if a.Status == cache.StatusQueued {
			a.Status = cache.StatusLoadFailed
		}
	})},
	{name: "loses tags", caught: "AnswerFields", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) { a.Tags = nil })},
	{name: "loses Loaded", caught: "AnswerFields", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) { a.Loaded = false })},
	{name: "rounds TTLs to milliseconds", caught: "AnswerFields", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) {
		a.TTL = a.TTL.Truncate(time.Millisecond)
	})},
	{name: "counts sizes in 32 bits", caught: "AnswerFields", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) { a.Size = int64(int32(a.Size)) })},
	{name: "takes TTL 0 for Forever", caught: "AnswerTTL", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) {
		if a.TTL == 0 {
			a.TTL = cache.Forever
		}
	})},
	{name: "adds to Forever", caught: "AnswerTTL", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) { a.TTL++ })},
	{name: "takes an unknown Status for OK", caught: "AnswerStatus", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) {
		if a.Status > cache.StatusTooLarge {
			a.Status = cache.StatusOK
		}
	})},
	{name: "trims values", caught: "AnyValue", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) {
		a.Value = []byte(strings.TrimSpace(string(a.Value)))
	})},
	{name: "cuts big values", caught: "BigValue", get: onAnswer(func(_ *wrapped, _ string, a *cache.Answer) {
		a.Value = a.Value[:min(len(a.Value), 64<<10)]
	})},
	{name: "takes lent values back too soon", caught: "AnswerStaysGood", get: onAnswer(func(w *wrapped, _ string, a *cache.Answer) {
		f := w.home.family
		f.mu.Lock()
		defer f.mu.Unlock()
		if lent, ok := f.leaked["lent"].([]byte); ok {
			clear(lent)
		}
		a.Value, a.Borrowed = bytes.Clone(a.Value), true
		f.leaked["lent"] = a.Value
	})},
	{name: "shares values", caught: "AnswerIsOwned", get: onAnswer(func(w *wrapped, key string, a *cache.Answer) {
		w.home.mu.Lock()
		defer w.home.mu.Unlock()
		f := w.home.family
		f.mu.Lock()
		defer f.mu.Unlock()
		if shared, ok := f.leaked["shared"].([]byte); ok {
			a.Value = shared
		}
		f.leaked["shared"] = a.Value
	})},
}

var crossingMutants = []*mutant{
	{name: "loses Reload", caught: "RequestFields", get: onRequest(func(req *cache.GetRequest) { req.Reload = false })},
	{name: "loses Peek", caught: "RequestFields", get: onRequest(func(req *cache.GetRequest) { req.Peek = false })},
	{name: "loses Takeover", caught: "RequestFields", get: onRequest(func(req *cache.GetRequest) { req.Takeover = false })},
	{name: "loses what is carried", caught: "RequestFields", get: onRequest(func(req *cache.GetRequest) { req.Carried = nil })},
	{name: "joins name and Version", caught: "RequestFields", get: onRequest(func(req *cache.GetRequest) {
		req.Version, _, _ = strings.Cut(req.Version, "/")
	})},
	{name: "keeps the sender's request", caught: "RequestIsCopied",
		answers: func(w *wrapped, req *cache.GetRequest, timeout time.Duration) cache.Answers {
			w.home.family.put("request", req)
			return w.Peer.Get(req, timeout)
		},
		attach: func(m *mutated, name string, r cache.Responder) (func(), error) {
			return m.Instance.Attach(name, getter{r, func(ctx context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
				return r.Get(ctx, m.family.take("request").(*cache.GetRequest), deliver)
			}})
		}},
	{name: "loses the deadline", caught: "Deadline",
		get: func(w *wrapped, ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			return peerstest.Get(context.WithoutCancel(ctx), w.Peer, req, deliver)
		}},
	{name: "waits although the deadline has passed", caught: "DeadlineExceeded",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			return w.Peer.Store(context.WithoutCancel(ctx), req)
		}},
	{name: "waits for the Responder", caught: "ContextIgnored",
		fence: func(w *wrapped, ctx context.Context, req *cache.FenceRequest) error {
			err := w.Peer.Fence(context.WithoutCancel(ctx), req)
			return errors.Join(err, ctx.Err())
		}},
	{name: "does not look at the context first", caught: "ContextEnded",
		free: func(w *wrapped, ctx context.Context, req *cache.ReleaseRequest) error {
			return w.Peer.Release(context.WithoutCancel(ctx), req)
		}},
	{name: "takes the caller's context along", caught: "ContextValues",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			w.home.family.put("context", ctx)
			return w.Peer.Store(ctx, req)
		},
		attach: func(m *mutated, name string, r cache.Responder) (func(), error) {
			return m.Instance.Attach(name, storer{r, func(_ context.Context, req *cache.StoreRequest) error {
				return r.Store(m.family.take("context").(context.Context), req)
			}})
		}},
	{name: "leaves and does not say so", caught: "Cancel",
		store: func(w *wrapped, ctx context.Context, req *cache.StoreRequest) error {
			done := make(chan error, 1)
			go func() { done <- w.Peer.Store(context.WithoutCancel(ctx), req) }()
			select {
			case err := <-done:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		}},
}

// storer is a Responder with another Store.
type storer struct {
	cache.Responder
	store func(context.Context, *cache.StoreRequest) error
}

func (s storer) Store(ctx context.Context, req *cache.StoreRequest) error { return s.store(ctx, req) }
