package cache

import (
	"context"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// A loadContext is the context of a task: it has the values of the first caller's, but not its Trace, since that Get may be over when a
// loader Gets; it ends with its run, at a deadline, and when the task is over. Most loaders do not look, or only
// whether it has ended; what it takes to tell one when it does is made when it is asked for, of package context's own.
type loadContext struct {
	run      *singleflight.Run
	deadline time.Time

	// mu guards what follows.
	mu     sync.Mutex
	made   context.Context // nil until somebody asks for it
	cancel context.CancelFunc
}

func (c *loadContext) init(run *singleflight.Run, deadline time.Time) {
	c.run, c.deadline = run, deadline
}

// Deadline implements context.Context.
func (c *loadContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done implements context.Context.
func (c *loadContext) Done() <-chan struct{} { return c.get().Done() }

// Err implements context.Context.
func (c *loadContext) Err() error {
	if c.run.Ended() || !time.Now().Before(c.deadline) {
		return c.get().Err()
	}
	return nil
}

// Value implements context.Context. A context that knows its own cancellation, and so the cause of that, tells it those that are derived
// from it by a key of this type, which is package context's.
func (c *loadContext) Value(key any) any {
	switch key.(type) {
	case traceKey:
		return nil
	case *int:
		return c.get().Value(key)
	}
	return c.run.Parent().Value(key)
}

func (c *loadContext) get() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made, c.cancel = context.WithDeadline(c.run.Context(), c.deadline)
	}
	return c.made
}

// expire returns when the context has ended, at the latest by its deadline, which has come: so that this is its error, and not that all have left
// who were told that it took too long.
func (c *loadContext) expire() { <-c.get().Done() }

// end ends the context, and the run with it.
func (c *loadContext) end() {
	c.run.Cancel(context.Canceled)
	c.mu.Lock()
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel() // which frees its timer
	}
}
