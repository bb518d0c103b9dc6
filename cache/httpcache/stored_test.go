package httpcache

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestStored(t *testing.T) {
	past := func(d time.Duration) string { return "Date: " + time.Now().Add(-d).UTC().Format(http.TimeFormat) }
	big := strings.Repeat("x", 2000)
	tests := []struct {
		rfc    string // of RFC 9111, if it is not said
		status int
		lines  []string
		why    string // "": stored
	}{
		{"5.2.2.1 max-age", 200, []string{"Cache-Control: max-age=60"}, ""},
		{"5.2.2.10 s-maxage", 200, []string{"Cache-Control: s-maxage=60"}, ""},
		{"4.2.1 s-maxage wins", 200, []string{"Cache-Control: max-age=0, s-maxage=60"}, ""},
		{"4.2.1 s-maxage wins", 200, []string{"Cache-Control: s-maxage=0, max-age=60"}, whyFreshness},
		{"4.2.1 max-age wins over Expires", 200, []string{"Cache-Control: max-age=60", "Expires: 0"}, ""},
		{"5.2 names ignore case", 200, []string{"cache-control: Max-Age=60, PUBLIC"}, ""},
		{"5.2 several lines", 200, []string{"Cache-Control: public", "Cache-Control: max-age=60"}, ""},
		{"9110 5.6.1 empty members", 200, []string{"Cache-Control: ,, max-age=60 , ,"}, ""},
		{"5.2.3 unknown directives", 200, []string{`Cache-Control: foo, bar="a, b", max-age=60`}, ""},
		{"5.2.2 others do not matter", 200, []string{"Cache-Control: public, must-revalidate, proxy-revalidate, immutable, no-transform, max-age=60"}, ""},
		{"1.2.2 overflow", 200, []string{"Cache-Control: max-age=99999999999999999999"}, ""},
		{"4.2.3 Age counts", 200, []string{"Cache-Control: max-age=60", "Age: 50"}, ""},
		{"chunked", 200, []string{"Cache-Control: max-age=60", "Transfer-Encoding: chunked", "", "2\r\nok\r\n0\r\n\r\n"}, ""},

		{"4.2.2 no explicit freshness", 200, nil, whyFreshness},
		{"Expires is not looked at yet", 200, []string{"Expires: " + time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, whyFreshness},
		{"5.2.2.1 max-age=0", 200, []string{"Cache-Control: max-age=0"}, whyFreshness},
		{"4.2.3 Age uses it up", 200, []string{"Cache-Control: max-age=60", "Age: 60"}, whyFreshness},
		{"4.2.3 Date uses it up", 200, []string{"Cache-Control: max-age=60", past(2 * time.Minute)}, whyFreshness},
		{"4.2.3 Date leaves some", 200, []string{"Cache-Control: max-age=60", past(30 * time.Second)}, ""},
		{"5.1 Age that is no number", 200, []string{"Cache-Control: max-age=60", "Age: -1"}, whyAge},
		{"5.1 two Ages", 200, []string{"Cache-Control: max-age=60", "Age: 1", "Age: 2"}, whyAge},
		{"9110 5.6.7 Date that is none", 200, []string{"Cache-Control: max-age=60", "Date: yesterday"}, whyAge},
		{"5.2.2.5 no-store", 200, []string{"Cache-Control: no-store, max-age=60"}, whyNoStore},
		{"5.2.2.3 must-understand", 200, []string{"Cache-Control: must-understand, max-age=60"}, whyNoStore},
		{"5.2.2.4 no-cache", 200, []string{"Cache-Control: no-cache, max-age=60"}, whyNoCache},
		{"5.2.2.4 no-cache with fields", 200, []string{`Cache-Control: no-cache="x-a", max-age=60`}, whyNoCache},
		{"5.2.2.7 private", 200, []string{"Cache-Control: max-age=60, Private"}, whyPrivate},
		{"5.2.2.7 private with fields", 200, []string{`Cache-Control: private="x-a", max-age=60`}, whyPrivate},
		{"5.2.2.7 private on another line", 200, []string{"Cache-Control: max-age=60", "Cache-Control: private"}, whyPrivate},
		{"4.2.1 a directive twice", 200, []string{"Cache-Control: max-age=60, max-age=60"}, whyCacheControl},
		{"4.2.1 a directive twice, over lines", 200, []string{"Cache-Control: max-age=60", "Cache-Control: MAX-AGE=1"}, whyCacheControl},
		{"5.2.2.1 quoted", 200, []string{`Cache-Control: max-age="60"`}, whyCacheControl},
		{"5.2.2.1 not a number", 200, []string{"Cache-Control: max-age=1.5"}, whyCacheControl},
		{"5.2.2.1 negative", 200, []string{"Cache-Control: max-age=-1"}, whyCacheControl},
		{"5.2.2.1 no value", 200, []string{"Cache-Control: max-age"}, whyCacheControl},
		{"5.2.2.1 empty value", 200, []string{"Cache-Control: max-age="}, whyCacheControl},
		{"5.2.2.1 the loser is malformed", 200, []string{"Cache-Control: s-maxage=60, max-age=x"}, whyCacheControl},
		{"5.2 spaces around =", 200, []string{"Cache-Control: max-age = 60"}, whyCacheControl},
		{"5.2 no comma", 200, []string{"Cache-Control: max-age=60 private"}, whyCacheControl},
		{"5.2 quote without end", 200, []string{`Cache-Control: max-age=60, x="no-store`}, whyCacheControl},
		{"4.1 Vary", 200, []string{"Cache-Control: max-age=60", "Vary: Accept"}, whyVary},
		{"4.1 Vary *", 200, []string{"Cache-Control: max-age=60", "Vary: *"}, whyVary},
		{"7.3 Set-Cookie", 200, []string{"Cache-Control: public, max-age=60", "Set-Cookie: a=b"}, whySetCookie},
		{"9213 CDN-Cache-Control", 200, []string{"Cache-Control: max-age=60", "CDN-Cache-Control: no-store"}, whyTargeted},
		{"3 301", 301, []string{"Cache-Control: max-age=60", "Location: /x"}, whyStatus},
		{"3 404", 404, []string{"Cache-Control: max-age=60"}, whyStatus},
		{"3 206", 206, []string{"Cache-Control: max-age=60", "Content-Range: bytes 0-1/2"}, whyStatus},
		{"3 200 with Content-Range", 200, []string{"Cache-Control: max-age=60", "Content-Range: bytes 0-1/2"}, whyStatus},
		{"3 500", 500, []string{"Cache-Control: max-age=60"}, whyServerError},
		{"3.3 ends with the connection", 200, []string{"Cache-Control: max-age=60", "Connection: close", "", "perhaps all"}, whyFraming},
		{"trailer", 200, []string{"Cache-Control: max-age=60", "Trailer: X-Sum", "Transfer-Encoding: chunked", "", "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"}, whyFraming},
		{"too large by Content-Length", 200, []string{"Cache-Control: max-age=60", "", big}, whyTooLarge},
		{"too large by reading", 200, []string{"Cache-Control: max-age=60", "Transfer-Encoding: chunked", "", "7d0\r\n" + big + "\r\n0\r\n\r\n"}, whyTooLarge},
		{"too large a header", 200, []string{"Cache-Control: max-age=60", "X-Big: " + big}, whyTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.rfc, func(t *testing.T) {
			o := origin(tt.status, tt.lines...)
			h := start(t, Config{Transport: o, MaxObjectBytes: 1500})
			want := "fleetcache; fwd=uri-miss; fwd-status=200; stored"
			requests := int64(1)
			if tt.why != "" {
				want = "detail=" + tt.why
				requests = 3 // a probe, and one for each of the two requests
			}
			first := get(h, "/x")
			if got := first.Header().Get("Cache-Status"); !strings.Contains(got, want) {
				t.Errorf("Cache-Status: %s, want %s", got, want)
			}
			second := get(h, "/x")
			if n := o.requests.Load(); n != requests {
				t.Errorf("the origin saw %d requests, want %d", n, requests)
			}
			if first.Code != tt.status || second.Code != tt.status || first.Body.String() != second.Body.String() {
				t.Errorf("got %d %q, then %d %q", first.Code, first.Body, second.Code, second.Body)
			}
			if got := second.Header().Get("Cache-Status"); tt.why == "" && !strings.HasPrefix(got, "fleetcache; hit; ttl=") {
				t.Errorf("second Cache-Status: %s", got)
			}
			if s := h.Stats(); s.Requests != 2 || s.Fills != 1 || s.Passed+s.Hits+s.Misses != 2 {
				t.Errorf("Stats %+v", s)
			}
		})
	}
}

func TestBypassed(t *testing.T) {
	tests := []struct {
		method, line, detail string // detail "": answered from the store
	}{
		{"GET", "", ""},
		{"HEAD", "", ""},
		{"GET", "Accept: text/html", ""},
		{"GET", "Cache-Control: max-stale=5, no-transform, only-if-cached, foo", ""},
		{"GET", "Pragma: foo", ""},
		{"GET", "Authorization: Basic x", "authorization"}, // RFC 9111, 3.5
		{"HEAD", "Authorization: Basic x", "authorization"},
		{"GET", "Cookie: a=b", "cookie"},
		{"GET", "Range: bytes=0-1", "range"},
		{"GET", "If-None-Match: x", "conditional"},
		{"GET", "If-Match: x", "conditional"},
		{"GET", "If-Modified-Since: x", "conditional"},
		{"GET", "If-Unmodified-Since: x", "conditional"},
		{"GET", "If-Range: x", "conditional"},
		{"GET", "Upgrade: websocket", "upgrade"},
		{"GET", "Cache-Control: no-cache", "cache-control"}, // 5.2.1.4
		{"GET", "Cache-Control: NO-STORE", "cache-control"}, // 5.2.1.5
		{"GET", "Cache-Control: max-age=0", "cache-control"},
		{"GET", "Cache-Control: min-fresh=9", "cache-control"},
		{"GET", `Cache-Control: "`, "cache-control"},
		{"GET", "Pragma: no-cache", "cache-control"}, // 5.4
		{"POST", "", "method"},
		{"PUT", "", "method"},
		{"DELETE", "", "method"},
		{"OPTIONS", "", "method"},
		{"PATCH", "", "method"},
		{"PURGE", "", "method"},
		{"get", "", "method"},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.line, func(t *testing.T) {
			var seen *http.Request
			o := &fakeOrigin{}
			o.answer = func(r *http.Request) (*http.Response, error) {
				seen = r
				return response(200, "Cache-Control: max-age=60", "", "ok"), nil
			}
			h := start(t, Config{Transport: o})
			get(h, "/x")
			var lines []string
			if tt.line != "" {
				lines = []string{tt.line}
			}
			got := do(h, tt.method, "/x", lines...).Header().Get("Cache-Status")
			if tt.detail == "" {
				if !strings.HasPrefix(got, "fleetcache; hit") || o.requests.Load() != 1 {
					t.Errorf("not a hit: %s, %d requests", got, o.requests.Load())
				}
				return
			}
			want := "fleetcache; fwd=bypass; fwd-status=200; detail=" + tt.detail
			if tt.detail == "method" {
				want = "fleetcache; fwd=method; fwd-status=200"
			}
			if got != want || o.requests.Load() != 2 {
				t.Errorf("Cache-Status: %s, want %s; %d requests", got, want, o.requests.Load())
			}
			name, value, _ := strings.Cut(tt.line, ": ")
			if seen.Method != tt.method || name != "Upgrade" && seen.Header.Get(name) != value {
				t.Errorf("the origin saw %s %v", seen.Method, seen.Header)
			}
			if s := h.Stats(); s.Bypassed != 1 {
				t.Errorf("Stats %+v", s)
			}
		})
	}
}

