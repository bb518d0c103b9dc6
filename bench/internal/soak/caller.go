package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// patience is how long a call without a deadline may take: two rounds of LoadTimeout and 5 s, and what a
// busy machine adds.
const patience = 2*(loadTimeout+5*time.Second) + grace

// A caller makes one call after the other, of its instance's cache.
type caller struct {
	cache *cache.Cache[string, []byte]
	rng   *rand.Rand
	zipf  *rand.Zipf
	count *counts
	found *findings
	first int // chooses the kind of the next call, if it is not negative

	// mu guards what follows, the call under way.
	mu    sync.Mutex
	what  string // "": there is none
	limit time.Time
}

// newCaller returns the i-th caller. The first calls of any four callers are of all kinds.
func newCaller(i int, in *instance, rng *rand.Rand, count *counts, found *findings) *caller {
	return &caller{
		cache: in.cache, rng: rng, count: count, found: found, first: []int{0, 75, 85, 92}[i%4],
		zipf: rand.NewZipf(rng, 1.05, 8, keyCount-1),
	}
}

// run calls until stop is closed, and returns when its last call has.
func (c *caller) run(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			c.call()
		}
	}
}

func (c *caller) key() string { return keyName(int(c.zipf.Uint64())) }

// call makes a call of some kind under a context of some kind.
func (c *caller) call() {
	what, f := c.choose()
	ctx, limit, cancel := c.context()
	defer cancel()
	c.begin(what, limit)
	err := f(ctx)
	c.end(ctx, err)
}

// context returns a context, and when a call under it must have returned at the latest.
func (c *caller) context() (ctx context.Context, limit time.Time, cancel context.CancelFunc) {
	now := time.Now()
	soon := time.Duration(c.rng.Int64N(int64(50 * time.Millisecond)))
	switch c.rng.IntN(4) {
	case 0: // a deadline that is often too short
		ctx, cancel = context.WithTimeout(context.Background(), soon)
		return ctx, now.Add(soon + grace), cancel
	case 1: // a caller that leaves
		ctx, leave := context.WithCancel(context.Background())
		timer := time.AfterFunc(soon, leave)
		return ctx, now.Add(soon + grace), func() { timer.Stop(); leave() }
	case 2:
		d := patience / 2
		ctx, cancel = context.WithTimeout(context.Background(), d)
		return ctx, now.Add(d + grace), cancel
	}
	return context.Background(), now.Add(patience), func() {}
}

// choose returns a call of some kind, and its name.
func (c *caller) choose() (what string, call func(context.Context) error) {
	key, n := c.key(), c.rng.IntN(100)
	if c.first >= 0 {
		n, c.first = c.first, -1
	}
	switch {
	case n < 75:
		return "Get " + key, func(ctx context.Context) error { return c.get(ctx, key) }
	case n < 85:
		keys := make([]string, 2+c.rng.IntN(15))
		for i := range keys {
			keys[i] = c.key()
		}
		return fmt.Sprint("GetMany ", keys), func(ctx context.Context) error { return c.getMany(ctx, keys) }
	case n < 92:
		value := makeValue(key, c.rng.Uint64())
		return "Set " + key, func(ctx context.Context) error {
			c.count.sets.Add(1)
			return c.cache.Set(ctx, key, cache.Entry[[]byte]{Value: value})
		}
	}
	keys := []string{key, c.key(), c.key()}[:1+c.rng.IntN(3)]
	return fmt.Sprint("Remove ", keys), func(ctx context.Context) error {
		c.count.removes.Add(1)
		return c.cache.Remove(ctx, keys...)
	}
}

func (c *caller) get(ctx context.Context, key string) error {
	c.count.gets.Add(1)
	value, err := c.cache.Get(ctx, key)
	if err == nil {
		c.check(key, value)
	}
	return err
}

func (c *caller) getMany(ctx context.Context, keys []string) error {
	c.count.getManys.Add(1)
	values, err := c.cache.GetMany(ctx, keys)
	var many *cache.ManyError
	errors.As(err, &many)
	for _, key := range keys {
		if value, ok := values[key]; ok {
			c.check(key, value)
		} else if many == nil || many.Errors[key] == nil {
			c.found.add("GetMany of %v brought neither a value nor an error for %s (%v)", keys, key, err)
		}
	}
	return err
}

func (c *caller) check(key string, value []byte) {
	c.count.values.Add(1)
	c.count.bytes.Add(uint64(len(value)))
	if err := checkValue(key, value); err != nil {
		c.found.add("wrong bytes: %v", err)
	}
}

func (c *caller) begin(what string, limit time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.what, c.limit = what, limit
}

// end judges a call that returned err.
func (c *caller) end(ctx context.Context, err error) {
	now := time.Now()
	c.mu.Lock()
	what, limit := c.what, c.limit
	c.what = ""
	c.mu.Unlock()
	if now.After(limit) {
		c.found.add("%s returned %v too late", what, now.Sub(limit))
	}
	var unreached *cache.UnreachedError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		c.count.cancelled.Add(1)
	case errors.As(err, &unreached):
		c.count.unreached.Add(1)
	case timedOut(err):
		c.count.timedOut.Add(1)
	default:
		// The loader never fails, and whoever does not get a value from an owner loads it.
		c.found.add("%s failed, and its caller had not left: %v", what, err)
	}
}

// timedOut reports whether all that err tells of is that the time of loads was up: when one instance after the
// other is hard to reach, that happens.
func timedOut(err error) bool {
	var many *cache.ManyError
	if !errors.As(err, &many) {
		return errors.Is(err, context.DeadlineExceeded)
	}
	for _, err := range many.Errors {
		if !errors.Is(err, context.DeadlineExceeded) {
			return false
		}
	}
	return true
}

// late returns the call under way if its time is up.
func (c *caller) late(now time.Time) (what string, late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.what, c.what != "" && now.After(c.limit)
}
