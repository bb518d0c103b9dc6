package local

import (
	"sync/atomic"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/rival"
)

// Benchmark runs a sub-benchmark for each workload and kind, with as many goroutines as -cpu says.
func Benchmark(b *testing.B) {
	kinds, err := chosen(nil)
	if err != nil {
		b.Fatal(err)
	}
	ks := newKeys(keyCount, drawCount, 1)
	for _, w := range Workloads() {
		for _, k := range kinds {
			b.Run(w.Name+"/"+k.Name, func(b *testing.B) { benchmark(b, w, k, ks) })
		}
	}
}

func benchmark(b *testing.B, w Workload, k rival.Kind, ks *keys) {
	s, err := open(k, w, ks)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var goroutines, gets, misses atomic.Int64
	loads := s.loads.Load()
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		worker := worker{subject: s, w: w, at: s.at + int(goroutines.Add(1))*(len(ks.drawn)/61)}
		for pb.Next() {
			worker.one()
		}
		if worker.err != nil {
			b.Error(worker.err)
		}
		gets.Add(worker.gets)
		misses.Add(worker.misses)
	})
	b.StopTimer()
	if gets.Load() > 0 {
		b.ReportMetric(Sample{Gets: gets.Load(), Misses: misses.Load() + s.loads.Load() - loads}.HitRatio(), "hit-ratio")
	}
}
