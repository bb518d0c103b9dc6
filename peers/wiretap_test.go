package peers

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A wiretap is an http.RoundTripper that keeps what passes.
type wiretap struct {
	base http.RoundTripper

	mu sync.Mutex
	// mu guards all.
	all []tapped
}

type tapped struct {
	method string
	url    string
	header http.Header
	body   []byte
}

func (w *wiretap) RoundTrip(r *http.Request) (*http.Response, error) {
	r, body := withBody(r)
	w.mu.Lock()
	w.all = append(w.all, tapped{r.Method, r.URL.String(), r.Header.Clone(), body})
	w.mu.Unlock()
	return w.base.RoundTrip(r)
}

// withBody returns a request's body, and the request with the body in it once more.
func withBody(r *http.Request) (*http.Request, []byte) {
	r = r.Clone(r.Context())
	if r.Body == nil {
		return r, nil
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r, body
}

// last returns the last request that passed.
func (w *wiretap) last() tapped {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[len(w.all)-1]
}

// send sends what was tapped to url, byte by byte the same.
func (m tapped) send(t testing.TB, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(m.method, url, bytes.NewReader(m.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = m.header.Clone()
	return do(t, req)
}

// do sends a request on a connection of its own.
func do(t testing.TB, req *http.Request) *http.Response {
	t.Helper()
	req.Close = true
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp
}

// A logbook keeps what is logged.
type logbook struct {
	mu sync.Mutex
	// mu guards b.
	b bytes.Buffer
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// newTransport returns a transport that ends with the test.
func newTransport(t testing.TB) *http.Transport {
	tr := &http.Transport{DialContext: (&net.Dialer{Timeout: time.Second}).DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func containsAll(s string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(s, p) })
}
