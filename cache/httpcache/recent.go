package httpcache

import (
	"sync"
	"time"
)

// A background runs one function for each key at a time, until it is closed. The zero value is ready.
type background struct {
	mu      sync.Mutex // guards what follows; functions begin under it
	running map[string]bool
	closed  bool
	all     sync.WaitGroup
}

// start runs f, unless something runs for key.
func (b *background) start(key string, f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.running[key] {
		return
	}
	if b.running == nil {
		b.running = make(map[string]bool)
	}
	b.running[key] = true
	b.all.Go(func() {
		defer b.end(key)
		f()
	})
}

func (b *background) end(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.running, key)
}

// close waits until all that runs has ended. Nothing is started afterwards.
func (b *background) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.all.Wait()
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
