package httpcache

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Ten users ask for one URL at the same moment, at three instances. What one gets must reach nobody else, nobody waits for another one's, and each
// request is one of the origin's.
func TestLeakProbe(t *testing.T) {
	tests := []struct{ name, field, header string }{
		{"private", "X-User", "Cache-Control: private, max-age=60"},
		{"private to a cookie", "Cookie", "Cache-Control: private, max-age=60"},
		{"private to an authorization", "Authorization", "Cache-Control: private, max-age=60"},
		{"no-store", "X-User", "Cache-Control: no-store, max-age=60"},
		{"no-store for a cookie", "Cookie", "Cache-Control: no-store"},
		{"set-cookie", "X-User", "Set-Cookie: session=%s\r\nCache-Control: public, max-age=60"},
		{"set-cookie for a cookie", "Cookie", "Set-Cookie: session=%s\r\nCache-Control: public, max-age=60"},
		{"authorization", "Authorization", "Cache-Control: max-age=60"}, // RFC 9111, 3.5
		{"no-cache without a validator", "X-User", "Cache-Control: no-cache, max-age=60"},
		{"vary by everything", "X-User", "Vary: *\r\nCache-Control: max-age=60"},
		{"malformed", "X-User", "Cache-Control: max-age=60, =private"},
		{"nothing", "X-User", "X-Nothing: 1"},
		{"nothing for a cookie", "Cookie", "X-Nothing: 1"},
	}
	for _, tt := range tests {
		for _, latency := range []time.Duration{0, 100 * time.Millisecond} {
			t.Run(fmt.Sprint(tt.name, latency), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { probe(t, tt.field, tt.header, latency) })
			})
		}
	}
}

func probe(t *testing.T, field, header string, latency time.Duration) {
	o := personal(field, header, latency)
	_, hs := startFleet(t, 3, Config{Transport: o})
	for round := range 3 {
		begin := time.Now()
		var wg sync.WaitGroup
		for u := range 10 {
			wg.Go(func() { getMine(t, hs[(u+round)%3], field, header, u) })
		}
		wg.Wait()
		d, bound := time.Since(begin), max(latency*11/10, minPatience)
		if round == 0 && field == "X-User" {
			bound = 2 * latency // nothing tells that they are users: they wait for the header of the first one's
		}
		if d > bound {
			t.Errorf("round %d took %v of an origin that takes %v", round, d, latency)
		}
	}
	if n := o.requests.Load(); n != 30 {
		t.Errorf("the origin saw %d requests for 30", n)
	}
	for _, h := range hs {
		if s := h.Stats(); s.Hits+s.PeerHits+s.Misses != 0 || s.Passed+s.Bypassed != 10 {
			t.Errorf("something was shared: %+v", s)
		}
	}
}

// personal is an origin that tells everybody his own.
func personal(field, header string, latency time.Duration) *fakeOrigin {
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		time.Sleep(latency)
		user := r.Header.Get(field)
		return response(200, strings.ReplaceAll(header, "%s", user), "X-Mine: "+user, "", "secret of "+user), nil
	}}
}

func getMine(t *testing.T, h *Handler, field, header string, u int) {
	user := fmt.Sprintf("user-%d", u)
	w := get(h, "/account", field+": "+user)
	if w.Body.String() != "secret of "+user || w.Header().Get("X-Mine") != user || w.aborted {
		t.Errorf("%s got %d %q, %v", user, w.Code, w.Body, w.Header())
	}
	if c := w.Header().Get("Set-Cookie"); strings.HasPrefix(header, "Set-Cookie") && c != "session="+user {
		t.Errorf("%s got the cookie %q", user, c)
	}
}

// By Vary, everybody has his own, and one request of the origin's is enough.
func TestLeakProbeWithVary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const header = "Vary: X-User\r\nCache-Control: max-age=60"
		o := personal("X-User", header, 100*time.Millisecond)
		_, hs := startFleet(t, 3, Config{Transport: o})
		begin := time.Now()
		for round := range 3 {
			var wg sync.WaitGroup
			for u := range 10 {
				wg.Go(func() { getMine(t, hs[(u+round)%3], "X-User", header, u) })
			}
			wg.Wait()
		}
		if n, d := o.requests.Load(), time.Since(begin); n != 10 || d > 200*time.Millisecond {
			t.Errorf("the origin saw %d requests of 10 users, in %v", n, d)
		}
	})
}

// The one whose request is to be the fill waits for his turn: once he has it, nobody waits for him.
func TestImpatienceBeforeTheFillBegins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const header = "Cache-Control: private"
		o := personal("Cookie", header, time.Second)
		h := start(t, Config{Transport: o, MaxFills: 1})
		begin := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { get(h, "/other") })
		time.Sleep(time.Millisecond)
		for u := range 10 {
			wg.Go(func() { getMine(t, h, "Cookie", header, u) })
		}
		wg.Wait()
		if d := time.Since(begin); d > 2*time.Second+200*time.Millisecond {
			t.Errorf("it took %v of an origin that takes a second", d)
		}
	})
}
