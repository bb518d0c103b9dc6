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

// WithTrace returns a context with which a Get sets t, unless it finds the value, or that there is none, in this
// instance's memory, or fails otherwise than with ErrNotFound: so t must be zero. t belongs to the Get until that returns.
func WithTrace(ctx context.Context, t *Trace) context.Context {
	return context.WithValue(ctx, traceKey{}, t)
}

func traceItem(ctx context.Context, peer string, loaded bool) {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		t.Peer, t.Loaded = peer, loaded
	}
}
