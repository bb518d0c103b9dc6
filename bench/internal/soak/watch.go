package soak

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"strings"
	"sync"
	"time"
)

// findings are what is wrong.
type findings struct {
	// mu guards what follows.
	mu    sync.Mutex
	list  []string
	total int
	dump  string // of all goroutines, when a call was found to hang
}

// maxListed is how many findings are told.
const maxListed = 20

func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.total++; f.total <= maxListed {
		f.list = append(f.list, fmt.Sprintf(format, args...))
	}
}

// addDump adds all goroutines, if there is no dump yet.
func (f *findings) addDump() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dump == "" {
		f.dump = goroutines()
	}
}

func goroutines() string {
	var b strings.Builder
	_ = pprof.Lookup("goroutine").WriteTo(&b, 1) // into memory, which does not fail
	return b.String()
}

// watch looks for calls that hang, and at the heap, until stop is closed.
func watch(stop <-chan struct{}, callers []*caller, count *counts, found *findings) {
	told := make(map[*caller]string)
	for pause(stop, 100*time.Millisecond) {
		now := time.Now()
		for _, c := range callers {
			if what, late := c.late(now); late && told[c] != what {
				told[c] = what
				found.add("%s has not returned when its time is up", what)
				found.addDump()
			}
		}
		count.sawHeap(liveHeap())
	}
}

// liveHeap is what the last garbage collection found in use.
func liveHeap() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// A baseline is what there was before the fleet.
type baseline struct {
	goroutines int
	heap       uint64
}

const (
	// leakTime is how long goroutines may take to end after Close: connections linger a little.
	leakTime = 10 * time.Second
	// slack is how much more may be on the heap afterwards.
	slack = 8 << 20
)

func settledHeap() uint64 {
	runtime.GC()
	runtime.GC() // the second one empties the sync.Pools
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func takeBaseline() baseline {
	return baseline{goroutines: runtime.NumGoroutine(), heap: settledHeap()}
}

// check finds what is left of the fleet.
func (b baseline) check(found *findings) (now baseline) {
	for end := time.Now().Add(leakTime); runtime.NumGoroutine() > b.goroutines && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	now = baseline{goroutines: runtime.NumGoroutine(), heap: settledHeap()}
	if now.goroutines > b.goroutines {
		found.add("%d goroutines are left, and there were %d before", now.goroutines, b.goroutines)
		found.addDump()
	}
	if now.heap > b.heap+slack {
		found.add("%s are left on the heap, and there were %s before", size(now.heap), size(b.heap))
	}
	return now
}
