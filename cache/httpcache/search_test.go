package httpcache

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestNoVarySearch(t *testing.T) {
	o := &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		lines := []string{"Cache-Control: max-age=60"}
		if r.URL.Path == "/x" {
			lines = append(lines, `No-Vary-Search: key-order, params=("utm")`)
		}
		return response(200, append(lines, "", r.URL.RequestURI())...), nil
	}}
	_, hs := startFleet(t, 2, Config{Transport: o})
	for _, h := range hs {
		get(h, "/x?a=1&b=2")
	}
	for _, tt := range []struct {
		url    string
		loads  int64
		shared bool
	}{
		{"/x?a=1&b=2", 1, true},
		{"/x?b=2&a=1", 1, true},
		{"/x?b=2&utm=z&a=1", 1, true},
		{"/x?a=1&b=3", 1, false},
		{"/y?b=2&a=1", 1, false},
		{"/y?a=1&b=2", 1, false},
	} {
		before := o.requests.Load()
		for i, h := range hs {
			w := get(h, tt.url)
			if tt.shared != (w.Body.String() == "/x?a=1&b=2") && !strings.HasPrefix(tt.url, "/x?a=1&b=2") {
				t.Errorf("%s at %d: %q", tt.url, i, w.Body)
			}
		}
		want := tt.loads
		if tt.shared {
			want = 0
		}
		if n := o.requests.Load() - before; n != want {
			t.Errorf("%s: %d requests, want %d", tt.url, n, want)
		}
	}
	// A purge by any of its spellings is one of all.
	if _, err := hs[1].Purge(t.Context(), "/x?utm=q&b=2&a=1", false); err != nil {
		t.Fatal(err)
	}
	before := o.requests.Load()
	get(hs[0], "/x?a=1&b=2&utm=z")
	if n := o.requests.Load() - before; n != 1 {
		t.Errorf("after the purge %d requests, want 1", n)
	}
}

// A rule that is gone, or does not parse, is forgotten.
func TestNoVarySearchEnds(t *testing.T) {
	rule := `No-Vary-Search: params`
	o := &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		return response(200, "Cache-Control: max-age=0", "Etag: x", rule, "", r.URL.RawQuery), nil
	}}
	h := start(t, Config{Transport: o})
	get(h, "/x?a=1")
	if w := get(h, "/x?a=2"); w.Body.String() != "" {
		t.Errorf("%q", w.Body)
	}
	for _, none := range []string{"X-A: b", "No-Vary-Search: ((("} {
		rule = none
		get(h, "/x?a=3") // still by the old rule
		if w := get(h, "/x?a=4"); w.Body.String() != "a=4" {
			t.Errorf("%s: %q", none, w.Body)
		}
	}
}

func TestSearchesAreBounded(t *testing.T) {
	h := start(t, Config{Transport: origin(200, "Cache-Control: max-age=60", "No-Vary-Search: params")})
	for i := range maxSearches + 10 {
		get(h, fmt.Sprintf("/%d?a", i))
	}
	if n := len(h.searches.byPath); n > maxSearches {
		t.Errorf("%d paths are remembered", n)
	}
}

func TestCheckTypes(t *testing.T) {
	for _, tt := range []struct {
		path, kind string
		stored     bool
	}{
		{"/a.css", "text/css", true},
		{"/a.CSS", "text/css; charset=utf-8", true},
		{"/a.css?b.png", "TEXT/CSS", true},
		{"/a.js", "application/javascript", true},
		{"/a.png", "image/webp", true},
		{"/a.mp4", "video/mp4", true},
		{"/a.pdf", "application/pdf", true},
		{"/account/x.css", "text/html", false},
		{"/account/x.css?y", "text/html", false},
		{"/account/x.png", "text/html; image/png", false},
		{"/account/x.js", "application/json", false},
		{"/account/x.css", "", false},
		{"/account/x.html", "text/html", true},
		{"/account.css/x", "text/html", true},
		{"/account", "text/html", true},
	} {
		for _, check := range []bool{true, false} {
			lines := []string{"Cache-Control: max-age=60"}
			if tt.kind != "" {
				lines = append(lines, "Content-Type: "+tt.kind)
			}
			o := origin(200, append(lines, "", "x")...)
			h := start(t, Config{Transport: o, CheckTypes: check})
			get(h, tt.path)
			get(h, tt.path)
			if stored := o.requests.Load() == 1; stored != (tt.stored || !check) {
				t.Errorf("%s of type %q, check: %v: stored: %v", tt.path, tt.kind, check, stored)
			}
		}
	}
}
