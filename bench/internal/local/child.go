package local

import (
	"context"
	"errors"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/stats"
)

// role is the part of every child.
const role = "local"

// Child runs this process's part, if it is a child of this package's, and does not return then. Programs and tests that
// call Run call it before anything else.
func Child() {
	process.Part(role, func() error {
		return process.Serve(os.Stdin, os.Stdout, process.Methods{
			"footprint": process.Method(func(_ context.Context, f Filling) (Footprint, error) { return f.measure() }),
		})
	})
}

// measure fills a cache, and looks at what this process has become.
func (f Filling) measure() (Footprint, error) {
	kinds, err := rival.Named(f.Kind)
	if err != nil {
		return Footprint{}, err
	}
	found := Footprint{Payload: int64(len(keyName(0))) + footprintSize}
	before := settled()
	c, err := kinds[0].Open(bounded(rival.Config{}, kinds[0], f.Entries, int(found.Payload)))
	if err != nil {
		return Footprint{}, err
	}
	defer c.Close()
	count := f.Entries / 100 * overfill
	for i := range count {
		key := keyName(i)
		c.Set(key, newValue(key, footprintSize))
		if i%settleEvery == settleEvery-1 {
			c.Settle()
		}
	}
	c.Settle()
	after := settled()
	found.Heap = int64(after.HeapAlloc) - int64(before.HeapAlloc)
	found.Resident = int64(after.Sys-after.HeapReleased) - int64(before.Sys-before.HeapReleased)
	found.Objects = int64(after.HeapObjects) - int64(before.HeapObjects)
	found.GC = time.Duration(stats.MedianOf(make([]struct{}, 5), func(struct{}) float64 { return float64(collect()) }))
	held := found.count(c, count)
	if found.Held == 0 {
		return found, errors.New("it holds nothing")
	}
	found.getWhileCollecting(c, held, f.Collect)
	return found, nil
}

// settled returns what memory there is when all garbage is gone.
func settled() (m runtime.MemStats) {
	runtime.GC() // which leaves what sync.Pools still have
	debug.FreeOSMemory()
	runtime.ReadMemStats(&m)
	return m
}

// collect collects garbage once, and returns the CPU time that this took, on all cores.
func collect() time.Duration {
	before := gcCPU()
	runtime.GC()
	return gcCPU() - before
}

// gcCPU is what the collector has spent so far: the runtime knows it up to the end of the last collection.
func gcCPU() time.Duration {
	sample := []metrics.Sample{{Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(sample)
	return time.Duration(sample[0].Value.Float64() * float64(time.Second))
}

// count counts what c holds of so many keys, and returns some of them.
func (f *Footprint) count(c rival.Cache, keys int) (some []string) {
	for i := range keys {
		key := keyName(i)
		if _, ok := c.Get(key); ok {
			if f.Held%16 == 0 {
				some = append(some, key)
			}
			f.Held++
		}
	}
	return some
}

// getWhileCollecting has as many goroutines as there are cores get keys while one collection follows the other.
func (f *Footprint) getWhileCollecting(c rival.Cache, keys []string, d time.Duration) {
	histograms := make([]stats.Histogram, runtime.GOMAXPROCS(0))
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range histograms {
		wg.Go(func() {
			for n := i; !stop.Load(); n += 7919 { // far from the one before
				key := keys[n%len(keys)]
				begun := time.Now()
				c.Get(key)
				histograms[i].Record(time.Since(begun))
			}
		})
	}
	for begun := time.Now(); time.Since(begun) < d; {
		runtime.GC()
	}
	stop.Store(true)
	wg.Wait()
	all := &histograms[0]
	for i := range histograms[1:] {
		all.Merge(&histograms[i+1])
	}
	f.Gets, f.P50, f.P9999 = all.Count(), all.Quantile(.5), all.Quantile(.9999)
}
