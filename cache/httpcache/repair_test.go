package httpcache

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// A chunk that is gone comes from the origin, if that has the same body still. Else what has begun breaks off, and what has not is asked for anew.
func TestChunkThatIsGone(t *testing.T) {
	body := text(200 << 10)
	for name, tt := range map[string]struct {
		etag    string
		later   string // the body that the origin has then
		gone    []int64
		code    int
		aborted bool
		loads   int64
	}{
		"in the middle":                          {`ETag: "a"`, body, []int64{5}, 200, false, 2},
		"in the middle, without a strong ETag":   {`ETag: W/"a"`, body, []int64{5}, 200, false, 2},
		"in the middle, of a body that changed":  {`ETag: "a"`, strings.ToUpper(body), []int64{5}, 200, true, 3},
		"at the start":                           {`ETag: "a"`, body, []int64{0, 1}, 200, false, 3},
		"at the start, without a strong ETag":    {`X-A: b`, body, []int64{0}, 200, false, 2},
		"at the start, of a body that changed":   {`ETag: "a"`, strings.ToUpper(body), []int64{0}, 200, false, 3},
		"at the start, and the origin is silent": {`X-A: b`, "", []int64{0}, 502, false, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := parts(body, tt.etag)
				_, hs := startFleet(t, 3, Config{Transport: o, MaxBytes: 1 << 20})
				get(hs[0], "/x")
				synctest.Wait()
				if w := get(hs[1], "/x"); w.Body.String() != body || o.requests.Load() != 1 {
					t.Fatalf("%d bytes, %d requests", w.Body.Len(), o.requests.Load())
				}
				found := parts(tt.later, tt.etag).answer
				o.answer = func(r *http.Request) (*http.Response, error) {
					if tt.later == "" {
						return nil, errBroken
					}
					if tt.later != body && r.Header.Get("If-Range") != "" {
						r.Header.Del("Range")
					}
					return found(r)
				}
				at, err := hs[0].cache.Get(t.Context(), hs[0].sites.any.prefix+"/x")
				if err != nil || at.body.chunk == 0 {
					t.Fatalf("%+v, %v", at, err)
				}
				for _, i := range tt.gone {
					if err := hs[0].cache.Remove(t.Context(), chunkKey(at.body.id, i)); err != nil {
						t.Fatal(err)
					}
				}
				w := get(hs[2], "/x")
				if w.Code != tt.code || w.aborted != tt.aborted || o.requests.Load() != tt.loads {
					t.Errorf("%d, aborted: %v, %d requests; want %d, %v, %d", w.Code, w.aborted, o.requests.Load(), tt.code, tt.aborted, tt.loads)
				}
				if got := w.Body.String(); !tt.aborted && w.Code == 200 && got != tt.later || tt.aborted && !strings.HasPrefix(body, got) {
					t.Errorf("%d bytes that are wrong", len(got))
				}
			})
		})
	}
}
