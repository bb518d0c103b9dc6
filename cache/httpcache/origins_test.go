package httpcache

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// echo is an origin that says what it sees.
func echo(t *testing.T, name string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.Method == http.MethodPost {
			w.Header().Set("Location", "https://"+r.Host+"/other")
		}
		fmt.Fprintf(w, "%s %s%s", name, r.Host, r.URL)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func newWith(t *testing.T, cfg Config) *Handler {
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// askHost sends a request for a host, and returns the answer and what Cache-Status says.
func askHost(h *Handler, method, host, path string) (code int, body, status string) {
	r := httptest.NewRequest(method, path, nil)
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String(), w.Header().Get("Cache-Status")
}

func TestOriginsByHost(t *testing.T) {
	a, b, rest := echo(t, "a"), echo(t, "b"), echo(t, "rest")
	at := func(name, url string) string { return name + " " + strings.TrimPrefix(url, "http://") + "/x" }
	origins := map[string]string{"A.test": a, "a2.test.": a, "b.test": b, "b.test:8080": rest, "[::1]": b}
	for _, any := range []bool{false, true} {
		cfg := Config{Origins: origins}
		if any {
			cfg.Origin = rest
		}
		h := newWith(t, cfg)
		for host, want := range map[string]string{
			"a.test": at("a", a), "A.TEST": at("a", a), "a.test:80": at("a", a), "a.test:99": at("a", a), "a.test.": at("a", a), "a2.test": at("a", a),
			"b.test": at("b", b), "b.test:8080": at("rest", rest), "b.test:8081": at("b", b), "[::1]": at("b", b), "[0:0::1]:80": at("b", b),
			"c.test": "", "test": "", "": "", "127.0.0.1": "", "a.test@c.test": "", "a.test/": "", "a.test:0": "",
		} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				code, body, _ := askHost(h, method, host, "/x")
				switch {
				case want == "" && !any && code != http.StatusMisdirectedRequest:
					t.Errorf("%s: %d %s, want 421", host, code, body)
				case want == "" && any && body != at("rest", rest), want != "" && body != want:
					t.Errorf("%s %s: %d %s, want %s", method, host, code, body, want)
				}
			}
		}
		askHost(h, http.MethodGet, "a.test", "/x")
		if _, _, status := askHost(h, http.MethodGet, "a2.test", "/x"); !strings.Contains(status, "; hit") {
			t.Errorf("hosts with the same origin do not share: %s", status)
		}
	}
}

func TestPreserveHost(t *testing.T) {
	a, rest := echo(t, "a"), echo(t, "rest")
	h := newWith(t, Config{Origins: map[string]string{"a.test": a, "*": rest}, PreserveHost: true})
	for host, want := range map[string]string{
		"A.test.:80": "a a.test/x", "a.test": "a a.test/x", "a.test:8080": "a a.test:8080/x", "B.test": "rest b.test/x", "c.test:80": "rest c.test/x", "c.test:443": "rest c.test:443/x", "[::1]:080": "rest [::1]/x",
	} {
		if _, body, _ := askHost(h, http.MethodGet, host, "/x"); body != want {
			t.Errorf("%s: %s, want %s", host, body, want)
		}
		if _, body, _ := askHost(h, http.MethodPost, host, "/x"); body != want {
			t.Errorf("POST %s: %s, want %s", host, body, want)
		}
	}
	for _, bad := range []string{"", "a/b", "a@b", "a:b", "a:99999", "ü", "a b", "a..b", "[::1", "[::1%25eth0]"} {
		if code, _, _ := askHost(h, http.MethodGet, bad, "/x"); code != http.StatusBadRequest {
			t.Errorf("%q: %d, want 400", bad, code)
		}
	}
	// Over TLS, its own port is another one.
	r := httptest.NewRequest(http.MethodGet, "https://c.test:443/x", nil)
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Body.String() != "rest c.test/x" {
		t.Errorf("got %s", w.Body)
	}
	// What an unsafe request invalidates is of its host.
	for _, host := range []string{"a.test", "b.test"} {
		for _, path := range []string{"/x", "/other"} {
			askHost(h, http.MethodGet, host, path)
		}
	}
	askHost(h, http.MethodPost, "a.test", "/x")
	for _, path := range []string{"/x", "/other"} {
		if _, _, status := askHost(h, http.MethodGet, "a.test", path); !strings.Contains(status, "; fwd=uri-miss") {
			t.Errorf("%s was not invalidated: %s", path, status)
		}
		if _, _, status := askHost(h, http.MethodGet, "b.test", path); !strings.Contains(status, "; hit") {
			t.Errorf("%s of another host was invalidated: %s", path, status)
		}
	}
}

