package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync/atomic"
)

// A Frame is what travels at a time.
type Frame struct {
	Type    Type
	Call    uint64
	Payload []byte
}

// AppendFrameHead appends what stands before a frame's payload of n bytes.
func AppendFrameHead(dst []byte, typ Type, call uint64, n int) []byte {
	dst = append(dst, byte(typ))
	dst = binary.AppendUvarint(dst, call)
	return binary.AppendUvarint(dst, uint64(n))
}

// MaxFrameHead is the length of the longest head of a frame.
const MaxFrameHead = 1 + 2*binary.MaxVarintLen64

// ParseFrame returns the frame that b begins with, and its length; 0 if b ends before the
// frame does. The payload aliases b. It fails if the payload is longer than limit.
func ParseFrame(b []byte, limit uint64) (f Frame, n int, err error) {
	f, head, length, err := parseHead(b, limit)
	if err != nil || head == 0 || length > len(b)-head {
		return Frame{}, 0, err
	}
	n = head + length
	f.Payload = b[head:n:n]
	return f, n, nil
}

// parseHead parses a frame's head, of head bytes: 0 if b ends within it.
func parseHead(b []byte, limit uint64) (f Frame, head, length int, err error) {
	if len(b) < 3 {
		return Frame{}, 0, 0, nil
	}
	f.Type = Type(b[0])
	if b[1] < 0x80 && b[2] < 0x80 { // as most are
		f.Call, head, length = uint64(b[1]), 3, int(b[2])
	} else {
		call, n, err := parseUvarint(b[1:])
		if err != nil || n == 0 {
			return Frame{}, 0, 0, err
		}
		size, m, err := parseUvarint(b[1+n:])
		if err != nil || m == 0 {
			return Frame{}, 0, 0, err
		}
		if size > limit {
			return Frame{}, 0, 0, tooLong(size, limit)
		}
		f.Call, head, length = call, 1+n+m, int(size)
	}
	if uint64(length) > limit {
		return Frame{}, 0, 0, tooLong(uint64(length), limit)
	}
	return f, head, length, nil
}

func tooLong(n, limit uint64) error {
	return fmt.Errorf("a frame has %d bytes, at most %d: %w", n, limit, ErrTooLarge)
}

// parseUvarint returns the number that b begins with, and its length; 0 if b ends within it.
func parseUvarint(b []byte) (v uint64, n int, err error) {
	v, n = binary.Uvarint(b)
	switch {
	case n < 0:
		return 0, 0, errRange
	case n > 1 && b[n-1] == 0:
		return 0, 0, errOverlong
	}
	return v, n, nil
}

const (
	// ownedPayload is how long a payload is, at least, that is read into memory of its own
	// if it was not there as a whole.
	ownedPayload = 16 << 10

	// After a frame of longFrame bytes or more, headSize bytes are read at a time: if the next frame is as long, no
	// more of it than that is copied.
	longFrame = 32 << 10
	headSize  = 1 << 10

	// minRead is how much a Reader has room for, at least, when it reads into memory that somebody keeps.
	minRead = ChunkSize / 2
)

// A Reader takes frames from an upgraded connection. It keeps its place between calls, so that a read that is
// interrupted, by a deadline say, loses nothing.
type Reader struct {
	src   io.Reader
	chunk *Chunk
	r, w  int // what was read and not taken is chunk.b[r:w]

	long      Frame  // whose payload is being read into memory of its own; nil if there is none
	longChunk *Chunk // which that is; nil if it will be its receiver's
	got       int    // of it
	heads     bool   // the last frame was long, and so may be the next one
	err       error  // came together with bytes, which are taken first

	lends bool
	out   *atomic.Int32 // chunks in use
	last  *Chunk        // that the payload of the last frame is in; nil if it is its receiver's
}

// NewReader returns a Reader of src.
func NewReader(src io.Reader) *Reader {
	r := &Reader{src: src, out: new(atomic.Int32)}
	r.chunk = newChunk(r.out)
	return r
}

