package cache

import (
	"sync"
	"time"
)

const (
	// maxIdle bounds the goroutines that wait for the next task.
	maxIdle = 32
	// idleTime is how long one waits at least, and it is twice that at most.
	idleTime = time.Second
)

// workers are the goroutines of a cache's tasks. Each does one after the other: a goroutine that is new has a small stack, and
// to make it larger again and again takes a third of the time of a load that has nothing to wait for. Those that have nothing to do end by themselves, after
// a while, or with the cache. The zero value is ready.
type workers struct {
	// mu guards what follows. It is a leaf.
	mu     sync.Mutex
	idle   []chan task // the one that has waited longest first
	unused int         // of these, from the first on: have waited since the last sweep
	swept  bool        // a sweep is to come
	closed bool
}

// do has t done at once.
func (ws *workers) do(t task) {
	ws.mu.Lock()
	n := len(ws.idle) - 1
	if n < 0 {
		ws.mu.Unlock()
		go ws.work(t)
		return
	}
	next := ws.idle[n]
	ws.idle[n] = nil
	ws.idle = ws.idle[:n]
	ws.unused = min(ws.unused, n)
	ws.mu.Unlock()
	next <- t // there is room for one
}

// work does t, and then what there is. If a loader calls runtime.Goexit, that ends it.
func (ws *workers) work(t task) {
	next := make(chan task, 1)
	for ok := true; ok; t, ok = <-next {
		do(t)
		if !ws.wait(next) {
			return
		}
	}
}

// wait notes that next is to be told of another task, or returns false if there is none for it.
func (ws *workers) wait(next chan task) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed || len(ws.idle) == maxIdle {
		return false
	}
	ws.idle = append(ws.idle, next)
	if !ws.swept {
		ws.swept = true
		time.AfterFunc(idleTime, ws.sweep)
	}
	return true
}

// sweep ends those that have waited since the last sweep.
func (ws *workers) sweep() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.endLocked(ws.unused)
	ws.unused = len(ws.idle)
	if ws.swept = len(ws.idle) > 0; ws.swept {
		time.AfterFunc(idleTime, ws.sweep)
	}
}

// close ends those that wait, and each of the others when it has done its task.
func (ws *workers) close() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.closed = true
	ws.endLocked(len(ws.idle))
}

// endLocked ends the first n. ws.mu must be held.
func (ws *workers) endLocked(n int) {
	for _, next := range ws.idle[:n] {
		close(next)
	}
	kept := copy(ws.idle, ws.idle[n:])
	clear(ws.idle[kept:])
	ws.idle = ws.idle[:kept]
	ws.unused = 0
}
