package httpcache

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// front returns the URL of a Handler in front of an origin that is served on a socket, and a client.
func front(t *testing.T, origin http.HandlerFunc) (string, *http.Client) {
	t.Helper()
	url, _ := serveHTTP(t, origin)
	return serveHTTP(t, start(t, Config{Origin: url, Instance: "a"}))
}

func send(t *testing.T, c *http.Client, method, url string, body io.Reader, lines ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		name, value, _ := strings.Cut(l, ": ")
		req.Header.Add(name, value)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestPassBodies(t *testing.T) {
	url, c := front(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Saw", fmt.Sprint(r.Method, " ", r.URL.RequestURI(), " ", r.ContentLength, " ", r.TransferEncoding, " ", r.Host == r.Context().Value(http.LocalAddrContextKey).(net.Addr).String()))
		w.Header().Set("X-Via", r.Header.Get("Via")+"|"+r.Header.Get("X-Forwarded-For")+"|"+r.Header.Get("X-Forwarded-Host"))
		w.WriteHeader(201)
		w.Write(b)
	})
	big := bytes.Repeat([]byte("0123456789"), 1<<20)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "GET"} {
		resp := send(t, c, method, url+"/a%2Fb?x=1;y", bytes.NewReader(big), "X-Forwarded-For: 9.9.9.9")
		if got := readAll(t, resp.Body); got != string(big) || resp.StatusCode != 201 {
			t.Errorf("%s: %d, %d bytes of %d", method, resp.StatusCode, len(got), len(big))
		}
		if got, want := resp.Header.Get("X-Saw"), fmt.Sprintf("%s /a%%2Fb?x=1;y %d [] true", method, len(big)); got != want {
			t.Errorf("the origin saw %s, want %s", got, want)
		}
		if got, want := resp.Header.Get("X-Via"), "1.1 fleetcache (a)|9.9.9.9, 127.0.0.1|"+strings.TrimPrefix(url, "http://"); got != want {
			t.Errorf("the origin saw %s, want %s", got, want)
		}
		resp = send(t, c, method, url+"/", io.MultiReader(bytes.NewReader(big[:5000]))) // of unknown length
		if got := readAll(t, resp.Body); got != string(big[:5000]) || !strings.Contains(resp.Header.Get("X-Saw"), "-1 [chunked]") {
			t.Errorf("%s: %d bytes, the origin saw %s", method, len(got), resp.Header.Get("X-Saw"))
		}
	}
}

// Ranges and conditions are answered from the store; what is for the origin alone goes there.
func TestRangesAndConditionsOverHTTP(t *testing.T) {
	requests := 0
	url, c := front(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("ETag", `"e"`)
		http.ServeContent(w, r, "x.txt", testTime, strings.NewReader("0123456789"))
	})
	for _, first := range []bool{true, false} { // filled by a request with a range, then stored
		tests := []struct {
			line     string
			code     int
			body     string
			requests int
		}{
			{"Range: bytes=2-4", 206, "234", 0},
			{"Range: bytes=99-", 416, "", 0},
			{`If-None-Match: "e"`, 304, "", 0},
			{`If-None-Match: "other"`, 200, "0123456789", 0},
			{"If-Modified-Since: " + testTime.Format(http.TimeFormat), 304, "", 0},
			{`If-Match: "other"`, 412, "", 1},
			{"X-A: whole", 200, "0123456789", 0},
		}
		if first {
			tests[0].requests = 1 // for the part
			tests[2].requests = 1 // for all of it
		}
		for _, tt := range tests {
			before := requests
			resp := send(t, c, "GET", url+"/x", nil, tt.line)
			if got := readAll(t, resp.Body); resp.StatusCode != tt.code || got != tt.body {
				t.Errorf("%s: %d %q", tt.line, resp.StatusCode, got)
			}
			if n := requests - before; n != tt.requests {
				t.Errorf("%s: the origin saw %d requests, want %d", tt.line, n, tt.requests)
			}
		}
	}
}

