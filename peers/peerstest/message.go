package peerstest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A Kind is what a call asks for.
type Kind int

// The methods of cache.Responder.
const (
	KindGet Kind = iota + 1
	KindFence
	KindRelease
	KindStore
	KindHello
	KindList
)

// String returns "Get", "Fence", "Release", "Store", "Hello" or "List".
func (k Kind) String() string {
	switch k {
	case KindGet:
		return "Get"
	case KindFence:
		return "Fence"
	case KindRelease:
		return "Release"
	case KindStore:
		return "Store"
	case KindHello:
		return "Hello"
	case KindList:
		return "List"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// A Message is a request or a reply on its way, as functions see it that watch the fleet.
// They must not change what it points to. They may keep it.
type Message struct {
	Call     uint64 // numbers the calls of the fleet from 1; a request and its replies share it
	From, To int    // the instance that calls and the one called, in replies too
	Kind     Kind
	Reply    bool // what To says, not what From asks

	Cache string
	// Keys are the keys of the request. In a reply to a Get, the one key that Answer is for.
	Keys []string
	// Tags are those of a Fence or a Release.
	Tags  []string
	All   bool   // of a Fence or Release
	Fence uint64 // the ID of a Fence or Release, the Fence of a Store

	// Answer is set in replies to a Get, one for each key. What ends a Get that answered
	// every key is no Message, unless it had none.
	Answer *cache.Answer
	// Err is what the Responder returned, in the reply that ends a call.
	Err error
}

// String describes the message in one line, for logs.
func (m Message) String() string {
	var b strings.Builder
	arrow := "->"
	if m.Reply {
		arrow = "<-"
	}
	fmt.Fprintf(&b, "#%d %d%s%d %s %q", m.Call, m.From, arrow, m.To, m.Kind, m.Cache)
	switch {
	case m.All:
		b.WriteString(" all")
	case len(m.Keys) > 0:
		fmt.Fprintf(&b, " %q", m.Keys)
	case len(m.Tags) > 0:
		fmt.Fprintf(&b, " tags %q", m.Tags)
	}
	if m.Fence != 0 {
		fmt.Fprintf(&b, " fence %d", m.Fence)
	}
	if m.Answer != nil {
		fmt.Fprintf(&b, " status %d, %d bytes", m.Answer.Status, len(m.Answer.Value))
	}
	if m.Err != nil {
		fmt.Fprintf(&b, ": %v", m.Err)
	}
	return b.String()
}

// An interceptor is a function of the test in the way of all messages. Its address identifies it.
type interceptor struct {
	run func(context.Context, Message) error
}

// Intercept has see called for every message just before it arrives, after the delays of its link, until
// remove is called. See may block, which delays the message and those behind it of the same
// call, and nothing else; it runs on the fleet's goroutine, and for different calls concurrently. An error
// loses the message. Functions are called in the order in which they were added.
//
// ctx ends when the call is over: its caller has left, or had its answer. If see returns nil all the same, a
// reply is discarded, but a request arrives, late and with an ended context, as it may in a
// network. [Fleet.Hold] is simpler for the common case.
func (f *Fleet) Intercept(see func(ctx context.Context, m Message) error) (remove func()) {
	added := &interceptor{see}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.intercept = append(slices.Clip(f.intercept), added) // calls under way range over the old slice
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.intercept = slices.DeleteFunc(slices.Clone(f.intercept), func(i *interceptor) bool { return i == added })
	}
}

// interceptors returns the functions that a message meets now.
func (f *Fleet) interceptors() []*interceptor {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.intercept
}
