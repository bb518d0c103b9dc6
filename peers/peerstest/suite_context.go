package peerstest

import (
	"context"
	"errors"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var contextChecks = []Check{
	{"ContextValues", "Carried is what the sender took from its caller's context: nothing else crosses.", 2, checkContextValues},
	{"Deadline", "Only durations cross: the Responder's context has what is left of the caller's deadline.", 2, checkDeadline},
	{"DeadlineExceeded", "Every method returns by its context.", 2, checkDeadlineExceeded},
	{"Cancel", "Cancelling ctx withdraws one waiter: the Responder's context ends too.", 2, checkCancel},
	{"CancelOne", "Cancelling ctx fails nobody else.", 2, checkCancelOne},
	{"ContextIgnored", "Every method returns by its context, whatever the Responder does.", 2, checkContextIgnored},
	{"ContextEnded", "Every method returns by its context: with one that has ended, at once.", 2, checkContextEnded},
}

type contextKey struct{}

func checkContextValues(f *fixture) {
	seen := make(chan any, 16)
	f.attach(1, name, alike(func(ctx context.Context) error {
		seen <- ctx.Value(contextKey{})
		return nil
	}))
	ctx := context.WithValue(f.ctx, contextKey{}, "the caller's")
	for _, m := range methods {
		if err := m.call(ctx, f.peer(0, 1)); err != nil {
			f.Errorf("%s: %v", m.name, err)
		}
		if v := await(f, seen, "the request at the Responder"); v != nil {
			f.Errorf("%s: the Responder's context has a value of the caller's: %v", m.name, v)
		}
	}
}

func checkDeadline(f *fixture) {
	const left = time.Hour
	type seen struct {
		left time.Duration
		ok   bool
	}
	deadlines := make(chan seen, 16)
	f.attach(1, name, alike(func(ctx context.Context) error {
		d, ok := ctx.Deadline()
		deadlines <- seen{time.Until(d), ok}
		return nil
	}))
	ctx, cancel := context.WithTimeout(context.Background(), left)
	defer cancel()
	for _, m := range methods {
		if err := await(f, start(func() error { return m.call(ctx, f.peer(0, 1)) }), m.name); err != nil {
			f.Errorf("%s: %v", m.name, err)
		}
		// An implementation may have a shorter limit of its own, but not a longer one.
		if d := await(f, deadlines, "the request at the Responder"); !d.ok || d.left > left || d.left <= 0 {
			f.Errorf("%s: the Responder's context has %v left (deadline: %t); want at most the caller's %v", m.name, d.left, d.ok, left)
		}
	}
}

// A patient is a Responder that waits for the end of its context. Each check of a method
// has one of its own, since a request may be delivered twice.
type patient struct {
	asked, ended chan struct{}
	detach       func()
}

func (f *fixture) attachPatient() *patient {
	p := &patient{asked: make(chan struct{}, 8), ended: make(chan struct{}, 8)}
	p.detach = f.attach(1, name, alike(func(ctx context.Context) error {
		p.asked <- struct{}{}
		f.waitFor(ctx.Done())
		p.ended <- struct{}{}
		return ctx.Err()
	}))
	return p
}

func checkDeadlineExceeded(f *fixture) {
	for _, m := range methods {
		p := f.attachPatient()
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		err := await(f, start(func() error { return m.call(ctx, f.peer(0, 1)) }), m.name+", whose deadline has passed")
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			f.Errorf("%s: %v; want context.DeadlineExceeded", m.name, err)
		}
		p.detach()
	}
}

func checkCancel(f *fixture) {
	for _, m := range methods {
		p := f.attachPatient()
		ctx, cancel := context.WithCancel(context.Background())
		done := start(func() error { return m.call(ctx, f.peer(0, 1)) })
		await(f, p.asked, "the request at the Responder")
		cancel()
		if err := await(f, done, m.name+", whose context has ended"); !errors.Is(err, context.Canceled) {
			f.Errorf("%s: %v; want context.Canceled", m.name, err)
		}
		await(f, p.ended, "the end of the Responder's context")
		p.detach()
	}
}

func checkCancelOne(f *fixture) {
	asked, answer := make(chan string, 4), make(chan struct{})
	f.attach(1, name, Responder{GetFunc: func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		asked <- req.Keys[0]
		select {
		case <-answer:
			return echo(ctx, req, deliver)
		case <-ctx.Done():
			return ctx.Err()
		case <-f.over:
			return nil
		}
	}})
	p := f.peer(0, 1)
	ctx, cancel := context.WithCancel(f.ctx)
	defer cancel()
	get := func(ctx context.Context, key string) <-chan error {
		return start(func() error {
			_, err := f.try(ctx, p, &cache.GetRequest{Cache: name, Keys: []string{key}})
			return err
		})
	}
	leaves, stays := get(ctx, "leaves"), get(f.ctx, "stays")
	await(f, asked, "a request at the Responder")
	await(f, asked, "the other request at the Responder")
	cancel()
	_ = await(f, leaves, "the Get whose context has ended")
	close(answer)
	if err := await(f, stays, "the other Get"); err != nil {
		f.Errorf("the Get that was not cancelled: %v", err)
	}
}

func checkContextIgnored(f *fixture) {
	late := make(chan struct{})
	defer close(late)
	for _, m := range methods {
		asked := make(chan struct{}, 8)
		detach := f.attach(1, name, alike(func(context.Context) error {
			asked <- struct{}{}
			f.waitFor(late)
			return nil
		}))
		ctx, cancel := context.WithCancel(context.Background())
		done := start(func() error { return m.call(ctx, f.peer(0, 1)) })
		await(f, asked, "the request at the Responder")
		cancel()
		if err := await(f, done, m.name+", whose context has ended"); !errors.Is(err, context.Canceled) {
			f.Errorf("%s: %v; want context.Canceled", m.name, err)
		}
		detach()
	}
}

func checkContextEnded(f *fixture) {
	f.attach(1, name, alike(func(context.Context) error { return nil }))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, m := range methods {
		if err := m.call(ctx, f.peer(0, 1)); !errors.Is(err, context.Canceled) {
			f.Errorf("%s with an ended context: %v; want context.Canceled", m.name, err)
		}
	}
}
