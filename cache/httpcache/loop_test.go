package httpcache

import (
	"net/http"
	"testing"
)

// A request that has been here before, at whatever instance, is refused; one that has been at a cache in front of this one is not.
func TestLoops(t *testing.T) {
	_, hs := startFleet(t, 2, Config{Transport: origin(200)})
	own := start(t, Config{Origin: "http://tier.test", Transport: origin(200)}).loop
	for _, tt := range []struct {
		method, loop string
		code         int
	}{
		{"GET", hs[0].loop, http.StatusLoopDetected},
		{"POST", hs[0].loop, http.StatusLoopDetected},
		{"GET", "other; a=b, " + hs[0].loop + " ; x", http.StatusLoopDetected},
		{"GET", "x" + hs[0].loop, 200},
		{"GET", own, 200},
		{"GET", "fleetcache", 200},
	} {
		if w := do(hs[1], tt.method, "/x", "Cdn-Loop: "+tt.loop); w.Code != tt.code {
			t.Errorf("%s with %s: %d, want %d", tt.method, tt.loop, w.Code, tt.code)
		}
	}
}
