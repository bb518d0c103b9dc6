package web

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/benchtest"
)

func TestMain(m *testing.M) { benchtest.Main(m, Child) }

func TestShortRun(t *testing.T) {
	r, err := Run(context.Background(), Options{
		Short: true, Rounds: 1, Duration: 40 * time.Millisecond, Kinds: []string{bare, service, handler, peer}, Cells: regexp.MustCompile(`/c16$`), Progress: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	benchtest.WantRatios(t, r, "web/1KiB/c16/rps-vs-nethttp")
	m := r.Raw.([]Measured)
	if len(m) != 1 || m[0].Cell.Conns != 16 {
		t.Fatalf("measured %+v", m)
	}
	for _, k := range []string{bare, service, handler, peer} {
		if s := m[0].Samples[k]; len(s) != 1 || s[0].Ops == 0 || s[0].P50 > s[0].P99 {
			t.Errorf("%s: %+v", k, s)
		}
	}
}

func TestOthersThatAreInstalled(t *testing.T) {
	var names []string
	for _, k := range kinds() {
		if k.program != "" && k.program != "go" && k.missing() == nil {
			names = append(names, k.name)
		}
	}
	if len(names) == 0 {
		t.Skip("none is installed")
	}
	r, err := Run(context.Background(), Options{Rounds: 1, Duration: 20 * time.Millisecond, Kinds: names, Cells: regexp.MustCompile(`/c1$`), Progress: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Raw.([]Measured) {
		for _, name := range names {
			if s := m.Samples[name]; len(s) != 1 || s[0].Ops == 0 {
				t.Errorf("%s: %s: %+v", m.Cell.Name(), name, s)
			}
		}
	}
}

func TestKindsThatAreNotHere(t *testing.T) {
	if err := CheckKinds([]string{bare, "squid"}); err == nil || !strings.Contains(err.Error(), `no kind "squid"`) {
		t.Errorf("%v", err)
	}
	t.Setenv("PATH", t.TempDir())
	for _, k := range kinds() {
		if missing := k.missing(); (missing == nil) != (k.program == "") {
			t.Errorf("%s without its program %q: %v", k.name, k.program, missing)
		}
	}
}

// dialed returns a connection to a server that answers with h.
func dialed(t *testing.T, h http.HandlerFunc) *conn {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := dial(context.Background(), s.Listener.Addr().String(), "/1KiB/0", kib)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestClient(t *testing.T) {
	body := newSite().objects["/1KiB/0"].body
	anything := func(http.Header) error { return nil }
	c := dialed(t, newSite().ServeHTTP)
	if err := c.run(time.Now().Add(20 * time.Millisecond)); err != nil || c.ops == 0 || int64(c.latencies.Count()) != c.ops {
		t.Errorf("%d requests, %d latencies, %v", c.ops, c.latencies.Count(), err)
	}
	if err := c.check(body, anything); err != nil {
		t.Error(err)
	}
	if err := c.check(body, ownHit); err == nil || !strings.Contains(err.Error(), "no hit in its own memory") {
		t.Errorf("%v for what was no hit", err)
	}
	if err := c.check(make([]byte, kib), anything); err == nil || !strings.Contains(err.Error(), "not the origin's") {
		t.Errorf("%v for another body", err)
	}
}

func TestClientRefusesWhatIsNoGoodResponse(t *testing.T) {
	for _, c := range []struct {
		want string
		h    http.HandlerFunc
	}{
		{"unexpected response", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, strings.Repeat("x", kib-1), http.StatusNotFound)
		}},
		{"bytes of a response: ", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("short")) }},
		{"unexpected response", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2*kib)) }},
		{"has no Content-Length of 1024", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush() // so that it comes in chunks
			_, _ = w.Write(make([]byte, kib-len("400\r\n\r\n0\r\n\r\n")))
		}},
	} {
		conn := dialed(t, c.h)
		if err := conn.SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if err := conn.ask(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestClientOfNobody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := dial(context.Background(), addr, "/", kib); err == nil {
		t.Errorf("%v answers", c.RemoteAddr())
	}
}