// What answers everybody must not depend on who asked first.
func TestFillCarriesNothingOfTheClient(t *testing.T) {
	var seen *http.Request
	o := &fakeOrigin{}
	o.answer = func(r *http.Request) (*http.Response, error) {
		seen = r
		return response(200, "Cache-Control: max-age=60"), nil
	}
	h := start(t, Config{Transport: o, Instance: "a"})
	get(h, "/x?q=1", "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "Forwarded: for=evil", "X-Api-Key: k", "X-Original-Url: /evil",
		"Accept-Language: de", "Accept-Encoding: br", "User-Agent: me", "Referer: here", "Connection: X-Foo", "X-Foo: 1")
	want := http.Header{"Accept": {"*/*"}, "Accept-Encoding": {"identity"}, "User-Agent": {"fleetcache"}, "Via": {"1.1 fleetcache (a)"}}
	if len(seen.Header) != len(want) {
		t.Errorf("the origin saw %v, want %v", seen.Header, want)
	}
	for name := range want {
		if seen.Header.Get(name) != want.Get(name) {
			t.Errorf("the origin saw %s: %q, want %q", name, seen.Header[name], want[name])
		}
	}
	if seen.URL.String() != "http://origin.test/x?q=1" || seen.Host != "origin.test" {
		t.Errorf("the origin saw %s, Host %s", seen.URL, seen.Host)
	}
}

