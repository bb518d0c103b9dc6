package processtest

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
)

// Objects are at an origin that counts how often they are loaded. They may be kept for an hour.
type Objects struct {
	URL   string // of the origin
	Count int

	loads atomic.Int64
}

// ServeObjects serves so many objects until the end of the test.
func ServeObjects(t *testing.T, count int) *Objects {
	t.Helper()
	o := &Objects{Count: count}
	o.URL = Serve(t, func(w http.ResponseWriter, r *http.Request) {
		o.loads.Add(1)
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = io.WriteString(w, r.URL.Path) // if the client is there still
	})
	return o
}

// Get gets all objects from each of the instances, and returns how often any was loaded so far.
func (o *Objects) Get(t *testing.T, all ...*Webcache) (loads int) {
	t.Helper()
	for i := range o.Count {
		for _, w := range all {
			path := fmt.Sprintf("/object/%d", i)
			if status, body, header := Fetch(t, w.URL+path); status != http.StatusOK || body != path {
				t.Errorf("%s%s: %d %q %v", w.URL, path, status, body, header)
			}
		}
	}
	return int(o.loads.Load())
}
