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

// Crash returns the error of a function that did not return: a *PanicError if recovered, which is what recover
// returned in a deferred function, is not nil; else the function called runtime.Goexit.
func Crash(recovered any) error {
	if recovered == nil {
		return errGoexit
	}
	return &PanicError{Value: recovered, Stack: debug.Stack()}
}

// Go calls fn on a goroutine of its own and then, whatever happens, done with what it returned;
// with a *PanicError if it panicked, and an error that IsGoexit knows if it called runtime.Goexit.
func Go[V any](fn func() (V, error), done func(V, error)) { go Here(fn, done) }

// Here is Go on its caller's goroutine. It returns when done has, unless fn called runtime.Goexit: that goes on.
func Here[V any](fn func() (V, error), done func(V, error)) {
	var v V
	var err error
	returned := false
	defer func() {
		if r := recover(); !returned {
			err = Crash(r)
		}
		done(v, err)
	}()
	v, err = fn()
	returned = true
}

// A Call is one result that a Run is to produce, and those who wait for it. Init it, or use NewCall.
type Call[V any] struct {
	run *Run

	// mu guards what follows.
	mu      sync.Mutex
	settled bool
	v       V             // written once, before settled is set
	err     error         // likewise
	done    chan struct{} // closed when the call is settled; nil until somebody waits for that
	then    *thenFunc
}

// A thenFunc is what Then was given, in a list.
type thenFunc struct {
	f    func()
	next *thenFunc
}

// NewCall returns a Call of r, and counts its caller as one who waits for it: a Wait is owed.
// A caller who never waits keeps the Run from being abandoned.
func NewCall[V any](r *Run) *Call[V] {
	c := new(Call[V])
	c.Init(r)
	return c
}

// Init makes the zero Call c what NewCall returns.
func (c *Call[V]) Init(r *Run) {
	r.join()
	c.run = r
}

// Run returns the Run that is to settle c.
func (c *Call[V]) Run() *Run { return c.run }

// Join counts its caller as one more who waits: a Wait is owed.
func (c *Call[V]) Join() { c.run.join() }

// Wait returns the call's result, or ctx's error as soon as ctx ends, and no longer counts its caller. It is
// ErrAbandoned if everyone else had left before its caller joined, and the call failed. A result that is there goes
// before a context that has ended.
// What a panic or Goexit left is returned as an error; Rethrow turns it back.
func (c *Call[V]) Wait(ctx context.Context) (V, error) {
	defer c.run.leave()
	if done := c.pending(); done != nil {
		select {
		case <-done:
		case <-ctx.Done():
			var zero V
			return zero, ctx.Err()
		}
	}
	return c.v, c.err // settled, and so never written again
}

// pending returns a channel that is closed when the call is settled, nil if it is.
func (c *Call[V]) pending() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settled {
		return nil
	}
	if c.done == nil {
		c.done = make(chan struct{})
	}
	return c.done
}

// Settle ends the call with its result. Only the first Settle counts; it reports whether this was it.
func (c *Call[V]) Settle(v V, err error) (first bool) {
	c.mu.Lock()
	if c.settled {
		c.mu.Unlock()
		return false
	}
	switch {
	case err != nil && c.run.Abandoned():
		// Those who wanted it have left; whoever waits now came later and wants a new one.
		err = ErrAbandoned
	case err == ErrAbandoned: // of another call, that this one's function made
		err = fmt.Errorf("singleflight: within: %w", err)
	}
	c.v, c.err, c.settled = v, err, true
	done, then := c.done, c.then
	c.then = nil
	c.mu.Unlock()
	if done != nil {
		close(done)
	}
	for ; then != nil; then = then.next {
		then.f()
	}
	return true
}

// Then has f called when the call is settled, or at once if it is. f must not block; it
// runs on the goroutine that settles the call. It does not count as waiting.
func (c *Call[V]) Then(f func()) {
	c.mu.Lock()
	if !c.settled {
		c.then = &thenFunc{f, c.then}
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	f()
}

// Settled reports whether the call has its result.
func (c *Call[V]) Settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settled
}
