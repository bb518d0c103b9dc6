package memory

import (
	"math"
	"time"
)

const (
	// earlyTimes bounds how early an item is refreshed: no more than earlyTimes the time that its load took. Only of
	// a key with hundreds of hits in that time would chance have one refreshed earlier, and it gains nothing by it.
	earlyTimes = 5
	// earlyShare is the share of an item's time that it is not refreshed in, at its beginning, however long its load took.
	earlyShare = 2
)

// Took is how long a load took, in microseconds. 0: no time, or the item is not to be refreshed early.
type Took uint32

// TookFor returns d as a Took, which saturates after more than an hour.
func TookFor(d time.Duration) Took {
	return Took(min(max(d.Microseconds(), 0), math.MaxUint32))
}

func (t Took) nanoseconds() int64 { return int64(t) * int64(time.Microsecond) }

// earliest returns the Instant before which an item that is stored now is not refreshed. A mirror is its owner's to
// refresh: it never is.
func (it *Item[V]) earliest(now Instant) Instant {
	switch {
	case it.Fresh == Never, it.Mirror:
		return Never
	case it.Took == 0:
		return it.Fresh
	}
	return it.Fresh - min(Instant(earlyTimes*it.Took.nanoseconds()), max(it.Fresh-now, 0)/earlyShare)
}

// isDue reports whether e, which may be refreshed by now, is to be: if it is stale, if it was found to be due
// before, or else if chance says so, which it does the more likely the less time is left, measured by what a load takes.
//
// This is the test of XFetch, with beta = 1: Took * -ln(u) >= time left, for u drawn from (0, 1]. It is drawn from the time,
// which costs no more than a few steps, and is the same for all keys that are asked for at one time: so what was
// loaded by one LoadMany is refreshed by one.
func (e *entry[V]) isDue(now Instant) bool {
	left := e.item.Fresh - now
	return left <= 0 || e.due.Load() || float64(e.item.Took.nanoseconds())*-math.Log(chance(now)) >= float64(left)
}

// chance returns a number from (0, 1] that is as good as random, for each Instant another one.
func chance(now Instant) float64 {
	// The mixing of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
	x := uint64(now) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11+1) / (1 << 53)
}
