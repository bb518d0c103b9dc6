package cache

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// strangerTime is how long an instance that does not run this Version of the cache is not asked again.
const strangerTime = 2 * time.Second

// strangers are the instances that are not asked for values: they do not run this cache, or another Version of it, or were forgotten and may
// not know that yet.
type strangers struct {
	any atomic.Bool // there may be some: until was added to

	// mu guards until.
	mu    sync.Mutex
	until map[Peer]time.Time
}

// add adds p for strangerTime.
func (s *strangers) add(p Peer) { s.addFor(p, strangerTime) }

func (s *strangers) addFor(p Peer, d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(s.until, func(_ Peer, until time.Time) bool { return !now.Before(until) })
	if s.until == nil {
		s.until = make(map[Peer]time.Time)
	}
	s.until[p] = now.Add(d)
	s.any.Store(true)
}

func (s *strangers) remove(p Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, p)
}

func (s *strangers) contains(p Peer) bool {
	if !s.any.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until, ok := s.until[p]
	return ok && time.Now().Before(until)
}
