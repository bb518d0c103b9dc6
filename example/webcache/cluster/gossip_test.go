package main

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/example/webcache/internal/app"
	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// Three processes find each other by gossip, and load each object once. One is terminated: the others take over what it held, and hear that it is
// gone. Another is killed: they find out.
func TestGossip(t *testing.T) {
	const count = 60
	objects := processtest.ServeObjects(t, count)
	fleet := startThree(t, objects.URL)
	if n := objects.Get(t, fleet...); n != count {
		t.Errorf("%d loads of %d objects", n, count)
	}

	victim, stay := fleet[2], fleet[:2]
	victim.Cmd.Process.Kill()
	for _, w := range stay {
		w.AwaitMembers(t, processtest.Others(stay, w)...)
	}
	known := objects.Get(t, stay...)
	if known > 2*count {
		t.Errorf("%d loads of %d objects, after one was killed", known, count)
	}

	leaver, last := stay[0], stay[1]
	leaver.Cmd.Process.Signal(syscall.SIGTERM)
	if err := leaver.Cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if _, told, _ := strings.Cut(leaver.Stderr.String(), "shutting down"); told == "" || strings.Contains(told, "not everything was handed over") || strings.Contains(told, "find out by themselves") {
		t.Errorf("it left with\n%s", leaver.Stderr)
	}
	last.AwaitMembers(t)
	if n := objects.Get(t, last); n != known {
		t.Errorf("%d loads of %d objects, after one was terminated; %d before", n, count, known)
	}
	// Who is lost without a word before it is alone takes itself to be cut off, and keeps its list: it was told.
	if strings.Contains(last.Stderr.String(), "may be cut off") {
		t.Errorf("it was not told that the other one leaves:\n%s", last.Stderr)
	}
}

// startThree starts instances whose seeds are all of them, and returns them when each is ready and has found the others.
func startThree(t *testing.T, origin string) (fleet []*processtest.Webcache) {
	t.Helper()
	gossipAt, err := freeaddr.Find("127.0.0.1", 3)
	if err != nil {
		t.Fatal(err)
	}
	secret, key := filepath.Join(t.TempDir(), "secret"), filepath.Join(t.TempDir(), "key")
	for file, text := range map[string]string{secret: "0123456789abcdef", key: strings.Repeat("0b", 32) + "\n" + strings.Repeat("0a", 32) + "\n"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range gossipAt {
		w := processtest.NewWebcache(t, "127.0.0.1")
		w.Start(t, os.Args[0], "-origin", origin, "-secret-file", secret, "-peers-memberlist-key-file", key, "-peers-memberlist-bind", at,
			"-peers-memberlist-seeds", strings.Join(gossipAt, ","), "-peers-interval", "1s")
		fleet = append(fleet, w)
	}
	for _, w := range fleet {
		w.AwaitMembers(t, processtest.Others(fleet, w)...)
	}
	return fleet
}

// Where gossip listens on all addresses, it is reached where the instance is.
func TestAdvertised(t *testing.T) {
	for _, tt := range []struct{ bind, self, want string }{
		{"", "http://10.0.0.1:8080", "10.0.0.1"},
		{"0.0.0.0", "http://10.0.0.1:8080", "10.0.0.1"},
		{"0.0.0.0:1", "http://10.0.0.1:8080", "10.0.0.1"},
		{"::", "http://[fd00::1]:8080", "fd00::1"},
		{"[::]:1", "http://[fd00::1]:8080", "fd00::1"},
		{"10.0.0.2", "http://10.0.0.1:8080", ""},
		{"10.0.0.2:1", "http://10.0.0.1:8080", ""},
		{"", "http://a:8080", ""},
	} {
		self, err := url.Parse(tt.self)
		if err != nil {
			t.Fatal(err)
		}
		if got := advertised(tt.bind, app.Instance{Self: self}); got != tt.want {
			t.Errorf("%q, %s: %q, want %q", tt.bind, tt.self, got, tt.want)
		}
	}
}
