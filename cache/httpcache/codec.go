package httpcache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// encoding is the cache.Config.Version: change it with the format.
const encoding = "5"

// codec translates objects for other instances: the fields of an object in their order, what is not of its kind left out. Numbers are
// uvarints, times nanoseconds; a string is a length and bytes, a list a number and its elements. What is inline of a body comes last.
//
// An encoding is kept beside its object. So it has the age on arrival, and what has passed since then is told by what is left of
// the TTL, which is the object's keep. What is on its way is not kept: it has the age of the moment.
type codec struct{}

var _ cache.TTLDecoder[*object] = codec{}

const maxLines = 4096 // field lines of a header

var errFormat = errors.New("httpcache: malformed object")

// Append implements cache.Codec.
func (codec) Append(dst []byte, o *object) ([]byte, error) {
	w := writer{slices.Grow(dst, int(o.memory()))}
	w.byte(byte(o.kind))
	switch o.kind {
	case kindMark:
		w.strings(o.why, o.asker, o.claim, o.at)
	case kindBytes:
		w.byte(byte(o.part))
		w.duration(o.keep)
		w.header(o.header)
	default:
		o.appendResponse(&w)
	}
	return append(w.dst, o.body.inline...), nil
}

func (o *object) appendResponse(w *writer) {
	age, since := o.age, o.since
	if o.body.live {
		now := time.Now()
		age, since = o.ageAt(now), since+now.Sub(o.arrived)
	}
	p := &o.policy
	w.strings(o.asker, o.variant.family, o.variant.values, o.body.id, o.body.at, o.body.asked)
	w.uvarint(uint64(o.status))
	w.duration(age)
	w.duration(o.keep)
	w.duration(since)
	w.duration(o.retry.Sub(o.arrived))
	w.duration(p.lifetime)
	w.duration(p.whileRevalidate + 1) // which may be rules.Absent
	w.duration(p.ifError + 1)
	w.flags(p.noCache, p.mustRevalidate, p.validator, p.immutable, o.body.live, o.body.partial, o.validated, o.body.odd)
	w.uvarint(uint64(o.body.size + 1))
	w.uvarint(uint64(o.body.chunk))
	w.uvarint(uint64(o.body.first))
	w.list(o.variant.fields)
	w.list(o.keys)
	w.list(o.after)
	w.header(o.header)
}

// DecodeTTL implements cache.TTLDecoder.
func (c codec) DecodeTTL(src []byte, ttl time.Duration) (*object, error) {
	o, err := c.Decode(src)
	if err == nil && o.kind == kindResponse && ttl > 0 {
		passed := max(o.keep-ttl, 0)
		o.age += passed
		o.since += passed
		o.keep -= passed
		o.retry = o.retry.Add(-passed)
	}
	return o, err
}

// Decode implements cache.Codec. The object arrives now.
func (codec) Decode(src []byte) (*object, error) {
	r := reader{src: src}
	o := &object{kind: kind(r.byte()), arrived: time.Now(), remote: true}
	switch o.kind {
	case kindMark:
		o.why, o.asker, o.claim, o.at = r.string(), r.string(), r.string(), r.string()
	case kindBytes:
		o.part, o.keep = partEnd(r.byte()), r.duration()
		o.header = r.header()
	case kindResponse:
		o.shown = new(shown)
		o.readResponse(&r)
	default:
		return nil, errFormat
	}
	if r.failed {
		return nil, errFormat
	}
	o.body.inline = bytes.Clone(r.src)
	return o, nil
}

func (o *object) readResponse(r *reader) {
	p, b := &o.policy, &o.body
	o.asker, o.variant.family, o.variant.values = r.string(), r.string(), r.string()
	b.id, b.at, b.asked = r.string(), r.string(), r.string()
	o.status = int(r.uvarint(999))
	o.age, o.keep, o.since = r.duration(), r.duration(), r.duration()
	o.retry = o.arrived.Add(r.duration())
	p.lifetime = r.duration()
	p.whileRevalidate, p.ifError = r.duration()-1, r.duration()-1
	r.flags(&p.noCache, &p.mustRevalidate, &p.validator, &p.immutable, &b.live, &b.partial, &o.validated, &b.odd)
	b.size = int64(r.uvarint(maxSize)) - 1
	b.chunk = int64(r.uvarint(maxSize))
	b.first = int64(r.uvarint(maxSize))
	o.variant.fields, o.keys, o.after = r.list(), r.list(), r.list()
	if len(o.variant.fields) > 0 {
		o.variant.count = new(variants) // this instance may own them from now on, and counts those that it fills
	}
	o.header = r.header()
	if o.status < 200 {
		r.fail()
	}
}

