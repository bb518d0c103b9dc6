package rules

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func httpDate(offset int64) string {
	return now.Add(time.Duration(offset) * time.Second).Format(http.TimeFormat)
}

// header makes a header of "Name: value" lines.
func header(lines ...string) http.Header {
	h := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h.Add(name, strings.TrimSpace(value))
	}
	return h
}

// exchange is a GET that was answered at once, now, with a 200.
func exchange(lines ...string) *Exchange {
	return &Exchange{Method: "GET", RequestHeader: http.Header{}, Status: 200, Header: header(lines...), Sent: now, Arrived: now}
}

// RFC 9111, 3, 3.5, 4.1, 5.2.1.5, 5.2.2, 7.3: what may be stored.
func TestJudge(t *testing.T) {
	fresh := "Cache-Control: max-age=3600"
	for _, tt := range []struct {
		name     string
		response []string
		change   func(*Exchange, *Options)
		why      string
	}{
		{"3 explicit", []string{fresh}, nil, ""},
		{"3 nothing said", nil, nil, WhyFreshness},
		{"3 a validator", []string{`ETag: "a"`}, nil, ""},
		{"3 HEAD", []string{fresh}, func(x *Exchange, _ *Options) { x.Method = "HEAD" }, ""},
		{"3 POST", []string{fresh}, func(x *Exchange, _ *Options) { x.Method = "POST" }, WhyMethod},
		{"3.5 authorization", []string{fresh}, authorized, WhyAuthorization},
		{"3.5 Expires", []string{"Expires: " + httpDate(3600)}, authorized, WhyAuthorization},
		{"3.5 proxy-revalidate", []string{"Cache-Control: max-age=9, proxy-revalidate"}, authorized, WhyAuthorization},
		{"3.5 public", []string{"Cache-Control: max-age=9, public"}, authorized, ""},
		{"3.5 must-revalidate", []string{"Cache-Control: max-age=9, must-revalidate"}, authorized, ""},
		{"3.5 s-maxage", []string{"Cache-Control: s-maxage=9"}, authorized, ""},
		{"3.5 malformed public", []string{"Cache-Control: max-age=9, x y public"}, authorized, WhyAuthorization},
		{"4.1 star", []string{fresh, "Vary: *"}, nil, WhyVary},
		{"4.1 empty, star", []string{fresh, "Vary:", "Vary: , *"}, nil, WhyVary},
		{"4.1 star, Foo", []string{fresh, "Vary: Foo, *"}, nil, WhyVary},
		{"4.1 malformed", []string{fresh, "Vary: a b"}, nil, WhyVary},
		{"4.1 a coding that is not told apart", []string{fresh, "Vary: accept-encoding", "Content-Encoding: sdch"}, nil, WhyVary},
		{"4.1 a coding that is", []string{fresh, "Vary: accept-encoding", "Content-Encoding: gzip, BR"}, nil, ""},
		{"5.2.1.5", []string{fresh}, request("Cache-Control: no-store"), WhyNoStore},
		{"5.2.2.5", []string{"Cache-Control: max-age=10000, No-StOrE"}, nil, WhyNoStore},
		{"5.2.2.5 with an argument", []string{"Cache-Control: max-age=9, no-store=x"}, nil, WhyNoStore},
		{"5.2.2.5 behind an open quote", []string{`Cache-Control: max-age="9, no-store`}, nil, WhyNoStore},
		{"5.2.2.5 in a quoted-string", []string{`Cache-Control: max-age=9, x="no-store"`}, nil, ""},
		{"5.2.2.5 semicolons", []string{`Cache-Control: max-age=9; no-store`}, nil, WhyNoStore},
		{"5.2.2.5 another line", []string{`Cache-Control: max-age=9, ="`, "Cache-Control: no-store"}, nil, WhyNoStore},
		{"5.2.2.7", []string{"Cache-Control: private, max-age=3600"}, nil, WhyPrivate},
		{"5.2.2.7 fields", []string{`Cache-Control: private="a", max-age=3600`}, nil, ""},
		{"5.2.2.7 a token", []string{`Cache-Control: private=a, max-age=3600`}, nil, WhyPrivate},
		{"5.2.2.7 no fields", []string{`Cache-Control: private="", max-age=3600`}, nil, WhyPrivate},
		{"5.2.2.7 both", []string{`Cache-Control: private="a", private, max-age=3600`}, nil, WhyPrivate},
		{"5.2.2.7 what cannot be left out", []string{`Cache-Control: private="content-encoding", max-age=3600`}, nil, WhyPrivate},
		{"5.2.2.4 without validator", []string{"Cache-Control: no-cache, max-age=9"}, nil, WhyNoCache},
		{"5.2.2.4 with validator", []string{"Cache-Control: no-cache", `ETag: "a"`}, nil, ""},
		{"5.2.2.3 not understood", []string{"Cache-Control: max-age=3600, must-understand"}, status(599), WhyStatus},
		{"5.2.2.3 understood", []string{"Cache-Control: max-age=3600, must-understand, no-store"}, status(404), ""},
		{"7.3", []string{fresh, "Set-Cookie: a=b"}, nil, WhySetCookie},
		{"7.3 listed", []string{`Cache-Control: max-age=9, no-cache="Set-Cookie"`, "Set-Cookie: a=b"}, nil, ""},
		{"7.3 by option", []string{fresh, "Set-Cookie: a=b"}, func(_ *Exchange, o *Options) { o.StoreSetCookie = true }, ""},
		{"5.4 has no meaning in a response", []string{fresh, "Pragma: no-cache"}, nil, ""},
		{"3.3 partial", []string{fresh, "Content-Range: bytes 0-1/2"}, status(206), WhyPartial},
		{"3.3 partial and private", []string{"Cache-Control: private"}, status(206), WhyPrivate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x, o := exchange(tt.response...), &Options{}
			if tt.change != nil {
				tt.change(x, o)
			}
			if _, why := Judge(x, o); why != tt.why {
				t.Errorf("why = %q, want %q", why, tt.why)
			}
		})
	}
}

