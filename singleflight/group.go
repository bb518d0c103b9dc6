package singleflight

import (
	"context"
	"sync"
)

// A Group runs at most one call per key at a time. The zero value is ready.
// It may be used concurrently, and must not be copied after first use.
type Group[K comparable, V any] struct {
	// mu guards calls, and each call's place in it. It is held while a Ticket's Commit runs.
	mu    sync.Mutex
	calls map[K]*Call[V]
}

// A Ticket is a running function's place in its Group.
type Ticket struct {
	attached func() bool // mu must be held
	mu       *sync.Mutex
}

// Detached reports whether the call was detached. It may be so a moment later: to store the result, use Commit.
func (t *Ticket) Detached() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.attached()
}

// Commit calls store and returns true, or returns false if the call was detached. No call of the Group is
// detached, begun or joined while store runs, so store must be brief, and must not use the Group.
func (t *Ticket) Commit(store func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.attached() {
		return false
	}
	store()
	return true
}

// Do returns what fn returns, calling it only if no call of key is running, else waiting for that one.
//
// fn gets a context with the values of the ctx of the Do that called it, which ends when everyone who waits
// has left, and the Ticket by which it stores its result. Do returns as soon as ctx ends, with
// its error. If fn panics, Do panics with a *PanicError that has the stack; if fn calls
// runtime.Goexit, so does Do. shared says whether this Do joined a call that another had begun.
func (g *Group[K, V]) Do(ctx context.Context, key K, fn func(context.Context, *Ticket) (V, error)) (v V, shared bool, err error) {
	for {
		c, joined := g.join(ctx, key, fn)
		v, err = c.Wait(ctx)
		if err == ErrAbandoned { // itself: another call's may be wrapped in what fn returned
			continue // joined a call that was on its way out
		}
		Rethrow(err)
		return v, joined, err
	}
}

// Detach takes the running call of key out of the Group, if there is one, and reports whether there was: those who
// wait for it still get its result, the next Do starts a new call, and its Ticket commits nothing.
func (g *Group[K, V]) Detach(key K) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, ok := g.calls[key]
	delete(g.calls, key)
	return ok
}

// join joins the running call of key, or starts one.
func (g *Group[K, V]) join(ctx context.Context, key K, fn func(context.Context, *Ticket) (V, error)) (c *Call[V], joined bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.calls[key]; c != nil {
		c.Join()
		return c, true
	}
	run := NewRun(ctx)
	c = NewCall[V](run)
	if g.calls == nil {
		g.calls = make(map[K]*Call[V])
	}
	g.calls[key] = c
	ticket := &Ticket{mu: &g.mu, attached: func() bool { return g.calls[key] == c }}
	Go(func() (V, error) { return fn(run.Context(), ticket) }, func(v V, err error) {
		// The key is freed before the result is seen: who has seen it and comes again starts a new call.
		g.remove(key, c)
		c.Settle(v, err)
		run.Cancel(context.Canceled)
	})
	return c, false
}

func (g *Group[K, V]) remove(key K, c *Call[V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.calls[key] == c {
		delete(g.calls, key)
	}
}
