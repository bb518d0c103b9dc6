package httpcache

import (
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

func TestStored(t *testing.T) {
	now := time.Now()
	past := func(d time.Duration) string { return "Date: " + now.Add(-d).UTC().Format(http.TimeFormat) }
	big := strings.Repeat("x", 2000)
	tests := []struct {
		rfc    string // of RFC 9111, if it is not said
		status int
		lines  []string
		want   string // "": stored, and fresh. isStale: stored, and to be validated. Otherwise why it is not stored
	}{
		{"5.2.2.1 max-age", 200, []string{"Cache-Control: max-age=60"}, ""},
		{"5.2.2.10 s-maxage", 200, []string{"Cache-Control: s-maxage=60"}, ""},
		{"4.2.1 s-maxage wins", 200, []string{"Cache-Control: max-age=0, s-maxage=60"}, ""},
		{"4.2.1 s-maxage wins over more", 200, []string{"Cache-Control: s-maxage=0, max-age=60"}, isStale},
		{"4.2.1 max-age wins over Expires", 200, []string{"Cache-Control: max-age=60", "Expires: 0"}, ""},
		{"5.2 names ignore case", 200, []string{"cache-control: Max-Age=60, PUBLIC"}, ""},
		{"5.2 several lines", 200, []string{"Cache-Control: public", "Cache-Control: max-age=60"}, ""},
		{"9110 5.6.1 empty members", 200, []string{"Cache-Control: ,, max-age=60 , ,"}, ""},
		{"5.2.3 unknown directives", 200, []string{`Cache-Control: foo, bar="a, b", max-age=60`}, ""},
		{"5.2.2 others do not matter", 200, []string{"Cache-Control: public, must-revalidate, proxy-revalidate, immutable, no-transform, max-age=60"}, ""},
		{"1.2.2 overflow", 200, []string{"Cache-Control: max-age=99999999999999999999"}, ""},
		{"4.2.3 Age counts", 200, []string{"Cache-Control: max-age=60", "Age: 50"}, ""},
		{"chunked", 200, []string{"Cache-Control: max-age=60", "Transfer-Encoding: chunked", "", "2\r\nok\r\n0\r\n\r\n"}, ""},
		{"5.3 Expires", 200, []string{"Expires: " + time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)}, ""},
		{"4.2.2 heuristic", 200, []string{"Last-Modified: " + testTime.Format(http.TimeFormat)}, ""},
		{"4.2.3 Date leaves some", 200, []string{"Cache-Control: max-age=60", past(30 * time.Second)}, ""},
		{"9110 5.6.7 Date that is none", 200, []string{"Cache-Control: max-age=60", "Date: yesterday"}, ""},
		{"5.2.2.3 must-understand", 200, []string{"Cache-Control: must-understand, no-store, max-age=60"}, ""},
		{"5.2.2.4 no-cache with fields", 200, []string{`Cache-Control: no-cache="x-a", max-age=60`}, ""},
		{"5.2.2.7 private with fields", 200, []string{`Cache-Control: private="x-a", max-age=60`}, ""},
		{"4.2.1 a directive twice", 200, []string{"Cache-Control: max-age=60, max-age=60"}, ""},
		{"5.2 quoted", 200, []string{`Cache-Control: max-age="60"`}, ""},
		{"5.2.2.1 the loser is malformed", 200, []string{"Cache-Control: s-maxage=60, max-age=x"}, ""},
		{"4.1 Vary", 200, []string{"Cache-Control: max-age=60", "Vary: Accept"}, ""},
		{"9213 CDN-Cache-Control wins", 200, []string{"Cache-Control: no-store", "CDN-Cache-Control: max-age=60"}, ""},
		{"3 301", 301, []string{"Cache-Control: max-age=60", "Location: /x"}, ""},
		{"3 404", 404, []string{"Cache-Control: max-age=60"}, ""},
		{"3 500", 500, []string{"Cache-Control: max-age=60"}, ""},
		{"3.3 an unknown length", 200, []string{"Cache-Control: max-age=60", "Transfer-Encoding: chunked", "", "0\r\n\r\n"}, ""},

		{"5.2.2.1 max-age=0", 200, []string{"Cache-Control: max-age=0"}, isStale},
		{"4.2.3 Age uses it up", 200, []string{"Cache-Control: max-age=60", "Age: 60"}, isStale},
		{"4.2.3 Date uses it up", 200, []string{"Cache-Control: max-age=60", past(2 * time.Minute)}, isStale},
		{"5.1 Age that is no number", 200, []string{"Cache-Control: max-age=60", "Age: -1"}, isStale},
		{"5.1 two Ages", 200, []string{"Cache-Control: max-age=60", "Age: 1", "Age: 2"}, isStale},
		{"4.2.1 the least of a directive twice", 200, []string{"Cache-Control: max-age=60", "Cache-Control: MAX-AGE=0"}, isStale},
		{"5.2.2.1 not a number", 200, []string{"Cache-Control: max-age=1.5"}, isStale},
		{"5.2.2.1 negative", 200, []string{"Cache-Control: max-age=-1"}, isStale},
		{"5.2.2.1 no value", 200, []string{"Cache-Control: max-age"}, isStale},
		{"5.2.2.1 empty value", 200, []string{"Cache-Control: max-age="}, isStale},
		{"5.2 spaces around =", 200, []string{"Cache-Control: max-age = 60"}, isStale},

		{"4.2.2 says nothing", 200, nil, rules.WhyFreshness},
		{"5.2.2.5 no-store", 200, []string{"Cache-Control: no-store, max-age=60"}, rules.WhyNoStore},
		{"5.2.2.4 no-cache", 200, []string{"Cache-Control: no-cache, max-age=60"}, rules.WhyNoCache},
		{"5.2.2.7 private", 200, []string{"Cache-Control: max-age=60, Private"}, rules.WhyPrivate},
		{"5.2.2.7 private on another line", 200, []string{"Cache-Control: max-age=60", "Cache-Control: private"}, rules.WhyPrivate},
		{"5.2 no comma", 200, []string{"Cache-Control: max-age=60 private"}, rules.WhyPrivate},
		{"5.2 quote without end", 200, []string{`Cache-Control: max-age=60, x="no-store`}, rules.WhyNoStore},
		{"4.1 Vary *", 200, []string{"Cache-Control: max-age=60", "Vary: *"}, rules.WhyVary},
		{"7.3 Set-Cookie", 200, []string{"Cache-Control: public, max-age=60", "Set-Cookie: a=b"}, rules.WhySetCookie},
		{"9213 CDN-Cache-Control", 200, []string{"Cache-Control: max-age=60", "CDN-Cache-Control: no-store"}, rules.WhyNoStore},
		{"3 206", 206, []string{"Cache-Control: max-age=60", "Content-Range: bytes 0-1/2"}, rules.WhyPartial},
		{"3.3 ends with the connection", 200, []string{"Cache-Control: max-age=60", "Connection: close", "", "perhaps all"}, whyFraming},
		{"trailer", 200, []string{"Cache-Control: max-age=60", "Trailer: X-Sum", "Transfer-Encoding: chunked", "", "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"}, whyFraming},
		{"too large by Content-Length", 200, []string{"Cache-Control: max-age=60", "", big}, whyTooLarge},
		{"too large a header", 200, []string{"Cache-Control: max-age=60", "X-Big: " + strings.Repeat("x", maxStoredHeader)}, whyTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.rfc, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(now))
				stored(t, tt.status, tt.lines, tt.want)
			})
		})
	}
}

