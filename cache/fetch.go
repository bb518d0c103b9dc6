package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

// maxTries is how many instances may fail to answer a fetch before it loads as a last resort. Those that are known
// to be down, or not to run this cache, do not count: to skip them costs nothing.
const maxTries = 3

// fetch gets the items of flights from the instances that own their keys, or from those that take over, in the order
// that Peers gives; if that comes to this instance, it takes over itself. It settles each flight.
func (c *Cache[K, V]) fetch(ctx context.Context, flights []*flight[V], h how) error {
	var carried map[string]string
	if c.cfg.Carry != nil {
		carried = c.cfg.Carry.Inject(ctx)
	}
	left := make([]int, len(flights)) // indexes of flights that are not settled
	for i := range left {
		left[i] = i
	}
	var failed []Peer
	for tries := 0; tries < maxTries && len(left) > 0 && ctx.Err() == nil; {
		groups, orphans := c.group(flights, left, failed)
		var mu sync.Mutex // guards what the groups' goroutines change: left, failed, tried
		left = orphans
		tried := false
		var wg sync.WaitGroup
		for p, members := range groups {
			run := func() {
				if p == nil {
					c.fillHere(ctx, flights, members, h)
					return
				}
				unanswered, err := c.ask(ctx, p, flights, members, h, carried)
				mu.Lock()
				defer mu.Unlock()
				left = append(left, unanswered...)
				if err != nil {
					failed = append(failed, p)
				}
				if len(unanswered) > 0 && c.isTry(ctx, p, err) {
					tried = true
				}
			}
			if len(groups) == 1 {
				run()
			} else {
				wg.Go(run)
			}
		}
		wg.Wait()
		if tried { // once, however many failed: each key was tried once
			tries++
		}
		if len(groups) == 0 {
			break
		}
	}
	if len(left) == 0 {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cache: fetch of %q: %w", flights[left[0]].Key, err)
	}
	c.count.lastResorts.Add(uint64(len(left)))
	c.fillHere(ctx, flights, left, how{reload: h.reload, uncached: true})
	return nil
}

// group divides flights by the instance that is next to be asked for their keys. orphans are those that
// nobody in the view is left for.
func (c *Cache[K, V]) group(flights []*flight[V], members []int, failed []Peer) (groups map[Peer][]int, orphans []int) {
	groups = make(map[Peer][]int, 1)
next:
	for _, i := range members {
		for p := range c.cfg.Peers.Owners(flights[i].Key) {
			if p == nil || !slices.Contains(failed, p) && !c.strangers.contains(p) {
				groups[p] = append(groups[p], i)
				continue next
			}
		}
		orphans = append(orphans, i)
	}
	return groups, orphans
}

// fillHere fills on this instance.
func (c *Cache[K, V]) fillHere(ctx context.Context, flights []*flight[V], members []int, h how) {
	if !h.uncached {
		h.takeover = true
		c.count.takeovers.Add(uint64(len(members)))
	}
	keys := make([]string, len(members))
	for j, i := range members {
		keys[j] = flights[i].Key
	}
	c.many(ctx, memory.Fill, keys, h, func(j int, it *item[V], err error) {
		if it != nil {
			c.renew(keys[j], h)
		}
		c.store.Pass(flights[members[j]], it, err) // the fill has stored it, if it was to be stored
	})
}

// ask asks p for members of flights, and settles those that it answers. An answer from p's memory that has
// expired on its way is none.
func (c *Cache[K, V]) ask(ctx context.Context, p Peer, flights []*flight[V], members []int, h how, carried map[string]string) (unanswered []int, err error) {
	req := &GetRequest{Cache: c.cfg.Name, Version: c.cfg.Version, Keys: make([]string, len(members)), Reload: h.reload, Carried: carried}
	for j, i := range members {
		req.Keys[j] = flights[i].Key
	}
	req.Takeover = c.owner(req.Keys[0]) != p // the members of a group have failed the same instances, or none
	c.count.fetches.Add(uint64(len(members)))
	// A mirror's term is counted from here, so that it needs no clock but this one's.
	sent := c.store.Now()
	answered, settled := 0, make([]bool, len(members))
	err = p.Get(ctx, req, func(j int, a Answer) {
		answered++
		if c.late(a, sent) {
			return
		}
		settled[j] = true
		it, err := c.fromAnswer(p.Addr(), req.Keys[j], a, sent)
		c.store.Settle(flights[members[j]], it, err)
	})
	for j, i := range members {
		if !settled[j] {
			unanswered = append(unanswered, i)
		}
	}
	if err == nil && answered < len(members) {
		err = fmt.Errorf("cache: %s left %d of %d keys unanswered", p.Addr(), len(members)-answered, len(members))
	}
	return unanswered, err
}

