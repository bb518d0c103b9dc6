package rules

import (
	"net/http"
	"testing"
	"time"
)

// RFC 9111, 5.2.1 and 5.4.
func TestParseRequest(t *testing.T) {
	none := Request{MaxAge: Absent, MinFresh: Absent, MaxStale: Absent, StaleIfError: Absent}
	for _, tt := range []struct {
		name   string
		lines  []string
		change func(*Request)
	}{
		{"nothing", nil, func(*Request) {}},
		{"max-age", []string{"Cache-Control: max-age=5"}, func(r *Request) { r.MaxAge = 5 * time.Second }},
		{"the least max-age", []string{"Cache-Control: max-age=5", "Cache-Control: max-age=4"}, func(r *Request) { r.MaxAge = 4 * time.Second }},
		{"a malformed max-age", []string{"Cache-Control: max-age=x"}, func(r *Request) { r.MaxAge = 0 }},
		{"the most min-fresh", []string{"Cache-Control: min-fresh=4, min-fresh=5"}, func(r *Request) { r.MinFresh = 5 * time.Second }},
		{"a malformed min-fresh", []string{"Cache-Control: min-fresh"}, func(r *Request) { r.MinFresh = Forever }},
		{"max-stale", []string{"Cache-Control: max-stale"}, func(r *Request) { r.MaxStale = Forever }},
		{"max-stale of 5", []string{"Cache-Control: max-stale, max-stale=5"}, func(r *Request) { r.MaxStale = 5 * time.Second }},
		{"a malformed max-stale", []string{"Cache-Control: max-stale="}, func(r *Request) { r.MaxStale = 0 }},
		{"stale-if-error", []string{"Cache-Control: stale-if-error=5"}, func(r *Request) { r.StaleIfError = 5 * time.Second }},
		{"the others", []string{"Cache-Control: No-Cache, no-store=1, only-if-cached"}, func(r *Request) { r.NoCache, r.NoStore, r.OnlyIfCached = true, true, true }},
		{"malformed", []string{"Cache-Control: only-if-cached x no-store"}, func(r *Request) { r.NoStore = true }},
		{"Pragma", []string{"Pragma: x, no-cache"}, func(r *Request) { r.NoCache = true }},
		{"Pragma beside Cache-Control", []string{"Pragma: no-cache", "Cache-Control: x"}, func(*Request) {}},
	} {
		want := none
		tt.change(&want)
		if got := ParseRequest(header(tt.lines...)); got != want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, want)
		}
	}
	h := http.Header{"Accept": {"*/*"}}
	if n := testing.AllocsPerRun(100, func() { ParseRequest(h) }); n != 0 {
		t.Errorf("a request that asks for nothing costs %v allocations", n)
	}
}

// No-store, private and no-cache are never lost, whatever is around them, as long as no quote is open; and nothing panics.
func FuzzCacheControl(f *testing.F) {
	for _, s := range []string{"", "max-age=1", `x="a\"b", public`, `="`, "a=b c;d", `private="a, b"`, "no-cache=\"a"} {
		f.Add(s, s, uint8(3))
	}
	f.Fuzz(func(t *testing.T, before, after string, n uint8) {
		for i := range before {
			if before[i] == '"' {
				return
			}
		}
		forbids := [...]string{"no-store", "NO-STORE=", "private", "No-Store=\"x\"", "no-store;"}
		x := exchange("Expires: "+httpDate(9), "Authorization: x")
		x.Status = 299 // so that must-understand does not lift it
		line := before + "," + forbids[int(n)%len(forbids)] + "," + after
		x.Header["Cache-Control"] = []string{after, line}
		if _, why := Judge(x, &Options{StoreSetCookie: true}); why == "" {
			t.Errorf("stored: %q", x.Header["Cache-Control"])
		}
		delete(x.Header, "Cache-Control")
		x.Header["Surrogate-Control"] = []string{after, before + ",no-store," + after}
		x.Header["Cdn-Cache-Control"] = []string{"!, no-store," + after}
		if _, why := Judge(x, &Options{Targets: []string{"CDN-Cache-Control", "surrogate-control"}}); why == "" {
			t.Errorf("stored: %q", x.Header)
		}
		x.RequestHeader["Cache-Control"] = []string{after, before + ",no-store," + after}
		if !ParseRequest(x.RequestHeader).NoStore {
			t.Errorf("no-store lost: %q", x.RequestHeader)
		}
	})
}
