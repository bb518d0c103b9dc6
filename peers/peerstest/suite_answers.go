package peerstest

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var answersChecks = []Check{
	{"AnswersResume", "If ctx ends first, Next returns ctx.Err() and the call goes on: Next may be called again, with another context.", 2, checkAnswersResume},
	{"AnswersClose", "Close ends the call: one waiter has left each load at the other end.", 2, checkAnswersClose},
	{"AnswersTimeout", "The call ends by itself after timeout, or a moment later, with an error that is context.DeadlineExceeded.", 2, checkAnswersTimeout},
	{"AnswersLate", "After an error the call is over, and Next returns the same again: no answer that comes later.", 2, checkAnswersLate},
	{"AnswersError", "Next returns the same error again; answers before it stand.", 2, checkAnswersError},
	{"AnswersEOF", "After all keys were answered Next returns io.EOF, for ever.", 2, checkAnswersEOF},
	{"AnswersInterrupt", "Interrupt ends the call, and makes Next return an error at once.", 2, checkAnswersInterrupt},
}

// ask begins a Get of keys at instance 1.
func (f *fixture) ask(timeout time.Duration, keys ...string) cache.Answers {
	return f.peer(0, 1).Get(&cache.GetRequest{Cache: name, Keys: keys}, timeout)
}

// next is Next, which must return in time.
func (f *fixture) next(ctx context.Context, a cache.Answers) (i int, ans cache.Answer, err error) {
	f.Helper()
	err = await(f, start(func() error {
		var err error
		i, ans, err = a.Next(ctx)
		return err
	}), "Next")
	return i, ans, err
}

func checkAnswersResume(f *fixture) {
	asked, answer, left := make(chan struct{}, 8), make(chan struct{}), make(chan struct{}, 8)
	f.attach(1, name, Responder{GetFunc: func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		asked <- struct{}{}
		select {
		case <-answer:
			return echo(ctx, req, deliver)
		case <-ctx.Done():
			left <- struct{}{}
			return ctx.Err()
		case <-f.over:
			return nil
		}
	}})
	a := f.ask(cache.Forever, "a", "b")
	defer a.Close()
	await(f, asked, "the request at the Responder")
	for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
		ctx, cancel := context.WithCancel(context.Background())
		if want == context.DeadlineExceeded {
			ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
		}
		ended := start(func() error {
			_, _, err := a.Next(ctx)
			return err
		})
		if want == context.Canceled {
			cancel()
		}
		if err := await(f, ended, "Next, whose context has ended"); err != want {
			f.Errorf("Next: %v; want %v itself", err, want)
		}
		cancel()
	}
	f.roundTrip(f.peer(0, 1))
	if len(left) > 0 {
		f.Fatalf("the Responder's context ended with that of one Next")
	}
	close(answer)
	for range 2 {
		i, ans, err := f.next(f.ctx, a)
		if err != nil || string(ans.Value) != string("ab"[i]) {
			f.Fatalf("Next with another context: key %d is %q, %v", i, ans.Value, err)
		}
	}
}

func checkAnswersClose(f *fixture) {
	p := f.attachPatient()
	a := f.ask(cache.Forever, "k")
	await(f, p.asked, "the request at the Responder")
	a.Close()
	await(f, p.ended, "the end of the Responder's context")

	f.ask(cache.Forever, "k").Close() // at once, whether or not it was sent
}

func checkAnswersTimeout(f *fixture) {
	p := f.attachPatient()
	a := f.ask(100*time.Millisecond, "k")
	defer a.Close()
	if _, _, err := f.next(context.Background(), a); !errors.Is(err, context.DeadlineExceeded) {
		f.Errorf("Next: %v; want context.DeadlineExceeded", err)
	}
	await(f, p.ended, "the end of the Responder's context")
}

func checkAnswersLate(f *fixture) {
	late, returned := make(chan struct{}), make(chan struct{}, 8)
	f.attach(1, name, Responder{GetFunc: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
		defer func() { returned <- struct{}{} }()
		f.waitFor(late) // whatever the context says
		deliver(0, cache.Answer{Value: []byte("late")})
		return nil
	}})
	a := f.ask(100*time.Millisecond, "k")
	defer a.Close()
	_, _, first := f.next(context.Background(), a)
	if !errors.Is(first, context.DeadlineExceeded) {
		f.Errorf("Next: %v; want context.DeadlineExceeded", first)
	}
	close(late)
	await(f, returned, "the Responder")
	f.roundTrip(f.peer(0, 1)) // by now the late answer has come as far as it will
	f.checkRepeats(a, first)
}

// checkRepeats checks that Next goes on to return err.
func (f *fixture) checkRepeats(a cache.Answers, err error) {
	f.Helper()
	for range 3 {
		i, ans, again := f.next(f.ctx, a)
		if again == nil || again.Error() != err.Error() {
			f.Fatalf("after %v, Next returned key %d, %q, %v; want the same again", err, i, ans.Value, again)
		}
	}
}

func checkAnswersError(f *fixture) {
	for _, want := range []error{cache.ErrVersionMismatch, errors.New("out of luck")} {
		detach := f.attach(1, name, Responder{GetFunc: func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
			deliver(1, cache.Answer{Value: []byte(req.Keys[1])})
			return want
		}})
		a := f.ask(cache.Forever, "a", "b", "c")
		i, ans, err := f.next(f.ctx, a)
		if err == nil && (i != 1 || string(ans.Value) != "b") {
			f.Errorf("Next: key %d is %q; want key 1", i, ans.Value)
		}
		if err == nil {
			_, _, err = f.next(f.ctx, a)
		}
		if err == nil || err == io.EOF {
			f.Fatalf("Next returned %v, and the Responder %v", err, want)
		}
		f.checkRepeats(a, err)
		a.Close()
		detach()
	}
}

func checkAnswersEOF(f *fixture) {
	f.attach(1, name, Responder{GetFunc: echo})
	for _, keys := range [][]string{{}, {"k"}, {"a", "b"}} {
		a := f.ask(cache.Forever, keys...)
		for range keys {
			if _, _, err := f.next(f.ctx, a); err != nil {
				f.Fatalf("Next: %v", err)
			}
		}
		for range 3 {
			if _, _, err := f.next(f.ctx, a); err != io.EOF {
				f.Errorf("Next after %d answers to %d keys: %v; want io.EOF itself", len(keys), len(keys), err)
			}
		}
		a.Close()
	}
}

func checkAnswersInterrupt(f *fixture) {
	p := f.attachPatient()
	a := f.ask(cache.Forever, "k")
	defer a.Close()
	i, ok := a.(interface{ Interrupt() })
	if !ok {
		return // it is a choice
	}
	await(f, p.asked, "the request at the Responder")
	waits := start(func() error {
		_, _, err := a.Next(context.Background())
		return err
	})
	i.Interrupt()
	if err := await(f, waits, "Next, which was interrupted"); err == nil || err == io.EOF {
		f.Errorf("Next, which was interrupted: %v; want an error", err)
	}
	await(f, p.ended, "the end of the Responder's context")
}
