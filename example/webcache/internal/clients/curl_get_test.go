package clients

import (
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

const (
	modified = "Mon, 02 Mar 2026 10:00:00 GMT"
	earlier  = "Sun, 01 Mar 2026 10:00:00 GMT"
)

// page answers with a page that anybody may keep for an hour.
func page(w http.ResponseWriter, body string) {
	h := w.Header()
	h.Set("Cache-Control", "max-age=3600")
	h.Set("Content-Type", "text/plain")
	h.Set("ETag", `"v1"`)
	h.Set("Last-Modified", modified)
	h.Set("Content-Length", fmt.Sprint(len(body)))
	io.WriteString(w, body)
}

const digits = "0123456789"

func TestCurlHit(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, _ *http.Request) { page(w, digits) })
	f := startFleet(t, o)
	url := func(i int) string { return f.all[i].URL + "/page?q=%20" }

	a := fill(t, url(0))
	for i := range f.all {
		b := curl(t, url(i))
		b.wantFrom(t, 200, "hit")
		if a.body != digits || b.body != digits || b.header.Get("Age") == "" || b.header.Get("ETag") != `"v1"` {
			t.Errorf("%q, then %q with %v", a.body, b.body, b.header)
		}
		h := curl(t, "--head", url(i))
		h.wantFrom(t, 200, "hit")
		if h.header.Get("Content-Length") != "10" {
			t.Errorf("HEAD: %v", h.header)
		}
	}
	o.wantRequests(t, "GET /page?q=%20", 1)
	o.wantRequests(t, "HEAD /page?q=%20", 0)
}

func TestCurlConditions(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, _ *http.Request) { page(w, digits) })
	f := startFleet(t, o)
	tag := filepath.Join(t.TempDir(), "etag")
	fill(t, "--etag-save", tag, f.all[0].URL+"/page")
	saved, err := os.ReadFile(tag)
	if err != nil || strings.TrimSpace(string(saved)) != `"v1"` {
		t.Fatalf("curl saved %q, %v", saved, err)
	}
	for _, w := range f.all {
		for _, c := range []struct {
			status int
			args   []string
		}{
			{304, []string{"--etag-compare", tag}},
			{304, []string{"-z", modified}},
			{200, []string{"-z", earlier}},
			{200, []string{"-H", `If-None-Match: "v2"`}},
			{304, []string{"-H", `If-None-Match: "v2", W/"v1"`}},
		} {
			a := curl(t, append(c.args, w.URL+"/page")...)
			a.wantFrom(t, c.status, "hit")
			if want := map[int]string{200: digits}[c.status]; a.body != want {
				t.Errorf("%v: %d with body %q", c.args, a.status, a.body)
			}
		}
	}
	o.wantRequests(t, "GET /page", 1)
}

func TestCurlRanges(t *testing.T) {
	o := startOrigin(t, func(w http.ResponseWriter, _ *http.Request) { page(w, digits) })
	f := startFleet(t, o)
	fill(t, f.all[0].URL+"/page")
	for _, w := range f.all {
		url := w.URL + "/page"
		for r, want := range map[string]string{"0-1": "01", "8-": "89", "-3": "789", "4-100": "456789"} {
			a := curl(t, "-r", r, url)
			a.wantFrom(t, 206, "hit")
			if a.body != want {
				t.Errorf("-r %s: %q, want %q", r, a.body, want)
			}
		}
		a := curl(t, "-r", "0-1,5-6", url)
		a.wantFrom(t, 206, "hit")
		if got := parts(t, a); got != "bytes 0-1/10=01,bytes 5-6/10=56," {
			t.Errorf("parts are %q", got)
		}
		if a := curl(t, "-r", "10-", url); a.status != 416 || a.header.Get("Content-Range") != "bytes */10" {
			t.Errorf("behind the end: %d %v", a.status, a.header)
		}
		curl(t, "-r", "0-1", "-H", `If-Range: "v1"`, url).wantFrom(t, 206, "hit")
		curl(t, "-r", "0-1", "-H", `If-Range: "v0"`, url).wantFrom(t, 200, "hit")
	}
	o.wantRequests(t, "GET /page", 1)
}

// parts returns the parts of a multipart/byteranges.
func parts(t *testing.T, a *answer) (all string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		t.Fatalf("type %q, %v", kind, err)
	}
	r := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		all += p.Header.Get("Content-Range") + "=" + string(b) + ","
	}
}

// What is compressed and what is not are two variants.
func TestCurlCompressed(t *testing.T) {
	text := strings.Repeat("compressible ", 1000)
	o := startOrigin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept-Encoding")
		w.Header().Set("Cache-Control", "max-age=3600")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			io.WriteString(w, text)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, text)
		z.Close()
	})
	f := startFleet(t, o)
	url := f.all[0].URL + "/text"
	fill(t, url)
	curl(t, "--compressed", url)
	processtest.WaitFor(t, "the other variant to be stored", func() bool { return strings.HasPrefix(curl(t, "--compressed", url).from(), "fleetcache; hit") })
	for _, w := range f.all {
		plain, packed := curl(t, w.URL+"/text"), curl(t, "--compressed", w.URL+"/text")
		raw := curl(t, "-H", "Accept-Encoding: gzip", w.URL+"/text")
		if plain.body != text || packed.body != text || len(raw.body) > len(text)/2 {
			t.Errorf("%d, %d and %d bytes of %d", len(plain.body), len(packed.body), len(raw.body), len(text))
		}
		if plain.header.Get("Content-Encoding") != "" || packed.header.Get("Content-Encoding") != "gzip" || raw.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%v, %v, %v", plain.header, packed.header, raw.header)
		}
		plain.wantFrom(t, 200, "hit")
		packed.wantFrom(t, 200, "hit")
	}
	if n := len(o.requests("GET /text")); n > 3 { // gzip, nothing, and what curl lists if that is another variant
		t.Errorf("the origin was asked %d times", n)
	}
}

// A body that is stored in chunks, all over the fleet: asked for at all instances at once, then in full and in part.
func TestCurlLarge(t *testing.T) {
	body := make([]byte, 20<<20)
	rand.NewChaCha8([32]byte{1}).Read(body)
	sum := sha256.Sum256(body)
	o := startOrigin(t, func(w http.ResponseWriter, _ *http.Request) { page(w, string(body)) })
	f := startFleet(t, o)
	var all sync.WaitGroup
	for _, w := range f.all {
		all.Go(func() {
			for range 2 {
				if a := curl(t, w.URL+"/large"); sha256.Sum256([]byte(a.body)) != sum {
					t.Errorf("%d bytes are not what was sent: %v", len(a.body), a.header)
				}
			}
		})
	}
	all.Wait()
	processtest.WaitFor(t, "it to be stored", func() bool { return strings.HasPrefix(curl(t, f.all[0].URL+"/large").from(), "fleetcache; hit") })
	for _, w := range f.all {
		a := curl(t, "-r", "9999999-11111110", w.URL+"/large")
		a.wantFrom(t, 206, "hit")
		if a.body != string(body[9999999:11111111]) {
			t.Error("a range is not what was sent")
		}
	}
	o.wantRequests(t, "GET /large", 1)
}
