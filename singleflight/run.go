package singleflight

import (
	"context"
	"sync"
)

// A Run is one execution on behalf of everyone who waits for any of its Calls. Its context ends
// when the last of them has left. Init it, or use NewRun.
type Run struct {
	parent context.Context // whose values the context has

	// mu guards what follows. It is a leaf.
	mu        sync.Mutex
	waiters   int
	abandoned bool            // waiters fell to 0; stays true
	cause     error           // why the context ended; nil until then
	ctx       context.Context // nil until somebody asks for it
	cancel    context.CancelCauseFunc
	watcher   Interrupter // see Watch
}

// An Interrupter is told that a Run was cancelled. Interrupt must not block, and not use the Run.
type Interrupter interface{ Interrupt() }

// NewRun returns a Run whose context has ctx's values, and not its cancellation or deadline.
func NewRun(ctx context.Context) *Run {
	r := new(Run)
	r.Init(ctx)
	return r
}

// Init makes the zero Run r what NewRun returns.
func (r *Run) Init(ctx context.Context) { r.parent = ctx }

// Context returns the context to execute on. It is made when it is first asked for, so that an execution that
// needs none does not pay for it.
func (r *Run) Context() context.Context {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil {
		r.ctx, r.cancel = context.WithCancelCause(context.WithoutCancel(r.parent))
		if r.cause != nil {
			r.cancel(r.cause)
		}
	}
	return r.ctx
}

// Parent returns the context whose values the Run's context has.
func (r *Run) Parent() context.Context { return r.parent }

// Ended reports whether the context has ended, or would have if somebody had asked for it.
func (r *Run) Ended() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cause != nil
}

// Cancel ends the context. It must be called when the execution is over, if Context was.
func (r *Run) Cancel(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endLocked(cause)
}

// Watch has i interrupted when the Run is cancelled, by Cancel or by those who leave. It takes the place of the one
// before; nil ends the watch, and after that the Run does not touch i. If the Run is cancelled already, Watch returns
// false and does nothing. It is for an execution that does not look at the context.
func (r *Run) Watch(i Interrupter) (ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause != nil {
		return false
	}
	r.watcher = i
	return true
}

func (r *Run) join() {
	r.mu.Lock()
	r.waiters++
	r.mu.Unlock()
}

func (r *Run) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiters--
	if r.waiters == 0 && !r.abandoned {
		r.abandoned = true
		r.endLocked(ErrAbandoned)
	}
}

// endLocked ends the context, or has it ended when it is made. r.mu must be held.
func (r *Run) endLocked(cause error) {
	if r.cause != nil {
		return
	}
	if cause == nil {
		cause = context.Canceled // as a CancelCauseFunc does
	}
	r.cause = cause
	if r.cancel != nil {
		r.cancel(cause)
	}
	if r.watcher != nil {
		r.watcher.Interrupt()
		r.watcher = nil
	}
}

// Abandoned reports whether everyone who waited has left.
func (r *Run) Abandoned() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.abandoned
}
