package wire

import (
	"sync"
	"sync/atomic"
)

const (
	// ChunkSize is how much a Reader reads at a time. It holds any frame.
	ChunkSize = 72 << 10

	// maxChunks is how many chunks of one Reader may be in use before it lends none of them to payloads that
	// would fit elsewhere.
	maxChunks = 64
)

// A Chunk is memory that frames are read into. Whoever keeps a payload shares it: it is used again when all have
// released it.
type Chunk struct {
	b    []byte
	refs atomic.Int32
	out  *atomic.Int32 // its Reader's
}

var chunks = sync.Pool{New: func() any { return &Chunk{b: make([]byte, ChunkSize)} }}

// newChunk returns a chunk that its caller holds, and counts it in out until it is used no more.
func newChunk(out *atomic.Int32) *Chunk {
	c := chunks.Get().(*Chunk)
	c.refs.Store(1)
	c.out = out
	out.Add(1)
	return c
}

// kept reports whether others than the Reader hold the chunk.
func (c *Chunk) kept() bool { return c.refs.Load() > 1 }

// Release lets go of the chunk: whoever calls it must not look at the payload again. A nil Chunk may be released.
func (c *Chunk) Release() {
	if c == nil || c.refs.Add(-1) > 0 {
		return
	}
	if poisons {
		for i := range c.b {
			c.b[i] = 0xdb
		}
	}
	c.out.Add(-1)
	c.out = nil
	chunks.Put(c)
}