// late reports whether an answer to a request that was sent then was in a memory there, and has expired since.
func (c *Cache[K, V]) late(a Answer, sent memory.Instant) bool {
	left := max(a.TTL, 0)
	if left < Forever {
		left += max(a.Stale, 0)
	}
	return !a.Loaded && left > 0 && c.store.Now() >= after(sent, left)
}

// isTry reports whether it counts as a try that p left keys unanswered, with err or because its
// answers came too late, and takes note of it.
func (c *Cache[K, V]) isTry(ctx context.Context, p Peer, err error) bool {
	switch {
	case ctx.Err() != nil: // we left
		return false
	case err == nil:
		return true
	case errors.Is(err, ErrUnknownCache), errors.Is(err, ErrVersionMismatch):
		c.strangers.add(p)
		c.warn("cache: an instance does not run this cache; asking the next one", "peer", p.Addr(), "error", err)
		return false
	case errors.Is(err, ErrPeerDown):
		return false
	}
	c.count.fetchFailures.Add(1)
	c.warn("cache: an instance did not answer; asking the next one", "peer", p.Addr(), "error", err)
	return true
}

// warn logs what may happen to many callers at the same time, at most once a second.
func (c *Cache[K, V]) warn(what string, args ...any) {
	now := int64(c.store.Now())
	if due := c.warnAt.Load(); now >= due && c.warnAt.CompareAndSwap(due, now+int64(time.Second)) {
		c.cfg.Logger.Warn(what, append(args, "cache", c.cfg.Name)...)
	}
}

// fromAnswer makes an item of a peer's answer to a request that was sent then.
func (c *Cache[K, V]) fromAnswer(peer, key string, a Answer, sent memory.Instant) (*item[V], error) {
	it := &item[V]{Mirror: true, Peer: peer, Loaded: a.Loaded, Size: a.Size}
	switch a.Status {
	case StatusOK:
		if err := c.decode(it, a.Value, a.TTL); err != nil {
			return nil, &DecodeError{Peer: peer, Key: key, Err: err}
		}
	case StatusNotFound:
		it.Err = &RemoteError{Peer: peer, Status: a.Status, Message: a.Message}
		it.Size = int64(len(a.Message))
	default:
		return nil, &RemoteError{Peer: peer, Status: a.Status, Message: a.Message}
	}
	if !a.Loaded {
		c.count.fetchHits.Add(1)
	}
	if a.TTL > 0 && c.cfg.MirrorTTL > 0 {
		it.Fresh = after(sent, min(a.TTL, c.cfg.MirrorTTL))
		it.Until, it.Lease = it.Fresh, it.Fresh
	}
	return it, nil
}

// decode decodes src, which is good for another ttl, into it. The Codec's panics are errors: it runs where nobody waits for them.
func (c *Cache[K, V]) decode(it *item[V], src []byte, ttl time.Duration) (err error) {
	defer panicToError(&err)
	if d, ok := c.cfg.Codec.(TTLDecoder[V]); ok {
		it.Value, err = d.DecodeTTL(src, ttl)
	} else {
		it.Value, err = c.cfg.Codec.Decode(src)
	}
	if err != nil {
		return err
	}
	if it.Size <= 0 || c.raw != nil { // which is cheap, and exact
		it.Size = max(it.Size, c.cfg.SizeOf(it.Value))
	}
	return nil
}

// panicToError is deferred: it makes an error of a panic.
func panicToError(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}

// strangerTime is how long an instance that does not run this Version of the cache is not asked again.
const strangerTime = 2 * time.Second

// strangers are the instances that do not run this cache, or another Version of it.
type strangers struct {
	// mu guards until.
	mu    sync.Mutex
	until map[Peer]time.Time
}

func (s *strangers) add(p Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(s.until, func(_ Peer, until time.Time) bool { return !now.Before(until) })
	if s.until == nil {
		s.until = make(map[Peer]time.Time)
	}
	s.until[p] = now.Add(strangerTime)
}

func (s *strangers) contains(p Peer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.until[p]
	return ok && time.Now().Before(until)
}
