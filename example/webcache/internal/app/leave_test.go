package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// startThree starts instances that find each other by a file, and returns them when each is ready and has reached the others.
func startThree(t *testing.T, origin string) (fleet []*processtest.Webcache) {
	t.Helper()
	dir := t.TempDir()
	members, secret := filepath.Join(dir, "members"), filepath.Join(dir, "secret")
	lines := ""
	for range 3 {
		w := processtest.NewWebcache(t, "127.0.0.1")
		fleet = append(fleet, w)
		lines += w.URL + "\n"
	}
	for name, text := range map[string]string{members: lines, secret: "0123456789abcdef"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range fleet {
		w.Start(t, os.Args[0], "-origin", origin, "-peers-file", members, "-secret-file", secret)
	}
	for _, w := range fleet {
		w.AwaitMembers(t, processtest.Others(fleet, w)...)
	}
	return fleet
}

// SIGTERM: who leaves hands over what it holds while it serves. Nobody's request fails, and the origin is not asked again; but while not all have heard
// yet that it leaves, those who have may ask a new owner that has not, which costs a load.
func TestG9SIGTERMHandsOver(t *testing.T) {
	for _, busy := range []bool{false, true} {
		t.Run(fmt.Sprintf("busy=%v", busy), func(t *testing.T) {
			more := handOver(t, busy)
			if most := map[bool]int64{false: 0, true: handedOver / 20}[busy]; more > most {
				t.Errorf("%d of %d objects were loaded again, at most %d would do", more, handedOver, most)
			}
		})
	}
}

// handedOver is how many objects a fleet has.
const handedOver = 300

// handOver terminates one of three instances that have all objects, under load or not, and returns how many were loaded again.
func handOver(t *testing.T, busy bool) (more int64) {
	var loads atomic.Int64
	origin := processtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		loads.Add(1)
		w.Header().Set("Cache-Control", "max-age=3600")
		io.WriteString(w, "this is "+r.URL.Path)
	})
	fleet := startThree(t, origin)
	leaver, stay := fleet[0], fleet[1:]
	check := func(p *processtest.Webcache, i int) bool {
		path := fmt.Sprintf("/object/%d", i%handedOver)
		status, body, header := processtest.Fetch(t, p.URL+path)
		if status != 200 || body != "this is "+path {
			t.Errorf("%s%s: %d %q %v", p.URL, path, status, body, header)
		}
		return status == 200
	}
	for i := range handedOver {
		check(fleet[i%3], i)
	}
	if n := loads.Load(); n != handedOver {
		t.Fatalf("%d loads of %d objects", n, handedOver)
	}

	gone := make(chan struct{})
	var load sync.WaitGroup
	for n, p := range stay {
		load.Go(func() {
			for i := n; busy && check(p, i); i += 7 {
				select {
				case <-gone:
					return
				default:
				}
			}
		})
	}
	leaver.Cmd.Process.Signal(syscall.SIGTERM)
	err := leaver.Cmd.Wait()
	close(gone)
	load.Wait()
	_, told, _ := strings.Cut(leaver.Stderr.String(), "shutting down")
	if err != nil || told == "" || strings.Contains(told, "not everything was handed over") {
		t.Errorf("it ended with %v\n%s", err, leaver.Stderr)
	}
	for i := range handedOver {
		for _, p := range stay {
			check(p, i)
		}
	}
	return loads.Load() - handedOver
}

// While it hands over, an instance says that it leaves, and serves.
func TestSIGTERMIsToldAtOnce(t *testing.T) {
	started, release := make(chan struct{}, 10), make(chan struct{})
	origin := processtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			started <- struct{}{}
			<-release
		}
		w.Header().Set("Cache-Control", "max-age=3600")
		io.WriteString(w, r.URL.Path)
	})
	fleet := startThree(t, origin)
	// Another instance waits for what the one that leaves has begun to load, so that its Drain takes until then.
	slow := make(chan string, len(fleet))
	leaver := fleet[0]
	get := func(p *processtest.Webcache) {
		resp, err := processtest.Client.Get(p.URL + "/slow")
		if err != nil {
			slow <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		slow <- fmt.Sprint(string(body), err)
	}
	for _, p := range fleet {
		go get(p)
	}
	<-started
	for _, p := range fleet { // the owner is the one that had to ask the origin
		var s stats
		_, body, _ := processtest.Fetch(t, p.Admin+"/stats")
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatal(err)
		}
		if s.HTTP.Cache.Loads > 0 {
			leaver = p
		}
	}
	processtest.WaitFor(t, "the others to wait", func() bool {
		_, body, _ := processtest.Fetch(t, leaver.Admin+"/stats")
		var s stats
		return json.Unmarshal([]byte(body), &s) == nil && s.Pool.InFlight > 0
	})
	leaver.Cmd.Process.Signal(syscall.SIGTERM)
	for _, path := range []string{"/readyz", "/healthz"} {
		processtest.WaitFor(t, path+" to say so", func() bool { code, _, _ := processtest.Fetch(t, leaver.Admin+path); return code == 503 })
	}
	if code, body, _ := processtest.Fetch(t, leaver.URL+"/other"); code != 200 || body != "/other" {
		t.Errorf("got %d %q", code, body)
	}
	close(release)
	for range fleet {
		if got := <-slow; got != "/slow<nil>" {
			t.Errorf("a request that was under way got %s", got)
		}
	}
	if err := leaver.Cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, leaver.Stderr)
	}
}
