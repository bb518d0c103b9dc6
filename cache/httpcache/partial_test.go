package httpcache

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// parts is an origin of a body that heeds ranges, with header lines.
func parts(body string, lines ...string) *fakeOrigin {
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		lines := append([]string{"Cache-Control: max-age=60"}, lines...)
		var from, to int
		switch rg := r.Header.Get("Range"); {
		case rg == "":
			return response(200, append(lines, "", body)...), nil
		case strings.HasPrefix(rg, "bytes=-"):
			fmt.Sscanf(rg, "bytes=-%d", &from)
			from, to = len(body)-from, len(body)-1
		case strings.HasSuffix(rg, "-"):
			fmt.Sscanf(rg, "bytes=%d-", &from)
			to = len(body) - 1
		default:
			fmt.Sscanf(rg, "bytes=%d-%d", &from, &to)
		}
		lines = append(lines, fmt.Sprintf("Content-Range: bytes %d-%d/%d", from, to, len(body)))
		return response(206, append(lines, "", body[from:to+1])...), nil
	}}
}

// A part is stored, answers what is in it, and is made whole by what is missing.
func TestPartsAreCombined(t *testing.T) {
	for _, tt := range []struct{ first, within, missing string }{
		{"bytes=0-3", "bytes=1-2", "bytes=4-"},
		{"bytes=-4", "bytes=7-8", "bytes=0-5"},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := parts("0123456789", `ETag: "a"`)
			_, hs := startFleet(t, 2, Config{Transport: o})
			for i, h := range hs {
				if w := get(h, "/x", "Range: "+tt.first); w.Code != 206 || w.Body.Len() != 4 {
					t.Errorf("%d %q", w.Code, w.Body)
				}
				if w := get(h, "/x", "Range: "+tt.within); w.Code != 206 || w.Body.Len() != 2 || o.requests.Load() != 1 {
					t.Errorf("instance %d: %d %q %s, %d requests", i, w.Code, w.Body, w.cacheStatus(), o.requests.Load())
				}
			}
			answer := o.answer
			o.answer = func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Range") != tt.missing || r.Header.Get("If-Range") != `"a"` {
					t.Errorf("the origin is asked for %v if %v, want %s", r.Header["Range"], r.Header["If-Range"], tt.missing)
				}
				return answer(r)
			}
			for _, h := range hs {
				if w := get(h, "/x"); w.Code != 200 || w.Body.String() != "0123456789" || len(w.Header()["Content-Range"]) > 0 {
					t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
				}
			}
			if n := o.requests.Load(); n != 2 {
				t.Errorf("%d requests, want 2", n)
			}
		})
	}
}

// Parts of different representations are not combined, nor those that nothing but their URL says are of one.
func TestPartsOfDifferentBodies(t *testing.T) {
	for name, tt := range map[string]struct{ before, after []string }{
		"another ETag":  {[]string{`ETag: "a"`}, []string{`ETag: "b"`}},
		"a weak ETag":   {[]string{`ETag: W/"a"`}, []string{`ETag: W/"a"`}},
		"no validators": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := parts("0123456789", tt.before...)
				h := start(t, Config{Transport: o})
				get(h, "/x", "Range: bytes=0-3")
				o.answer = parts("abcdefghij", tt.after...).answer
				if w := get(h, "/x"); w.Code != 200 || w.Body.String() != "abcdefghij" {
					t.Errorf("%d %q", w.Code, w.Body)
				}
			})
		})
	}
}

// A 206 that is not what it says passes to the one who asked, and is not stored.
func TestPartsThatAreMalformed(t *testing.T) {
	for _, lines := range [][]string{
		{"Content-Range: bytes 0-3/10", "", "01234"},
		{"Content-Range: bytes 0-4/*", "", "01234"},
		{"Content-Range: bytes 4-0/10", "", "01234"},
		{"Content-Type: multipart/byteranges; boundary=x", "", "--x--"},
	} {
		o := origin(206, append([]string{"Cache-Control: max-age=60", `ETag: "a"`}, lines...)...)
		h := start(t, Config{Transport: o})
		for range 2 {
			if w := get(h, "/x", "Range: bytes=0-4"); w.Code != 206 || w.Body.Len() != 5 {
				t.Errorf("%q: %d %q", lines, w.Code, w.Body)
			}
		}
		if n := o.requests.Load(); n != 2 {
			t.Errorf("%q: %d requests, want 2", lines, n)
		}
	}
}

