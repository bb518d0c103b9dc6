package load

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/kind"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// A caller is one goroutine's part of the load.
type caller struct {
	kind.Caller
	manyCaller kind.ManyCaller // the same one, for calls of many keys
	size, many int
	keys       []string // its own, and then the first many-1 of them again, so that a call's keys are a slice of it
	own        int      // how many are its own
	next       int

	ops       int64
	quota     int64 // ends a run, if it is not 0
	latencies stats.Histogram
	asked     []string // by the call under way, for check
	check     func(i int, value []byte) error
}

func (c *caller) init() error {
	c.own = len(c.keys)
	if c.many == 0 {
		return nil
	}
	m, ok := c.Caller.(kind.ManyCaller)
	if !ok {
		return fmt.Errorf("%T cannot get many keys at a time", c.Caller)
	}
	if c.many > c.own {
		return fmt.Errorf("a caller has %d keys, too few for calls of %d", c.own, c.many)
	}
	c.manyCaller = m
	c.keys = append(c.keys, c.keys[:c.many-1]...)
	c.check = func(i int, value []byte) error { return payload.Check(c.asked[i], c.size, value) }
	return nil
}

// fill brings each value into the server's memory, save those of the keys in filled, and compares it in full.
func (c *caller) fill(ctx context.Context, filled map[string]bool) error {
	for _, key := range c.keys[:c.own] {
		if filled[key] {
			continue
		}
		if s, ok := c.Caller.(kind.Storer); ok {
			value, err := payload.Value(key)
			if err != nil {
				return err
			}
			if err := s.Store(ctx, key, value); err != nil {
				return fmt.Errorf("store %s: %w", key, err)
			}
		}
		if err := c.compare(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// compare gets key, by the call that is to be measured, and looks at all of the value.
func (c *caller) compare(ctx context.Context, key string) error {
	if c.many > 0 {
		return c.manyCaller.GetMany(ctx, []string{key}, func(_ int, value []byte) error { return payload.CheckAll(key, value) })
	}
	value, err := c.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	return payload.CheckAll(key, value)
}

// run calls until the deadline, or until the quota is done.
func (c *caller) run(ctx context.Context, deadline time.Time) error {
	if r, ok := c.Caller.(kind.Rester); ok {
		defer r.Rest()
	}
	last := time.Now()
	for c.quota == 0 || c.ops < c.quota {
		if err := c.call(ctx); err != nil {
			return err
		}
		now := time.Now()
		c.latencies.Record(now.Sub(last))
		last = now
		if c.quota == 0 && now.After(deadline) {
			return nil
		}
	}
	return nil
}

// call makes the next call and checks what it brings.
func (c *caller) call(ctx context.Context) error {
	if c.many > 0 {
		c.asked = c.keys[c.next : c.next+c.many]
		c.next = (c.next + c.many) % c.own
		c.ops += int64(c.many)
		return c.manyCaller.GetMany(ctx, c.asked, c.check)
	}
	key := c.keys[c.next]
	if c.next++; c.next == c.own {
		c.next = 0
	}
	c.ops++
	value, err := c.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("get %s: %w", key, err)
	}
	return payload.Check(key, c.size, value)
}

// untilClosed calls until stop is closed.
func (c *caller) untilClosed(ctx context.Context, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := c.call(ctx); err != nil {
			return err
		}
	}
}