// isStale is what is stored and is to be validated before it is used again.
const isStale = "stale"

func stored(t *testing.T, status int, lines []string, want string) {
	o := origin(status, lines...)
	h := start(t, Config{Transport: o, MaxObjectBytes: 1500})
	first := get(h, "/x")
	synctest.Wait() // until all of it is stored
	second := get(h, "/x")
	wants, requests := [2]string{"fleetcache; fwd=uri-miss; fwd-status=%d; stored", "fleetcache; hit; ttl="}, int64(1)
	switch want {
	case "":
	case isStale:
		wants[1], requests = "fleetcache; fwd=stale; fwd-status=%d; stored", 2
	default:
		wants[0] = "fleetcache; fwd=uri-miss; fwd-status=%d; detail=" + want
		wants[1], requests = wants[0], 2
	}
	for i, w := range []*answer{first, second} {
		want := strings.ReplaceAll(wants[i], "%d", strconv.Itoa(status))
		if got := w.Header().Get("Cache-Status"); !strings.HasPrefix(got, want) {
			t.Errorf("Cache-Status: %s, want %s", got, want)
		}
	}
	if n := o.requests.Load(); n != requests {
		t.Errorf("the origin saw %d requests, want %d", n, requests)
	}
	if first.Code != status || second.Code != status || first.Body.String() != second.Body.String() {
		t.Errorf("got %d %q, then %d %q", first.Code, first.Body, second.Code, second.Body)
	}
	if s := h.Stats(); s.Requests != 2 || s.Passed+s.Hits+s.Misses != 2 {
		t.Errorf("Stats %+v", s)
	}
}

