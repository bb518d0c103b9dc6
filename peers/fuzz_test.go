package peers

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// Whatever is posted, with the credential or without, makes no harm and gets an answer.
func FuzzServeHTTP(f *testing.F) {
	p, err := New(Config{Self: "http://b", Insecure: true, MaxValueBytes: 1 << 16})
	if err != nil {
		f.Fatal(err)
	}
	s, err := New(Config{Self: "http://b", Secret: testSecret, MaxValueBytes: 1 << 16})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { p.Close(); s.Close() })
	for _, pool := range []*Pool{p, s} {
		if _, err := pool.Attach("c", responder{}); err != nil {
			f.Fatal(err)
		}
	}
	for _, q := range []*wire.Request{
		{Verb: wire.Ping},
		{Verb: wire.Get, Timeout: cache.Forever, MaxValue: 100, Get: &cache.GetRequest{Cache: "c", Keys: []string{"a", "b"}, Carried: map[string]string{"x": "y"}}},
		{Verb: wire.Store, Timeout: cache.Forever, Store: &cache.StoreRequest{Cache: "c", Key: "k", Value: []byte("v")}},
	} {
		body, _ := wire.AppendRequest(nil, q)
		f.Add(body, strings.Repeat("A", base64url.EncodedLen(authSize)), "http://b"+DefaultPath)
	}
	f.Fuzz(func(t *testing.T, body []byte, auth, to string) {
		for _, pool := range []*Pool{p, s} {
			req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
			req.Header = http.Header{"Content-Type": {contentType}, headerTo: {to}, headerAuth: {auth}, headerInstance: {strings.Repeat("0", 32)}}
			rec := httptest.NewRecorder()
			pool.ServeHTTP(rec, req)
			switch {
			case pool == s && rec.Code != http.StatusUnauthorized:
				t.Fatalf("HTTP %d without the credential", rec.Code)
			case pool == p && (rec.Code != http.StatusOK || rec.Header().Get("Content-Type") != contentType):
				t.Fatalf("HTTP %d", rec.Code)
			}
			if pool.Stats().InFlight != 0 || pool.Stats().Panics != 0 {
				t.Fatalf("%+v", pool.Stats())
			}
		}
	})
}
