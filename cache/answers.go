package cache

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// GoGet runs get on a goroutine of its own and returns its answers, for a Peer whose transport has nothing better. get
// is as Responder's Get. It gets a copy of req, and a context with the timeout (Forever: none), which Close cancels;
// the goroutine ends when get has returned. Next returns get's error, or context.DeadlineExceeded as soon as
// the time is up. A get that returns nil with keys unanswered, panics or calls runtime.Goexit is an error that
// says so. The Answers have an Interrupt.
func GoGet(get func(ctx context.Context, req *GetRequest, deliver func(i int, a Answer)) error, req *GetRequest, timeout time.Duration) Answers {
	sent := *req
	sent.Keys = slices.Clone(req.Keys)
	g := &goAnswers{wake: make(chan struct{}, 1)}
	if timeout == Forever {
		g.ctx, g.cancel = context.WithCancel(context.Background())
	} else {
		g.ctx, g.cancel = context.WithTimeout(context.Background(), timeout)
	}
	singleflight.Go(func() (struct{}, error) {
		return struct{}{}, get(g.ctx, &sent, g.deliver)
	}, func(_ struct{}, err error) {
		if _, panicked := err.(*singleflight.PanicError); panicked || singleflight.IsGoexit(err) {
			err = fmt.Errorf("cache: a Get did not return: %v", err)
		}
		g.end(err, len(sent.Keys))
		g.cancel()
	})
	return g
}

// goAnswers are the Answers of GoGet.
type goAnswers struct {
	ctx    context.Context // of the call
	cancel context.CancelFunc
	wake   chan struct{} // has a token if there may be something new

	// mu guards what follows.
	mu        sync.Mutex
	ready     []goAnswer // delivered and not yet taken, oldest first
	delivered int
	over      error // what comes after ready; nil while get runs
}

type goAnswer struct {
	i int
	a Answer
}

// Next implements Answers.
func (g *goAnswers) Next(ctx context.Context) (int, Answer, error) {
	for {
		if err := ctx.Err(); err != nil { // before answers that are there as well: the same every time
			return 0, Answer{}, err
		}
		if next, ok, err := g.take(); ok {
			return next.i, next.a, err
		}
		select {
		case <-g.wake:
		case <-ctx.Done():
		case <-g.ctx.Done(): // the time is up, whether or not get heeds that; or get is about to return
			g.stop()
		}
	}
}

// take returns the next answer, or the error that stands in its place.
func (g *goAnswers) take() (next goAnswer, ok bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.ready) > 0 {
		next, g.ready = g.ready[0], g.ready[1:]
		return next, true, nil
	}
	return goAnswer{}, g.over != nil, g.over
}

func (g *goAnswers) deliver(i int, a Answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over != nil {
		return // too late
	}
	g.ready = append(g.ready, goAnswer{i, a})
	if a.Status != StatusQueued {
		g.delivered++
	}
	g.wakeLocked()
}

// end notes that get has returned err.
func (g *goAnswers) end(err error, keys int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.over != nil:
		return
	case err == nil && g.delivered < keys:
		err = fmt.Errorf("cache: a Get left %d of %d keys unanswered", keys-g.delivered, keys)
	case err == nil:
		err = io.EOF
	case g.ctx.Err() != nil:
		err = g.ctx.Err()
	}
	g.over = err
	g.wakeLocked()
}

// stop makes the call over, now that its context has ended.
func (g *goAnswers) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.over == nil {
		g.over = g.ctx.Err()
	}
}

// wakeLocked wakes Next. g.mu must be held.
func (g *goAnswers) wakeLocked() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Interrupt implements singleflight.Interrupter.
func (g *goAnswers) Interrupt() { g.cancel() }

// Close implements Answers.
func (g *goAnswers) Close() { g.cancel() }
