package cache

import "context"

// A Trace says where a Get, or a Refresh, found its value. The zero Trace says that
// it was in this instance's memory.
type Trace struct {
	// Peer is the address of the instance that the value came from, "" if that is this one.
	Peer string
	// Loaded says that the value was loaded, there or here, for those who
	// waited for it; else it was in a memory.
	Loaded bool
}

type traceKey struct{}

// WithTrace returns a context for one Get or Refresh. If that goes beyond this instance's memory and finds a value, or
// ErrNotFound, it sets t; else t stays as it is, so pass a zero Trace. t belongs to the call until it returns.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceItem(ctx context.Context, peer string, loaded bool) {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		t.Peer, t.Loaded = peer, loaded
	}
}
