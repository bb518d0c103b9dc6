package clients

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

const (
	users  = 10
	rounds = 20
)

// Ten users ask for one URL at the same time, at any instance, twenty times: each gets what is his, for one request to the origin. From the second
// round on the origin has all of their requests at a time: nobody waits for anybody.
func TestLeaks(t *testing.T) {
	var meeting atomic.Pointer[gathering] // of the requests for this case
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		if m := meeting.Load(); m != nil && !m.join() {
			t.Error("others wait for this request")
		}
		w.Header().Set(r.Header.Get("X-Field"), r.Header.Get("X-Value"))
		io.WriteString(w, r.Header.Get("Cookie")+r.Header.Get("Authorization"))
	})
	f := startFleet(t, o)
	c := newClient(t)
	for _, field := range []string{"Cookie", "Authorization", "X-Nobody"} {
		for _, h := range [][2]string{{"Cache-Control", "private, max-age=60"}, {"Cache-Control", "no-store"}, {"Set-Cookie", "id=1"}, {"Cache-Control", "max-age=60"}} {
			if h[1] == "max-age=60" && field != "Authorization" {
				continue // it is for everybody
			}
			path := fmt.Sprintf("/%s/%s", field, h[1][:2])
			begin := time.Now()
			for round := range rounds {
				meeting.Store(nil)
				if round > 0 {
					meeting.Store(newGathering(users))
				}
				f.burst(t, c, path, field, h)
			}
			t.Logf("%s with %v: %v a round", field, h, time.Since(begin)/rounds)
			if n := len(o.requests("GET " + path)); n > users*rounds {
				t.Errorf("%s with %v: the origin had %d requests of %d", field, h, n, users*rounds)
			}
		}
	}
}

// burst has all users ask at once.
func (f *fleet) burst(t *testing.T, c *http.Client, path, field string, h [2]string) {
	t.Helper()
	var all sync.WaitGroup
	for u := range users {
		all.Go(func() {
			mine, want := fmt.Sprintf("user=%d-%d", u, rand.Uint64()), ""
			if field != "X-Nobody" {
				want = mine
			}
			a, err := get(t.Context(), c, f.all[rand.IntN(len(f.all))].URL+path, field, mine, "X-Field", h[0], "X-Value", h[1])
			if err != nil || a.body != want || a.status != 200 {
				t.Errorf("%s with %v: %v, %+v; want %q", field, h, err, a, want)
			}
		})
	}
	all.Wait()
}

// A gathering is over when so many have come to it.
type gathering struct {
	missing atomic.Int64
	whole   chan struct{}
}

func newGathering(n int64) *gathering {
	g := &gathering{whole: make(chan struct{})}
	g.missing.Store(n)
	return g
}

// join waits for the others, and reports whether they have come.
func (g *gathering) join() bool {
	if g.missing.Add(-1) == 0 {
		close(g.whole)
	}
	select {
	case <-g.whole:
		return true
	case <-time.After(10 * time.Second):
		return false
	}
}

// Fifty want what is for everybody, at three instances, before it is there.
func TestCollapse(t *testing.T) {
	release := make(chan struct{})
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			page(w, digits)
		case <-r.Context().Done():
		}
	})
	f := startFleet(t, o)
	c := newClient(t)
	before := f.requestsSoFar(t)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			a, err := get(t.Context(), c, f.all[i%3].URL+"/page")
			if err != nil || a.status != 200 || a.body != digits {
				t.Errorf("%v, %+v", err, a)
			}
		})
	}
	processtest.WaitFor(t, "the requests to arrive", func() bool { return f.requestsSoFar(t)-before == 50 })
	close(release)
	all.Wait()
	o.wantRequests(t, "GET /page", 1)
}
