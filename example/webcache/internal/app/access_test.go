package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// An entry is a line of the access log.
type entry struct {
	Time                                                 time.Time
	Instance, Remote, Method, URL, Proto, Cache, Referer string
	Status                                               int
	Bytes                                                int64
	Duration, TTFB                                       float64
	CacheStatus                                          string `json:"cache_status"`
	UserAgent                                            string `json:"user_agent"`
	TraceID                                              string `json:"trace_id"`
	Aborted                                              bool
}

func entriesOf(t *testing.T, text []byte) (entries []entry) {
	t.Helper()
	for line := range bytes.Lines(text) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		entries = append(entries, e)
	}
	return entries
}

// What is logged of requests that are hits, misses, passed, refused and failed.
func TestAccessLog(t *testing.T) {
	addrs, err := freeaddr.Find("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "access")
	const part = "not all"
	seen := make(chan struct{}) // the client has the part of /cut that there is
	origin := processtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, part)
			http.NewResponseController(w).Flush()
			select {
			case <-seen:
			case <-r.Context().Done():
			}
			panic(http.ErrAbortHandler)
		case "/upgrade":
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
			rw.Flush()
			line, _ := rw.ReadString('\n')
			io.WriteString(conn, line)
		default:
			w.Header().Set("Cache-Control", "max-age=60")
			fmt.Fprint(w, r.URL)
		}
	})
	t.Run("requests", func(t *testing.T) {
		serveWith(t, "-origin", "127.0.0.1="+origin, "-origin", "down.test=http://127.0.0.1:1", "-listen", addrs[0], "-access-log", file)
		send := func(method, path, host string) {
			req, _ := http.NewRequest(method, "http://"+addrs[0]+path, nil)
			req.Host = host
			req.Header = http.Header{"Cookie": {"id=sesame"}, "User-Agent": {"a \"test\""}, "Referer": {"http://u:sesame@r.test/"},
				"Traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}
			if method == "POST" {
				req.Header.Set("Authorization", "Bearer sesame")
			}
			resp, err := processtest.Client.Do(req)
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if path == "/cut" {
				io.CopyN(io.Discard, resp.Body, int64(len(part)))
				close(seen)
			}
			io.Copy(io.Discard, resp.Body)
		}
		send("GET", "/a?b=%20c", "127.0.0.1")
		send("GET", "/a?b=%20c", "127.0.0.1")
		send("POST", "/post", "127.0.0.1")
		send("GET", "/x", "down.test")
		send("GET", "/x", "other.test")
		send("GET", "/cut", "127.0.0.1")
		upgrade(t, addrs[0])
		processtest.WaitFor(t, "the upgraded connection to be logged, for which no server waits", func() bool {
			text, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(text), "/upgrade")
		})
	})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"GET 127.0.0.1/a?b=%20c 200 miss 9", "GET 127.0.0.1/a?b=%20c 200 hit 9", "POST 127.0.0.1/post 200 pass 5", "GET down.test/x 502 error 12", "GET other.test/x 421 error 47",
		"GET 127.0.0.1/cut 200 miss 7", "GET 127.0.0.1/upgrade 101 pass 0",
	}
	entries := entriesOf(t, text)
	if len(entries) != len(want) {
		t.Fatalf("got\n%s", text)
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return a.Time.Compare(b.Time) }) // a line is written when its response has gone
	for i, e := range entries {
		got := fmt.Sprintf("%s %s %d %s %d", e.Method, e.URL, e.Status, e.Cache, e.Bytes)
		if !strings.HasPrefix(got, want[i]) {
			t.Errorf("got %s, want %s", got, want[i])
		}
		if e.Instance != addrs[0] || !strings.HasPrefix(e.Remote, "127.0.0.1:") || e.Proto != "HTTP/1.1" || e.Time.IsZero() || e.TTFB > e.Duration || !strings.Contains(e.CacheStatus, "fleetcache; ") || e.Aborted != (e.URL == "127.0.0.1/cut") {
			t.Errorf("%+v", e)
		}
		if i < 6 && (e.UserAgent != `a "test"` || e.Referer != "http://r.test/" || e.TraceID != "4bf92f3577b34da6a3ce929d0e0e4736" || e.TTFB <= 0) {
			t.Errorf("%+v", e)
		}
	}
	if strings.Contains(string(text), "sesame") {
		t.Errorf("a credential is logged:\n%s", text)
	}
}

