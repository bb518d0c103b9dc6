// Package memory is the byte-bounded store of one process: what it caches, which loads and
// fetches are running, and which keys are fenced.
//
// The store is divided into shards by a hash of the key. One lock a shard guards entry, flight and fence
// of a key together, so that every step that correctness hangs on is one critical section: look up or join or
// start; end a flight and store what it brought, unless it was detached; drop, detach and hold. A hit takes no lock; see table.go.
//
// Eviction is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023) per shard, with shares of the queues
// that follow the ghosts and a test period for what comes back; see policy.go, and docs/eviction.md for what was tried. Bytes are accounted globally: room is reserved
// before an entry is linked and given back after it is unlinked, so that the sum never exceeds
// the budget, at any moment, and a skew between shards wastes nothing. Values of one's own and mirrors have
// a budget each. A mirror is kept of what is fetched a second time; see door.go.
//
// What has a tag is invalidated by a number: each fence of a tag gets the next one, and an item keeps that at which it was begun. An item
// that is asked for after its tag's number has passed is none; see tags.go.
//
// An item is refreshed before its time is over as Vattani, Chierichetti and Lowenstein propose ("Optimal Probabilistic Cache
// Stampede Prevention", VLDB 2015); see early.go.
//
// Nothing here has a timer: what has expired is dropped when it is met, by a look-up or by
// insertions, which look at a few entries each, round and round.
package memory
