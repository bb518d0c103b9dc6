package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// A call is one request to one instance that is under way. One goroutine at a time has it.
type call[V any] struct {
	peer     Peer
	answers  Answers // nil: not sent yet, or closed
	run      *singleflight.Run
	watched  bool // run knows of answers
	sent     memory.Instant
	asked    memory.Instant // when the walk began: a mirror's term is counted from there, so that it needs no clock but this one's
	number   uint64         // of keys that were fetched before it, about
	until    memory.Instant // when the walk's time is up
	flights  []*flight[V]   // by index in the request; nil: settled
	answered int
	late     int // of answered: came too late, and count as no answer
}

// requests keeps *GetRequests for the next call: a Peer does not keep them.
var requests = sync.Pool{New: func() any { return new(GetRequest) }}

// maxPooledKeys bounds the keys that a GetRequest in the pool has room for.
const maxPooledKeys = 4096

// send asks p for flights now, and waits for nothing.
func (c *Cache[K, V]) send(now memory.Instant, w *walk[V], flights []*flight[V], p Peer, takeover bool) call[V] {
	req := requests.Get().(*GetRequest)
	req.Cache, req.Version, req.Reload, req.Takeover, req.Carried = c.cfg.Name, c.cfg.Version, w.h.reload, takeover, w.carried
	for _, f := range flights {
		req.Keys = append(req.Keys, f.Key)
	}
	number := c.count.fetches.Add(uint64(len(flights)))
	a := call[V]{peer: p, run: flights[0].Run(), sent: now, asked: w.h.asked, number: number, until: w.until, flights: flights}
	timeout := Forever
	if w.until != memory.Never {
		timeout = max(time.Duration(w.until-a.sent), 1)
	}
	a.answers = p.Get(req, timeout)
	if cap(req.Keys) <= maxPooledKeys {
		clear(req.Keys) // keeps no key alive
		*req = GetRequest{Keys: req.Keys[:0]}
		requests.Put(req)
	}
	return a
}

// take takes answers, and settles their flights, until every key was answered. Else it returns why not.
func (c *Cache[K, V]) take(ctx context.Context, a *call[V]) error {
	for a.answered < len(a.flights) {
		i, answer, err := a.answers.Next(ctx)
		if err == io.EOF {
			return fmt.Errorf("cache: %s left %d of %d keys unanswered", a.peer.Addr(), len(a.flights)-a.answered, len(a.flights))
		}
		if err != nil {
			return err
		}
		if i < 0 || i >= len(a.flights) || a.flights[i] == nil {
			return fmt.Errorf("cache: %s answered key %d of %d, or answered it twice", a.peer.Addr(), i, len(a.flights))
		}
		f := a.flights[i]
		if answer.Status == StatusQueued {
			f.SetQueued(true) // who leaves before the answer comes is told so
			continue
		}
		a.answered++
		if c.late(a, &answer) {
			a.late++
			continue
		}
		it, err := c.fromAnswer(f, a.peer.Addr(), &answer, a.asked)
		c.store.Settle(f, it, err)
		a.flights[i] = nil // only now: if a Codec calls Goexit, somebody else settles it
	}
	return nil
}

// await takes the answers of a on a goroutine of the flights' own, whose context is ctx, and closes it.
func (c *Cache[K, V]) await(ctx context.Context, a *call[V]) outcome[V] {
	defer a.close()
	err := c.take(ctx, a)
	if err != nil && ctx.Err() != nil { // we left
		return outcome[V]{left: unsettled(a.flights)}
	}
	return c.outcome(a, err)
}

// outcome says what came of a, which ended with err, and takes note of it.
func (c *Cache[K, V]) outcome(a *call[V], err error) outcome[V] {
	o := outcome[V]{left: unsettled(a.flights)}
	if errors.Is(err, context.DeadlineExceeded) && c.store.Now() >= a.until {
		return o // it was our time, and not the peer's fault
	}
	if err != nil {
		o.failed = a.peer
	}
	o.try = len(o.left) > 0 && c.isTry(a.peer, err)
	return o
}

// unsettled returns the flights of a call that got no answer, or a late one.
func unsettled[V any](flights []*flight[V]) []*flight[V] {
	left := make([]*flight[V], 0, len(flights))
	for _, f := range flights {
		if f != nil {
			left = append(left, f)
		}
	}
	return left
}

// hedged reports whether a is a call for one key that was settled by somebody else.
func (a *call[V]) hedged() bool {
	return len(a.flights) == 1 && a.flights[0] != nil && a.flights[0].Settled()
}

// watch has Next interrupted when the flights' run is cancelled, which is when the cache is closed: nobody looks
// at the run's context. It returns false if that has happened.
func (a *call[V]) watch() bool {
	i, ok := a.answers.(singleflight.Interrupter)
	if !ok {
		return true
	}
	a.watched = a.run.Watch(i)
	return a.watched
}

func (a *call[V]) unwatch() {
	if a.watched {
		a.run.Watch(nil)
		a.watched = false
	}
}

// close closes the answers, if there are any.
func (a *call[V]) close() {
	if a.answers != nil {
		a.unwatch() // they are not to be touched any more
		a.answers.Close()
		a.answers = nil
	}
}
