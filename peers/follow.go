package peers

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// followed is what a Pool knows of the Source that it follows.
type followed struct {
	busy   atomic.Bool                     // a Follow is under way
	leaver atomic.Pointer[discover.Leaver] // the Source that was followed last; nil: it is none
}

// Follow makes every list of members that source yields the Pool's, by Set. It blocks until ctx ends, and returns ctx's error; until the Pool
// is closed, and returns ErrClosed; or until source ends by itself, which those of package discover do not, and returns nil. So the caller
// starts the goroutine:
//
//	go pool.Follow(ctx, source)
//
// What source yields in place of a list is logged, as is a list that Set refuses; the last list stands then, and Follow goes on. What has just
// been logged is not logged again. If source is a discover.Leaver, Drain calls its Leave, also when Follow has returned.
//
// A Pool follows one Source at a time: a second Follow fails. Set may be called meanwhile; it holds until the next list. If source
// panics, so does Follow.
func (p *Pool) Follow(ctx context.Context, source discover.Source) error {
	if p.closed.Load() {
		return fmt.Errorf("peers: Follow: %w", ErrClosed)
	}
	if !p.followed.busy.CompareAndSwap(false, true) {
		return errors.New("peers: Follow: the Pool follows another Source: end that first")
	}
	defer p.followed.busy.Store(false)
	if l, ok := source.(discover.Leaver); ok {
		p.followed.leaver.Store(&l)
	} else {
		p.followed.leaver.Store(nil)
	}
	until, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()

	wrong := "" // what was logged since the last list
	for members, err := range source.Members(until) {
		if until.Err() != nil {
			break
		}
		what := "peers: the members could not be found out; the last list stands"
		if err == nil {
			what, err = "peers: a list of members is refused; the last one stands", p.Set(members...)
		}
		switch {
		case err != nil && wrong != what+err.Error():
			wrong = what + err.Error()
			p.log.Warn(what, "error", err)
		case err == nil && wrong != "":
			wrong = ""
			p.log.Info("peers: the members are known again", "listed", len(members))
		}
	}
	if p.closed.Load() {
		return fmt.Errorf("peers: Follow: %w", ErrClosed)
	}
	return ctx.Err()
}

// leave tells the Source that was followed last that this instance is on its way out, if it wants to know.
func (p *Pool) leave(ctx context.Context) error {
	l := p.followed.leaver.Load()
	if l == nil {
		return nil
	}
	if err := (*l).Leave(ctx); err != nil {
		p.log.Warn("peers: the other instances may not know that this one leaves", "error", err)
		return fmt.Errorf("peers: Drain: the other instances may not know that this one leaves: %w", err)
	}
	return nil
}
