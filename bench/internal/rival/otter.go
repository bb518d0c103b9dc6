package rival

import (
	"context"
	"math"

	"github.com/maypok86/otter/v2"
)

type otterCache struct {
	*otter.Cache[string, []byte]
	loader otter.Loader[string, []byte]
}

func openOtter(c Config) (Cache, error) {
	var o otter.Options[string, []byte]
	if weigh, limit := c.weigher(); c.Weight > 0 || c.Bytes > 0 {
		o.MaximumWeight = uint64(limit)
		o.Weigher = func(key string, value []byte) uint32 { return uint32(min(weigh(key, value), math.MaxUint32)) }
	} else {
		o.MaximumSize = int(limit)
	}
	if c.Replay {
		o.Executor = func(run func()) { run() }
	}
	cache, err := otter.New(&o)
	if err != nil {
		return nil, err
	}
	loader := otter.LoaderFunc[string, []byte](func(_ context.Context, key string) ([]byte, error) { return c.Load(key) })
	return &otterCache{cache, loader}, nil
}

// Get implements Cache.
func (c *otterCache) Get(key string) ([]byte, bool) { return c.GetIfPresent(key) }

// Set implements Cache.
func (c *otterCache) Set(key string, value []byte) { c.Cache.Set(key, value) }

// GetOrLoad implements Cache.
func (c *otterCache) GetOrLoad(key string) ([]byte, error) {
	return c.Cache.Get(context.Background(), key, c.loader)
}

// Settle implements Cache.
func (c *otterCache) Settle() { c.CleanUp() }

// Close implements Cache.
func (c *otterCache) Close() {
	c.InvalidateAll()
	c.StopAllGoroutines()
}