// What of a request is answered from the store, what is validated, and what the cache has no part in.
func TestBypassed(t *testing.T) {
	const hit, miss = "hit", "request"
	tests := []struct {
		method, line, want string // the detail of a bypass
		trust              string // the same with TrustClient, if it differs
	}{
		{"GET", "", hit, ""},
		{"HEAD", "", hit, ""},
		{"GET", "Accept: text/html", hit, ""},
		{"GET", "Cache-Control: max-stale=5, no-transform, only-if-cached, foo", hit, ""},
		{"GET", "Pragma: foo", hit, ""},
		{"GET", "Authorization: Basic x", hit, ""}, // RFC 9111, 3.5 is about storing
		{"HEAD", "Authorization: Basic x", hit, ""},
		{"GET", "Cookie: a=b", hit, ""},
		{"GET", "Range: bytes=0-1", hit, ""},
		{"GET", "If-None-Match: x", hit, ""},
		{"GET", "If-Modified-Since: x", hit, ""},
		{"GET", "If-Range: x", hit, ""},
		{"GET", "If-Match: x", "conditional", ""},
		{"GET", "If-Unmodified-Since: x", "conditional", ""},
		{"GET", "Upgrade: websocket", "upgrade", ""},
		{"GET", "Cache-Control: no-cache", hit, miss},       // 5.2.1.4
		{"GET", "Cache-Control: NO-STORE", hit, "no-store"}, // 5.2.1.5
		{"GET", "Cache-Control: max-age=0", hit, ""},        // it is as young as that
		{"GET", "Cache-Control: min-fresh=61", hit, miss},
		{"GET", "Pragma: no-cache", hit, miss}, // 5.4
		{"POST", "", "method", ""},
		{"PUT", "", "method", ""},
		{"DELETE", "", "method", ""},
		{"OPTIONS", "", "method", ""},
		{"PATCH", "", "method", ""},
		{"PURGE", "", "method", ""},
		{"get", "", "method", ""},
	}
	for _, trust := range []bool{false, true} {
		for _, tt := range tests {
			if trust && tt.trust != "" {
				tt.want = tt.trust
			}
			t.Run(fmt.Sprint(tt.method, " ", tt.line, " ", trust), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var seen *http.Request
					o := &fakeOrigin{}
					o.answer = func(r *http.Request) (*http.Response, error) {
						seen = r
						return response(200, "Cache-Control: max-age=60", "", "ok"), nil
					}
					h := start(t, Config{Transport: o, TrustClient: trust})
					get(h, "/x")
					var lines []string
					if tt.line != "" {
						lines = []string{tt.line}
					}
					got := do(h, tt.method, "/x", lines...).Header().Get("Cache-Status")
					want, bypassed := "fleetcache; fwd=bypass; fwd-status=200; detail="+tt.want, uint64(1)
					switch tt.want {
					case hit:
						if !strings.HasPrefix(got, "fleetcache; hit") || o.requests.Load() != 1 {
							t.Errorf("not a hit: %s, %d requests", got, o.requests.Load())
						}
						return
					case miss:
						want, bypassed = "fleetcache; fwd=request; fwd-status=200; stored", 0
					case "method":
						want = "fleetcache; fwd=method; fwd-status=200"
					}
					if got != want || o.requests.Load() != 2 {
						t.Errorf("Cache-Status: %s, want %s; %d requests", got, want, o.requests.Load())
					}
					name, value, _ := strings.Cut(tt.line, ": ")
					if seen.Method != tt.method || name != "Upgrade" && seen.Header.Get(name) != value {
						t.Errorf("the origin saw %s %v", seen.Method, seen.Header)
					}
					if s := h.Stats(); s.Bypassed != bypassed {
						t.Errorf("Stats %+v", s)
					}
				})
			})
		}
	}
}

