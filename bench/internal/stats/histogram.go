package stats

import (
	"math"
	"math/bits"
	"time"
)

const (
	subBits    = 6 // each power of two is divided into 64 buckets: an error of less than 1 %
	subBuckets = 1 << subBits
	maxBits    = 42 // durations from 2^42 ns on, 73 minutes, count as that
	buckets    = (maxBits - subBits + 1) * subBuckets
)

// A Histogram counts durations in buckets whose width is in proportion to what they hold. The zero
// value is empty. It allocates nothing, and is not safe for concurrent use: give each goroutine
// its own, and Merge them.
type Histogram struct {
	counts [buckets]uint32
	total  uint64
}

// Record counts d. What is negative counts as 0.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucket(d)]++
	h.total++
}

// RecordN counts d n times.
func (h *Histogram) RecordN(d time.Duration, n int) {
	h.counts[bucket(d)] += uint32(n)
	h.total += uint64(n)
}

// Merge adds the counts of other to h.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Count is how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Quantile returns a duration that a share q of those recorded do not exceed, to within 1 %; 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	rank := max(uint64(math.Ceil(q*float64(h.total))), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); seen >= rank {
			low, width := bounds(i)
			return time.Duration(low + (width-1)/2)
		}
	}
	return 0
}

// bucket returns the bucket of d: below 2*subBuckets one a nanosecond, then subBuckets for each power of two.
func bucket(d time.Duration) int {
	v := min(uint64(max(d, 0)), 1<<maxBits-1)
	shift := max(bits.Len64(v)-subBits-1, 0)
	return shift*subBuckets + int(v>>shift)
}

// bounds returns the least duration of a bucket, and how many it holds.
func bounds(i int) (low, width uint64) {
	shift := max(i/subBuckets-1, 0)
	return uint64(i-shift*subBuckets) << shift, 1 << shift
}
