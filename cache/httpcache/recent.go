package httpcache

import (
	"sync"
	"time"
)

// A keySet is a set of keys. The zero value is empty.
type keySet struct {
	mu   sync.Mutex // guards keys
	keys map[string]bool
}

// begin adds a key, and reports whether it was not there.
func (s *keySet) begin(key string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[key] {
		return false
	}
	if s.keys == nil {
		s.keys = make(map[string]bool)
	}
	s.keys[key] = true
	return true
}

// end removes a key.
func (s *keySet) end(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, key)
}

// recent is a bounded set of keys that were noted not long ago. The zero value is empty.
type recent struct {
	mu    sync.Mutex // guards until
	until map[string]time.Time
}

// maxRecent bounds the keys of a recent.
const maxRecent = 4096

// note adds a key for a while.
func (r *recent) note(key string, while time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if r.until == nil {
		r.until = make(map[string]time.Time)
	}
	if len(r.until) >= maxRecent {
		for k, until := range r.until {
			if now.After(until) || len(r.until) >= maxRecent {
				delete(r.until, k)
			}
		}
	}
	r.until[key] = now.Add(while)
}

// has reports whether a key was noted.
func (r *recent) has(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.until[key])
}