func TestPassUpgrade(t *testing.T) {
	url, _ := front(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "echo" || r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Sec-WebSocket-Key") != "k" {
			t.Errorf("the origin saw %v", r.Header)
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "echo")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.Copy(conn, rw)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\nSec-WebSocket-Key: k\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "echo" || !strings.Contains(resp.Header.Get("Cache-Status"), "fwd=bypass; fwd-status=101; detail=upgrade") {
		t.Fatalf("got %d %v", resp.StatusCode, resp.Header)
	}
	for _, word := range []string{"ping", "pong"} {
		fmt.Fprint(conn, word)
		got := make([]byte, len(word))
		if _, err := io.ReadFull(r, got); err != nil || string(got) != word {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

// Each event must arrive before the origin sends the next one.
func TestPassEventsAsTheyCome(t *testing.T) {
	next := make(chan struct{})
	url, c := front(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-cache")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
			select {
			case <-next:
			case <-r.Context().Done():
				return
			}
		}
	})
	resp := send(t, c, "GET", url+"/events", nil)
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		got, err := lines.ReadString('\n')
		if err != nil || got != fmt.Sprintf("data: %d\n", i) {
			t.Fatalf("got %q, %v", got, err)
		}
		lines.ReadString('\n')
		next <- struct{}{}
	}
}

func TestPassTrailersAndInformational(t *testing.T) {
	url, c := front(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Trailer", "X-Sum")
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
		w.Header().Set("X-Sum", "42")
	})
	for range 2 {
		var hints []string
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, header))
			return nil
		}})
		r, err := http.NewRequestWithContext(ctx, "GET", url+"/t", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, resp.Body); got != "<html>" || resp.Trailer.Get("X-Sum") != "42" {
			t.Errorf("got %q, trailer %v", got, resp.Trailer)
		}
		if want := []string{"103 map[Link:[</style.css>; rel=preload]]"}; !slices.Equal(hints, want) {
			t.Errorf("informational: %q, want %q", hints, want)
		}
	}
}

// net/http makes up a Content-Type where there is none; a cache must not.
func TestNoContentTypeIsMadeUp(t *testing.T) {
	url, c := front(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("Cache-Control", r.URL.RawQuery)
		io.WriteString(w, "<html>")
	})
	for _, cc := range []string{"max-age=60", "max-age=60", "no-store"} {
		resp := send(t, c, "GET", url+"/x?"+cc, nil)
		if ct, ok := resp.Header["Content-Type"]; ok {
			t.Errorf("%s: Content-Type: %q", cc, ct)
		}
	}
}

// An origin that breaks off in a response that is passed: the client must see that it is not whole.
func TestPassBrokenOff(t *testing.T) {
	url, c := front(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half of it")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	resp := send(t, c, "POST", url+"/x", nil)
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("got %q as if it were whole", b)
	}
}

func TestConnectIsRefused(t *testing.T) {
	o := origin(200)
	r := httptest.NewRequest("CONNECT", "evil.test:443", nil)
	w := httptest.NewRecorder()
	start(t, Config{Transport: o}).ServeHTTP(w, r)
	if w.Code != http.StatusNotImplemented || o.requests.Load() != 0 {
		t.Errorf("got %d, and the origin %d requests", w.Code, o.requests.Load())
	}
}

// A large object goes through whole, and is not held.
func TestPassLargeObjects(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	origin, _ := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if r.URL.RawQuery == "chunked" {
			w.Write(big[:1])
			http.NewResponseController(w).Flush()
			w.Write(big[1:])
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(big)))
		w.Write(big)
	}))
	h := start(t, Config{Origin: origin, MaxObjectBytes: 64 << 10})
	url, c := serveHTTP(t, h)
	for _, q := range []string{"", "chunked", "", "chunked"} {
		resp := send(t, c, "GET", url+"/big?"+q, nil)
		if got := readAll(t, resp.Body); got != string(big) {
			t.Errorf("%q: %d bytes of %d", q, len(got), len(big))
		}
		if got := resp.Header.Get("Cache-Status"); strings.Contains(got, "hit") || q == "" && !strings.Contains(got, "detail=too-large") {
			t.Errorf("Cache-Status: %s", got)
		}
	}
	if s := h.Stats(); s.Hits != 0 || s.Cache.Bytes > 128<<10 {
		t.Errorf("Stats %+v", s)
	}
}