// A part that has less than it says answers the same request, and what is in it by where it begins; nothing else.
func TestPartsThatAreShort(t *testing.T) {
	for _, tt := range []struct {
		asked, want string
		requests    int64
		said        string
	}{
		{"bytes=-5", "01234", 1, "bytes 4-9/10"}, // as the origin has it
		{"bytes=6-8", "234", 1, "bytes 6-8/10"},
		{"bytes=4-5", "01", 1, "bytes 4-5/10"},
		{"bytes=6-", "56789", 2, ""},
		{"bytes=-1", "56789", 2, ""},
		{"", "56789", 2, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := origin(206, "Cache-Control: max-age=60", `ETag: "a"`, "Content-Range: bytes 4-9/10", "", "01234")
			_, hs := startFleet(t, 2, Config{Transport: o})
			for _, h := range hs {
				get(h, "/x", "Range: bytes=-5")
			}
			o.answer = func(r *http.Request) (*http.Response, error) {
				if len(r.Header["If-Range"]) > 0 {
					t.Errorf("%q: it is combined: %v", tt.asked, r.Header)
				}
				return response(206, "Cache-Control: max-age=60", `ETag: "a"`, "Content-Range: bytes 5-9/10", "", "56789"), nil
			}
			var lines []string
			if tt.asked != "" {
				lines = []string{"Range: " + tt.asked}
			}
			if w := get(hs[1], "/x", lines...); w.Body.String() != tt.want || o.requests.Load() != tt.requests {
				t.Errorf("%q: %d %q, %d requests; want %q, %d", tt.asked, w.Code, w.Body, o.requests.Load(), tt.want, tt.requests)
			} else if got := w.Header().Get("Content-Range"); tt.said != got && tt.requests == 1 {
				t.Errorf("%q: Content-Range: %s, want %s", tt.asked, got, tt.said)
			}
		})
	}
}

// A POST's response answers a GET if it says so, and no other does.
func TestPostThatAnswersGet(t *testing.T) {
	for _, tt := range []struct {
		stored bool
		lines  []string
	}{
		{true, []string{"Cache-Control: max-age=60", "Content-Location: /x"}},
		{true, []string{"Cache-Control: max-age=60", "Content-Location: http://origin.test/x"}},
		{false, []string{"Cache-Control: max-age=60"}},
		{false, []string{"Cache-Control: max-age=60", "Content-Location: /y"}},
		{false, []string{"Cache-Control: max-age=60", "Content-Location: http://evil.test/x"}},
		{false, []string{"Last-Modified: Wed, 01 Jan 2020 00:00:00 GMT", "Content-Location: /x"}},
		{false, []string{"Cache-Control: private, max-age=60", "Content-Location: /x"}},
		{false, []string{"Cache-Control: max-age=60", "Set-Cookie: a=b", "Content-Location: /x"}},
		{false, []string{"Cache-Control: max-age=60", "Vary: Cookie", "Content-Location: /x"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			o := origin(200, append(tt.lines, "", "posted")...)
			_, hs := startFleet(t, 2, Config{Transport: o, StorePost: true})
			if w := do(hs[0], "POST", "/x"); w.Body.String() != "posted" {
				t.Errorf("%q", w.Body)
			}
			o.answer = func(*http.Request) (*http.Response, error) {
				return response(200, "Cache-Control: max-age=60", "", "got"), nil
			}
			want := "got"
			if tt.stored {
				want = "posted"
			}
			for i, h := range hs {
				if w := get(h, "/x"); w.Body.String() != want {
					t.Errorf("%q: instance %d has %q, want %q", tt.lines, i, w.Body, want)
				}
			}
		})
	}
}

// A part of what is too large to be put together from parts passes, and keeps nobody from having the whole stored.
func TestAPartThatIsNotStoredMarksNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := text(200 << 10)
		o := parts(body, `ETag: "a"`)
		h := start(t, Config{Transport: o, MaxBytes: 1 << 20})
		if w := get(h, "/x", "Range: bytes=100000-"); w.Code != 206 || w.Body.String() != body[100000:] {
			t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
		}
		for range 2 {
			if w := get(h, "/x"); w.Body.String() != body {
				t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
			}
			synctest.Wait()
		}
		if n := o.requests.Load(); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}
