package httpcache

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-0f2aaebe/fleetcache/peers/peerstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeOrigin is a Transport that needs no sockets. It counts its requests.
type fakeOrigin struct {
	answer   func(*http.Request) (*http.Response, error)
	requests atomic.Int64
}

func (o *fakeOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	o.requests.Add(1)
	resp, err := o.answer(r)
	if resp != nil {
		resp.Request = r
		if r.Method == http.MethodHead {
			resp.Body = http.NoBody
		}
	}
	return resp, err
}

// origin returns a fakeOrigin that always gives the same response: header fields as lines, an empty one, and the body.
func origin(status int, lines ...string) *fakeOrigin {
	return &fakeOrigin{answer: func(*http.Request) (*http.Response, error) { return response(status, lines...), nil }}
}

func response(status int, lines ...string) *http.Response {
	raw := fmt.Sprintf("HTTP/1.1 %d x\r\n%s", status, strings.Join(lines, "\r\n"))
	if !strings.Contains(raw, "\r\n\r\n") {
		raw += "\r\n\r\n"
	}
	_, body, _ := strings.Cut(raw, "\r\n\r\n")
	head := strings.ToLower(raw[:len(raw)-len(body)])
	if !strings.Contains(head, "content-length:") && !strings.Contains(head, "transfer-encoding:") && !strings.Contains(head, "connection: close") {
		raw = strings.Replace(raw, "x\r\n", fmt.Sprintf("x\r\nContent-Length: %d\r\n", len(body)), 1)
	}
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(raw)), nil)
	if err != nil {
		panic(err)
	}
	return resp
}

// start returns a Handler that the test closes. Without an Origin it gets one.
func start(t testing.TB, cfg Config) *Handler {
	t.Helper()
	if cfg.Origin == "" {
		cfg.Origin = "http://origin.test"
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// startFleet returns n Handlers, called a, b and so on, that are a fleet in memory.
func startFleet(t testing.TB, n int, cfg Config) (*peerstest.Fleet, []*Handler) {
	t.Helper()
	fleet := peerstest.NewFleet(n)
	hs := make([]*Handler, n)
	for i := range hs {
		cfg.Instance, cfg.Peers = string(rune('a'+i)), fleet.Instance(i)
		hs[i] = start(t, cfg)
	}
	for _, h := range hs {
		for h.cache.Stats().Joining {
			runtime.Gosched() // links without faults take no time
		}
	}
	return fleet, hs
}

// ownerOf returns the index of the fleet's instance that owns the URL's key.
func ownerOf(fleet *peerstest.Fleet, h *Handler, url string) int {
	for p := range fleet.Instance(0).Owners(h.sites.any.prefix + url) {
		if p == nil {
			return 0
		}
		for i := range fleet.Len() {
			if fleet.Instance(i).Self() == p.Addr() {
				return i
			}
		}
	}
	return -1
}

// An answer is what a client got.
type answer struct {
	*httptest.ResponseRecorder
	aborted bool          // it was not ended well: the client sees that there is more
	first   time.Time     // when the first byte came
	ended   time.Time     // when the answer was over
	pace    time.Duration // how long the client takes for each piece
}

func (a *answer) Write(b []byte) (int, error) {
	if a.first.IsZero() {
		a.first = time.Now()
	}
	// What passes is written under a lock of net/http/httputil's, on which a bubble's time does not go on.
	if s := a.cacheStatus(); a.pace > 0 && (!strings.Contains(s, "detail=") || strings.Contains(s, "detail=private")) {
		time.Sleep(a.pace)
	}
	return a.ResponseRecorder.Write(b)
}

func (a *answer) WriteString(s string) (int, error) { return a.Write([]byte(s)) }

func (a *answer) cacheStatus() string { return strings.Join(a.Header()["Cache-Status"], ", ") }

// do sends a request without sockets. Header fields are lines.
func do(h http.Handler, method, url string, lines ...string) *answer {
	return doContext(context.Background(), h, method, url, lines...)
}

func doContext(ctx context.Context, h http.Handler, method, url string, lines ...string) *answer {
	a := &answer{}
	a.ask(ctx, h, method, url, lines...)
	return a
}

// ask sends the request that a is to be the answer to.
func (a *answer) ask(ctx context.Context, h http.Handler, method, url string, lines ...string) {
	r := httptest.NewRequestWithContext(ctx, method, "http://client-side-name"+url, nil)
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		r.Header.Add(name, value)
	}
	a.ResponseRecorder = httptest.NewRecorder()
	a.aborted = aborts(func() { h.ServeHTTP(a, r) })
	a.ended = time.Now()
}

// aborts calls serve, and reports whether it ended with http.ErrAbortHandler.
func aborts(serve func()) (aborted bool) {
	defer func() {
		if v := recover(); v == http.ErrAbortHandler {
			aborted = true
		} else if v != nil {
			panic(v)
		}
	}()
	serve()
	return false
}

func get(h http.Handler, url string, lines ...string) *answer {
	return do(h, http.MethodGet, url, lines...)
}

// serveHTTP serves h on a socket and returns its URL, and a client that ends with the test.
func serveHTTP(t testing.TB, h http.Handler) (string, *http.Client) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL, s.Client()
}

func readAll(t testing.TB, r io.ReadCloser) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	return string(b)
}
