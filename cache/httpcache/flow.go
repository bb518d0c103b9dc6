package httpcache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// windowBlocks is how many blocks of a flow are in memory at most, while it is stored in chunks, or not at all.
	windowBlocks = 16

	// readerPatience is for how long a flow that is not stored waits for a reader, and for one that has stopped reading.
	readerPatience = 30 * time.Second

	// firstPatience is for how long what is stored is kept for the first reader as well, who has just been told of it.
	firstPatience = 2 * time.Second
)

var (
	// errHandedOver is what a flow says of bytes that it has no more: their chunk is stored elsewhere.
	errHandedOver = errors.New("httpcache: the chunk has been handed over")

	errNoReaders = errors.New("httpcache: nobody reads what must not be stored")
)

// A flow is a body that is on its way from the origin, at the instance that asked for it. Any number of readers follow
// it, here and on other instances, each at his own pace.
type flow struct {
	id    string
	block int64         // the size of a block
	hint  int64         // how many bytes there will be, about; 0: not known
	keep  time.Duration // for how long its chunks are kept
	kept  int64         // what it has in memory when it has ended; flows.mu guards it
	head  *object       // what is told of the response to the one who may have it; nil if all may

	// mu guards what follows. It is a leaf.
	mu       sync.Mutex
	blocks   [][]byte // full but for the last
	first    int64    // the number of blocks[0]
	end      int64    // bytes that have arrived
	err      error    // why it ended: io.EOF if all is there
	trailer  http.Header
	here     int                  // readers who say so themselves when they leave
	over     chan struct{}        // closed when a reader was told of the end, or the last one who is here has left
	windowed bool                 // what all readers have read is dropped: nothing of it is stored
	held     bool                 // what is not handed over is kept; the origin waits for that, and for the fastest reader
	stored   int64                // the number of the first block that is not handed over
	awaited  time.Time            // until then the first reader may be on his way
	slow     func()               // called when the origin has to wait for readers
	readers  map[string]*flowRead // of those who read what is windowed
	changed  chan struct{}        // closed, and made anew, when any of this changes
}

type flowRead struct {
	at      int64
	seen    time.Time
	waiting int // calls of read that are under way
}

func (r *flowRead) isGone() bool { return r.waiting == 0 && time.Since(r.seen) > readerPatience }

func newFlow(block, hint int64) *flow {
	return &flow{id: newID(), block: block, hint: hint, readers: make(map[string]*flowRead), changed: make(chan struct{}), over: make(chan struct{})}
}

// tellLocked wakes everyone who waits for a change. mu must be held.
func (f *flow) tellLocked() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// waitLocked waits for a change on ctx, or until enough yields. It returns ctx's error if that has ended. mu must be held, and is
// not meanwhile.
func (f *flow) waitLocked(ctx context.Context, enough <-chan time.Time) error {
	changed := f.changed
	f.mu.Unlock()
	defer f.mu.Lock()
	select {
	case <-changed:
	case <-enough:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// read returns bytes from off on: at least one, at most to the end of their block. It waits for them on ctx. The error is io.EOF behind the
// last one, errHandedOver, ctx's, or why the flow broke off. reader names who reads. Nobody may change the bytes.
func (f *flow) read(ctx context.Context, reader string, off int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.readerLocked(reader)
	r.waiting++
	defer func() { r.waiting, r.seen = r.waiting-1, time.Now() }()
	f.movedLocked(r, off)
	for {
		n := off/f.block - f.first
		switch {
		case off >= f.end && f.err != nil: // even if the last block has been handed over
			f.overLocked()
			return nil, f.err
		case n < 0:
			return nil, errHandedOver
		case off < f.end:
			return f.blocks[n][off%f.block:], nil
		}
		if err := f.waitLocked(ctx, nil); err != nil {
			return nil, err
		}
	}
}

// overLocked says that the flow need not be kept for a reader. mu must be held.
func (f *flow) overLocked() {
	select {
	case <-f.over:
	default:
		close(f.over)
	}
}

// attend has the flow be kept until leave is called, once, and no longer, however slowly it is read.
func (f *flow) attend() (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.here++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.here--; f.here == 0 {
			f.overLocked()
		}
	}
}

// readerLocked returns what is known of a reader. mu must be held.
func (f *flow) readerLocked(name string) *flowRead {
	r := f.readers[name]
	if r == nil {
		r = new(flowRead)
		f.readers[name] = r
	}
	return r
}

// movedLocked notes where a reader is. mu must be held.
func (f *flow) movedLocked(r *flowRead, off int64) {
	moved, next := off > r.at, off/f.block > r.at/f.block
	r.at, r.seen = off, time.Now()
	switch {
	case moved && f.windowed:
		f.dropReadLocked()
	case next && f.held:
		f.tellLocked()
	}
}

// dropReadLocked drops what all readers have read. mu must be held.
func (f *flow) dropReadLocked() {
	least := f.end
	for name, r := range f.readers {
		if r.isGone() && f.here == 0 {
			delete(f.readers, name)
			continue
		}
		least = min(least, r.at)
	}
	if n := least/f.block - f.first; n > 0 && len(f.readers) > 0 {
		f.dropLocked(min(n, int64(len(f.blocks))))
	}
}

// dropLocked drops the first n blocks. mu must be held.
func (f *flow) dropLocked(n int64) {
	clear(f.blocks[:n])
	f.blocks = f.blocks[n:]
	f.first += n
	f.tellLocked()
}

// handOver says that block i, whose turn it is, has been stored elsewhere.
func (f *flow) handOver(i int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored = i + 1
	f.tellLocked()
}

// isNeededLocked reports whether even the fastest reader has not read the first block, or may be about to come. Who waits for what is far off, by a range, is the fastest: one who
// seeks does not wait for those who watch, of whom nobody knows for a while that they have left. mu must be held.
func (f *flow) isNeededLocked() bool {
	needed := len(f.readers) == 0 && time.Now().Before(f.awaited)
	for _, r := range f.readers {
		if r.isGone() || r.at > f.end && r.waiting == 0 {
			continue
		}
		if r.at >= (f.first+1)*f.block {
			return false
		}
		needed = true
	}
	return needed
}

// window has nothing of the flow be stored any more.
func (f *flow) window() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.windowed = true
	f.dropReadLocked()
	f.tellLocked()
}

