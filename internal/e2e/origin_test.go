//go:build linux

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// originDelay is how long a load takes before it reads, and after that.
const originDelay = time.Millisecond

// An origin has objects with versions, which may be kept for an hour. A PUT or a POST makes the next version. Reads and writes are
// linearizable.
type origin struct {
	url string

	mu      sync.Mutex     // guards what follows
	version map[string]int // by path; 0: never written
	loads   map[string]int // GETs by path
}

func startOrigin(t *testing.T) *origin {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{url: "http://" + l.Addr().String(), version: make(map[string]int), loads: make(map[string]int)}
	s := &http.Server{Handler: o}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return o
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if r.Method != http.MethodGet {
		o.mu.Lock()
		o.version[path]++
		w.Header().Set("X-Version", strconv.Itoa(o.version[path]))
		o.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		return
	}
	time.Sleep(originDelay)
	o.mu.Lock()
	o.loads[path]++
	version := o.version[path]
	o.mu.Unlock()
	time.Sleep(originDelay)
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("X-Version", strconv.Itoa(version))
	fmt.Fprintf(w, "%s %d", path, version)
}

// latest returns the newest version of an object.
func (o *origin) latest(path string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.version[path]
}

// loadsOf returns how often objects were loaded, by path.
func (o *origin) loadsOf(paths []string) map[string]int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := make(map[string]int)
	for _, p := range paths {
		n[p] = o.loads[p]
	}
	return n
}
