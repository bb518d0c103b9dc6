package rival

import "golang.org/x/sync/singleflight"

// A store is a library without loading.
type store interface {
	Get(key string) ([]byte, bool)
	Set(key string, value []byte)
}

// A once loads a key once at a time, and stores it.
type once struct {
	group singleflight.Group
	store store
	load  func(key string) ([]byte, error)
}

func newOnce(s store, c Config) *once { return &once{store: s, load: c.Load} }

// GetOrLoad implements Cache.
func (o *once) GetOrLoad(key string) ([]byte, error) {
	if value, ok := o.store.Get(key); ok {
		return value, nil
	}
	v, err, _ := o.group.Do(key, func() (any, error) {
		value, err := o.load(key)
		if err == nil {
			o.store.Set(key, value)
		}
		return value, err
	})
	if err != nil {
		return nil, err
	}
	return v.([]byte), nil
}

// Settle implements Cache.
func (o *once) Settle() {}

// Close implements Cache.
func (o *once) Close() {}
