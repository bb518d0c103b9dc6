package httpcache

import (
	"net/http"
	"time"
)

// An object is what the cache keeps for a key: a response; or the mark that there is none to share, and why.
// It does not change.
type object struct {
	pass string // not empty: a mark. Everybody asks the origin for himself, for this reason

	status   int
	header   http.Header
	body     []byte
	lifetime time.Duration // the freshness lifetime, which its age counts against
	age      time.Duration // when it arrived in this process
	arrived  time.Time     // on this process's monotonic clock
}

// ageAt returns the response's age (RFC 9111, 4.2.3). What the cache serves is never older than its lifetime,
// whatever the origin's clock says.
func (o *object) ageAt(now time.Time) time.Duration {
	return max(min(o.age+now.Sub(o.arrived), o.lifetime), 0)
}

const (
	objectCost = 256 // an object, its header's map, and Go's allocator's rounding
	fieldCost  = 64  // a field's place in the map, and the slice of its values
)

// size is what the object takes in memory, in bytes.
func (o *object) size() int64 {
	n := int64(objectCost + len(o.pass) + cap(o.body))
	for name, values := range o.header {
		n += int64(fieldCost + len(name))
		for _, v := range values {
			n += int64(16 + len(v))
		}
	}
	return n
}
