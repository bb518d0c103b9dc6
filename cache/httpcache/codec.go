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
)

// encoding is the cache.Config.Version: change it with the format.
const encoding = "1"

// codec translates objects for other instances. An object is
//
//	1, its status, its age on arrival and its lifetime in milliseconds,
//	the number of field lines, and for each a name and a value; then the body to the end
//
// and a mark is 0 and its reason to the end. Numbers are uvarints; names and values are a length
// and bytes. The age is that on arrival, since the encoding is kept: what has passed since then is told
// by what is left of the TTL.
type codec struct{}

var _ cache.TTLDecoder[*object] = codec{}

const (
	kindMark   = 0
	kindObject = 1

	maxLines = 4096 // field lines of a header
)

var errFormat = errors.New("httpcache: malformed object")

// Append implements cache.Codec.
func (codec) Append(dst []byte, o *object) ([]byte, error) {
	if o.pass != "" {
		return append(append(dst, kindMark), o.pass...), nil
	}
	lines, size := 0, 64+len(o.body)
	for name, values := range o.header {
		lines += len(values)
		for _, v := range values {
			size += len(name) + len(v) + 2*binary.MaxVarintLen32
		}
	}
	dst = slices.Grow(dst, size)
	dst = append(dst, kindObject)
	dst = binary.AppendUvarint(dst, uint64(o.status))
	dst = binary.AppendUvarint(dst, uint64(o.age.Milliseconds()))
	dst = binary.AppendUvarint(dst, uint64(o.lifetime.Milliseconds()))
	dst = binary.AppendUvarint(dst, uint64(lines))
	for _, name := range slices.Sorted(maps.Keys(o.header)) {
		for _, v := range o.header[name] {
			dst = appendString(dst, name)
			dst = appendString(dst, v)
		}
	}
	return append(dst, o.body...), nil
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// DecodeTTL implements cache.TTLDecoder: the object's age is its lifetime without what is left of it.
func (c codec) DecodeTTL(src []byte, ttl time.Duration) (*object, error) {
	o, err := c.Decode(src)
	if err == nil && o.pass == "" {
		o.age = min(max(o.lifetime-max(ttl, 0), o.age), o.lifetime)
	}
	return o, err
}

// Decode implements cache.Codec. The object arrives now.
func (codec) Decode(src []byte) (*object, error) {
	if len(src) < 2 {
		return nil, errFormat
	}
	switch src[0] {
	case kindMark:
		return &object{pass: string(src[1:])}, nil
	case kindObject:
	default:
		return nil, errFormat
	}
	r := reader{src: src[1:]}
	o := &object{arrived: time.Now()}
	o.status = int(r.uvarint(999))
	o.age = time.Duration(r.uvarint(maxSeconds*1000)) * time.Millisecond
	o.lifetime = time.Duration(r.uvarint(maxSeconds*1000)) * time.Millisecond
	lines := r.uvarint(maxLines)
	o.header = make(http.Header, min(lines, 32))
	for range lines {
		name, value := r.string(), r.string()
		if !validField(name, value) {
			return nil, errFormat
		}
		o.header[name] = slices.Clip(append(o.header[name], value))
	}
	if r.failed || o.status < 200 {
		return nil, errFormat
	}
	o.body = bytes.Clone(r.src)
	return o, nil
}

// validField reports whether a field can be written as it is, and a look-up finds it.
func validField(name, value string) bool {
	token, rest := cutToken(name)
	return token != "" && rest == "" && http.CanonicalHeaderKey(name) == name && !strings.ContainsAny(value, "\r\n\x00")
}

// A reader cuts the parts of an object off src. After the first one that is not there, it
// has failed and returns zeros.
type reader struct {
	src    []byte
	failed bool
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

func (r *reader) fail() { r.src, r.failed = nil, true }
