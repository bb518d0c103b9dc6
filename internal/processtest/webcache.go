package processtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// A Webcache is an instance of the example service.
type Webcache struct {
	URL, Admin string
	Cmd        *exec.Cmd
	Stderr     *Output
}

// NewWebcache returns an instance that can be started at a host of this machine, whose administration is on loopback.
func NewWebcache(t *testing.T, host string) *Webcache {
	t.Helper()
	at, err := freeaddr.Find(host, 1)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := freeaddr.Find("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	return &Webcache{URL: "http://" + at[0], Admin: "http://" + admin[0]}
}

// Start starts it, with flags besides those that say where it is.
func (w *Webcache) Start(t *testing.T, program string, args ...string) {
	t.Helper()
	address := func(url string) string { _, address, _ := strings.Cut(url, "://"); return address }
	w.Cmd, _, w.Stderr = Start(t, program, append([]string{"-listen", address(w.URL), "-self", w.URL, "-admin", address(w.Admin)}, args...)...)
}

// AwaitMembers waits until the instance is ready, and its fleet is itself and the others, all of which it has reached.
func (w *Webcache) AwaitMembers(t *testing.T, others ...*Webcache) {
	t.Helper()
	var want []string
	for _, o := range others {
		want = append(want, o.URL+peers.DefaultPath)
	}
	slices.Sort(want)
	last := "nothing"
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s said at last: %s\n%s", w.Admin, last, w.Stderr)
		}
	})
	WaitFor(t, w.URL+" to be in a fleet with all others, and nobody else", func() bool {
		resp, err := Client.Get(w.Admin + "/stats")
		if err != nil {
			last = err.Error()
			return false
		}
		defer resp.Body.Close()
		var s struct {
			HTTP struct{ Cache struct{ Joining bool } }
			Pool struct {
				Peers []struct {
					URL string
					Up  bool
				}
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&s); err != nil || resp.StatusCode != http.StatusOK || s.HTTP.Cache.Joining {
			last = "it joins, or fails"
			return false
		}
		last = fmt.Sprint("it knows ", s.Pool.Peers)
		var up []string
		for _, p := range s.Pool.Peers {
			if p.Up {
				up = append(up, p.URL)
			}
		}
		return len(up) == len(s.Pool.Peers) && slices.Equal(up, want)
	})
}

// Others returns all but one.
func Others(all []*Webcache, one *Webcache) []*Webcache {
	return slices.DeleteFunc(slices.Clone(all), func(w *Webcache) bool { return w == one })
}
