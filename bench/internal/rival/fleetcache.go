package rival

import (
	"context"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

type fleetcache struct {
	cache *cache.Cache[string, []byte]
	size  func(key string, value []byte) int64 // of an Entry
}

func openFleetcache(c Config) (Cache, error)      { return sized(c, false) }
func openFleetcacheArena(c Config) (Cache, error) { return sized(c, true) }

func sized(c Config, arena bool) (Cache, error) {
	if c.Weight == 0 && c.Bytes > 0 {
		return newFleetcache(c, c.Bytes, arena, func(string, []byte) int64 { return 0 }) // as long as it is
	}
	weigh, limit := c.weigher()
	s, err := scaleFor(limit, c.Entries, arena)
	if err != nil {
		return nil, err
	}
	return newFleetcache(c, s.maxBytes, arena, func(key string, value []byte) int64 { return s.size(key, weigh(key, value)) })
}

func newFleetcache(c Config, maxBytes int64, arena bool, size func(key string, value []byte) int64) (*fleetcache, error) {
	inner, err := cache.New(cache.Config[string, []byte]{
		MaxBytes: maxBytes, Arena: arena, InlineLoads: true, // nobody leaves, as with the others
		Load: func(ctx context.Context, key string) (cache.Entry[[]byte], error) {
			if ctx.Value(onlyLookKey{}) != nil {
				return cache.Entry[[]byte]{}, cache.ErrNotFound
			}
			value, err := c.Load(key)
			if err != nil {
				return cache.Entry[[]byte]{}, err
			}
			return cache.Entry[[]byte]{Value: value, Size: size(key, value)}, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("MaxBytes %d: %w", maxBytes, err)
	}
	return &fleetcache{inner, size}, nil
}

// Get implements Cache. Peek would leave no trace.
func (f *fleetcache) Get(key string) ([]byte, bool) {
	value, err := f.cache.Get(onlyLook, key)
	return value, err == nil
}

// Set implements Cache. The error of a fleet of one is that the cache is closed.
func (f *fleetcache) Set(key string, value []byte) {
	_ = f.cache.Set(context.Background(), key, cache.Entry[[]byte]{Value: value, Size: f.size(key, value)})
}

// GetOrLoad implements Cache.
func (f *fleetcache) GetOrLoad(key string) ([]byte, error) {
	return f.cache.Get(context.Background(), key)
}

// Settle implements Cache.
func (f *fleetcache) Settle() {}

// Close implements Cache.
func (f *fleetcache) Close() { _ = f.cache.Close() }
