package cache

import (
	"context"
	"errors"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

const (
	// listBytes is how many bytes of keys a List returns, about, and listTimeout how long it may take.
	listBytes   = 256 << 10
	listTimeout = 5 * time.Second

	// pullKeys is how many keys are asked for at a time, and pullTimeout how long their answers may take.
	pullKeys    = 128
	pullTimeout = 5 * time.Second

	// pullRate is how many bytes a second an instance pulls from another one, at most, so that both have time for their callers.
	pullRate = 64 << 20
)

// moved has this instance pull what it owns now from those that owned it before. It does not wait for that.
func (c *Cache[K, V]) moved() {
	m := &c.company
	m.mu.Lock()
	m.pulls++ // a pull that is under way is of an older view
	pull := m.pulls
	m.mu.Unlock()
	m.start(func() {
		c.promote()
		for p, slots := range c.cfg.Peers.Gained() {
			c.pull(p, slots, func() bool { return m.isLatest(pull) })
		}
	})
}

func (m *company) isLatest(pull uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.closed && m.pulls == pull
}

// pull gets what p holds of slots, the hottest first, while goOn says so and there is room, and tells p when that is over.
func (c *Cache[K, V]) pull(p Peer, slots *Slots, goOn func() bool) {
	defer func() {
		if goOn() { // else a later one pulls from it, too
			_, _ = c.list(p, nil, Pulled)
		}
	}()
	begun := time.Now()
	pulled := int64(0)
	for cursor := uint64(0); goOn(); {
		listed, err := c.list(p, slots, cursor)
		if err != nil {
			return
		}
		for keys := listed.Keys; len(keys) > 0 && goOn() && !c.store.Full(); {
			n := min(len(keys), pullKeys)
			pulled += c.pullSome(p, keys[:n])
			keys = keys[n:]
			// What was pulled so far may have taken no less than this.
			c.pause(time.Duration(float64(pulled)/pullRate*float64(time.Second)) - time.Since(begun))
		}
		if cursor = listed.Next; cursor == 0 || c.store.Full() {
			break
		}
	}
}

// pause sleeps for d, if that is some time, or until the cache is closed.
func (c *Cache[K, V]) pause(d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.closing.Done():
	}
}

func (c *Cache[K, V]) list(p Peer, slots *Slots, cursor uint64) (*ListReply, error) {
	ctx, cancel := context.WithTimeout(c.closing, listTimeout)
	defer cancel()
	return p.List(ctx, &ListRequest{Cache: c.cfg.Name, Version: c.cfg.Version, Slots: slots, Cursor: cursor})
}

// pullSome gets those of keys that are this instance's own, and that it neither has nor loads, from p, and returns how many bytes that were.
// Each is a fill that others may join. One that p does not have any more is loaded if somebody has joined it, and else abandoned.
func (c *Cache[K, V]) pullSome(p Peer, keys []string) (bytes int64) {
	var flights []*flight[V]
	for _, key := range keys {
		if c.owner(key) != nil || c.store.Has(key) || c.inDoubt(key) {
			continue
		}
		// The Wait that is owed comes in abandon.
		f := c.store.BeginRefresh(c.store.Now(), memory.Fill, key, func() *flight[V] {
			return memory.NewFlight[V](c.closing, memory.Fill, key)
		})
		switch {
		case f == nil:
		case !c.isFormer(p, key) && !mutant.On(mutant.TakesFromForgotten): // it was forgotten meanwhile, since it could not be reached by one who invalidates
			c.abandon(f)
		default:
			flights = append(flights, f)
		}
	}
	if len(flights) == 0 {
		return 0
	}
	ctx, cancel := context.WithTimeout(c.closing, pullTimeout)
	defer cancel()
	rest := c.peekAt(ctx, p, flights, how{}, func(size int) { bytes += int64(size) })
	c.count.pulled.Add(uint64(len(flights) - len(rest)))
	for _, f := range rest {
		c.abandon(f)
	}
	return bytes
}

// isFormer reports whether p is still to be asked for key, which this instance owns now.
func (c *Cache[K, V]) isFormer(p Peer, key string) bool {
	for former := range c.cfg.Peers.Former(key) {
		if former == p {
			return true
		}
	}
	return false
}

// abandon ends a flight that nobody needs, or loads it if somebody has joined it.
func (c *Cache[K, V]) abandon(f *flight[V]) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = f.Wait(over) // this leaves
	if f.Run().Abandoned() {
		c.store.Settle(f, nil, errNotPulled)
		return
	}
	c.fill(f.Run(), c.store.Now(), []*flight[V]{f}, how{})
}

var errNotPulled = errors.New("cache: another instance does not have it any more")

// List implements Responder.
func (r responder[K, V]) List(_ context.Context, req *ListRequest) (*ListReply, error) {
	c := r.c
	if err := r.checkVersion(req.Version); err != nil {
		return nil, err
	}
	if req.Cursor == Pulled {
		return &ListReply{}, nil
	}
	listed, next := c.store.List(req.Cursor, listBytes)
	reply := &ListReply{Next: next}
	for _, l := range listed {
		if req.Slots == nil || req.Slots.Has(c.cfg.Peers.Slot(l.Key)) {
			reply.Keys, reply.Versions = append(reply.Keys, l.Key), append(reply.Versions, l.Version)
		}
	}
	return reply, nil
}

// Moved implements Responder.
func (r responder[K, V]) Moved() { r.c.moved() }
