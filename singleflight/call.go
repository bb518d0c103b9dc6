package singleflight

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
)

// ErrAbandoned is the error of a Call whose last waiter left before it was settled, for those
// who joined after that. They start a new one.
var ErrAbandoned = errors.New("singleflight: the call was abandoned by those who waited for it")

// errGoexit is the error of a function that called runtime.Goexit.
var errGoexit = errors.New("singleflight: the function called runtime.Goexit")

// A PanicError is the error of a function that panicked.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the goroutine that panicked
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("panic: %v\n\n%s", e.Value, e.Stack)
}

// Unwrap returns the panic's value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// IsGoexit reports whether err says that a function called runtime.Goexit.
func IsGoexit(err error) bool { return errors.Is(err, errGoexit) }

// Rethrow does to its caller what happened to the function that err comes from: it panics with the
// *PanicError, calls runtime.Goexit, or returns if it was neither.
func Rethrow(err error) {
	if err == nil {
		return
	}
	if pe, ok := err.(*PanicError); ok {
		panic(pe)
	}
	if err == errGoexit {
		runtime.Goexit()
	}
}

// Go calls fn on a goroutine of its own and then, whatever happens, done with what it returned;
// with a *PanicError if it panicked, and an error that IsGoexit knows if it called runtime.Goexit.
func Go[V any](fn func() (V, error), done func(V, error)) {
	go func() {
		var v V
		err := errGoexit // unless fn returns or panics
		defer func() {
			if r := recover(); r != nil {
				err = &PanicError{Value: r, Stack: debug.Stack()}
			}
			done(v, err)
		}()
		v, err = fn()
	}()
}

// A Run is one execution on behalf of everyone who waits for any of its Calls. Its context ends
// when the last of them has left.
type Run struct {
	ctx    context.Context
	cancel context.CancelCauseFunc

	// mu guards what follows.
	mu        sync.Mutex
	waiters   int
	abandoned bool // waiters fell to 0; stays true
}

// NewRun returns a Run whose context has ctx's values, and not its cancellation or deadline.
func NewRun(ctx context.Context) *Run {
	r := new(Run)
	r.ctx, r.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	return r
}

// Context returns the context to execute on.
func (r *Run) Context() context.Context { return r.ctx }

// Cancel ends the context. It must be called when the execution is over.
func (r *Run) Cancel(cause error) { r.cancel(cause) }

func (r *Run) join() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters++
}

func (r *Run) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters--
	if r.waiters == 0 && !r.abandoned {
		r.abandoned = true
		r.cancel(ErrAbandoned)
	}
}

func (r *Run) isAbandoned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.abandoned
}

// A Call is one result that a Run is to produce, and those who wait for it.
type Call[V any] struct {
	run  *Run
	done chan struct{} // closed once v and err are written
	v    V             // written once before done is closed, only read after
	err  error         // likewise

	// mu guards what follows.
	mu      sync.Mutex
	settled bool
	then    []func()
}

// NewCall returns a Call of r, and counts its caller as one who waits for it: a Wait is owed.
// A caller who never waits keeps the Run from being abandoned.
func NewCall[V any](r *Run) *Call[V] {
	r.join()
	return &Call[V]{run: r, done: make(chan struct{})}
}

// Join counts its caller as one more who waits: a Wait is owed.
func (c *Call[V]) Join() { c.run.join() }

// Wait returns the call's result, or ctx's error as soon as ctx ends, and no longer counts its caller. It is
// ErrAbandoned if everyone else had left before its caller joined, and the call failed.
// What a panic or Goexit left is returned as an error; Rethrow turns it back.
func (c *Call[V]) Wait(ctx context.Context) (V, error) {
	defer c.run.leave()
	select {
	case <-c.done: // a result that is there goes before a context that has ended
		return c.v, c.err
	default:
	}
	select {
	case <-c.done:
		return c.v, c.err
	case <-ctx.Done():
		var zero V
		return zero, ctx.Err()
	}
}

// Settle ends the call with its result. Only the first Settle counts; it reports whether this was it.
func (c *Call[V]) Settle(v V, err error) (first bool) {
	c.mu.Lock()
	if c.settled {
		c.mu.Unlock()
		return false
	}
	c.settled = true
	then := c.then
	c.then = nil
	c.mu.Unlock()
	switch {
	case err != nil && c.run.isAbandoned():
		// Those who wanted it have left; whoever waits now came later and wants a new one.
		err = ErrAbandoned
	case err == ErrAbandoned: // of another call, that this one's function made
		err = fmt.Errorf("singleflight: within: %w", err)
	}
	c.v, c.err = v, err
	close(c.done)
	for _, f := range then {
		f()
	}
	return true
}

// Then has f called when the call is settled, or at once if it is. f must not block; it
// runs on the goroutine that settles the call. It does not count as waiting.
func (c *Call[V]) Then(f func()) {
	c.mu.Lock()
	if !c.settled {
		c.then = append(c.then, f)
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	<-c.done // closed in a moment
	f()
}

// Settled reports whether the call has its result.
func (c *Call[V]) Settled() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}
