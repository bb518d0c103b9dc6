package stampede

import (
	"context"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// An aside is what a program does without a library: a map with a TTL, and who finds nothing there loads and stores it.
type aside struct {
	ttl    time.Duration
	origin *origin

	// mu guards values.
	mu     sync.Mutex
	values map[string]timed
}

type timed struct {
	value []byte
	until time.Time
}

func newAside(ttl time.Duration, o *origin) *aside {
	return &aside{ttl: ttl, origin: o, values: make(map[string]timed)}
}

func (a *aside) get(ctx context.Context, key string) ([]byte, error) {
	if value, ok := a.find(key); ok {
		return value, nil
	}
	return a.load(ctx, key)
}

func (a *aside) find(key string) ([]byte, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.values[key]
	return t.value, ok && time.Now().Before(t.until)
}

func (a *aside) load(ctx context.Context, key string) ([]byte, error) {
	value, err := a.origin.load(ctx, key)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.values[key] = timed{value, time.Now().Add(a.ttl)}
	return value, nil
}

// A once is an aside that loads a key once at a time in its process.
type once struct {
	aside *aside
	group singleflight.Group[string, []byte]
}

func newOnce(ttl time.Duration, o *origin) *once { return &once{aside: newAside(ttl, o)} }

func (s *once) get(ctx context.Context, key string) ([]byte, error) {
	if value, ok := s.aside.find(key); ok {
		return value, nil
	}
	value, _, err := s.group.Do(ctx, key, func(ctx context.Context, _ *singleflight.Ticket) ([]byte, error) {
		if value, ok := s.aside.find(key); ok {
			return value, nil
		}
		return s.aside.load(ctx, key)
	})
	return value, err
}
