package cache

import "sync/atomic"

// Stats are figures of one instance's cache since it was made. Counters only grow.
type Stats struct {
	// Look-ups in this instance's memory, by its own callers and by other instances.
	Hits       uint64 // found fresh, and owned by this instance
	MirrorHits uint64 // found fresh, as a mirror of what another instance owns
	StaleHits  uint64 // found stale, and served so
	Misses     uint64 // not found

	Joins uint64 // waited for a load or fetch that another caller had begun

	// Loads, in keys.
	Loads      uint64 // asked of the loader
	LoadErrors uint64 // failed, other than with ErrNotFound
	Overloads  uint64 // had no turn before everyone had left, or in time: see ErrOverloaded. Not in Loads
	LoadPanics uint64 // calls of the loader, or of the Carrier for it, that panicked or called runtime.Goexit

	// Refreshes that were begun in the background, in keys.
	Refreshes      uint64 // of values that were stale, or about to be
	EarlyRefreshes uint64 // of these, of values that were fresh

	// Requests to other instances, in keys.
	Fetches       uint64 // asked of another instance
	FetchHits     uint64 // answered from that instance's memory
	FetchFailures uint64 // not keys but requests to which an instance gave no usable answer
	Takeovers     uint64 // loaded here because the instances that come first for the key did not answer
	LastResorts   uint64 // loaded here, and not kept, because too many did not answer
	Hedges        uint64 // asked of the instance that comes next, since the owner took longer than it hardly ever does
	HedgesWon     uint64 // of these, answered from there before the owner did
	Peeks         uint64 // asked, before a load, of the instance that owned the key before
	PeekHits      uint64 // of these, found there, and not loaded
	Pulled        uint64 // taken over from the instance that owned the key before, without being asked for
	Promoted      uint64 // found in a copy that this instance had in case the owner fails, and not loaded

	// Requests by other instances, in keys.
	Served     uint64 // asked for
	ServedHits uint64 // of these, answered from memory

	// By this instance's callers; Removes in keys, and RemovedTags in tags.
	Sets, Removes, RemovedTags, Clears uint64
	Missed                             uint64 // invalidations that this instance heard of afterwards, since it could not be reached
	Gaps                               uint64 // how often it dropped everything, since nobody knew any more what it had missed

	Evictions uint64 // values that made room for others
	Expired   uint64 // values that were dropped because their time was over
	Rejected  uint64 // values that were too large to be kept, or came when all room was being taken

	// What is held now.
	Entries     int
	Bytes       int64 // of keys, values and bookkeeping, mirrors and copies included; at most MaxBytes
	MirrorBytes int64 // of Bytes, what mirrors take
	CopyBytes   int64 // of Bytes, what copies take that this instance has in case another one fails
	Copies      int   // how many of these there are; not in Entries
	MaxBytes    int64
	Flights     int  // loads and fetches under way
	Waiting     int  // of these, loads that wait for their turn; a LoadMany counts as one
	Joining     bool // the instance shakes hands with others, and keeps nothing of what it gets until it has done so
}

// counters are the counters of Stats that are not the store's.
type counters struct {
	joins, loads, loadErrors, loadPanics, overloads atomic.Uint64
	refreshes, earlyRefreshes                       atomic.Uint64
	fetches, fetchHits, fetchFailures               atomic.Uint64
	takeovers, lastResorts, served, servedHits      atomic.Uint64
	peeks, peekHits, pulled, promoted               atomic.Uint64
	hedges, hedgesWon                               atomic.Uint64
	sets, removes, removedTags, clears              atomic.Uint64
	missed, gaps                                    atomic.Uint64
}

// Stats returns the cache's figures. They are read one after the other while the cache is in use.
func (c *Cache[K, V]) Stats() Stats {
	u := c.store.Usage()
	n := &c.count
	return Stats{
		Hits: u.Hits, MirrorHits: u.MirrorHits, StaleHits: u.StaleHits, Misses: u.Misses,
		Joins: n.joins.Load(),
		Loads: n.loads.Load(), LoadErrors: n.loadErrors.Load(), Overloads: n.overloads.Load(), LoadPanics: n.loadPanics.Load(),
		Refreshes: n.refreshes.Load(), EarlyRefreshes: n.earlyRefreshes.Load(),
		Fetches: n.fetches.Load(), FetchHits: n.fetchHits.Load(), FetchFailures: n.fetchFailures.Load(),
		Takeovers: n.takeovers.Load(), LastResorts: n.lastResorts.Load(),
		Hedges: n.hedges.Load(), HedgesWon: n.hedgesWon.Load(),
		Peeks: n.peeks.Load(), PeekHits: n.peekHits.Load(), Pulled: n.pulled.Load(), Promoted: n.promoted.Load(), Missed: n.missed.Load(), Gaps: n.gaps.Load(),
		Served: n.served.Load(), ServedHits: n.servedHits.Load(),
		Sets: n.sets.Load(), Removes: n.removes.Load(), RemovedTags: n.removedTags.Load(), Clears: n.clears.Load(),
		Evictions: u.Evictions, Expired: u.Expired, Rejected: u.Rejected,
		Entries: u.Entries, Bytes: u.Bytes, MirrorBytes: u.MirrorBytes, CopyBytes: u.CopyBytes, Copies: u.Copies,
		MaxBytes: c.cfg.MaxBytes, Flights: u.Flights, Waiting: int(c.waiting.Load()), Joining: c.store.Isolated(),
	}
}
