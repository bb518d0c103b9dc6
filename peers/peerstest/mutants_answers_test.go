package peerstest_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// altered are Answers of which one method is another's.
type altered struct {
	cache.Answers
	next      func(ctx context.Context) (int, cache.Answer, error)
	close     func()
	interrupt func()
}

func (a *altered) Next(ctx context.Context) (int, cache.Answer, error) {
	if a.next != nil {
		return a.next(ctx)
	}
	return a.Answers.Next(ctx)
}

func (a *altered) Close() {
	if a.close != nil {
		a.close()
		return
	}
	a.Answers.Close()
}

func (a *altered) Interrupt() {
	if a.interrupt != nil {
		a.interrupt()
		return
	}
	a.Answers.(singleflight.Interrupter).Interrupt()
}

// onCall returns a Get whose answers are altered.
func onCall(alter func(w *wrapped, a *altered)) func(*wrapped, *cache.GetRequest, time.Duration) cache.Answers {
	return func(w *wrapped, req *cache.GetRequest, timeout time.Duration) cache.Answers {
		a := &altered{Answers: w.Peer.Get(req, timeout)}
		alter(w, a)
		return a
	}
}

// onError returns a Get that ends with another error.
func onError(change func(answered int, err error) error) func(*wrapped, *cache.GetRequest, time.Duration) cache.Answers {
	return onCall(func(_ *wrapped, a *altered) {
		answered := 0
		a.next = func(ctx context.Context) (int, cache.Answer, error) {
			i, ans, err := a.Answers.Next(ctx)
			if err != nil && ctx.Err() == nil {
				err = change(answered, err)
			}
			answered++
			return i, ans, err
		}
	})
}

var answersMutants = []*mutant{
	{name: "takes an error after the first answer for the end", caught: "GetBrokenOff",
		answers: onError(func(answered int, err error) error {
			if answered > 0 {
				return io.EOF
			}
			return err
		})},
	{name: "does not miss an answer", caught: "GetUnanswered",
		answers: onError(func(_ int, err error) error {
			if strings.Contains(err.Error(), "without an answer") {
				return io.EOF
			}
			return err
		})},
	{name: "ends the call with one Next", caught: "AnswersResume",
		answers: onCall(func(_ *wrapped, a *altered) {
			a.next = func(ctx context.Context) (int, cache.Answer, error) {
				i, ans, err := a.Answers.Next(ctx)
				if ctx.Err() != nil {
					a.Interrupt()
				}
				return i, ans, err
			}
		})},
	{name: "wraps the context's error", caught: "AnswersResume",
		answers: onCall(func(_ *wrapped, a *altered) {
			a.next = func(ctx context.Context) (int, cache.Answer, error) {
				i, ans, err := a.Answers.Next(ctx)
				if err != nil && err != io.EOF {
					err = errors.Join(err)
				}
				return i, ans, err
			}
		})},
	{name: "does not look at the context", caught: "AnswersResume",
		answers: onCall(func(_ *wrapped, a *altered) {
			a.next = func(ctx context.Context) (int, cache.Answer, error) {
				return a.Answers.Next(context.WithoutCancel(ctx))
			}
		})},
	{name: "closes here and not there", caught: "AnswersClose",
		answers: onCall(func(w *wrapped, a *altered) {
			a.close = func() { w.home.family.put("left", a.Answers) }
		})},
	{name: "has no timeout", caught: "AnswersTimeout",
		answers: func(w *wrapped, req *cache.GetRequest, _ time.Duration) cache.Answers {
			return w.Peer.Get(req, cache.Forever)
		}},
	{name: "leaves the Responder alone at the timeout", caught: "AnswersTimeout", answers: outlive},
	{name: "takes answers after the timeout", caught: "AnswersLate", answers: outlive},
	{name: "asks again after an error", caught: "AnswersError",
		answers: onError(func(answered int, err error) error {
			if answered > 2 {
				return errors.New("another time, another error")
			}
			return err
		})},
	{name: "counts the end once", caught: "AnswersEOF",
		answers: onError(func(answered int, err error) error {
			if err == io.EOF && answered > 1 {
				return errors.New("the call is over")
			}
			return err
		})},
	{name: "is not interrupted", caught: "AnswersInterrupt",
		answers: onCall(func(_ *wrapped, a *altered) { a.interrupt = func() {} })},
	{name: "loses its connection with one caller", caught: "CancelOne",
		answers: onCall(func(w *wrapped, a *altered) {
			f := w.home.family
			f.add("calls", a.Answers)
			a.close = func() {
				a.Answers.Close()
				calls, _ := f.take("calls").([]cache.Answers)
				for _, other := range calls {
					other.(singleflight.Interrupter).Interrupt()
				}
			}
		})},
}

// outlive is a Get whose timeout ends a Next and not the call.
func outlive(w *wrapped, req *cache.GetRequest, timeout time.Duration) cache.Answers {
	a := &altered{Answers: w.Peer.Get(req, cache.Forever)}
	deadline := time.Now().Add(timeout)
	first := true
	a.next = func(ctx context.Context) (int, cache.Answer, error) {
		if first && timeout < time.Hour {
			first = false
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline)
			defer cancel()
		}
		return a.Answers.Next(ctx)
	}
	return a
}

// hitFor attaches a Responder with another Hit.
func hitFor(hit func(r cache.Responder, version, key string) (cache.Answer, bool)) func(*mutated, string, cache.Responder) (func(), error) {
	return func(m *mutated, name string, r cache.Responder) (func(), error) {
		return m.Instance.Attach(name, peerstest.Responder{
			GetFunc: func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
				if len(req.Keys) == 1 {
					if a, ok := hit(r, req.Version, req.Keys[0]); ok {
						deliver(0, a)
						return nil
					}
				}
				return r.Get(ctx, req, deliver)
			},
			FenceFunc: r.Fence, ReleaseFunc: r.Release, StoreFunc: r.Store,
		})
	}
}

var hitMutants = []*mutant{
	{name: "asks Hit for no Version", caught: "Hit",
		attach: hitFor(func(r cache.Responder, _, key string) (cache.Answer, bool) { return r.Hit("v", key) })},
	{name: "takes what Hit does not have for an empty value", caught: "Hit",
		attach: hitFor(func(r cache.Responder, version, key string) (cache.Answer, bool) {
			a, _ := r.Hit(version, key)
			return a, true
		})},
	{name: "asks Hit where it must not", caught: "HitNotAsked",
		attach: hitFor(func(r cache.Responder, version, key string) (cache.Answer, bool) { return r.Hit(version, key) })},
	{name: "shares what Hit returned", caught: "HitIsOwned",
		answers: onCall(func(w *wrapped, a *altered) {
			a.next = func(ctx context.Context) (int, cache.Answer, error) {
				i, ans, err := a.Answers.Next(ctx)
				if shared, ok := w.home.family.take("shared").([]byte); ok {
					ans.Value = shared
				}
				w.home.family.put("shared", ans.Value)
				return i, ans, err
			}
		})},
}