func authorized(x *Exchange, _ *Options) { x.RequestHeader = header("Authorization: x") }

func request(lines ...string) func(*Exchange, *Options) {
	return func(x *Exchange, _ *Options) { x.RequestHeader = header(lines...) }
}

func status(code int) func(*Exchange, *Options) {
	return func(x *Exchange, _ *Options) { x.Status = code }
}

// RFC 9111, 3 and 4.2.2; RFC 6585: which statuses are stored with a freshness of their own, and which without.
func TestStatus(t *testing.T) {
	heuristic := []int{200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}
	never := []int{100, 101, 199, 304, 407, 412, 416, 417, 428, 429, 431, 511, 600, 999}
	for code := range 1000 {
		x := exchange("Expires: " + httpDate(9))
		x.Status = code
		want := ""
		switch {
		case code == 206:
			want = WhyPartial
		case code < 200, code > 599, slices.Contains(never, code):
			want = WhyStatus
		}
		if _, why := Judge(x, &Options{}); why != want {
			t.Errorf("%d, explicit: %q, want %q", code, why, want)
		}
		x.Header = header("Last-Modified: " + httpDate(-86400))
		p, why := Judge(x, &Options{Heuristic: true})
		if ok := slices.Contains(heuristic, code); ok != (why == "") || ok && p.Lifetime != 8640*time.Second {
			t.Errorf("%d, heuristic: %q, %v", code, why, p.Lifetime)
		}
		x.Header.Set("Cache-Control", "public")
		if p, why := Judge(x, &Options{Heuristic: true}); why != want || want == "" && p.Lifetime != 8640*time.Second {
			t.Errorf("%d, public: %q, %v", code, why, p.Lifetime)
		}
	}
}

// RFC 9111, 5.2.2 and RFC 5861: what the directives make of the policy.
func TestPolicy(t *testing.T) {
	const s, no = time.Second, Absent
	for _, tt := range []struct {
		cc   string
		want Policy
	}{
		{"max-age=5", Policy{Lifetime: 5 * s, StaleWhileRevalidate: no, StaleIfError: no}},
		{"max-age=5, must-revalidate, stale-if-error=9", Policy{Lifetime: 5 * s, MustRevalidate: true, StaleWhileRevalidate: no, StaleIfError: no}},
		{"max-age=5, proxy-revalidate", Policy{Lifetime: 5 * s, MustRevalidate: true, StaleWhileRevalidate: no, StaleIfError: no}},
		{"s-maxage=5, stale-while-revalidate=7", Policy{Lifetime: 5 * s, MustRevalidate: true, StaleWhileRevalidate: 7 * s, StaleIfError: no}},
		{"max-age=5, stale-while-revalidate=7, stale-if-error=8, stale-if-error=9", Policy{Lifetime: 5 * s, StaleWhileRevalidate: 7 * s, StaleIfError: 8 * s}},
		{"max-age=5, stale-if-error=x", Policy{Lifetime: 5 * s, StaleWhileRevalidate: no}},
		{"max-age=5, immutable", Policy{Lifetime: 5 * s, Immutable: true, StaleWhileRevalidate: no, StaleIfError: no}},
		{"max-age=5, no-cache, stale-if-error=9", Policy{Lifetime: 5 * s, NoCache: true, StaleWhileRevalidate: no, StaleIfError: no}},
		{"max-age=5 x must-revalidate", Policy{MustRevalidate: true, StaleWhileRevalidate: no, StaleIfError: no}},
	} {
		p, _ := Judge(exchange("Cache-Control: "+tt.cc), &Options{})
		tt.want.Date = now
		if !reflect.DeepEqual(p, tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.cc, p, tt.want)
		}
	}
}

