package hitratio

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

const (
	// settleEvery is after how many requests a cache is waited for even if nothing was loaded. ristretto and otter collect so
	// many uses or fewer, before they take them into account.
	settleEvery = 16
	// fillers is how many goroutines send requests where none waits.
	fillers = 4
	// lookEvery is how often it is looked whether the run has been ended.
	lookEvery = 1 << 12

	// entryBytes is what an entry takes, with its key and header, in a library that stores bytes and has to be bounded by them.
	entryBytes = 1 << 10
	// Such a library is left out where a part of its memory would hold a handful of entries only, and where it would hold too much
	// for the machine.
	minByteEntries, maxByteEntries = 4 << 10, 256 << 10
)

// replay returns how many requests of t a cache of kind k answers that has room for capacity: a Get, and where it finds nothing a
// load and a Set, by the library's own means.
//
// What works in the background is fed in two ways, and the better one counts. On a server, requests come much further apart than a replay
// sends them, and a library that works behind its caller's back has done so when the next one comes: so one goroutine sends
// them, and waits with Settle wherever something was loaded. But a server that has all it can do feeds it as several goroutines do, which
// yield after each request; some libraries do better with that, since for moments they hold more than they are told to. Replayed
// by one goroutine at full speed they would drop uses and sets that they do not drop in life, and look worse than they are.
func replay(ctx context.Context, t *trace, k rival.Kind, capacity int64) (hits int, err error) {
	hits, err = feed(ctx, t, k, capacity, true)
	if err != nil || !k.Async {
		return hits, err
	}
	more, err := feed(ctx, t, k, capacity, false)
	return max(hits, more), err
}

// feed replays t in one of the two ways.
func feed(ctx context.Context, t *trace, k rival.Kind, capacity int64, settled bool) (hits int, err error) {
	config, value := t.config(k, capacity)
	config.Replay = settled
	var loads atomic.Int64
	config.Load = func(key string) ([]byte, error) {
		loads.Add(1)
		return value(key), nil
	}
	c, err := k.Open(config)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if settled {
		err = t.settled(ctx, c, &loads)
	} else {
		err = t.crowded(ctx, c)
	}
	return len(t.requests) - int(loads.Load()), err
}

// settled sends requests one by one, and waits for what they leave to do.
func (t *trace) settled(ctx context.Context, c rival.Cache, loads *atomic.Int64) error {
	for i, n := range t.requests {
		before := loads.Load()
		if _, err := c.GetOrLoad(t.keys[n]); err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		if loads.Load() > before || i%settleEvery == 0 {
			c.Settle()
		}
		if i%lookEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// crowded sends requests from several goroutines, in the order of the trace as near as they keep it.
func (t *trace) crowded(ctx context.Context, c rival.Cache) error {
	var next atomic.Int64
	var g errgroup.Group
	for range fillers {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(t.requests)); i = next.Add(1) - 1 {
				if _, err := c.GetOrLoad(t.keys[t.requests[i]]); err != nil {
					return fmt.Errorf("request %d: %w", i, err)
				}
				if i%lookEvery == 0 && ctx.Err() != nil {
					return context.Cause(ctx)
				}
				runtime.Gosched()
			}
			return nil
		})
	}
	return g.Wait()
}

// config returns the room that a cache of kind k has, and what a load returns.
func (t *trace) config(k rival.Kind, capacity int64) (config rival.Config, value func(key string) []byte) {
	switch {
	case t.sized:
		raw := make(map[string][]byte, len(t.keys))
		for n, key := range t.keys {
			raw[key] = binary.LittleEndian.AppendUint64(nil, uint64(t.sizes[n]))
		}
		weigh := func(_ string, value []byte) int64 { return int64(binary.LittleEndian.Uint64(value)) }
		return rival.Config{Weight: capacity, Weigh: weigh, Entries: t.entries(capacity)}, func(key string) []byte { return raw[key] }
	case k.Bound&rival.ByEntries != 0:
		one := []byte{1}
		return rival.Config{Entries: capacity}, func(string) []byte { return one }
	}
	// bigcache is bounded in MiB: the entries are as much smaller as these are fewer.
	bytes := capacity * entryBytes >> 20 << 20
	filling := make([]byte, bytes/capacity-k.EntryBytes-int64(len(t.keys[0])))
	return rival.Config{Bytes: bytes, Entries: capacity}, func(string) []byte { return filling }
}

// entries returns about how many entries are held where their sizes add up to capacity.
func (t *trace) entries(capacity int64) int64 {
	return max(capacity*int64(len(t.sizes))/t.total, 1)
}

// leftOut says why a cache of kind k is not measured with t, "" if it is.
func (t *trace) leftOut(k rival.Kind, capacity int64) string {
	switch {
	case t.sized && k.Bound&rival.ByWeight == 0:
		return "cannot weigh entries by more than their own bytes"
	case !t.sized && k.Bound&rival.ByEntries == 0 && (capacity < minByteEntries || capacity > maxByteEntries):
		return fmt.Sprintf("stores bytes, and takes part from %d to %d keys", minByteEntries, maxByteEntries)
	}
	return ""
}
