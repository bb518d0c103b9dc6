package cache

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// A Cache is a fill-through cache, or this instance's part of one. Its methods may be called concurrently.
type Cache[K ~string, V any] struct {
	cfg     Config[K, V]
	store   *memory.Store[V]
	loads   chan struct{} // holds one element per load under way; nil if there is no bound
	raw     func(V) []byte
	detach  func()          // from Peers
	journal *journal        // nil without Peers
	hedges  *hedger[V]      // nil without Peers
	closing context.Context // ends with Close
	close   context.CancelFunc
	closed  atomic.Bool

	_ [64]byte // what is above is hardly ever written, and is in lines of the processor's cache of its own

	count   counters
	alarms  alarms
	workers workers

	waiting    atomic.Int64 // loads that wait for their turn
	maxWaiting int64        // the constant, but in tests

	strangers strangers
	company   company
	warnAt    atomic.Int64 // the Instant before which warn is silent
}

type (
	item[V any]   = memory.Item[V]
	flight[V any] = memory.Flight[V]
)

// New returns a Cache, or an error that names each field of the Config that is wrong. With Peers, the
// cache answers other instances from then on. Close it when it is no longer used.
func New[K ~string, V any](config Config[K, V]) (*Cache[K, V], error) {
	cfg, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Cache[K, V]{cfg: cfg, raw: rawBytes(cfg.Codec), detach: func() {}, maxWaiting: maxWaiting}
	maxBytes := cfg.MaxBytes
	if cfg.Peers != nil {
		c.journal = newJournal(maxBytes)
		c.hedges = new(hedger[V])
		maxBytes -= c.journal.cost()
	}
	newStore := memory.New[V]
	if cfg.Arena {
		newStore = memory.NewInArenas[V]
	}
	c.store = newStore(maxBytes, cfg.Peers != nil && cfg.MirrorTTL > 0)
	if cfg.MaxEntries > 0 {
		c.store.LimitEntries(cfg.MaxEntries)
	}
	c.closing, c.close = context.WithCancel(context.Background())
	if cfg.MaxLoads > 0 {
		c.loads = make(chan struct{}, cfg.MaxLoads)
	}
	if cfg.Peers != nil {
		c.detach, err = cfg.Peers.Attach(cfg.Name, responder[K, V]{c})
		if err != nil {
			c.close()
			return nil, fmt.Errorf("cache: Config.Name: %w", err)
		}
		c.join()
	}
	return c, nil
}

// Get returns the value of key: from this instance's memory, else from the memory of its owner, else by loading
// it there. A value that is stale is returned as it is while its owner refreshes it; so is now and then one that is about
// to be, see Config.TTL.
//
// Get blocks on ctx, and without a deadline for about the LoadTimeout: twice that, if the loader is still busy with a
// load that everyone had left, and does not heed its context. Nobody may change the value.
// A hit in this instance's memory does not look at ctx, and allocates nothing.
func (c *Cache[K, V]) Get(ctx context.Context, key K) (V, error) {
	it, refresh, now := c.store.Get(string(key))
	switch {
	case it == nil:
		return c.miss(ctx, now, string(key))
	case refresh:
		c.refreshBehind(ctx, due{string(key), now < it.Fresh})
	}
	return it.Value, it.Err()
}

// miss is Get of what is not in memory now; so is what no key can be.
func (c *Cache[K, V]) miss(ctx context.Context, now memory.Instant, key string) (value V, err error) {
	if err := c.check(key); err != nil {
		return value, err
	}
	it, err := c.find(ctx, now, key, how{})
	if err != nil {
		return value, err
	}
	return it.Value, it.Err()
}

// find gets an item that is not in memory now.
func (c *Cache[K, V]) find(ctx context.Context, now memory.Instant, key string, h how) (*item[V], error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if c.awaitJoin(ctx) {
		now = c.store.Now()
	}
	it, err := c.one(ctx, now, c.owner(key), key, h)
	singleflight.Rethrow(err)
	if it != nil {
		traceItem(ctx, it.Extra().Peer, it.Loaded)
	}
	return it, err
}

// Refresh loads key anew, even if it is in memory and fresh, and returns the value. It joins a load of key that
// is under way. The load happens at the key's owner. Copies that other instances
// mirror are not affected; to invalidate them, use Remove or Set.
func (c *Cache[K, V]) Refresh(ctx context.Context, key K) (V, error) {
	var zero V
	if err := c.check(string(key)); err != nil {
		return zero, err
	}
	it, err := c.find(ctx, c.store.Now(), string(key), how{reload: true})
	if err != nil {
		return zero, err
	}
	return it.Value, it.Err()
}

// Peek returns the value of key if this process's memory has one that may be served, be it
// fresh or stale. It loads nothing, and does not count as a use of the value.
func (c *Cache[K, V]) Peek(key K) (V, bool) {
	if it := c.store.Peek(string(key), false); it != nil && it.Err() == nil {
		return it.Value, true
	}
	var zero V
	return zero, false
}

// Close ends the cache: it leaves Peers, ends the contexts of all loads, and drops what it holds. Whoever waits
// gets ErrClosed at once, as does every later call (who has asked another instance by a transport that cannot be
// interrupted, see Answers, gets it when that call is over); a second Close returns nil. Close does not wait for loaders
// that do not heed their context. Peers is not closed.
func (c *Cache[K, V]) Close() error {
	if !c.closed.CompareAndSwap(false, true) {
		return nil
	}
	c.detach()
	c.close()
	flights := c.store.Close()
	for _, f := range flights { // all, before the end of a run that they share settles them otherwise
		c.store.Settle(f, nil, ErrClosed)
	}
	for _, f := range flights { // which interrupts those who take answers on a caller's goroutine
		f.Run().Cancel(ErrClosed)
	}
	c.company.close()
	c.workers.close()
	return nil
}

func (c *Cache[K, V]) check(key string) error {
	if c.closed.Load() {
		return ErrClosed
	}
	if len(key) > MaxKeyBytes {
		return &KeyError{Key: key[:64], Reason: fmt.Sprintf("has %d bytes, and %d are allowed: use a digest of it as the key", len(key), MaxKeyBytes)}
	}
	return nil
}

// owner returns the instance that owns key, nil if it is this one.
func (c *Cache[K, V]) owner(key string) Peer {
	if c.cfg.Peers == nil {
		return nil
	}
	return c.cfg.Peers.Owner(key)
}