// NewLendingReader returns a Reader of src that lends the payloads of answers; see Keep.
func NewLendingReader(src io.Reader) *Reader {
	r := NewReader(src)
	r.lends = true
	return r
}

// Fill reads once. It must be called when Next has nothing, before the next Next. An error that comes together with bytes,
// as at the end of a TLS connection, is returned by the next Fill.
func (r *Reader) Fill() error {
	if err := r.err; err != nil {
		r.err = nil
		return err
	}
	r.forget()
	if r.long.Payload != nil {
		n, err := r.src.Read(r.long.Payload[r.got:])
		r.got += n
		return r.later(n, err)
	}
	r.makeRoom()
	free := r.chunk.b[r.w:]
	if r.heads && r.w-r.r < headSize {
		free = free[:headSize]
	}
	n, err := r.src.Read(free)
	r.w += n
	return r.later(n, err)
}

// makeRoom leaves room to read into, and what was read and not taken before that. Memory that somebody keeps is left as
// it is.
func (r *Reader) makeRoom() {
	old := r.chunk
	switch {
	case !old.kept():
	case len(old.b)-r.w >= minRead:
		return
	default:
		r.chunk = newChunk(r.out)
	}
	if r.r > 0 || r.chunk != old {
		r.w = copy(r.chunk.b, old.b[r.r:r.w])
		r.r = 0
	}
	if r.chunk != old {
		old.Release()
	}
}

// later returns err, or keeps it for the next Fill if n bytes came with it.
func (r *Reader) later(n int, err error) error {
	if n > 0 {
		r.err = err
		return nil
	}
	return err
}

// Next returns the next frame, if it has been read as a whole. Its payload is the caller's if owned is true, and
// otherwise good until the next Fill.
func (r *Reader) Next() (f Frame, owned, ok bool, err error) {
	r.forget()
	if r.long.Payload != nil {
		if r.got < len(r.long.Payload) {
			return Frame{}, false, false, nil
		}
		f, r.long = r.long, Frame{}
		r.last, r.longChunk = r.longChunk, nil
		r.heads = len(f.Payload) >= longFrame
		return f, r.last == nil, true, nil
	}
	b := r.chunk.b[r.r:r.w]
	f, head, length, err := parseHead(b, MaxPayload)
	if err != nil || head == 0 {
		return Frame{}, false, false, err
	}
	if n := head + length; n <= len(b) {
		r.r += n
		r.heads = false
		r.last = r.chunk
		f.Payload = b[head:n:n]
		return f, false, true, nil
	}
	if length >= ownedPayload {
		if r.lends && f.Type == TypeAnswer && r.out.Load() < maxChunks {
			r.longChunk = newChunk(r.out)
			f.Payload = r.longChunk.b[:length:length]
		} else {
			f.Payload = make([]byte, length)
		}
		r.got = copy(f.Payload, b[head:])
		r.long = f
		r.r, r.w = 0, 0
		if r.chunk.kept() {
			r.r, r.w = len(r.chunk.b), len(r.chunk.b)
		}
	}
	return Frame{}, false, false, nil
}

// Keep returns the memory that the payload of the last frame of Next is in: it stays good until Release is called. It
// returns nil if the payload is to be copied if it is kept, for too much is kept already, or this is not a
// NewLendingReader.
func (r *Reader) Keep() *Chunk {
	if !r.lends || r.last == nil || r.last == r.chunk && r.out.Load() >= maxChunks {
		return nil
	}
	r.last.refs.Add(1)
	return r.last
}

// forget lets go of the memory of the last frame, if it was that frame's alone.
func (r *Reader) forget() {
	if r.last != nil && r.last != r.chunk {
		r.last.Release()
	}
	r.last = nil
}

// AppendFirst appends what stands before the beginning of a message in its first part, which has n bytes of the
// message's total.
func AppendFirst(dst []byte, typ Type, call uint64, n, total int) []byte {
	var b [binary.MaxVarintLen64]byte
	head := binary.PutUvarint(b[:], uint64(total))
	dst = AppendFrameHead(dst, typ|FirstPart, call, head+n)
	return append(dst, b[:head]...)
}

