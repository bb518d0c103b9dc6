package memory

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"
)

const (
	cacheLine = 64
	// stripesPerCore keeps goroutines that run at the same time apart, mostly.
	stripesPerCore = 4
	maxStripes     = 64
)

// hitCounts count hits without a counter that all who hit would write: each goroutine has one of several stripes.
type hitCounts struct {
	stripes []stripe // a power of two
	shift   uint
}

type stripe struct {
	fresh, mirror, stale atomic.Uint64
	_                    [cacheLine - 24]byte
}

func (c *hitCounts) init() {
	log := bits.Len(uint(min(stripesPerCore*runtime.GOMAXPROCS(0), maxStripes))) - 1
	c.stripes, c.shift = make([]stripe, 1<<log), uint(64-log)
}

func (c *hitCounts) bytes() int64 { return int64(len(c.stripes)) * int64(unsafe.Sizeof(stripe{})) }

// add counts a hit.
func (c *hitCounts) add(stale, mirror bool) {
	s := c.stripe()
	switch {
	case stale:
		s.stale.Add(1)
	case mirror:
		s.mirror.Add(1)
	default:
		s.fresh.Add(1)
	}
}

// stripe returns the stripe of the calling goroutine, which is picked by where its stack is: nothing else that tells goroutines apart costs as little.
func (c *hitCounts) stripe() *stripe {
	var onStack byte
	page := uint64(uintptr(unsafe.Pointer(&onStack))) >> 11 // the least size of a stack
	return &c.stripes[page*0x9e3779b97f4a7c15>>c.shift]
}

// sum adds up all stripes.
func (c *hitCounts) sum() (fresh, mirror, stale uint64) {
	for i := range c.stripes {
		s := &c.stripes[i]
		fresh += s.fresh.Load()
		mirror += s.mirror.Load()
		stale += s.stale.Load()
	}
	return fresh, mirror, stale
}
