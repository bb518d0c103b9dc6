package local

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

// A Workload is what goroutines ask of a cache.
type Workload struct {
	Name, Title string
	whole       bool // there is room for all keys, and all are in memory before the clock starts; else for a quarter of them
	sets        int  // of a hundred calls
	gets        bool // the others are Gets, and no fills
}

// Workloads are all of them.
func Workloads() []Workload {
	return []Workload{
		{Name: "hit", Title: "Hits: all is in memory", whole: true, gets: true},
		{Name: "fill", Title: "Get-or-load, with memory for a quarter of the keys"},
		{Name: "set", Title: "Sets, with memory for a quarter of the keys", sets: 100},
		{Name: "mix", Title: "75 % get-or-load, 25 % set, with memory for a quarter of the keys", sets: 25},
	}
}

// quarterShare is the share of the keys that there is memory for, where there is not for all: 1/quarterShare.
const quarterShare = 4

// A Sample is what one measurement found.
type Sample struct {
	Ops, Gets, Misses int64
	Allocs            uint64
	Elapsed           time.Duration
}

// Rate is operations a second, of all goroutines.
func (s Sample) Rate() float64 { return float64(s.Ops) / s.Elapsed.Seconds() }

// NsPerOp is the reciprocal of Rate.
func (s Sample) NsPerOp() float64 { return float64(s.Elapsed.Nanoseconds()) / float64(max(s.Ops, 1)) }

// AllocsPerOp is objects on the heap for an operation, made by anyone.
func (s Sample) AllocsPerOp() float64 { return float64(s.Allocs) / float64(max(s.Ops, 1)) }

// HitRatio is of the gets, with or without a load; 0 if there were none.
func (s Sample) HitRatio() float64 {
	if s.Gets == 0 {
		return 0
	}
	return 1 - float64(s.Misses)/float64(s.Gets)
}

// A subject is a cache that is measured.
type subject struct {
	rival.Cache
	keys  *keys
	loads atomic.Int64 // that it has made
	at    int          // where in the drawn keys the next measurement begins
}

// open makes a cache of kind k for w, and puts into it what is to be there before the clock starts.
func open(k rival.Kind, w Workload, ks *keys) (*subject, error) {
	s := &subject{keys: ks}
	entries := len(ks.all) / quarterShare
	c := rival.Config{Load: s.load}
	if w.whole {
		entries = len(ks.all) + len(ks.all)/quarterShare // room that no shard of any kind runs out of
		c.Load = nil
	}
	c = bounded(c, k, entries, len(ks.all[0])+valueSize)
	var err error
	if s.Cache, err = k.Open(c); err != nil {
		return nil, err
	}
	if w.whole {
		s.fill()
		return s, nil
	}
	if err := s.warm(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// bounded returns c with room for so many entries, each of whose key and value have size bytes together.
func bounded(c rival.Config, k rival.Kind, entries, size int) rival.Config {
	c.Entries = int64(entries)
	if k.Bound&rival.ByEntries == 0 {
		c.Bytes = int64(entries) * (int64(size) + k.EntryBytes)
	}
	return c
}

// load makes what a cache that has none for key is to keep.
func (s *subject) load(key string) ([]byte, error) {
	s.loads.Add(1)
	return newValue(key, valueSize), nil
}

// fill has the cache hold all keys, if it can: some drop what comes fast, and are given it again.
func (s *subject) fill() {
	missing := s.keys.all
	for try := 0; try < 5 && len(missing) > 0; try++ {
		for i, key := range missing {
			s.Set(key, newValue(key, valueSize))
			if i%settleEvery == settleEvery-1 {
				s.Settle()
			}
		}
		s.Settle()
		missing = nil
		for _, key := range s.keys.all {
			if _, ok := s.Get(key); !ok {
				missing = append(missing, key)
			}
		}
	}
}

// settleEvery is how many keys are stored at most before a cache is given the time to take them in: else some would drop most of them.
const settleEvery = 1024

// warm fills the memory as the workloads do, whose room is for a part.
func (s *subject) warm() error {
	for i := range s.keys.all {
		key := s.keys.from(s.at + i)
		if _, err := s.GetOrLoad(key); err != nil {
			return err
		}
		if i%settleEvery == settleEvery-1 {
			s.Settle()
		}
	}
	s.at += len(s.keys.all)
	s.Settle()
	return nil
}

// batch is how many operations a goroutine does before it looks whether time is up.
const batch = 64

// measure has goroutines do what w says for a time.
func (s *subject) measure(w Workload, goroutines int, d time.Duration) (Sample, error) {
	workers := make([]worker, goroutines)
	var stop atomic.Bool
	var wg sync.WaitGroup
	begin := make(chan struct{})
	stride := len(s.keys.drawn) / goroutines
	for i := range workers {
		workers[i] = worker{subject: s, w: w, at: s.at + i*stride}
		wg.Go(func() {
			<-begin
			workers[i].run(&stop)
		})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	loads := s.loads.Load()
	begun := time.Now()
	close(begin)
	time.Sleep(d)
	stop.Store(true)
	wg.Wait()
	sample := Sample{Elapsed: time.Since(begun)}
	runtime.ReadMemStats(&after)
	sample.Allocs = after.Mallocs - before.Mallocs
	for i := range workers {
		if workers[i].err != nil {
			return sample, workers[i].err
		}
		sample.Ops += workers[i].ops
		sample.Gets += workers[i].gets
		sample.Misses += workers[i].misses
	}
	sample.Misses += s.loads.Load() - loads
	s.at += int(sample.Ops)/goroutines + 1
	return sample, nil
}

// A worker is a goroutine that measures. What it counts is its own.
type worker struct {
	*subject
	w                 Workload
	at                int
	ops, gets, misses int64
	err               error
	_                 [64]byte // workers do not share a cache line
}

// run does one batch at least, however short the time.
func (k *worker) run(stop *atomic.Bool) {
	for first := true; first || !stop.Load() && k.err == nil; first = false {
		for range batch {
			k.one()
		}
		k.ops += batch
	}
}

func (k *worker) one() {
	key := k.keys.from(k.at)
	k.at++
	switch {
	case k.w.sets > 0 && k.at*61%100 < k.w.sets: // 61 spreads them evenly
		k.Set(key, newValue(key, valueSize))
		return
	case k.w.gets:
		k.gets++
		v, ok := k.Get(key)
		if !ok {
			k.misses++
		} else if !belongs(key, v) {
			k.err = fmt.Errorf("the value of %s is another one's", key)
		}
	default:
		k.gets++
		v, err := k.GetOrLoad(key)
		switch {
		case err != nil:
			k.err = err
		case !belongs(key, v):
			k.err = fmt.Errorf("the value of %s is another one's", key)
		}
	}
}
