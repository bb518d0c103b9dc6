// Package cache is a fill-through cache: Get returns a value from memory, or loads it, once, however many
// ask for it. With Config.Peers, the memories of all instances of a service are one cache: a key has one owner,
// which alone loads it, and the others ask the owner.
//
// One Get goes through the files of this package in this order:
//
//	cache.go    look in memory; fresh: return it; stale: return it and refresh behind; absent:
//	flight.go   join the flight that is under way for the key, or start one:
//	fill.go     a fill, if this instance owns the key: the only place that calls the loader
//	fetch.go    a fetch, if another one does: it asks the owner, or who takes over from it
//	serve.go    what the other side of a fetch does: look in memory, or join or start a fill
//
// Fills and fetches are kept apart: a fetch may wait for a fill, on this instance or another,
// but a fill only waits for the loader. The serving side has no way to ask who owns a key. So instances that
// disagree on the owner cost an extra load, and never a loop.
//
// This package uses the standard library alone, and no network: what reaches other instances is
// behind the interface Peers, which package peers implements.
//
// # Values
//
// A value is decoded once per instance and shared by everyone who gets it: nobody may change it, nor what it
// points to. A byte slice that a loader returns belongs to the cache from then on; Set copies the one that it is given.
//
// # Errors
//
// A Get returns what the loader returned, as it is; from a loader on another instance, it is a
// *RemoteError in which errors.Is finds ErrNotFound. If the loader panics or calls runtime.Goexit, so does every
// Get that waits for it in the same process. If a load has no turn in time, see Config.MaxLoads, the error is
// ErrOverloaded. Any other call that ends with its context returns the context's error.
package cache
