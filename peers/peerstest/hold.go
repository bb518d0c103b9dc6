package peerstest

import (
	"context"
	"errors"
	"sync"
)

// errLost is what an interceptor returns to lose a message. Nobody sees it.
var errLost = errors.New("lost")

// A Hold stops messages on their way until it lets them go, so that a test decides what happens in
// between. Make one with [Fleet.Hold].
type Hold struct {
	remove func()
	wake   chan struct{} // has a token while caught may have messages that nobody awaited
	let    chan struct{} // closed by Release and Drop

	mu     sync.Mutex // guards the fields below
	caught []Message  // not yet returned by Await
	done   bool       // let is closed
	drop   bool       // what is held gets lost
}

// Hold stops every message for which match returns true, just before it arrives. Match may be called
// concurrently. A message stays until Release or Drop, or until its call is over, which loses it.
//
//	hold := fleet.Hold(func(m peerstest.Message) bool {
//		return m.Kind == peerstest.KindFence && m.To == 2 && !m.Reply
//	})
func (f *Fleet) Hold(match func(Message) bool) *Hold {
	h := &Hold{wake: make(chan struct{}, 1), let: make(chan struct{})}
	h.remove = f.Intercept(func(ctx context.Context, m Message) error {
		if !match(m) || !h.take(m) {
			return nil
		}
		select {
		case <-h.let:
			return h.fate()
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	return h
}

// Await waits until a message is held that it has not returned before, and returns it; in the order
// in which they came. It returns an error if ctx ends first. Messages that were held when Release or
// Drop was called are still returned.
func (h *Hold) Await(ctx context.Context) (Message, error) {
	for {
		if m, ok := h.next(); ok {
			return m, nil
		}
		select {
		case <-h.wake:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}

// Release lets all messages go on, and holds no others from now on. It may be called again.
func (h *Hold) Release() { h.end(false) }

// Drop loses the messages that are held, and holds no others from now on. After Release it does nothing.
func (h *Hold) Drop() { h.end(true) }

func (h *Hold) end(drop bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done {
		return
	}
	h.done, h.drop = true, drop
	close(h.let)
	h.remove()
}

// take notes that m is held, unless the hold is over.
func (h *Hold) take(m Message) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.done {
		return false
	}
	h.caught = append(h.caught, m)
	h.wakeLocked()
	return true
}

// next removes and returns the first message that Await has not returned.
func (h *Hold) next() (m Message, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.caught) == 0 {
		return m, false
	}
	m, h.caught = h.caught[0], h.caught[1:]
	if len(h.caught) > 0 {
		h.wakeLocked() // another Await may be waiting for the token that this one took
	}
	return m, true
}

// fate returns what becomes of a message that is let go.
func (h *Hold) fate() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.drop {
		return errLost
	}
	return nil
}

// wakeLocked wakes one Await. h.mu must be held.
func (h *Hold) wakeLocked() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}
