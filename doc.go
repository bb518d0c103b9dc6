// Package fleetcache is one cache made of the memories of all instances of a service.
//
// An application imports a fill-through cache, package cache: Get returns a value from memory, or loads it with the
// function that the application gave. With a pool of peers, package peers, the instances of the service share their
// memories over HTTP, on the port that the service has already. There is no server to run.
//
// Consistent hashing gives every key one owner among the instances, the same one whoever looks. The owner alone loads the
// key, once, however many callers on however many instances want it at that moment; the others ask the owner, and keep
// for a short time what they ask for often. When a value changes, Remove or Set invalidates it everywhere before it
// returns. When an owner does not answer, the next instance in the key's own order takes over.
//
// The packages. Each imports only those above it, and its own subpackages:
//
//	singleflight      one call of a function for all who want its result at the same time
//	cache             the cache
//	cache/httpcache   a shared HTTP cache on top of it
//	peers             who owns a key, and the way there
//	peers/ring        placement alone
//	peers/peerstest   a fleet in memory, with faults, for tests
//
// example/quickstart is a page of code, example/webcache a service. docs/design.md says how
// it works, and docs/guarantees.md what it promises. This package exports nothing.
package fleetcache
