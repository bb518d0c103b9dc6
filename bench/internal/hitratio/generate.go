package hitratio

import (
	"math"
	"math/rand/v2"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/zipf"
)

// What is generated where there is no folder of traces. Every run generates the same.
const (
	generatedRequests = 300_000
	generatedKeys     = 50_000
	// scanEvery and scanLen are how often a scan begins, and over how many keys it goes, which come once.
	scanEvery, scanLen = 20_000, 8_000
	// loopKeys is how many keys a loop has: with caches of less than that, the least recently used is the next to be used.
	loopKeys = 20_000
	// shiftEvery and shiftBy are how often the hot set moves on, and how far.
	shiftEvery, shiftBy = 30_000, 2_000
)

// generated returns the workloads that are generated.
func generated() []named {
	return []named{
		{"zipf-0.9", generate(1, func(r *rand.Rand) func(int) record {
			next := popular(r, 0.9)
			return func(int) record { return record{next(), 1} }
		})},
		{"zipf-1.1", generate(2, func(r *rand.Rand) func(int) record {
			next := popular(r, 1.1)
			return func(int) record { return record{next(), 1} }
		})},
		{"scans", generate(3, scans)},
		{"loop", generate(4, func(*rand.Rand) func(int) record {
			return func(i int) record { return record{uint64(i % loopKeys), 1} }
		})},
		{"shifting", generate(5, func(r *rand.Rand) func(int) record {
			next := popular(r, 1.0)
			return func(i int) record { return record{next() + uint64(i/shiftEvery*shiftBy), 1} }
		})},
		{"mixed-sizes", generate(6, func(r *rand.Rand) func(int) record {
			next := popular(r, 0.9)
			return func(int) record {
				key := next()
				return record{key, mixedSize(key)}
			}
		})},
	}
}

// generate makes the requests of one workload.
func generate(seed uint64, workload func(*rand.Rand) func(i int) record) []record {
	next := workload(rand.New(rand.NewPCG(seed, seed)))
	records := make([]record, generatedRequests)
	for i := range records {
		records[i] = next(i)
	}
	return records
}

// scans are Zipf's requests, and between them scans over keys that never come again, request by request in turn.
func scans(r *rand.Rand) func(int) record {
	next := popular(r, 0.9)
	once := uint64(generatedKeys)
	return func(i int) record {
		if i%scanEvery < 2*scanLen && i%2 == 1 {
			once++
			return record{once, 1}
		}
		return record{next(), 1}
	}
}

// mixedSize returns the size of a key: log-normal with a median of 2 KiB, most between 100 bytes and 40 KiB, and whether the key is popular
// makes no difference.
func mixedSize(key uint64) uint32 {
	r := rand.New(rand.NewPCG(key, 7))
	return uint32(min(max(2048*math.Exp(1.5*r.NormFloat64()), 16), 1<<20))
}

// popular returns a source of keys, 0 the most often.
func popular(r *rand.Rand, exponent float64) func() uint64 {
	z := zipf.New(generatedKeys, exponent)
	return func() uint64 { return uint64(z.Draw(r.Float64())) }
}
