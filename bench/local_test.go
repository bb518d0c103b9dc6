package bench

import (
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/local"
)

// BenchmarkLocal measures what compare -what local does of speed, each workload and cache by itself, with a goroutine on each core; -cpu
// gives others:
//
//	go test -C bench -run '^$' -bench Local/fill -cpu 2,16
func BenchmarkLocal(b *testing.B) { local.Benchmark(b) }
