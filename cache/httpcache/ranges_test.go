package httpcache

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// sized is an origin of a body by its size, which its path says.
func sized() http.RoundTripper {
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		n, _ := strconv.Atoi(strings.Trim(r.URL.Path, "/"))
		modified := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
		resp := response(200, "Cache-Control: max-age=600", `ETag: "e"`, "Last-Modified: "+modified, "Content-Type: text/x", "Date: "+time.Now().UTC().Format(http.TimeFormat), "", text(n))
		return resp, nil
	}}
}

// forRanges has a body of 1 MiB in chunks of 64 KiB, and the same in one piece.
var forRanges = []Config{{MaxBytes: 4 << 20, MaxObjectBytes: 2 << 20}, {}}

// Ranges are cut from what is stored, also across chunks, and on every instance (RFC 9110, 14.2).
func TestRangesFromTheStore(t *testing.T) {
	for _, size := range []int{10, 1 << 20} {
		all := text(size)
		at := func(a, b int) string { return all[a:b] }
		tests := []struct {
			lines []string
			code  int
			want  []string // parts
		}{
			{[]string{"Range: bytes=2-4"}, 206, []string{at(2, 5)}},
			{[]string{"Range: bytes=0-0"}, 206, []string{at(0, 1)}},
			{[]string{"Range: bytes=3-"}, 206, []string{at(3, size)}},
			{[]string{"Range: bytes=-3"}, 206, []string{at(size-3, size)}},
			{[]string{fmt.Sprintf("Range: bytes=%d-%d", size/2-5, size/2+4)}, 206, []string{at(size/2-5, size/2+5)}},
			{[]string{fmt.Sprintf("Range: bytes=%d-%d", size/3, size-2)}, 206, []string{at(size/3, size-1)}},
			{[]string{fmt.Sprintf("Range: bytes=%d-99999999", size-1)}, 206, []string{at(size-1, size)}},
			{[]string{"Range: bytes=0-1, -2, 4-4"}, 206, []string{at(0, 2), at(size-2, size), at(4, 5)}},
			{[]string{fmt.Sprintf("Range: bytes=%d-", size)}, 416, nil},
			{[]string{"Range: bytes=-0"}, 416, nil},
			{[]string{"Range: bytes=4-2"}, 200, nil},
			{[]string{"Range: lines=1-2"}, 200, nil},
			{[]string{"Range: bytes=2-4", `If-Range: "e"`}, 206, []string{at(2, 5)}},
			{[]string{"Range: bytes=2-4", `If-Range: "f"`}, 200, nil},
			{[]string{"Range: bytes=2-4", `If-Range: W/"e"`}, 200, nil},
			{[]string{"Range: bytes=2-4", `If-None-Match: "e"`}, 304, nil},
			{[]string{`If-None-Match: "f", W/"e"`}, 304, nil},
			{[]string{"If-None-Match: *"}, 304, nil},
			{[]string{`If-None-Match: "f"`, "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT"}, 200, nil},
			{[]string{"If-Modified-Since: Fri, 31 Dec 1999 23:30:00 GMT"}, 304, nil},
			{[]string{"If-Modified-Since: Fri, 31 Dec 1999 22:30:00 GMT"}, 200, nil},
		}
		for _, cfg := range forRanges {
			t.Run(fmt.Sprint(size, cfg.MaxBytes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					o := sized().(*fakeOrigin)
					cfg.Transport = o
					_, hs := startFleet(t, 3, cfg)
					url := fmt.Sprint("/", size)
					get(hs[0], url)
					synctest.Wait()
					for _, tt := range tests {
						for i, h := range hs {
							w := get(h, url, tt.lines...)
							if w.aborted || w.Code != tt.code {
								t.Errorf("%v at %d: got %d, aborted: %v, %s", tt.lines, i, w.Code, w.aborted, w.cacheStatus())
								continue
							}
							checkParts(t, tt.lines, w, all, tt.want)
							head := do(h, "HEAD", url, tt.lines...)
							if code := map[bool]int{true: 200, false: tt.code}[tt.code == 206 || tt.code == 416]; head.Code != code || head.Body.Len() > 0 {
								t.Errorf("HEAD %v: got %d with %d bytes, want %d", tt.lines, head.Code, head.Body.Len(), code)
							}
						}
					}
					if n := o.requests.Load(); n != 1 {
						t.Errorf("the origin saw %d requests, want 1", n)
					}
				})
			})
		}
	}
}