// awaitBlock waits until block i is whole, or the last one and there, and returns it. Nobody may change it. The error is as read's.
func (f *flow) awaitBlock(ctx context.Context, i int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		n := i - f.first
		switch {
		case n < 0:
			return nil, errHandedOver
		case (i+1)*f.block <= f.end, i*f.block < f.end && f.err == io.EOF:
			return f.blocks[n], nil
		case f.err != nil:
			return nil, f.err
		}
		if err := f.waitLocked(ctx, nil); err != nil {
			return nil, err
		}
	}
}

// awaitLonger waits until the flow has ended well, or is longer than n.
func (f *flow) awaitLonger(ctx context.Context, n int64) (longer bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.end <= n && f.err == nil {
		if err := f.waitLocked(ctx, nil); err != nil {
			return false, err
		}
	}
	if f.err != nil && f.err != io.EOF {
		return false, f.err
	}
	return f.end > n, nil
}

// length is how many bytes have come.
func (f *flow) length() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.end
}

// inMemory is how many bytes the flow takes.
func (f *flow) inMemory() (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.blocks {
		n += int64(cap(b))
	}
	return n
}

// whole returns all bytes of a flow that has ended well, and of which nothing was dropped.
func (f *flow) whole() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.blocks) == 1 && int64(cap(f.blocks[0])) <= f.end+f.end/8+64 {
		return f.blocks[0][:f.end:f.end]
	}
	all := make([]byte, 0, f.end)
	for _, b := range f.blocks {
		all = append(all, b...)
	}
	return all
}

// room waits until there is room in memory for more bytes, and returns where they go.
func (f *flow) room(ctx context.Context) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	begun := time.Now()
	for (f.windowed || f.held) && int64(len(f.blocks)) >= windowBlocks && f.end == (f.first+int64(len(f.blocks)))*f.block {
		switch {
		case f.windowed:
			f.dropReadLocked()
			if len(f.readers) == 0 && f.here == 0 && time.Since(begun) > readerPatience {
				return nil, errNoReaders
			}
		case f.stored > f.first && !f.isNeededLocked():
			f.dropLocked(1)
			continue
		case f.stored > f.first && f.slow != nil:
			// Those who are further behind than the fastest one read what is stored. If all did, then a cache that is full, and drops what is new before
			// what is in use, could not give a client who is slower than the origin the whole of anything large.
			f.slow()
		}
		patience := readerPatience
		if first := time.Until(f.awaited); first > 0 {
			patience = first
		}
		if err := f.waitLocked(ctx, time.After(patience)); err != nil {
			return nil, context.Cause(ctx)
		}
	}
	if f.end == (f.first+int64(len(f.blocks)))*f.block {
		f.blocks = append(f.blocks, make([]byte, 0, min(f.block, max(f.hint+1, firstRoom))))
	}
	last := &f.blocks[len(f.blocks)-1]
	if n := len(*last); n == cap(*last) {
		*last = append(make([]byte, 0, min(f.block, 4*int64(n))), *last...)
	}
	return (*last)[len(*last):cap(*last)], nil
}

// firstRoom is how much room a block has at first: most bodies are small.
const firstRoom = 512

// add says that n bytes have been written where room said.
func (f *flow) add(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last := &f.blocks[len(f.blocks)-1]
	*last = (*last)[:len(*last)+n]
	f.end += int64(n)
	f.tellLocked()
}

// finish ends the flow.
func (f *flow) finish(err error, trailer http.Header) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.trailer = err, trailer
	f.tellLocked()
}

// hasReader reports whether somebody reads the flow, or may be about to.
func (f *flow) hasReader() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.readers {
		if !r.isGone() {
			return true
		}
	}
	return f.here > 0
}
