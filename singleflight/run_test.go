package singleflight_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// A context that is made late says what happened before.
func TestG2ContextOfARunThatHasEnded(t *testing.T) {
	cancelled := singleflight.NewRun(context.WithValue(t.Context(), valueKey{}, "first"))
	cause := errors.New("enough")
	cancelled.Cancel(cause)
	cancelled.Cancel(errors.New("too late"))
	if ctx := cancelled.Context(); ctx.Err() != context.Canceled || context.Cause(ctx) != cause || ctx.Value(valueKey{}) != "first" {
		t.Errorf("cancelled before: %v, %v, %v", ctx.Err(), context.Cause(ctx), ctx.Value(valueKey{}))
	}
	abandoned := singleflight.NewRun(t.Context())
	left, leave := context.WithCancel(t.Context())
	leave()
	c := singleflight.NewCall[int](abandoned)
	if c.Run() != abandoned {
		t.Error("Run is another")
	}
	if _, err := c.Wait(left); err != context.Canceled {
		t.Errorf("Wait: %v", err)
	}
	if ctx := abandoned.Context(); context.Cause(ctx) != singleflight.ErrAbandoned {
		t.Errorf("abandoned before: %v", context.Cause(ctx))
	}
	running := singleflight.NewRun(left)
	if ctx := running.Context(); ctx.Err() != nil || ctx != running.Context() {
		t.Error("the context of a run has its caller's cancellation, or there are two")
	}
	running.Cancel(nil)
	if err := context.Cause(running.Context()); err != context.Canceled {
		t.Errorf("cancelled without a cause: %v", err)
	}
}

type interrupts int

func (i *interrupts) Interrupt() { *i++ }

func TestWatchIsToldOfTheEndOnce(t *testing.T) {
	var first, second, ended interrupts
	run := singleflight.NewRun(t.Context())
	if !run.Watch(&first) || !run.Watch(&second) {
		t.Error("Watch of a run that goes on returns false")
	}
	run.Cancel(nil)
	run.Cancel(nil)
	if first != 0 || second != 1 {
		t.Errorf("%d and %d interrupts, want the last one who watches to be told once", first, second)
	}
	if run.Watch(&ended) || ended != 0 {
		t.Error("Watch of a run that has ended returns true")
	}
	run = singleflight.NewRun(t.Context())
	run.Watch(&ended)
	run.Watch(nil)
	run.Cancel(nil)
	if ended != 0 {
		t.Error("who watches no more is told")
	}
	run = singleflight.NewRun(t.Context())
	run.Watch(&ended)
	c := singleflight.NewCall[int](run)
	c.Settle(1, nil)
	if _, err := c.Wait(t.Context()); err != nil || ended != 1 {
		t.Errorf("%v; %d interrupts when the last one has left, want 1", err, ended)
	}
}

func TestG3CrashTellsAPanicFromGoexit(t *testing.T) {
	crash := func(fn func()) (err error) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer func() { err = singleflight.Crash(recover()) }()
			fn()
		}()
		<-done
		return err
	}
	var pe *singleflight.PanicError
	if err := crash(func() { panic("oops") }); !errors.As(err, &pe) || pe.Value != "oops" || len(pe.Stack) == 0 || singleflight.IsGoexit(err) {
		t.Errorf("panic: %v", err)
	}
	if err := crash(runtime.Goexit); !singleflight.IsGoexit(err) {
		t.Errorf("Goexit: %v", err)
	}
}