func checkParts(t *testing.T, lines []string, w *answer, all string, want []string) {
	t.Helper()
	got, length := w.Body.String(), w.Header().Get("Content-Length")
	if w.Code != 304 && length != strconv.Itoa(len(got)) {
		t.Errorf("%v: Content-Length: %s, and %d bytes", lines, length, len(got))
	}
	contentRange := w.Header().Get("Content-Range")
	switch {
	case w.Code == 200 && (got != all || contentRange != ""), w.Code == 304 && got != "":
		t.Errorf("%v: got %d bytes", lines, len(got))
	case w.Code == 416 && contentRange != fmt.Sprintf("bytes */%d", len(all)):
		t.Errorf("%v: Content-Range: %s", lines, contentRange)
	case len(want) == 1 && (got != want[0] || !strings.HasSuffix(contentRange, fmt.Sprint("/", len(all)))):
		t.Errorf("%v: got %d bytes, want %d; Content-Range: %s", lines, len(got), len(want[0]), contentRange)
	case len(want) > 1:
		_, params, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
		parts := multipart.NewReader(bytes.NewReader(w.Body.Bytes()), params["boundary"])
		for i, p := range want {
			part, err := parts.NextPart()
			if err != nil {
				t.Errorf("%v: part %d: %v", lines, i, err)
				return
			}
			if b, _ := io.ReadAll(part); string(b) != p || part.Header.Get("Content-Type") != "text/x" {
				t.Errorf("%v: part %d: got %d bytes, %v", lines, i, len(b), part.Header)
			}
		}
		if _, err := parts.NextPart(); err != io.EOF {
			t.Errorf("%v: then %v", lines, err)
		}
	}
}

// A range of what is still on its way comes as soon as it is there, and nobody waits for what he does not want.
func TestRangesOfWhatIsOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		half := text(100 << 10)
		o := streaming("Cache-Control: max-age=60", 0, 200<<10, piece{text: half}, piece{after: 10 * time.Second, text: half})
		_, hs := startFleet(t, 3, Config{Transport: o, MaxBytes: 1 << 20})
		begin := time.Now()
		go get(hs[0], "/x")
		synctest.Wait()
		for _, h := range hs {
			if w := get(h, "/x", "Range: bytes=5-9"); w.Code != 206 || w.Body.String() != half[5:10] || w.ended.Sub(begin) > time.Second {
				t.Errorf("got %d %q after %v", w.Code, w.Body, w.ended.Sub(begin))
			}
		}
		for _, h := range hs {
			if w := get(h, "/x", "Range: bytes=-5"); w.Code != 206 || w.Body.String() != half[len(half)-5:] {
				t.Errorf("got %d %q after %v", w.Code, w.Body, w.ended.Sub(begin))
			}
		}
		if n := o.requests.Load(); n != 1 {
			t.Errorf("the origin saw %d requests, want 1", n)
		}
	})
}

// A browser's first request for a film, all from the start on, is a fill; and a range for the client, whether the response is stored or not.
func TestRangeFromTheStart(t *testing.T) {
	body := text(300 << 10)
	for _, tt := range []struct {
		header string
		loads  int64
	}{{"Cache-Control: max-age=60", 1}, {"Cache-Control: private", 3}} {
		t.Run(tt.header, func(t *testing.T) {
			o := &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Range") != "" {
					return response(206, tt.header, fmt.Sprintf("Content-Range: bytes 0-%d/%d", len(body)-1, len(body)), "", body), nil
				}
				return response(200, tt.header, "", body), nil
			}}
			_, hs := startFleet(t, 3, Config{Transport: o})
			for _, h := range hs {
				w := get(h, "/film", "Range: bytes=0-")
				if want := fmt.Sprintf("bytes 0-%d/%d", len(body)-1, len(body)); w.Code != 206 || w.Body.String() != body || w.Header().Get("Content-Range") != want {
					t.Errorf("got %d with %d bytes, %v", w.Code, w.Body.Len(), w.Header())
				}
			}
			if n := o.requests.Load(); n != tt.loads {
				t.Errorf("the origin saw %d requests, want %d", n, tt.loads)
			}
		})
	}
}

// Who wants the end of what is on its way does not wait for those who watch from the start.
func TestRangeAheadOfSlowReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := text(1 << 20)
		o := streaming("Cache-Control: max-age=6000", 0, int64(len(body)), piece{text: body})
		_, hs := startFleet(t, 3, Config{Transport: o, MaxBytes: 2 << 20, MaxObjectBytes: 1 << 20}) // chunks of 32 KiB
		watching := &answer{pace: time.Second}
		go watching.ask(t.Context(), hs[0], "GET", "/x")
		time.Sleep(time.Second / 2)
		begin := time.Now()
		for _, h := range hs {
			if w := get(h, "/x", "Range: bytes=-5"); w.Code != 206 || w.Body.String() != body[len(body)-5:] || time.Since(begin) > time.Second {
				t.Errorf("got %d with %d bytes after %v", w.Code, w.Body.Len(), time.Since(begin))
			}
		}
		time.Sleep(time.Hour)
		if watching.aborted || watching.Body.String() != body {
			t.Errorf("the slow reader got %d bytes, aborted: %v", watching.Body.Len(), watching.aborted)
		}
	})
}
