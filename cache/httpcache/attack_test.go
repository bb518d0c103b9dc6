package httpcache

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The origin is never sent a target that is the client's own idea of one.
func TestTargetsThatAreNoPaths(t *testing.T) {
	o := origin(200, "Cache-Control: max-age=60")
	h := start(t, Config{Transport: o})
	for _, method := range []string{"GET", "POST"} {
		for _, target := range []*url.URL{
			{Scheme: "x", Opaque: "@internal/admin"},
			{Opaque: "secret"},
			{Path: "/x", RawQuery: "a HTTP/1.0"},
			{Path: "/x", RawQuery: "a\r\nX: 1"},
		} {
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(t.Context(), method, "/", nil)
			r.URL = target
			h.ServeHTTP(w, r)
			if w.Code != http.StatusBadRequest {
				t.Errorf("%s %v: HTTP %d", method, target, w.Code)
			}
		}
	}
	if n := o.requests.Load(); n != 0 {
		t.Errorf("the origin saw %d requests", n)
	}
}

// Clients who hold all connections for what is passed do not lock out those who want what can be cached.
func TestSlowUploadsDoNotHoldUpFills(t *testing.T) {
	started := make(chan struct{}, 2000)
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			started <- struct{}{}
			io.Copy(io.Discard, r.Body)
			return
		}
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "ok")
	}))
	defer origin.Close()
	h := start(t, Config{Origin: origin.URL})
	bound := h.own[0].MaxConnsPerHost
	h.own[0].MaxConnsPerHost = 4
	if bound < 4 || h.own[1] == h.own[0] {
		t.Fatal("fills and what is passed share their connections")
	}
	addr, client := serveHTTP(t, h)
	for range 4 {
		c, err := net.Dial("tcp", strings.TrimPrefix(addr, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n1")
		<-started
	}
	resp, err := client.Get(addr + "/x")
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, resp.Body); resp.StatusCode != 200 || body != "ok" {
		t.Errorf("HTTP %d %q", resp.StatusCode, body)
	}
}

// A field whose name is none does not keep a response from being shared.
func TestFieldNamesThatAreNone(t *testing.T) {
	o := origin(200, "Cache-Control: max-age=60", "X-Odd : 1", "X-Even: 2")
	o.answer = func(*http.Request) (*http.Response, error) {
		r := response(200, "Cache-Control: max-age=60", "X-Even: 2")
		r.Header["X Odd"] = []string{"1"}
		return r, nil
	}
	_, hs := startFleet(t, 3, Config{Transport: o})
	for range 3 {
		for i, h := range hs {
			if w := get(h, "/x"); w.Code != 200 || w.Header().Get("X-Even") != "2" {
				t.Errorf("instance %d: HTTP %d %v", i, w.Code, w.Header())
			}
		}
	}
	if n := o.requests.Load(); n != 1 {
		t.Errorf("the origin saw %d requests", n)
	}
}

// Without a Date, too, the age at another instance is that at the owner.
func TestAgeWithoutADate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &fakeOrigin{}
		o.answer = func(*http.Request) (*http.Response, error) {
			r := response(200, "Cache-Control: max-age=600", "Age: 7")
			r.Header.Del("Date")
			return r, nil
		}
		fleet, hs := startFleet(t, 2, Config{Transport: o})
		owner := ownerOf(fleet, hs[0], "/x")
		get(hs[owner], "/x")
		for range 3 {
			time.Sleep(100 * time.Second)
			if a, b := get(hs[owner], "/x").Header().Get("Age"), get(hs[1-owner], "/x").Header().Get("Age"); a != b {
				t.Errorf("Age %s at the owner, %s at the other", a, b)
			}
		}
	})
}
