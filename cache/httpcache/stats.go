package httpcache

import (
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Stats are figures of one instance since it was made. Counters only grow.
type Stats struct {
	// Requests of this instance's clients, and how they were answered.
	Requests uint64
	Hits     uint64 // from this instance's memory
	PeerHits uint64 // from another one's memory
	Misses   uint64 // from the origin, and stored; those that waited for the same fill included
	Passed   uint64 // by the origin for this request alone: what it answers must not be shared
	Bypassed uint64 // by the origin for this request alone: the cache has no part in such requests
	Failed   uint64 // with 502 or 504, or not at all since the client had left

	// Fills by this instance, for its own clients and other instances.
	Fills      uint64 // requests to the origin
	Marks      uint64 // that brought what must not be shared
	FillErrors uint64 // that brought nothing

	Cache cache.Stats
}

type counters struct {
	requests, hits, peerHits, misses, passed, bypassed, failed atomic.Uint64
	fills, marks, fillErrors                                   atomic.Uint64
}

// Stats returns the Handler's figures. They are read one after the other while it is in use.
func (h *Handler) Stats() Stats {
	n := &h.count
	return Stats{
		Requests: n.requests.Load(),
		Hits:     n.hits.Load(), PeerHits: n.peerHits.Load(), Misses: n.misses.Load(),
		Passed: n.passed.Load(), Bypassed: n.bypassed.Load(), Failed: n.failed.Load(),
		Fills: n.fills.Load(), Marks: n.marks.Load(), FillErrors: n.fillErrors.Load(),
		Cache: h.cache.Stats(),
	}
}
