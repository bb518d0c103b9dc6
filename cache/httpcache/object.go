package httpcache

import (
	"net/http"
	"sync/atomic"
	"time"
)

// A kind says what an object is.
type kind uint8

const (
	kindResponse kind = 1 // a response
	kindMark     kind = 2 // that there is none to share, and why
	kindBytes    kind = 3 // a part of a body
)

// An object is what the cache keeps for a key. It does not change.
type object struct {
	kind kind

	// Of a mark: why the response to the request asker must not be shared. It is to be had from the flow claim at the instance at.
	// Everyone else asks the origin himself.
	why       string
	claim, at string
	beneath   *object // the response that is stored in spite of it; not on other instances

	// Of a response.
	asker     string // the request that the origin was asked for
	validated bool   // it answered with 304: this is what was stored
	status    int
	header    http.Header
	policy    policy
	age       time.Duration // when it arrived in this process
	keep      time.Duration // for how long it is kept from then on
	// arrived is when it arrived, on this process's monotonic clock.
	arrived time.Time
	since   time.Duration // how long before that the origin was asked, without the way here if remote
	remote  bool          // it is from another instance
	retry   time.Time     // the origin failed, and is not asked again before
	variant variant
	keys    []string // surrogate keys
	after   []string // soft purges that were known when the origin was asked
	shown   *shown   // nil for what is not kept
	body    body     // and of a part
	part    partEnd  // what follows a part
}

// A policy says how a response may be used.
type policy struct {
	lifetime             time.Duration
	whileRevalidate      time.Duration // rules.Absent
	ifError              time.Duration // rules.Absent
	noCache              bool
	mustRevalidate       bool
	validator, immutable bool
}

// A variant says which requests a response answers (RFC 9111, 4.1).
type variant struct {
	family string   // of all variants that are found by the response at the URL's own key
	fields []string // that Vary nominates
	values string   // what rules.VaryValues makes of them
	count  *variants
}

// A body is where the bytes of a response are.
type body struct {
	id     string // unique
	size   int64  // -1: not known yet
	chunk  int64  // the size of the chunks that it is stored in; 0: it is inline
	inline []byte
	live   bool // it is on its way, at the instance at
	at     string

	partial bool   // inline has only a part of it,
	first   int64  // from here on
	asked   string // the Range that the origin gave it for; "" if it was put together
	odd     bool   // and the origin said that there were more of it
}

// ageAt is the response's age (RFC 9111, 4.2.3).
func (o *object) ageAt(now time.Time) time.Duration {
	return max(o.age+now.Sub(o.arrived), 0)
}

// isFresh reports whether the response may be used without validation, as far as it says itself.
func (o *object) isFresh(now time.Time) bool {
	return !o.policy.noCache && o.ageAt(now) < o.policy.lifetime
}

// left is for how much longer it is kept.
func (o *object) left(now time.Time) time.Duration { return o.keep - now.Sub(o.arrived) }

const (
	objectCost = 512 // an object, its header's map, and Go's allocator's rounding
	fieldCost  = 64  // a field's place in the map, and the slice of its values
)

// memory is what the object takes in memory, in bytes.
func (o *object) memory() int64 {
	n := int64(objectCost + len(o.why) + len(o.variant.values) + cap(o.body.inline))
	for name, values := range o.header {
		n += int64(fieldCost + len(name))
		for _, v := range values {
			n += int64(16 + len(v))
		}
	}
	for _, k := range o.keys {
		n += int64(16 + len(k))
	}
	if o.beneath != nil {
		n += o.beneath.memory()
	}
	return n
}

// shown is what the fields that the cache adds to a response say at a time, for those who ask within the same second.
type shown struct{ now atomic.Pointer[showing] }

type showing struct {
	age    int64 // in seconds
	ttl    int64 // likewise
	size   int64 // of the body
	fields struct{ age, status, length []string }
}