// A Message is one that comes in parts. It keeps them as they came, so that nobody who reads a connection has to
// allocate, clear and copy as much at once as a long message has.
type Message struct {
	Type  Type
	total int
	came  int
	parts [][]byte // the first has AnswerOverhead bytes at least, if it is not the only one
}

// NewMessage returns the message that begins with the payload of a first part. It fails if it will be
// longer than limit.
func NewMessage(typ Type, payload []byte, limit int) (*Message, error) {
	total, n, err := parseUvarint(payload)
	switch {
	case err != nil:
		return nil, err
	case n == 0:
		return nil, errShort
	case total > uint64(limit):
		return nil, fmt.Errorf("a message has %d bytes, at most %d: %w", total, limit, ErrTooLarge)
	}
	m := &Message{Type: typ &^ FirstPart, total: int(total)}
	return m, m.Add(payload[n:], false)
}

// Add adds the payload of a part, which may be kept if owned is true, and is copied otherwise. A message takes three times
// what came at most, and PartSize more.
func (m *Message) Add(payload []byte, owned bool) error {
	if m.came+len(payload) > m.total {
		return fmt.Errorf("a message has more than the %d bytes that were announced", m.total)
	}
	m.came += len(payload)
	n := len(m.parts)
	if owned && len(payload) >= ownedPayload && n > 0 && len(m.parts[0]) >= AnswerOverhead {
		m.parts = append(m.parts, payload)
		return nil
	}
	if n > 0 { // small ones are put together
		last := m.parts[n-1]
		room := min(cap(last)-len(last), len(payload))
		m.parts[n-1] = append(last, payload[:room]...)
		payload = payload[room:]
	}
	if len(payload) > 0 {
		m.parts = append(m.parts, append(make([]byte, 0, max(len(payload), min(PartSize, m.total-m.came+len(payload)))), payload...))
	}
	return nil
}

// Came is how many bytes of the message have come.
func (m *Message) Came() int { return m.came }

// Total is how long the message will be, in bytes.
func (m *Message) Total() int { return m.total }

// Cost is how much memory the message may take while it comes, about.
func (m *Message) Cost() int { return max(m.total, PartSize) }

// Whole reports whether the message is complete.
func (m *Message) Whole() bool { return m.came == m.total }

// Payload returns the payload of a message that is complete, which it puts together anew.
func (m *Message) Payload() []byte { return bytes.Join(m.parts, nil) }

// DecodeLongAnswer is DecodeAnswer for an answer in parts. Instead of Value it sets Long.
func DecodeLongAnswer(m *Message) (Keyed, error) {
	first := []byte{}
	if len(m.parts) > 0 {
		first = m.parts[0]
	}
	k, err := DecodeAnswer(first)
	k.Long = m
	if n := len(m.parts); err == nil && n > 0 {
		m.parts[0] = k.Value
		m.total -= len(first) - len(k.Value)
		m.came = m.total
	}
	k.Value = nil
	return k, err
}

// AppendCredit appends a frame that credits n bytes of a call.
func AppendCredit(dst []byte, call uint64, n int) []byte {
	var b [binary.MaxVarintLen64]byte
	size := binary.PutUvarint(b[:], uint64(n))
	return append(AppendFrameHead(dst, TypeCredit, call, size), b[:size]...)
}

// DecodeCredit returns how many bytes a credit's payload stands for, as many as an int can hold at most.
func DecodeCredit(b []byte) (int, error) {
	v, n, err := parseUvarint(b)
	switch {
	case err != nil:
		return 0, fmt.Errorf("credit: %w", err)
	case n == 0:
		return 0, fmt.Errorf("credit: %w", errShort)
	case n < len(b):
		return 0, fmt.Errorf("credit: %d bytes are left over", len(b)-n)
	}
	return int(min(v, 1<<31-1)), nil
}