const maxSize = 1 << 50 // of a body

// A writer appends parts of an object to dst.
type writer struct{ dst []byte }

func (w *writer) byte(b byte)              { w.dst = append(w.dst, b) }
func (w *writer) uvarint(n uint64)         { w.dst = binary.AppendUvarint(w.dst, n) }
func (w *writer) duration(d time.Duration) { w.uvarint(uint64(max(d, 0))) }

func (w *writer) strings(list ...string) {
	for _, s := range list {
		w.uvarint(uint64(len(s)))
		w.dst = append(w.dst, s...)
	}
}

func (w *writer) list(list []string) {
	w.uvarint(uint64(len(list)))
	w.strings(list...)
}

func (w *writer) flags(flags ...bool) {
	b := byte(0)
	for i, f := range flags {
		if f {
			b |= 1 << i
		}
	}
	w.byte(b)
}

func (w *writer) header(h http.Header) {
	lines := 0
	for _, values := range h {
		lines += len(values)
	}
	w.uvarint(uint64(lines))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			w.strings(name, v)
		}
	}
}

// A reader cuts the parts of an object off src. After the first one that is not there, it
// has failed and returns zeros.
type reader struct {
	src    []byte
	failed bool
}

func (r *reader) byte() byte {
	if len(r.src) == 0 {
		r.fail()
		return 0
	}
	b := r.src[0]
	r.src = r.src[1:]
	return b
}

func (r *reader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.src)
	if n <= 0 || v > limit {
		r.fail()
		return 0
	}
	r.src = r.src[n:]
	return v
}

func (r *reader) duration() time.Duration { return time.Duration(r.uvarint(1<<63 - 1)) }

func (r *reader) string() string {
	n := r.uvarint(uint64(len(r.src)))
	if n > uint64(len(r.src)) {
		r.fail()
		return ""
	}
	s := string(r.src[:n])
	r.src = r.src[n:]
	return s
}

func (r *reader) list() []string {
	n := r.uvarint(maxLines)
	var list []string
	for range n {
		if r.failed {
			return nil
		}
		list = append(list, r.string())
	}
	return list
}

func (r *reader) flags(flags ...*bool) {
	b := r.byte()
	for i, f := range flags {
		*f = b&(1<<i) != 0
	}
}

// header reads a header. Its strings are parts of one, and so are its slices of values: they live as long as each other.
func (r *reader) header() http.Header {
	lines := int(r.uvarint(maxLines))
	all := string(r.src[:r.stringsEnd(2*lines)])
	if r.failed {
		return nil
	}
	next := func() (s string) {
		before := len(r.src)
		n := int(r.uvarint(uint64(len(r.src))))
		all = all[before-len(r.src):]
		s, all, r.src = all[:n], all[n:], r.src[n:]
		return s
	}
	h, values := make(http.Header, min(lines, 32)), make([]string, lines)
	for i := range lines {
		name, value := next(), next()
		if !validField(name, value) {
			r.fail()
			return nil
		}
		if values[i] = value; h[name] == nil {
			h[name] = values[i : i+1 : i+1]
		} else {
			h[name] = slices.Clip(append(h[name], value))
		}
	}
	return h
}

// stringsEnd is where the next n strings end.
func (r *reader) stringsEnd(n int) int {
	ahead := *r
	for range n {
		size := ahead.uvarint(uint64(len(ahead.src)))
		if size > uint64(len(ahead.src)) {
			ahead.fail()
		}
		if ahead.failed {
			r.fail()
			return 0
		}
		ahead.src = ahead.src[size:]
	}
	return len(r.src) - len(ahead.src)
}

func (r *reader) fail() { r.src, r.failed = nil, true }

// validField reports whether a field can be written as it is, and a look-up finds it.
func validField(name, value string) bool {
	return rules.IsToken(name) && http.CanonicalHeaderKey(name) == name && !strings.ContainsAny(value, "\r\n\x00")
}
