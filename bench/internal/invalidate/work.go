package invalidate

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/pause"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

const (
	// paceTick is how often a reader that is paced reads, a few keys at a time.
	paceTick = 10 * time.Millisecond
	paceKeys = 10

	// chunk is how many reads a reader makes between two looks at the time.
	chunk = 256

	// Every latestShare-th read is of the key that was removed last.
	latestShare = 8

	maxStale = 10 // that are told of one by one

	callTimeout = 10 * time.Second
)

// A Plan is what every process is told of a setting. All begin at the same time.
type Plan struct {
	Duration   time.Duration
	Readers    int // goroutines
	Paced      bool
	Begin, End time.Duration // when this process removes
	Batch      int           // keys of a Remove
	Pause      time.Duration // after a Remove, at most
}

// A Found is what came of a setting, at one instance.
type Found struct {
	Reads, StaleReads, FailedReads int64
	Hits, Misses                   uint64 // in this instance's memory, by its own callers and others
	Removes, FailedRemoves         int64  // calls
	Loads                          int64
	Stale                          []Stale // some of StaleReads
	Error                          string  // why one of those failed that did
	Took                           []time.Duration
}

func (f *Found) add(g *Found) {
	f.Reads += g.Reads
	f.StaleReads += g.StaleReads
	f.FailedReads += g.FailedReads
	f.Hits += g.Hits
	f.Misses += g.Misses
	f.Removes += g.Removes
	f.FailedRemoves += g.FailedRemoves
	f.Loads += g.Loads
	f.Stale = append(f.Stale, g.Stale...)
	f.Stale = f.Stale[:min(len(f.Stale), maxStale)]
	f.Took = append(f.Took, g.Took...)
	if f.Error == "" {
		f.Error = g.Error
	}
}

// run does what p says, and returns what came of it.
func (in *instance) run(ctx context.Context, p Plan) (*Found, error) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, p.Duration)
	defer cancel()
	loads, before := in.loads.Load(), in.cache.Stats()
	found := make([]Found, p.Readers+1)
	var wg sync.WaitGroup
	for i := range p.Readers {
		wg.Go(func() { in.read(ctx, p.Paced, &found[i]) })
	}
	wg.Go(func() {
		if err := pause.For(ctx, p.Begin-time.Since(begun)); err == nil {
			in.remove(ctx, p, begun.Add(p.End), &found[p.Readers])
		}
	})
	wg.Wait()
	all := new(Found)
	for i := range found {
		all.add(&found[i])
	}
	after := in.cache.Stats()
	all.Hits = after.Hits + after.MirrorHits - before.Hits - before.MirrorHits
	all.Misses = after.Misses - before.Misses
	all.Loads = in.loads.Load() - loads
	return all, nil
}

// read reads keys until ctx ends: any at random, and now and then the one that was removed last.
func (in *instance) read(ctx context.Context, paced bool, f *Found) {
	n := chunk
	if paced {
		n = paceKeys
	}
	for ctx.Err() == nil {
		for i := range n {
			key := rand.IntN(keyCount)
			if i%latestShare == 0 {
				key = in.ledger.latest()
			}
			in.readOne(key, f)
		}
		if paced && pause.For(ctx, rand.N(2*paceTick)) != nil {
			return
		}
	}
}

// readOne reads a key. Its context is one of its own, so that no read fails when the setting is over.
func (in *instance) readOne(key int, f *Found) {
	floor := in.ledger.floor(key).Load() // before the Get begins
	value, err := in.cache.Get(context.Background(), names[key])
	f.Reads++
	if err == nil && len(value) != 8 {
		err = fmt.Errorf("%s has %d bytes", names[key], len(value))
	}
	if err != nil {
		f.FailedReads++
		f.Error = err.Error()
		return
	}
	if read := binary.BigEndian.Uint64(value); read < floor {
		f.StaleReads++
		if len(f.Stale) < maxStale {
			f.Stale = append(f.Stale, Stale{key, floor, read, in.number})
		}
	}
}

// remove writes and removes keys until then: each at random, those of a batch side by side.
func (in *instance) remove(ctx context.Context, p Plan, until time.Time, f *Found) {
	keys, versions := make([]string, p.Batch), make([]uint64, p.Batch)
	for ctx.Err() == nil && time.Now().Before(until) {
		first := rand.IntN(keyCount)
		for i := range keys {
			key := (first + i) % keyCount
			keys[i], versions[i] = names[key], in.ledger.write(key)
		}
		took, err := in.removeOnce(keys)
		f.Removes++
		if err != nil {
			f.FailedRemoves++
			f.Error = err.Error()
			continue
		}
		f.Took = append(f.Took, took)
		for i := range keys {
			in.ledger.removed((first+i)%keyCount, versions[i])
		}
		if err := pause.For(ctx, rand.N(p.Pause)); err != nil {
			return
		}
	}
}

func (in *instance) removeOnce(keys []string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	begun := time.Now()
	err := in.cache.Remove(ctx, keys...)
	return time.Since(begun), err
}

// histogram returns how long the Removes took.
func (f *Found) histogram() *stats.Histogram {
	h := new(stats.Histogram)
	for _, d := range f.Took {
		h.Record(d)
	}
	return h
}

// mean returns how long a Remove took on average.
func (f *Found) mean() time.Duration {
	sum := time.Duration(0)
	for _, d := range f.Took {
		sum += d
	}
	return sum / time.Duration(max(len(f.Took), 1))
}

// err returns an error if something failed that must not.
func (f *Found) err() error {
	switch {
	case f.FailedReads+f.FailedRemoves > 0:
		return fmt.Errorf("%d of %d reads and %d of %d Removes failed: %s", f.FailedReads, f.Reads, f.FailedRemoves, f.Removes, f.Error)
	case f.Reads == 0 || f.Removes == 0:
		return errors.New("there was no time for a read and a Remove")
	}
	return nil
}