// A fill carries what the response may depend on and Vary may name; not what is taken for the target, what ends here, and what is
// answered from the store.
func TestWhatAFillCarries(t *testing.T) {
	var seen *http.Request
	o := &fakeOrigin{}
	o.answer = func(r *http.Request) (*http.Response, error) {
		seen = r
		return response(200, "Cache-Control: max-age=60"), nil
	}
	synctest.Test(t, func(t *testing.T) {
		_, hs := startFleet(t, 3, Config{Transport: o})
		for _, h := range hs { // two of them do not own it
			get(h, "/x?q=1"+h.cfg.Instance, "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Host: evil", "Forwarded: for=evil", "X-Original-Url: /evil",
				"Accept-Language: de", "Accept-Encoding: br", "User-Agent: me", "Connection: X-Foo", "X-Foo: 1", "Cookie: a=b", "Range: bytes=0-1",
				`If-None-Match: "x"`, "If-Modified-Since: x", "If-Range: x", "Cache-Control: no-cache", "X-Two: 1", "X-Two: 2", "Te: trailers", "Proxy-Authorization: x")
			want := http.Header{
				"Accept-Language": {"de"}, "Accept-Encoding": {"br"}, "User-Agent": {"me"}, "Cookie": {"a=b"}, "X-Two": {"1", "2"},
				"Via": {seen.Header.Get("Via")}, "Cdn-Loop": {loopID(&Config{Name: DefaultName, Origin: "http://origin.test"})}, "Surrogate-Capability": {`fleetcache="Surrogate/1.0"`},
			}
			if !reflect.DeepEqual(seen.Header, want) {
				t.Errorf("the origin saw %v, want %v", seen.Header, want)
			}
			if seen.URL.String() != "http://origin.test/x?q=1"+h.cfg.Instance || seen.Host != "origin.test" {
				t.Errorf("the origin saw %s, Host %s", seen.URL, seen.Host)
			}
		}
	})
}

func TestStoredHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, Config{Transport: origin(200, "Cache-Control: max-age=60", "Connection: keep-alive, X-Hop", "X-Hop: 1", "Keep-Alive: timeout=5",
			"Proxy-Authenticate: Basic", "Proxy-Connection: x", "Transfer-Encoding: chunked", "ETag: \"e\"", "X-Two: 1", "X-Two: 2", "",
			"2\r\nok\r\n0\r\n\r\n")})
		for i := range 2 {
			w := get(h, "/x")
			synctest.Wait() // until all of it is stored
			got := w.Result().Header
			for _, gone := range []string{"Connection", "X-Hop", "Keep-Alive", "Proxy-Authenticate", "Proxy-Connection", "Transfer-Encoding", "Content-Type"} {
				if v, ok := got[gone]; ok && len(v) > 0 {
					t.Errorf("%s: %q crossed", gone, v)
				}
			}
			if got.Get("ETag") != `"e"` || len(got["X-Two"]) != 2 || got.Get("Date") == "" || i > 0 && (got.Get("Content-Length") != "2" || got.Get("Age") != "0") {
				t.Errorf("header %v", got)
			}
			if w.Body.String() != "ok" {
				t.Errorf("body %q", w.Body)
			}
		}
	})
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
