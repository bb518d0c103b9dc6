package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendDuration(dst []byte, d time.Duration) []byte {
	switch {
	case d <= 0:
		return append(dst, 0)
	case d == cache.Forever:
		return append(dst, 1)
	}
	return binary.AppendUvarint(dst, uint64(d)+1)
}

// appendSize appends a size that no instance may take for negative.
func appendSize(dst []byte, n int64) []byte {
	return binary.AppendUvarint(dst, uint64(max(n, 0)))
}

var (
	errShort    = errors.New("it is cut off")
	errOverlong = errors.New("a number is longer than need be")
	errRange    = errors.New("a number is out of range")
)

// A reader takes a message apart. After the first error it yields zero values only, so that
// a decoder checks err once, at its end; but it must check it before it uses a
// count or a length that it read.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail(errShort)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// flags reads a byte of which only the bits in known may be set.
func (r *reader) flags(known byte) byte {
	f := r.byte()
	if f&^known != 0 {
		r.fail(fmt.Errorf("flags %#x: %w", f&^known, ErrUnsupported))
		return 0
	}
	return f
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	switch {
	case n == 0:
		r.fail(errShort)
		return 0
	case n < 0:
		r.fail(errRange)
		return 0
	case n > 1 && r.b[n-1] == 0:
		r.fail(errOverlong)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) fixed64() uint64 {
	if len(r.b) < 8 {
		r.fail(errShort)
		return 0
	}
	v := binary.BigEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) duration() time.Duration {
	v := r.uvarint()
	switch {
	case v == 0:
		return 0
	case v == 1:
		return cache.Forever
	case v-1 >= uint64(cache.Forever):
		r.fail(errRange)
		return 0
	}
	return time.Duration(v - 1)
}

func (r *reader) size() int64 {
	v := r.uvarint()
	if v > 1<<63-1 {
		r.fail(errRange)
		return 0
	}
	return int64(v)
}

// string reads a string of a length that check allows.
func (r *reader) string(check func(n uint64) error) string {
	n := r.uvarint()
	if r.err != nil {
		return ""
	}
	if err := check(n); err != nil {
		r.fail(err)
		return ""
	}
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

func (r *reader) name(what string) string {
	return r.string(func(n uint64) error {
		if n > MaxName {
			return fmt.Errorf("%s has %d bytes, at most %d: %w", what, n, MaxName, ErrTooLarge)
		}
		return nil
	})
}

func (r *reader) keys() []string {
	n := r.uvarint()
	if r.err != nil {
		return nil
	}
	if err := checkKeyCount(n); err != nil {
		r.fail(err)
		return nil
	}
	if n > uint64(len(r.b)) { // each key takes a byte at least
		r.fail(errShort)
		return nil
	}
	if n == 0 {
		return nil
	}
	keys := make([]string, 0, n)
	for range n {
		keys = append(keys, r.string(checkKeyLen))
		if r.err != nil {
			return nil
		}
	}
	return keys
}

// rest returns what is left, which aliases the message.
func (r *reader) rest() []byte {
	b := r.b[:len(r.b):len(r.b)]
	r.b = nil
	return b
}

// end returns the error, which is that of left-over bytes if there is no other.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes are left over", len(r.b))
	}
	return r.err
}
