package rival

import (
	"context"

	"github.com/Yiling-J/theine-go"
)

// A theineCache has no loader, and so a Get that only looks.
type theineCache struct {
	*theine.Cache[string, []byte]
	weigh func(key string, value []byte) int64
}

// A theineLoading has one.
type theineLoading struct {
	*theine.LoadingCache[string, []byte]
	weigh func(key string, value []byte) int64
}

// onlyLook is the context of a Get that is not to load, where a library has none that only looks.
var onlyLook = context.WithValue(context.Background(), onlyLookKey{}, true)

type onlyLookKey struct{}

func openTheine(c Config) (Cache, error) {
	weigh, limit := c.weigher()
	b := theine.NewBuilder[string, []byte](limit)
	if !c.loads {
		cache, err := b.Build()
		if err != nil {
			return nil, err
		}
		return &theineCache{cache, weigh}, nil
	}
	cache, err := b.BuildWithLoader(func(ctx context.Context, key string) (theine.Loaded[[]byte], error) {
		if ctx.Value(onlyLookKey{}) != nil {
			return theine.Loaded[[]byte]{}, errAbsent
		}
		value, err := c.Load(key)
		if err != nil {
			return theine.Loaded[[]byte]{}, err
		}
		return theine.Loaded[[]byte]{Value: value, Cost: weigh(key, value)}, nil
	})
	if err != nil {
		return nil, err
	}
	return &theineLoading{cache, weigh}, nil
}

// Set implements Cache.
func (c *theineCache) Set(key string, value []byte) { c.Cache.Set(key, value, c.weigh(key, value)) }

// GetOrLoad implements Cache.
func (c *theineCache) GetOrLoad(key string) ([]byte, error) {
	if value, ok := c.Get(key); ok {
		return value, nil
	}
	return nil, errAbsent
}

// Settle implements Cache.
func (c *theineCache) Settle() { c.Wait() }

// Get implements Cache.
func (c *theineLoading) Get(key string) ([]byte, bool) {
	value, err := c.LoadingCache.Get(onlyLook, key)
	return value, err == nil
}

// Set implements Cache.
func (c *theineLoading) Set(key string, value []byte) {
	c.LoadingCache.Set(key, value, c.weigh(key, value))
}

// GetOrLoad implements Cache.
func (c *theineLoading) GetOrLoad(key string) ([]byte, error) {
	return c.LoadingCache.Get(context.Background(), key)
}

// Settle implements Cache.
func (c *theineLoading) Settle() { c.Wait() }

// Close implements Cache.
func (c *theineLoading) Close() { c.LoadingCache.Close() }
