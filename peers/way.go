package peers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// upgradeAgain is how long a peer is asked by POST, at least, after its address did not upgrade a connection. The next
// attempt comes up to two and a half times as late.
const upgradeAgain = 30 * time.Second

// A way is how calls reach a peer: on an upgraded connection or, where that does not come about, each by a POST of its own.
type way struct {
	// mu guards the fields below. Nothing else is locked, and nothing is waited for, under it.
	mu sync.Mutex

	opening *opening           // nil if none is under way
	posts   bool               // the last attempt to upgrade came to nothing, and the next one is due at
	due     time.Time          // this time
	reason  string             // why it came to nothing
	links   map[*link]struct{} // all that have not failed, those that take no new calls too
	opened  uint64
	closed  bool // the Pool is
}

// An opening is an attempt to make a link.
type opening struct {
	done chan struct{} // closed once the fields below are set
	link *link         // nil, without an error: calls are to be made by POST
	err  error
}

// open returns a link to the peer, or nil if calls are to be made by POST. It waits for an attempt to make one, on ctx.
func (p *peer) open(ctx context.Context) (*link, error) {
	if l := p.link.Load(); l != nil {
		return l, nil
	}
	if err := p.health.downFor(); err != nil {
		return nil, err
	}
	w := &p.way
	w.mu.Lock()
	if l := p.link.Load(); l != nil { // opened a moment ago
		w.mu.Unlock()
		return l, nil
	}
	posts := w.posts
	if posts && time.Now().Before(w.due) {
		w.mu.Unlock()
		return nil, nil
	}
	o := w.opening
	if o == nil {
		o = &opening{done: make(chan struct{})}
		w.opening = o
		go p.makeLink(o) // which ends with the Pool, and within the time for an upgrade
	}
	w.mu.Unlock()
	if posts { // which is known to work
		return nil, nil
	}
	select {
	case <-o.done:
		return o.link, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// makeLink makes a link, or finds out that none can be made.
func (p *peer) makeLink(o *opening) {
	l, err := p.tryUpgrade()
	var not *notUpgraded
	w := &p.way
	w.mu.Lock()
	closed := w.closed
	switch {
	case closed:
		o.err = p.closedError()
	case err == nil:
		w.posts, w.reason = false, ""
		w.opened++
		if w.links == nil {
			w.links = make(map[*link]struct{})
		}
		w.links[l] = struct{}{}
		p.link.Store(l)
		o.link = l
	case errors.As(err, &not):
		if !w.posts {
			p.pool.log.Info("peers: a connection to a peer is not upgraded; it is asked by POST", "peer", p.url, "reason", not.reason)
		}
		w.posts, w.reason = true, not.reason
		w.due = time.Now().Add(upgradeAgain + rand.N(upgradeAgain*3/2))
	default:
		o.err = err
	}
	w.opening = nil
	w.mu.Unlock()
	close(o.done)
	switch {
	case closed && l != nil:
		l.fail(o.err)
	case l != nil:
		p.watch() // as long as there are links
	}
}

// tryUpgrade makes one attempt to make a link.
func (p *peer) tryUpgrade() (l *link, err error) {
	err = p.attempt(p.pool.ctx, func(ctx context.Context) (v verdict, err error) {
		limit := p.pool.cfg.upgradeTime()
		timed, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		l, v, err = p.upgrade(timed)
		if err != nil && timed.Err() != nil && ctx.Err() == nil {
			// It has answered pings meanwhile, or it would be down: it is the request that something swallows.
			v, err = unknown, &notUpgraded{fmt.Sprintf("no answer within %v", limit)}
		}
		return v, err
	})
	if err != nil && p.pool.ctx.Err() != nil {
		err = p.closedError()
	}
	return l, err
}

// attempt calls try, which asks the peer something, and takes note of what that says of its health. Its context ends when
// the peer goes down.
func (p *peer) attempt(ctx context.Context, try func(context.Context) (verdict, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	callCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w, watch, err := p.health.begin(time.Now(), cancel)
	if err != nil {
		return err
	}
	if watch && !p.pool.monitor.watch(p) {
		p.close()
	}
	ended := false
	defer func() {
		if !ended { // try panicked
			p.health.end(time.Now(), w, unknown, nil)
		}
	}()
	v, err := try(callCtx)
	ended = true
	if err != nil {
		v, err = whose(ctx, callCtx, v, err)
	}
	if p.health.end(time.Now(), w, v, err) {
		p.wentDown(err)
	}
	return err
}

// verdict takes note of what a link found out about the peer's health.
func (p *peer) verdict(v verdict, err error) {
	if p.health.note(time.Now(), v, err) {
		p.wentDown(err)
	}
}

// wentDown ends the calls on the peer's links, unless it is only leaving: then it finishes those, and gets no more.
func (p *peer) wentDown(err error) {
	level := slog.LevelWarn
	if !p.health.wasUp() { // it is not there yet, as happens when a fleet starts
		level = slog.LevelInfo
	}
	p.pool.log.Log(p.pool.ctx, level, "peers: peer is down", "peer", p.url, "error", err)
	cause := p.health.down(err)
	for _, l := range p.links() {
		if leaving(err) {
			l.retire()
		} else {
			l.fail(cause)
		}
	}
	p.pool.monitor.poke()
}

func (p *peer) links() []*link {
	p.way.mu.Lock()
	defer p.way.mu.Unlock()
	links := make([]*link, 0, len(p.way.links))
	for l := range p.way.links {
		links = append(links, l)
	}
	return links
}

// unlink has new calls make a new link.
func (p *peer) unlink(l *link) { p.link.CompareAndSwap(l, nil) }

// linkFailed takes note of the end of a link, by which lost calls failed.
func (p *peer) linkFailed(l *link, err error, lost int) {
	p.way.mu.Lock()
	delete(p.way.links, l)
	p.way.mu.Unlock()
	var e *Error
	switch {
	case lost == 0 || errors.Is(err, ErrPeerDown) || errors.Is(err, ErrClosed):
	case errors.As(err, &e):
		p.verdict(failed, err)
	default:
		p.verdict(failed, l.lost(err))
	}
}

// tickLinks looks after the peer's links. It returns in how long that is due again, 0 if it is not, and
// whether there are any.
func (p *peer) tickLinks() (next time.Duration, linked bool) {
	links := p.links()
	for _, l := range links {
		due := l.tick(p.pool.now())
		switch {
		case due > 0 && (next == 0 || due < next):
			next = due
		case due == 0 && p.health.left():
			l.retire() // nobody asks it any more
		}
	}
	return next, len(links) > 0
}

// isBack has the next call try to upgrade a connection, whatever came of it before the peer was down.
func (p *peer) isBack() {
	p.way.mu.Lock()
	defer p.way.mu.Unlock()
	p.way.due = time.Time{}
}

// watch hands the peer to the monitor, unless that has it.
func (p *peer) watch() {
	if p.health.watch() && !p.pool.monitor.watch(p) {
		p.close()
	}
	p.pool.monitor.poke()
}

// call makes a call and hands each answer to deliver.
func (p *peer) call(ctx context.Context, q *wire.Request, deliver func(int, cache.Answer)) error {
	delivered := false
	err := p.callOnce(ctx, q, func(i int, a cache.Answer) {
		delivered = delivered || a.Status != cache.StatusQueued
		a.Own()
		deliver(i, a)
	})
	if !delivered && mayRepeat(q.Verb, err) && ctx.Err() == nil {
		err = p.callOnce(ctx, q, deliver)
	}
	if q.Views && !q.HasGone() && errors.Is(err, ErrUnsupported) { // it does without
		q.Views = false
		err = p.callOnce(ctx, q, deliver)
	}
	if err != nil {
		p.failures.Add(1)
	}
	return err
}

// mayRepeat reports whether a request of which nothing was answered may be sent once more after err: the connection
// broke under it, and nothing is done twice that may be done once only.
func mayRepeat(v wire.Verb, err error) bool {
	return errors.Is(err, errBroken) && (v == wire.Get || v == wire.Hello || v == wire.Release)
}

// callOnce makes a call on a link or by POST.
func (p *peer) callOnce(ctx context.Context, q *wire.Request, deliver func(int, cache.Answer)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		l, err := p.open(ctx)
		if err != nil {
			return err
		}
		if l == nil {
			return p.attempt(ctx, func(ctx context.Context) (verdict, error) { return p.inSlot(ctx, q, deliver) })
		}
		if started, err := l.do(ctx, q, deliver); started {
			return err
		}
	}
}

// needs returns the features that a request needs.
func needs(q *wire.Request) (f wire.Features) {
	switch {
	case q.Verb == wire.Stats:
		f |= wire.FeatureStats
	case q.Verb == wire.Hello, q.Views:
		f |= wire.FeatureViews
	case q.Verb == wire.Leave, q.Verb == wire.List:
		f |= wire.FeatureLeave
	}
	if q.Verb == wire.Get && q.Get.Peek {
		f |= wire.FeaturePeek
	}
	return f
}

// do makes a call on the link. started is false if the link takes none any more.
func (l *link) do(ctx context.Context, q *wire.Request, deliver func(int, cache.Answer)) (started bool, err error) {
	q.Timeout = cache.Forever
	if d, ok := ctx.Deadline(); ok {
		q.Timeout = time.Until(d)
	}
	if need := needs(q); l.features&need != need {
		return true, l.p.fault(ErrUnsupported, "runs an older program, which does not support what it is asked for", nil)
	}
	c, err := newCall(l.p, q)
	if err != nil {
		return true, err
	}
	for !l.start(c, cache.Forever) { // ctx ends it
		room := l.slot(c.urgent)
		if room == nil {
			c.release()
			return false, nil
		}
		select {
		case <-room:
		case <-ctx.Done():
			c.release()
			return true, ctx.Err()
		}
	}
	c.once = true
	defer c.Close()
	for {
		i, a, err := c.Next(ctx)
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return true, err
		}
		a.Own()
		deliver(i, a)
	}
}
