package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache"
	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// A fakePurger remembers what it was asked.
type fakePurger struct {
	asked  string
	purged httpcache.Purged
	err    error
}

func (f *fakePurger) Purge(_ context.Context, url string, soft bool) (httpcache.Purged, error) {
	f.asked = fmt.Sprintf("url %s %v", url, soft)
	return f.purged, f.err
}

func (f *fakePurger) PurgeKeys(_ context.Context, keys []string, soft bool) (httpcache.Purged, error) {
	f.asked = fmt.Sprintf("keys %q %v", keys, soft)
	return f.purged, f.err
}

func (f *fakePurger) PurgeAll(_ context.Context, soft bool) (httpcache.Purged, error) {
	f.asked = fmt.Sprintf("all %v", soft)
	return f.purged, f.err
}

const token = "0123456789abcdef"

func purge(h http.Handler, authorization, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/purge", strings.NewReader(body))
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPurgeRequests(t *testing.T) {
	for body, want := range map[string]string{
		`{"url": "http://a/b?c"}`:       "url http://a/b?c false",
		`{"url": "/b", "soft": true}`:   "url /b true",
		`{"keys": ["a", "b"]}`:          `keys ["a" "b"] false`,
		`{"all": true, "soft": true}`:   "all true",
		`{}`:                            "",
		`{"all": false}`:                "",
		`{"url": "/", "all": true}`:     "",
		`{"url": "/", "keys": ["a"]}`:   "",
		`{"urls": ["/"]}`:               "",
		`{"url": 5}`:                    "",
		`{"all": true}{"all": true}`:    "",
		``:                              "",
		`"all"`:                         "",
		`{"keys": null}`:                "",
		`{"all": true, "soft": "true"}`: "",
	} {
		f := &fakePurger{}
		w := purge(purgeHandler(f, []byte(token), "me"), "Bearer "+token, body)
		if f.asked != want || (w.Code == 200) != (want != "") || w.Code != 200 && w.Code != 400 {
			t.Errorf("%s: %d %s: %q, want %q", body, w.Code, w.Body, f.asked, want)
		}
	}
	long := `{"keys": ["` + strings.Repeat("x", maxPurge) + `"]}`
	if w := purge(purgeHandler(&fakePurger{}, []byte(token), ""), "bearer "+token, long); w.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body: %d %s", w.Code, w.Body)
	}
}

func TestPurgeNeedsTheToken(t *testing.T) {
	for authorization, want := range map[string]int{
		"Bearer " + token: 200, "bearer  " + token: 200, "": 401, token: 401, "Bearer": 401, "Bearer " + token + "x": 401, "Bearer " + token[1:]: 401, "Basic " + token: 401,
	} {
		f := &fakePurger{}
		w := purge(purgeHandler(f, []byte(token), ""), authorization, `{"all": true}`)
		if w.Code != want || (f.asked != "") != (want == 200) || (w.Header().Get("WWW-Authenticate") != "") != (want == 401) {
			t.Errorf("%q: %d, want %d", authorization, w.Code, want)
		}
		if w := purge(purgeHandler(f, nil, ""), authorization, `{"all": true}`); w.Code != http.StatusForbidden {
			t.Errorf("without a token: %d", w.Code)
		}
	}
	if w := purge(purgeHandler(&fakePurger{}, nil, ""), "Bearer ", `{"all": true}`); w.Code != http.StatusForbidden {
		t.Errorf("an empty token: %d", w.Code)
	}
}

func TestPurgeAnswers(t *testing.T) {
	for _, tt := range []struct {
		purged httpcache.Purged
		err    error
		code   int
		body   string
	}{
		{httpcache.Purged{Acknowledged: []string{""}}, nil, 200, `{"acknowledged":["me"],"failed":{}}`},
		{httpcache.Purged{Acknowledged: []string{"a"}, Failed: map[string]string{"b": "down"}}, nil, 207, `{"acknowledged":["a"],"failed":{"b":"down"}}`},
		{httpcache.Purged{Failed: map[string]string{"b": "down"}}, nil, 502, `{"acknowledged":[],"failed":{"b":"down"}}`},
		{httpcache.Purged{}, errors.New("no URL"), 400, "no URL"},
		{httpcache.Purged{}, cache.ErrClosed, 503, "shutting down"},
	} {
		w := purge(purgeHandler(&fakePurger{purged: tt.purged, err: tt.err}, []byte(token), "me"), "Bearer "+token, `{"all": true}`)
		if w.Code != tt.code || strings.TrimSpace(w.Body.String()) != tt.body {
			t.Errorf("%+v: %d %s", tt.purged, w.Code, w.Body)
		}
	}
}

// The real thing: what is purged is asked for again.
func TestPurgeOfAnInstance(t *testing.T) {
	s := serveWith(t, "-origin", processtest.Serve(t, cacheable), "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-admin-token-file", write(t, "token", token+"\n"))
	admin := s.adminHandler()
	get := func() string {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://any.test/x", nil))
		return w.Header().Get("Cache-Status")
	}
	for _, body := range []string{`{"url": "http://any.test/x"}`, `{"url": "/x"}`, `{"all": true}`} {
		get()
		if status := get(); !strings.Contains(status, "; hit") {
			t.Fatal(status)
		}
		if w := purge(admin, "Bearer "+token, body); w.Code != 200 || !strings.Contains(w.Body.String(), `{"acknowledged":["127.0.0.1:0"]`) {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
		if status := get(); !strings.Contains(status, "; fwd=uri-miss") {
			t.Errorf("%s: %s", body, status)
		}
	}
	if w := purge(admin, "Bearer "+token, `{"url": "nonsense"}`); w.Code != http.StatusBadRequest {
		t.Errorf("a URL that is none: %d %s", w.Code, w.Body)
	}
}
