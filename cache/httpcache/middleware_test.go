package httpcache

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func middleware(t *testing.T, next http.HandlerFunc) *Handler {
	t.Helper()
	h, err := Middleware(Config{Instance: "a"}, next)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func TestMiddleware(t *testing.T) {
	var calls atomic.Int32
	h := middleware(t, func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		if r.URL.Path != "/private" {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		fmt.Fprintf(w, "%d %s %s%s", n, r.Method, r.Host, r.URL)
	})
	url, client := serveHTTP(t, h)
	host := strings.TrimPrefix(url, "http://")
	for i, tt := range []struct{ method, path, want, status string }{
		{"GET", "/a?b", "1 GET " + host + "/a?b", "fwd=uri-miss; fwd-status=200; stored"},
		{"GET", "/a?b", "1 GET " + host + "/a?b", "hit; ttl="},
		{"GET", "/private", "2 GET " + host + "/private", "fwd=uri-miss; fwd-status=200; detail="},
		{"POST", "/a?b", "3 POST " + host + "/a?b", "fwd=method; fwd-status=200"},
		{"GET", "/a?b", "4 GET " + host + "/a?b", "fwd=uri-miss; fwd-status=200; stored"},
	} {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, url+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body := readAll(t, resp.Body)
		if status := resp.Header.Get("Cache-Status"); body != tt.want || !strings.Contains(status, tt.status) {
			t.Errorf("%d: %s %s: %q, %s; want %q, %s", i, tt.method, tt.path, body, status, tt.want, tt.status)
		}
	}
}

// What next writes, clients get at once, be it stored or not.
func TestMiddlewareStreams(t *testing.T) {
	for _, control := range []string{"max-age=60", "no-store"} {
		more := make(chan bool)
		h := middleware(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", control)
			io.WriteString(w, "first,")
			http.NewResponseController(w).Flush()
			<-more
			io.WriteString(w, "last")
		})
		url, client := serveHTTP(t, h)
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 6)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first," {
			t.Errorf("%s: %q, %v", control, first, err)
		}
		close(more)
		if last := readAll(t, resp.Body); last != "last" {
			t.Errorf("%s: then %q", control, last)
		}
	}
}

func TestMiddlewareOfAHandlerThatPanics(t *testing.T) {
	h := middleware(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			w.Header().Set("Content-Length", "10")
			w.Header().Set("Cache-Control", "max-age=60")
			io.WriteString(w, "12345")
		}
		panic("next")
	})
	if w := get(h, "/early"); w.Code != http.StatusBadGateway {
		t.Errorf("a panic before the header: %d", w.Code)
	}
	url, client := serveHTTP(t, h)
	for range 2 {
		resp, err := client.Get(url + "/late")
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		if err == nil && resp.StatusCode != http.StatusBadGateway {
			t.Error("a body that broke off ended well")
		}
	}
}

func TestMiddlewareUpgrades(t *testing.T) {
	h := middleware(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		io.WriteString(conn, "hello")
		conn.Close()
	})
	url, client := serveHTTP(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, resp.Body); resp.StatusCode != 101 || got != "hello" {
		t.Errorf("%d %q", resp.StatusCode, got)
	}
}

func TestMiddlewareConfig(t *testing.T) {
	for name, make := range map[string]func() (*Handler, error){
		"no next":   func() (*Handler, error) { return Middleware(Config{}, nil) },
		"an origin": func() (*Handler, error) { return Middleware(Config{Origin: "http://x"}, http.NotFoundHandler()) },
		"origins": func() (*Handler, error) {
			return Middleware(Config{Origins: map[string]string{"*": "http://x"}}, http.NotFoundHandler())
		},
		"a transport": func() (*Handler, error) {
			return Middleware(Config{Transport: http.DefaultTransport}, http.NotFoundHandler())
		},
	} {
		if h, err := make(); err == nil {
			h.Close()
			t.Errorf("%s: no error", name)
		}
	}
}

func ExampleMiddleware() {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("making", r.URL)
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "a page")
	})
	h, err := Middleware(Config{}, pages)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer h.Close()
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/page", nil))
		fmt.Println(w.Body)
	}
	// Output:
	// making /page
	// a page
	// a page
}
