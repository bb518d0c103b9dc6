package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// errUnsettled would be a bug: it is better returned than waited for.
var errUnsettled = errors.New("cache: internal error: a load ended without a result")

// A task is work on flights of one run that a goroutine of its own does, see launch.
type task interface {
	work(ctx context.Context) error // settles them, or returns the error of those that it has not settled
	ringer
	over(err error)
	context() *loadContext
}

// launched is what a task has while it is worked on.
type launched[K ~string, V any] struct {
	c       *Cache[K, V]
	flights []*flight[V]
	begun   memory.Instant
	ctx     loadContext
	alarm   *alarm
}

// launch does t on a goroutine of its own, which is free when the loader or the peers have returned. The flights of l, which is t's,
// are settled when their results are there, and at the latest after the limit from now.
func (l *launched[K, V]) launch(t task, run *singleflight.Run, now memory.Instant, limit time.Duration) {
	l.begin(t, run, now, limit)
	l.c.workers.do(t)
}

// begin is launch for one who does t himself.
func (l *launched[K, V]) begin(t task, run *singleflight.Run, now memory.Instant, limit time.Duration) {
	l.begun = now
	l.ctx.init(run, l.c.store.Time(after(now, limit)))
	l.alarm = l.c.alarms.set(limit, t) // even if the work does not heed its context, those who wait do not wait for longer
}

// do works on t, and ends it, whatever happens.
func do(t task) {
	singleflight.Here(func() (struct{}, error) {
		return struct{}{}, t.work(t.context())
	}, func(_ struct{}, err error) { t.over(err) })
}

func (l *launched[K, V]) context() *loadContext { return &l.ctx }

// over ends what was launched: it settles the flights that are not.
func (l *launched[K, V]) over(err error) {
	l.c.alarms.stop(l.alarm)
	if err == nil {
		err = errUnsettled
	}
	l.c.fail(l.flights, err)
	for _, f := range l.flights {
		if f.Early() {
			l.c.store.TakeOut(f) // its Rest may have crashed
		}
	}
	l.ctx.end()
}

// fail ends those of flights that are not settled with err, and reports a panic or Goexit.
func (c *Cache[K, V]) fail(flights []*flight[V], err error) {
	if err == errUnsettled && !slices.ContainsFunc(flights, func(f *flight[V]) bool { return !f.Settled() }) {
		return
	}
	var pe *singleflight.PanicError
	if len(flights) > 0 && (errors.As(err, &pe) || singleflight.IsGoexit(err)) {
		c.count.loadPanics.Add(1)
		c.cfg.Logger.Error("cache: the loader did not return", "cache", c.cfg.Name, "key", flights[0].Key, "error", err)
	}
	for _, f := range flights {
		if !f.Settled() {
			c.store.Settle(f, nil, err)
		}
	}
}

// A filling is the task to load flights.
type filling[K ~string, V any] struct {
	launched[K, V]
	h how
}

// fill loads flights that begin together.
func (c *Cache[K, V]) fill(run *singleflight.Run, now memory.Instant, flights []*flight[V], h how) {
	t := &filling[K, V]{launched: launched[K, V]{c: c, flights: flights}, h: h}
	t.launch(t, run, now, c.cfg.LoadTimeout)
}

// fillInline is fill for one flight, on the goroutine of its caller, who does not leave before the loader has returned. Others do, as ever.
func (c *Cache[K, V]) fillInline(now memory.Instant, f *flight[V], h how) {
	t := &filling[K, V]{launched: launched[K, V]{c: c, flights: f.Alone()}, h: h}
	t.begin(t, f.Run(), now, c.cfg.LoadTimeout)
	do(t)
}

func (t *filling[K, V]) work(ctx context.Context) error {
	return t.c.load(ctx, t.begun, t.flights, t.h)
}

func (t *filling[K, V]) ring() {
	t.ctx.expire()
	c, key := t.c, t.flights[0].Key
	if t.flights[0].Queued() {
		c.fail(t.flights, c.overloaded(key))
		return
	}
	turn := ""
	if c.loads != nil {
		turn = fmt.Sprintf(" with the wait for its turn (MaxLoads: %d)", c.cfg.MaxLoads)
	}
	c.fail(t.flights, tookTooLong(key, c.cfg.LoadTimeout, turn))
}

func tookTooLong(key string, limit time.Duration, turn string) error {
	return fmt.Errorf("cache: the load of %q took longer than %v%s: %w", key, limit, turn, context.DeadlineExceeded)
}

// A fetching is the task to go on with a walk.
type fetching[K ~string, V any] struct {
	launched[K, V]
	w     walk[V]
	under *call[V] // see fetch
}

func (t *fetching[K, V]) work(ctx context.Context) error { return t.c.fetch(ctx, &t.w, t.under) }

func (t *fetching[K, V]) ring() {
	t.ctx.expire()
	t.c.fail(t.flights, tookTooLong(t.flights[0].Key, t.c.fetchLimit(), ""))
}

// alarms are timers that are used again and again. Each cache has its own.
type alarms struct{ pool sync.Pool }

// An alarm calls ring after a time, unless it is stopped.
type alarm struct {
	timer *time.Timer
	ringer
}

type ringer interface{ ring() }

func (as *alarms) set(d time.Duration, r ringer) *alarm {
	a, ok := as.pool.Get().(*alarm)
	if !ok {
		a = &alarm{ringer: r}
		a.timer = time.AfterFunc(d, func() { a.ring() })
		return a
	}
	a.ringer = r
	a.timer.Reset(d)
	return a
}

// stop is called once for each set.
func (as *alarms) stop(a *alarm) {
	if a.timer.Stop() { // else it rings, or has rung, and may not be used for another
		a.ringer = nil
		as.pool.Put(a)
	}
}