// What another instance asks for is of an origin that is configured here.
func TestKeysOfOtherOrigins(t *testing.T) {
	for preserve, want := range map[bool]map[string]string{
		false: {"rhttp://a.internal:8080/x?y": "http://a.internal:8080/x?y a.internal:8080", "rhttp://a.internal/x": "", "rhttps://a.internal:8080/x": "", "rhttp://a.test/x": "", "rhttp://a.internal:8080": "", "r": "", "rhttp:///x": ""},
		true:  {"rhttp://a.test/x?y": "http://a.internal:8080/x?y a.test", "rhttp://a.test:443/x": "http://a.internal:8080/x a.test:443", "rhttp://a.test:80/x": "http://a.internal:8080/x a.test:80", "rhttp://A.test/x": "", "rhttps://a.test/x": "", "rhttp://evil.test/x": ""},
	} {
		h := newWith(t, Config{Origins: map[string]string{"a.test": "http://a.internal:8080"}, PreserveHost: preserve})
		for key, want := range want {
			got := ""
			if u, host, ok := h.target(key); ok {
				got = u.String() + " " + host
			}
			if got != want {
				t.Errorf("%s: %s, want %s", key, got, want)
			}
		}
	}
}

func TestBadOrigins(t *testing.T) {
	for want, cfg := range map[string]Config{
		"Config.Origin: the URL is empty":                    {},
		`Config.Origin is given together with Origins["*"]`:  {Origin: "http://a", Origins: map[string]string{"*": "http://a"}},
		`Config.Origins["a.test"]: the URL is empty`:         {Origins: map[string]string{"a.test": ""}},
		`Config.Origins["a/b"]: this is no host`:             {Origins: map[string]string{"a/b": "http://a"}},
		`Config.Origins["a"]: the host is there twice`:       {Origins: map[string]string{"a": "http://a", "A": "http://a"}},
		`Config.Origins["a:80"]: the host has a port`:        {Origins: map[string]string{"a:80": "http://a"}, PreserveHost: true},
		`Config.Origins["*"]: the URL "x" does not begin`:    {Origins: map[string]string{"*": "x"}},
		`Config.Origins["b"]: the URL has a user`:            {Origins: map[string]string{"*": "http://x", "b": "http://u:sesame@x"}},
		"Config.TLS is given together with Transport: leave": {Origin: "http://a", TLS: &tls.Config{}, Transport: http.DefaultTransport},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sesame") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A URL is purged as clients have it, or as the origin has it; and a path at all origins.
func TestPurgeByHost(t *testing.T) {
	a, rest := echo(t, "a"), echo(t, "rest")
	for _, preserve := range []bool{false, true} {
		h := newWith(t, Config{Origins: map[string]string{"a.test": a, "*": rest}, PreserveHost: preserve})
		for purge, want := range map[string]string{
			"http://a.test/x":      "a",
			"https://A.test:443/x": "a",
			"http://b.test/x":      "b",
			"http://a.test/y":      "",
			a + "/x":               map[bool]string{false: "ab", true: ""}[preserve], // b.test is among all others
			"/x":                   map[bool]string{false: "ab", true: ""}[preserve],
		} {
			for _, host := range []string{"a", "b"} {
				askHost(h, http.MethodGet, host+".test", "/x")
			}
			_, err := h.Purge(t.Context(), purge, false)
			if (err != nil) != (preserve && purge == "/x") {
				t.Errorf("purging %s: %v", purge, err)
			}
			got := ""
			for _, host := range []string{"a", "b"} {
				if _, _, status := askHost(h, http.MethodGet, host+".test", "/x"); !strings.Contains(status, "; hit") {
					got += host
				}
			}
			if got != want {
				t.Errorf("PreserveHost %v: purging %s removed %q, want %q", preserve, purge, got, want)
			}
		}
	}
}
