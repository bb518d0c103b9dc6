package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache"
)

// nobody is a http.ResponseWriter that keeps nothing but the header.
type nobody struct{ header http.Header }

func (w *nobody) Header() http.Header         { return w.header }
func (w *nobody) Write(b []byte) (int, error) { return len(b), nil }
func (w *nobody) WriteHeader(int)             {}

// BenchmarkHit is what a hit in own memory costs beside net/http.
func BenchmarkHit(b *testing.B) {
	body := []byte(strings.Repeat("x", 1<<10))
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=86400")
		w.Header().Set("Etag", `"x"`)
		w.Header().Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
		_, _ = w.Write(body)
	}))
	defer origin.Close()
	h, err := httpcache.New(httpcache.Config{Origin: origin.URL, Instance: "http://127.0.0.1:8080"})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	w := &nobody{make(http.Header)}
	r := httptest.NewRequest("GET", "/1KiB/17", nil)
	r.Header.Set("User-Agent", "fleetcache-bench")
	r.Header.Set("Accept", "*/*")
	h.ServeHTTP(w, r)
	b.ReportAllocs()
	for b.Loop() {
		clear(w.header)
		h.ServeHTTP(w, r)
	}
	if h.Stats().Hits == 0 {
		b.Error("no hits")
	}
}
