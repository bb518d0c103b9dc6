package clients

import (
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// An origin remembers what it was asked for.
type origin struct {
	url string

	mu    sync.Mutex               // guards asked
	asked map[string][]http.Header // by method and target, such as "GET /a?b"
}

// startOrigin serves h until the end of the test.
func startOrigin(t *testing.T, h http.HandlerFunc) *origin {
	t.Helper()
	o := &origin{asked: make(map[string][]http.Header)}
	o.url = processtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		what := r.Method + " " + r.URL.RequestURI()
		o.asked[what] = append(o.asked[what], r.Header.Clone())
		o.mu.Unlock()
		h(w, r)
	})
	return o
}

// requests returns the headers of the requests that came so far, such as of "GET /a?b".
func (o *origin) requests(what string) []http.Header {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.asked[what])
}

// wantRequests fails the test if the origin was not asked n times.
func (o *origin) wantRequests(t *testing.T, what string, n int) {
	t.Helper()
	if got := o.requests(what); len(got) != n {
		t.Errorf("the origin had %s %d times, want %d: %v", what, len(got), n, got)
	}
}
