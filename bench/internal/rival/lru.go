package rival

import (
	"sync"

	glru "github.com/golang/groupcache/lru"
	gflight "github.com/golang/groupcache/singleflight"
	"github.com/hashicorp/golang-lru/arc/v2"
	"github.com/hashicorp/golang-lru/v2"
)

// A hashicorp is one of golang-lru's caches.
type hashicorp struct {
	*once
	hashicorpStore
}

type hashicorpStore struct {
	get func(key string) ([]byte, bool)
	set func(key string, value []byte)
}

// Get implements Cache.
func (s hashicorpStore) Get(key string) ([]byte, bool) { return s.get(key) }

// Set implements Cache.
func (s hashicorpStore) Set(key string, value []byte) { s.set(key, value) }

func openHashicorp(c Config, s hashicorpStore) Cache {
	return &hashicorp{newOnce(s, c), s}
}

func openLRU(c Config) (Cache, error) {
	l, err := lru.New[string, []byte](int(c.Entries))
	if err != nil {
		return nil, err
	}
	return openHashicorp(c, hashicorpStore{l.Get, func(key string, value []byte) { l.Add(key, value) }}), nil
}

func open2Q(c Config) (Cache, error) {
	l, err := lru.New2Q[string, []byte](int(c.Entries))
	if err != nil {
		return nil, err
	}
	return openHashicorp(c, hashicorpStore{l.Get, l.Add}), nil
}

func openARC(c Config) (Cache, error) {
	l, err := arc.NewARC[string, []byte](int(c.Entries))
	if err != nil {
		return nil, err
	}
	return openHashicorp(c, hashicorpStore{l.Get, l.Add}), nil
}

// A groupcache does with golang/groupcache's lru what a Group does with it in one process: a Group itself is registered for good
// under its name, and could not be closed.
type groupcache struct {
	weigh  func(key string, value []byte) int64
	limit  int64
	load   func(key string) ([]byte, error)
	flight gflight.Group

	// mu guards what follows.
	mu   sync.Mutex
	lru  *glru.Cache
	used int64
}

func openGroupcache(c Config) (Cache, error) {
	g := &groupcache{load: c.Load}
	g.weigh, g.limit = c.weigher()
	g.lru = &glru.Cache{OnEvicted: func(key glru.Key, value any) { g.used -= g.weigh(key.(string), value.([]byte)) }}
	return g, nil
}

// Get implements Cache.
func (g *groupcache) Get(key string) ([]byte, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v, ok := g.lru.Get(key)
	if !ok {
		return nil, false
	}
	return v.([]byte), true
}

// Set implements Cache. A Group never stores a key that it has; Set may.
func (g *groupcache) Set(key string, value []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lru.Remove(key)
	g.lru.Add(key, value)
	g.used += g.weigh(key, value)
	for g.used > g.limit {
		g.lru.RemoveOldest()
	}
}

// GetOrLoad implements Cache.
func (g *groupcache) GetOrLoad(key string) ([]byte, error) {
	if value, ok := g.Get(key); ok {
		return value, nil
	}
	v, err := g.flight.Do(key, func() (any, error) {
		if value, ok := g.Get(key); ok { // as a Group does: another flight may have ended in between
			return value, nil
		}
		value, err := g.load(key)
		if err == nil {
			g.Set(key, value)
		}
		return value, err
	})
	if err != nil {
		return nil, err
	}
	return v.([]byte), nil
}

// Settle implements Cache.
func (g *groupcache) Settle() {}

// Close implements Cache.
func (g *groupcache) Close() {}
