// Package rival has the caches of one process that are measured side by side, fleetcache's own among them, each behind the same
// few methods. Keys are strings and values byte slices that nobody changes. What a library has for loading is used where
// it has something; where it has nothing, golang.org/x/sync/singleflight stands in front of it, as its users put it there.
package rival

import (
	"errors"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/named"
)

// A Cache is one library's. Its methods may be called concurrently.
type Cache interface {
	// Get returns what is in memory. It counts as a use.
	Get(key string) (value []byte, ok bool)
	// Set stores value, now or soon, or decides not to.
	Set(key string, value []byte)
	// GetOrLoad returns what is in memory, or runs Config.Load, once for all who wait, and stores what it returns.
	GetOrLoad(key string) ([]byte, error)
	// Settle returns when what was stored and used so far has been taken into account. It does nothing where that is so at once.
	Settle()
	Close()
}

// A Config says how much a cache holds. One of Entries, Bytes and Weight is needed; which ones a kind can do with, it says.
type Config struct {
	// Entries is how many entries the cache holds, or with Bytes or Weight about how many it will hold.
	Entries int64

	// Bytes is how many bytes keys and values take, together with what the library itself counts beside them. What counts no bytes
	// goes by Entries.
	Bytes int64

	// Weight is what the entries' weights may add up to; Weigh returns an entry's, which is at least 1.
	Weight int64
	Weigh  func(key string, value []byte) int64

	// Load gets what GetOrLoad does not find. nil: GetOrLoad is not called; some libraries are faster in Get then.
	Load func(key string) ([]byte, error)

	// Replay is for a trace that one goroutine replays much faster than it was recorded: maintenance that a library runs on
	// goroutines of its own runs on the caller's where it lets one choose that, and a clock that ticks in seconds ticks
	// with each call.
	Replay bool

	loads bool // Load was given
}

// What a kind can be bounded by.
const (
	ByEntries Bound = 1 << iota
	ByBytes
	ByWeight
)

// A Bound is a set of these.
type Bound uint8

// A Kind is a library, or one of its policies.
type Kind struct {
	Name, About string
	Bound       Bound
	Async       bool  // it takes uses or sets into account on goroutines of its own, or some calls later
	EntryBytes  int64 // what an entry takes beside its key and value of Config.Bytes, where only these bound it
	open        func(Config) (Cache, error)
}

// The names of this library's own kinds.
const (
	Fleetcache = "fleetcache"
	Arena      = "fleetcache-arena"
)

// All returns all kinds, this library's first.
func All() []Kind {
	return []Kind{
		{Fleetcache, "this library, through package cache: Get with a loader", ByEntries | ByBytes | ByWeight, false, 0, openFleetcache},
		{Arena, "this library with Config.Arena: entries in chunks that the garbage collector does not look into", ByEntries | ByBytes | ByWeight, false, 0, openFleetcacheArena},
		{"otter", "maypok86/otter: adaptive W-TinyLFU, Get with a Loader", ByEntries | ByBytes | ByWeight, true, 0, openOtter},
		{"theine", "Yiling-J/theine-go: adaptive W-TinyLFU, a LoadingCache", ByEntries | ByBytes | ByWeight, true, 0, openTheine},
		{"ristretto", "dgraph-io/ristretto: TinyLFU admission, sampled LFU eviction", ByEntries | ByBytes | ByWeight, true, 0, openRistretto},
		{"golang-lru", "hashicorp/golang-lru: LRU behind one lock", ByEntries, false, 0, openLRU},
		{"golang-lru-2q", "hashicorp/golang-lru: 2Q behind one lock", ByEntries, false, 0, open2Q},
		{"golang-lru-arc", "hashicorp/golang-lru: ARC behind one lock", ByEntries, false, 0, openARC},
		{"groupcache", "golang/groupcache/lru: LRU, with the lock, the count of bytes and the singleflight of its Group", ByEntries | ByBytes | ByWeight, false, 0, openGroupcache},
		{"freecache", "coocood/freecache: a ring of bytes per segment, near to LRU", ByBytes, false, freecacheEntry, openFreecache},
		{"bigcache", "allegro/bigcache: a ring of bytes per shard, FIFO", ByBytes, false, bigcacheEntry, openBigcache},
	}
}

// Names returns the names of kinds.
func Names(kinds []Kind) []string { return named.Names(kinds, nameOf) }

func nameOf(k Kind) string { return k.Name }

// Named returns the kinds with these names, or all if there are none.
func Named(names ...string) ([]Kind, error) {
	if len(names) == 0 {
		return All(), nil
	}
	return named.Find(All(), nameOf, "there is no kind", names)
}

// Open makes a cache of kind k. It must be closed.
func (k Kind) Open(c Config) (Cache, error) {
	if err := c.check(k.Bound); err != nil {
		return nil, fmt.Errorf("%s: %w", k.Name, err)
	}
	if c.loads = c.Load != nil; !c.loads {
		c.Load = func(string) ([]byte, error) { return nil, errAbsent }
	}
	cache, err := k.open(c)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Name, err)
	}
	return cache, nil
}

func (c Config) check(b Bound) error {
	switch {
	case c.Entries < 0 || c.Bytes < 0 || c.Weight < 0:
		return fmt.Errorf("Config.Entries is %d, Bytes %d and Weight %d: none may be negative", c.Entries, c.Bytes, c.Weight)
	case (c.Weight > 0) != (c.Weigh != nil):
		return errors.New("Config.Weight and Weigh go together: set both or none")
	case c.Weight > 0 && c.Bytes > 0:
		return errors.New("Config.Weight and Bytes are both set: choose one")
	case c.Weight > 0 && b&ByWeight == 0:
		return errors.New("it cannot weigh entries: leave it out, or set Entries or Bytes")
	case c.Weight > 0, c.Bytes > 0 && b&ByBytes != 0, c.Entries > 0 && b&ByEntries != 0:
		return nil
	case b&ByEntries != 0:
		return errors.New("Config.Entries is 0: say how many entries it is to hold")
	}
	return errors.New("Config.Bytes is 0: it stores bytes, and can be bounded by nothing else")
}

// errAbsent is what a loader returns for a Get that is not to load.
var errAbsent = errors.New("it is not in memory")

// weigher returns how an entry's cost is measured where a library has one number for that, and how much fits.
func (c Config) weigher() (weigh func(key string, value []byte) int64, limit int64) {
	switch {
	case c.Weight > 0:
		return c.Weigh, c.Weight
	case c.Bytes > 0:
		return func(key string, value []byte) int64 { return int64(len(key) + len(value)) }, c.Bytes
	}
	return func(string, []byte) int64 { return 1 }, c.Entries
}
