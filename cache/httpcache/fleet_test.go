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

// Where a response came from is said in Cache-Status.
func TestCacheStatusInAFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := origin(200, "Cache-Control: max-age=60", `Cache-Status: inner; hit, "b,c"; fwd=miss`, "Cache-Status: outer")
		fleet, hs := startFleet(t, 3, Config{Transport: o})
		owner := ownerOf(fleet, hs[0], "/x")
		mine, other, third := hs[owner], hs[(owner+1)%3], hs[(owner+2)%3]
		name, addr := mine.cfg.Instance, fleet.Instance(owner).Self()
		steps := []struct {
			at   *Handler
			url  string
			want string
		}{
			{other, "/x", fmt.Sprintf(`fleetcache; fwd=uri-miss; fwd-status=200; stored; instance="%s"; peer="%s"`, other.cfg.Instance, addr)},
			{mine, "/x", fmt.Sprintf(`fleetcache; hit; ttl=60; instance="%s"`, name)},
			{third, "/x", fmt.Sprintf(`fleetcache; hit; ttl=60; instance="%s"; peer="%s"`, third.cfg.Instance, addr)},
		}
		for _, s := range steps {
			got := get(s.at, s.url).Header()["Cache-Status"]
			if len(got) != 3 || got[0] != `inner; hit, "b,c"; fwd=miss` || got[1] != "outer" || got[2] != s.want {
				t.Errorf("Cache-Status: %q, want the origin's two lines and %q", got, s.want)
			}
		}
		if n := o.requests.Load(); n != 1 {
			t.Errorf("the origin saw %d requests, want 1", n)
		}
		if s := third.Stats(); s.PeerHits != 1 || s.Fills != 0 {
			t.Errorf("Stats %+v", s)
		}
		if s := mine.Stats(); s.Hits != 1 || s.Fills != 1 {
			t.Errorf("Stats %+v", s)
		}
	})
}

func TestG1CollapsedForwarding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOrigin{}
		o.answer = func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return response(200, "Cache-Control: max-age=60", "", "ok"), nil
		}
		_, hs := startFleet(t, 3, Config{Transport: o})
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				method := []string{"GET", "GET", "HEAD"}[i%3]
				if w := do(hs[i/3%3], method, "/x"); w.Code != 200 || (method == "GET") != (w.Body.String() == "ok") {
					t.Errorf("got %d %q", w.Code, w.Body)
				}
			})
		}
		begin := time.Now()
		wg.Wait()
		if n := o.requests.Load(); n != 1 {
			t.Errorf("the origin saw %d requests, want 1", n)
		}
		if d := time.Since(begin); d != time.Second {
			t.Errorf("they waited %v, want the origin's second", d)
		}
	})
}

// An instance with another origin must not fill this one's memory, nor be a way to send requests elsewhere.
func TestInstancesWithDifferentOrigins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		evil := origin(200, "Cache-Control: max-age=60", "", "evil")
		good := origin(200, "Cache-Control: max-age=60", "", "good")
		fleet2, hs2 := startFleet(t, 2, Config{Transport: good})
		hs2[1].Close()
		other := start(t, Config{Transport: evil, Origin: "http://evil.test", Peers: fleet2.Instance(1)})
		for i := range 20 {
			url := fmt.Sprintf("/%d", i)
			if w := get(other, url); w.Code == 200 && w.Body.String() != "evil" {
				t.Errorf("%s: got %d %q from another origin", url, w.Code, w.Body)
			}
			if w := get(hs2[0], url); w.Code == 200 && w.Body.String() != "good" {
				t.Errorf("%s: got %d %q from another origin", url, w.Code, w.Body)
			}
		}
	})
}

func TestAClosedInstancePasses(t *testing.T) {
	o := origin(200, "Cache-Control: max-age=60", "", "ok")
	h := start(t, Config{Transport: o})
	get(h, "/x")
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	w := get(h, "/x")
	if got := w.Header().Get("Cache-Status"); w.Body.String() != "ok" || !strings.Contains(got, "detail=internal") {
		t.Errorf("got %q, Cache-Status: %s", w.Body, got)
	}
	if err := h.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}