func TestStoredHeader(t *testing.T) {
	h := start(t, Config{Transport: origin(200, "Cache-Control: max-age=60", "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5",
		"Proxy-Authenticate: Basic", "Proxy-Connection: x", "Transfer-Encoding: chunked", "ETag: \"e\"", "X-Two: 1", "X-Two: 2", "",
		"2\r\nok\r\n0\r\n\r\n")})
	for range 2 {
		w := get(h, "/x")
		got := w.Result().Header
		for _, gone := range []string{"Connection", "X-Hop", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Transfer-Encoding", "Content-Type"} {
			if v, ok := got[gone]; ok && len(v) > 0 {
				t.Errorf("%s: %q crossed", gone, v)
			}
		}
		if got.Get("ETag") != `"e"` || len(got["X-Two"]) != 2 || got.Get("Content-Length") != "2" || got.Get("Age") != "0" || got.Get("Date") == "" {
			t.Errorf("header %v", got)
		}
		if w.Body.String() != "ok" {
			t.Errorf("body %q", w.Body)
		}
	}
}

func TestHead(t *testing.T) {
	o := origin(200, "Cache-Control: max-age=60", "Content-Type: text/plain", "ETag: \"e\"", "", "hello")
	h := start(t, Config{Transport: o})
	missed := do(h, http.MethodHead, "/x") // fills by a GET
	byGet := get(h, "/x")
	hit := do(h, http.MethodHead, "/x")
	if o.requests.Load() != 1 {
		t.Errorf("the origin saw %d requests, want 1", o.requests.Load())
	}
	if byGet.Body.String() != "hello" || hit.Body.Len() != 0 || missed.Body.Len() != 0 {
		t.Errorf("bodies %q, %q, %q", missed.Body, byGet.Body, hit.Body)
	}
	for name, values := range byGet.Header() {
		if got := hit.Header()[name]; strings.Join(got, ",") != strings.Join(values, ",") {
			t.Errorf("HEAD has %s: %q, GET %q", name, got, values)
		}
	}
	if len(hit.Header()) != len(byGet.Header()) {
		t.Errorf("HEAD has %v, GET %v", hit.Header(), byGet.Header())
	}
}
