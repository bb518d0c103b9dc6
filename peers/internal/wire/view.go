package wire

import (
	"bytes"
	"errors"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A GetView is a get that is read where it stands, for a server that may have the answers at
// hand. Its byte slices alias the request.
type GetView struct {
	Epoch          uint64
	MaxValue       uint64
	Cache, Version []byte
	Reload, Peek   bool
	Keys           int // how many

	r reader
}

// ViewGet reads the beginning of a request's payload. ok is false if it is not a get, or does not decode: then
// DecodeRequest says what it is.
func ViewGet(b []byte) (v GetView, ok bool) {
	if len(b) < 2 || Verb(b[0]) != Get {
		return v, false
	}
	v.r.b = b[1:]
	flags := v.r.flags(getFlags)
	v.Reload, v.Peek = flags&flagReload != 0, flags&flagPeek != 0
	v.Epoch = v.r.fixed64()
	v.r.duration()
	v.MaxValue = v.r.uvarint()
	v.Cache = v.r.bytes(MaxName)
	v.Version = v.r.bytes(MaxName)
	if !v.r.skipCarried() {
		return v, false
	}
	n := v.r.uvarint()
	if n > MaxKeys || n > uint64(len(v.r.b)) {
		return v, false
	}
	v.Keys = int(n)
	return v, v.r.err == nil
}

// skipCarried reports whether what is carried is as carried would have it.
func (r *reader) skipCarried() bool {
	n := r.uvarint()
	if r.err != nil || n > MaxCarried {
		return false
	}
	left := uint64(MaxCarriedBytes)
	var prev []byte
	for i := range n {
		k := r.bytes(left)
		left -= uint64(len(k))
		left -= uint64(len(r.bytes(left)))
		if r.err != nil || i > 0 && bytes.Compare(k, prev) <= 0 {
			return false
		}
		prev = k
	}
	return true
}

// Key returns the next key. It must be called once for each.
func (v *GetView) Key() []byte { return v.r.bytes(cache.MaxKeyBytes) }

// Err returns what is wrong with the keys, or with what follows them, once all were read.
func (v *GetView) Err() error { return v.r.end() }

// bytes is string without a copy.
func (r *reader) bytes(limit uint64) []byte {
	n := r.uvarint()
	if n > limit || n > uint64(len(r.b)) {
		r.fail(errViewShort)
	}
	if r.err != nil {
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

var errViewShort = errors.New("a string is cut off, or too long")