// RFC 9110, 12.5.5, and RFC 9111, 3.1.
func TestVaryAndDrop(t *testing.T) {
	x := exchange(`Cache-Control: max-age=9, no-cache="a, B", private="c"`, "A: 1", "B: 2", "C: 3", "D: 4", "E: 5",
		"Connection: d, close", "Keep-Alive: x", "Vary: foo, BAR", "Vary: foo,", "Age: 3", "Content-Length: 4", `Last-Modified: x`)
	p, why := Judge(x, &Options{})
	if why != "" || !slices.Equal(p.Vary, []string{"Bar", "Foo"}) || p.Validator {
		t.Errorf("%q, %+v", why, p)
	}
	want := header("E: 5", "Vary: foo, BAR", "Vary: foo,", "Last-Modified: x", "Date: "+httpDate(0),
		`Cache-Control: max-age=9, no-cache="a, B", private="c"`)
	if got := StoredHeader(x, &p); !reflect.DeepEqual(got, want) {
		t.Errorf("stored %v, want %v", got, want)
	}
}

// RFC 9213, and the tests of Surrogate-Control in the suite of cache-tests.fyi.
func TestTargeted(t *testing.T) {
	targets := []string{"Fleetcache-Cache-Control", "CDN-Cache-Control", "Surrogate-Control"}
	const hour = time.Hour
	for _, tt := range []struct {
		name     string
		response []string
		why      string
		lifetime time.Duration
	}{
		{"2.2 overrides", []string{"CDN-Cache-Control: max-age=3600", "Cache-Control: no-store", "Expires: 0"}, "", hour},
		{"2.2 overrides with less", []string{"CDN-Cache-Control: max-age=1", "Cache-Control: max-age=9"}, "", time.Second},
		{"2.2 the first", []string{"CDN-Cache-Control: max-age=1", "Fleetcache-Cache-Control: max-age=3600"}, "", hour},
		{"2.2 Expires does not count", []string{"CDN-Cache-Control: public", "Expires: " + httpDate(99), `ETag: "a"`}, "", 0},
		{"2.2 an empty one is not there", []string{"CDN-Cache-Control:", "Cache-Control: max-age=3600"}, "", hour},
		{"2.1 an invalid one is not there", []string{"CDN-Cache-Control: max-age=1 2", "Cache-Control: max-age=3600"}, "", hour},
		{"2.1 but for what it forbids", []string{"CDN-Cache-Control: no-store, max-age=", "Cache-Control: max-age=3600"}, WhyNoStore, hour},
		{"2.1 no Integer", []string{`CDN-Cache-Control: max-age="9"`}, "", 0},
		{"2.1 a negative Integer", []string{`CDN-Cache-Control: max-age=-9`}, "", 0},
		{"2.1 fields", []string{`CDN-Cache-Control: max-age=3600, private="a"`}, "", hour},
		{"no-store", []string{"CDN-Cache-Control: max-age=3600, no-store"}, WhyNoStore, hour},
		{"surrogate", []string{"Surrogate-Control: foobar, MaX-aGe=3600", "Expires: 0"}, "", hour},
		{"surrogate clamps", []string{"Surrogate-Control: max-age=99999999999"}, "", Forever},
		{"surrogate targeted", []string{"Surrogate-Control: max-age=3600;fleetcache", "Cache-Control: no-store"}, "", hour},
		{"surrogate of another", []string{"Surrogate-Control: max-age=3600;not-for-you"}, WhyFreshness, 0},
		{"surrogate no-store of another", []string{"Surrogate-Control: no-store;x", "Cache-Control: max-age=3600"}, "", hour},
		{"surrogate no-store, malformed", []string{"Surrogate-Control: no-store;x y", "Cache-Control: max-age=3600"}, WhyNoStore, 0},
		{"surrogate no-store", []string{"Surrogate-Control: no-store", "Cache-Control: max-age=3600"}, WhyNoStore, 0},
		{"surrogate space", []string{"Surrogate-Control: max-age = 100", "Cache-Control: max-age=1"}, "", 0},
		{"surrogate, of which nothing is known", []string{"Surrogate-Control: foo", "Cache-Control: max-age=3600"}, "", hour},
		{"surrogate stale", []string{"Surrogate-Control: max-age=3600+60"}, "", hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, why := Judge(exchange(tt.response...), &Options{Targets: targets})
			if why != tt.why || p.Lifetime != tt.lifetime {
				t.Errorf("%q %v, want %q %v", why, p.Lifetime, tt.why, tt.lifetime)
			}
		})
	}
	if _, why := Judge(exchange("CDN-Cache-Control: max-age=3600", "Cache-Control: no-store"), &Options{}); why != WhyNoStore {
		t.Errorf("a field that is no target counts: %q", why)
	}
}