// upgrade uses a connection that the origin upgrades.
func upgrade(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "GET /upgrade HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(resp, err)
	}
	io.WriteString(conn, "hello\n")
	if line, err := r.ReadString('\n'); line != "hello\n" {
		t.Errorf("got %q, %v", line, err)
	}
}

// What a handler does with its writer, it does with net/http's.
func TestLoggedWriter(t *testing.T) {
	files, flushed := make(chan bool, 1), make(chan error, 1)
	var out bytes.Buffer
	log, err := openAccessLog("-", &out, "a", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(log.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "a")
		flushed <- http.NewResponseController(w).Flush()
		_, ok := w.(io.ReaderFrom)
		files <- ok
		io.Copy(w, strings.NewReader("bc"))
		io.Copy(w, struct{ io.Reader }{strings.NewReader("de")})
	})))
	_, body, err := fetch(s.Client(), s.URL)
	if err != nil || body != "abcde" || <-flushed != nil || !<-files {
		t.Errorf("%s, %v", body, err)
	}
	s.Close()
	log.close()
	if e := entriesOf(t, out.Bytes()); len(e) != 1 || e[0].Status != 200 || e[0].Bytes != 5 {
		t.Errorf("logged %s", &out)
	}
}

func TestCacheOf(t *testing.T) {
	for status, want := range map[string]string{
		`fleetcache; hit; ttl=3; instance="a"`: "hit", "fleetcache; hit; ttl=-3": "stale", "fleetcache; fwd=stale; fwd-status=304; stored": "miss",
		"fleetcache; fwd=vary-miss; fwd-status=200; detail=private": "miss", "fleetcache; fwd=method; fwd-status=200": "pass", "fleetcache; fwd=bypass; detail=origin-error": "error",
		"fleetcache; fwd=uri-miss; detail=origin-timeout": "error", "fleetcache; detail=refused": "error", "": "error", "other; hit": "error",
	} {
		if _, got := cacheOf([]string{"origin; hit", status}, 502); got != want {
			t.Errorf("%s: %s, want %s", status, got, want)
		}
	}
	for parent, want := range map[string]string{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "4bf92f3577b34da6a3ce929d0e0e4736", "00-00000000000000000000000000000000-00f067aa0ba902b7-01": "", "": "",
		"00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01": "", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": "",
	} {
		if got := traceID(parent); got != want {
			t.Errorf("%s: %s, want %s", parent, got, want)
		}
	}
}

// A slowWriter takes nothing while it is locked.
type slowWriter struct {
	mu  sync.Mutex
	got bytes.Buffer
}

func (w *slowWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.String()
}

func (w *slowWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.got.Write(b)
}

// A file that does not keep up costs lines, which are counted, and nobody's time; and it is waited for no longer than that at the end.
func TestLinesAreLostWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, log := &slowWriter{}, &slowWriter{}
		w, err := newLineWriter("-", out, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		line := []byte(strings.Repeat("x", 1023) + "\n")
		w.Write(line)
		synctest.Wait()
		w.mu.Lock() // so that run cannot take anything: as if it hung in a write
		w.waiting = bytes.Repeat(line, linesBuffer/1024)
		w.mu.Unlock()
		for range 7 {
			w.Write(line)
		}
		time.Sleep(2 * linesInterval)
		synctest.Wait()
		if n := len(out.String()); n < linesBuffer || !strings.Contains(log.String(), "lines=7") {
			t.Errorf("%d bytes, %s", n, log)
		}
		w.Write(line)
		w.close()
		if n := len(out.String()); n != linesBuffer+1024 {
			t.Errorf("%d bytes at the end", n)
		}
	})
}

// A file that is renamed away is made anew.
func TestLinesFollowARename(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access")
	synctest.Test(t, func(t *testing.T) {
		w, err := newLineWriter(file, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte("1\n"))
		time.Sleep(2 * linesInterval)
		os.Rename(file, file+".1")
		time.Sleep(2 * linesInterval)
		w.Write([]byte("2\n"))
		w.close()
	})
	for name, want := range map[string]string{file: "2\n", file + ".1": "1\n"} {
		if b, err := os.ReadFile(name); string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}
