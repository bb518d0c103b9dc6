package peerstest

import (
	"math/rand/v2"
	"sync"
	"time"
)

// Faults are what a link does to the calls that one instance makes of another. The zero value is a link
// without faults. They count for each message when it is sent or passes, not when its call began.
type Faults struct {
	// DropRequests loses every request: it is not executed, and the caller learns nothing.
	DropRequests bool
	// DropReplies loses every reply: the request is executed, and the caller learns nothing.
	DropReplies bool

	// RequestDelay and ReplyDelay say how long the next message takes. nil: no time. Messages of one call
	// stay in order. They may be called concurrently. See [Delay] and [DelayBetween].
	RequestDelay, ReplyDelay func() time.Duration

	// DuplicateRequests delivers a Get that Hit did not answer a second time while the first is executed, and throws the
	// second's answers away. A Fence is executed twice before it is answered.
	// Release and Store are never delivered twice.
	DuplicateRequests bool
	// DuplicateReplies lets each reply come again at once, and a third time when the call
	// is over. The link discards both, as any transport must.
	DuplicateReplies bool
}

// drops reports whether a message of this direction gets lost.
func (f *Faults) drops(reply bool) bool {
	if reply {
		return f.DropReplies
	}
	return f.DropRequests
}

// delay returns how long a message of this direction takes.
func (f *Faults) delay(reply bool) time.Duration {
	delay := f.RequestDelay
	if reply {
		delay = f.ReplyDelay
	}
	if delay == nil {
		return 0
	}
	return delay()
}

// Delay returns a function for Faults that always returns d.
func Delay(d time.Duration) func() time.Duration {
	return func() time.Duration { return d }
}

// DelayBetween returns a function for Faults whose results lie evenly between low and high, both
// included. The same seed gives the same results in the same order. It panics if high is less than low.
func DelayBetween(seed uint64, low, high time.Duration) func() time.Duration {
	if high < low {
		panic("peerstest: DelayBetween with high less than low")
	}
	var mu sync.Mutex // guards rng
	rng := rand.New(rand.NewPCG(seed, 0))
	return func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return low + time.Duration(rng.Uint64N(uint64(high-low)+1))
	}
}

// SetFaults sets the faults of the calls that from makes of to, replacing those set before.
func (f *Fleet) SetFaults(from, to int, faults Faults) {
	l := f.link(from, to)
	f.mu.Lock()
	defer f.mu.Unlock()
	l.faults = faults
	f.announceLocked()
}

// SetFaultsAll sets the faults of every link.
func (f *Fleet) SetFaultsAll(faults Faults) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.links {
		l.faults = faults
	}
	f.announceLocked()
}

// Counts are what happened on a link since the fleet was made.
type Counts struct {
	// Gets, Fences, Releases and Stores are the requests sent, lost ones included and
	// duplicates not. Keys are the keys of the Gets.
	Gets, Keys, Fences, Releases, Stores, Hellos, Lists int

	Refused   int // calls that failed before their requests were sent
	Lost      int // messages that faults, partitions and Intercept lost
	Discarded int // replies that came again, or after their call was over
}

// Requests returns the number of requests of all kinds.
func (c Counts) Requests() int { return c.Gets + c.Fences + c.Releases + c.Stores + c.Hellos + c.Lists }

func (c *Counts) add(d Counts) {
	c.Gets += d.Gets
	c.Keys += d.Keys
	c.Fences += d.Fences
	c.Releases += d.Releases
	c.Stores += d.Stores
	c.Hellos += d.Hellos
	c.Lists += d.Lists
	c.Refused += d.Refused
	c.Lost += d.Lost
	c.Discarded += d.Discarded
}

// Counts returns what happened to the calls that from made of to.
func (f *Fleet) Counts(from, to int) Counts {
	l := f.link(from, to)
	f.mu.Lock()
	defer f.mu.Unlock()
	return l.counts
}

// CountsAll returns the sum over all links.
func (f *Fleet) CountsAll() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	var sum Counts
	for l := range f.links {
		sum.add(l.counts)
	}
	return sum
}

// count adds d to the link's counts.
func (l *link) count(d Counts) {
	l.fleet.mu.Lock()
	defer l.fleet.mu.Unlock()
	l.counts.add(d)
}

// links yields every link.
func (f *Fleet) links(yield func(*link) bool) {
	for _, in := range f.instances {
		for _, l := range in.links {
			if l != nil && !yield(l) {
				return
			}
		}
	}
}
