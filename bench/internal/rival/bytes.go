package rival

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/allegro/bigcache/v3"
	"github.com/coocood/freecache"
)

// freecacheEntry and bigcacheEntry are what an entry takes in these, beside its key and value.
const (
	freecacheEntry = 24
	bigcacheEntry  = 18 + 2 // and the length of the whole, which takes two bytes for values of 128 bytes to 16 KiB
)

type freecacheCache struct {
	*once
	freecacheStore
}

type freecacheStore struct{ cache *freecache.Cache }

// ticks are a clock that a call of it moves on by a second: freecache evicts what was used less lately than the average, in seconds.
type ticks struct{ n atomic.Uint32 }

// Now implements freecache.Timer.
func (t *ticks) Now() uint32 { return t.n.Add(1) }

func openFreecache(c Config) (Cache, error) {
	var timer freecache.Timer
	if c.Replay {
		timer = new(ticks)
	}
	s := freecacheStore{freecache.NewCacheCustomTimer(int(c.Bytes), timer)}
	return &freecacheCache{newOnce(s, c), s}, nil
}

// Get implements Cache.
func (s freecacheStore) Get(key string) ([]byte, bool) {
	value, err := s.cache.Get([]byte(key))
	return value, err == nil
}

// Set implements Cache. The error is that the entry is too large.
func (s freecacheStore) Set(key string, value []byte) { _ = s.cache.Set([]byte(key), value, 0) }

type bigcacheCache struct {
	*once
	bigcacheStore
}

type bigcacheStore struct{ cache *bigcache.BigCache }

func openBigcache(c Config) (Cache, error) {
	const mib = 1 << 20
	config := bigcache.DefaultConfig(1000 * time.Hour)
	config.CleanWindow = 0 // nothing expires here
	config.Verbose = false
	config.HardMaxCacheSize = int(max(c.Bytes/mib, 1))
	config.Shards = 1
	for config.Shards < 1024 && config.Shards*mib <= int(c.Bytes) { // its default is 1024, of which each would hold next to nothing
		config.Shards *= 2
	}
	if c.Entries > 0 {
		config.MaxEntriesInWindow = int(c.Entries)
		config.MaxEntrySize = int(c.Bytes/c.Entries) + bigcacheEntry
	} else {
		config.MaxEntriesInWindow = int(c.Bytes >> 10)
		config.MaxEntrySize = 1 << 10
	}
	cache, err := bigcache.New(context.Background(), config)
	if err != nil {
		return nil, err
	}
	s := bigcacheStore{cache}
	return &bigcacheCache{newOnce(s, c), s}, nil
}

// Get implements Cache.
func (s bigcacheStore) Get(key string) ([]byte, bool) {
	value, err := s.cache.Get(key)
	return value, err == nil
}

// Set implements Cache. The error is that the entry is too large.
func (s bigcacheStore) Set(key string, value []byte) { _ = s.cache.Set(key, value) }

// Close implements Cache.
func (c *bigcacheCache) Close() { _ = c.cache.Close() } // it always returns nil
