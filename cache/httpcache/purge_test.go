package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// numbered is an origin that tells the version that it has, with an ETag and lines.
func numbered(version *atomic.Int64, lines ...string) *fakeOrigin {
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		v := fmt.Sprint(version.Load())
		if r.Header.Get("If-None-Match") == `"`+v+`"` {
			return response(304, "ETag: \""+v+"\""), nil
		}
		return response(200, append(append([]string{"Cache-Control: max-age=3600", `ETag: "` + v + `"`}, lines...), "", v)...), nil
	}}
}

// unchanging is an origin that has one version, tells it with lines, and takes a moment.
func unchanging(lines ...string) *fakeOrigin {
	lines = append([]string{`ETag: "e"`}, lines...)
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		time.Sleep(10 * time.Millisecond)
		if r.Header.Get("If-None-Match") != "" {
			return response(304, lines...), nil
		}
		return response(200, append(lines[:len(lines):len(lines)], "", "x")...), nil
	}}
}

func TestPurge(t *testing.T) {
	for name, purge := range map[string]func(ctx context.Context, h *Handler, soft bool) (Purged, error){
		"url": func(ctx context.Context, h *Handler, soft bool) (Purged, error) { return h.Purge(ctx, "/x?y", soft) },
		"absolute url": func(ctx context.Context, h *Handler, soft bool) (Purged, error) {
			return h.Purge(ctx, "http://any.test/x?y", soft)
		},
		"surrogate key": func(ctx context.Context, h *Handler, soft bool) (Purged, error) {
			return h.PurgeKeys(ctx, []string{"b"}, soft)
		},
		"cache tag": func(ctx context.Context, h *Handler, soft bool) (Purged, error) {
			return h.PurgeKeys(ctx, []string{"d"}, soft)
		},
		"all": func(ctx context.Context, h *Handler, soft bool) (Purged, error) { return h.PurgeAll(ctx, soft) },
	} {
		for _, soft := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", soft: ", soft), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var version atomic.Int64
					o := numbered(&version, "Surrogate-Key: a b", "Cache-Tag: c, d", "Vary: X-A")
					_, hs := startFleet(t, 3, Config{Transport: o})
					all := func(want string) {
						t.Helper()
						for i, h := range hs {
							for _, v := range []string{"1", "2"} {
								if w := get(h, "/x?y", "X-A: "+v); w.Body.String() != want {
									t.Errorf("instance %d: %q, want %q (%s)", i, w.Body, want, w.cacheStatus())
								}
								time.Sleep(time.Second)
							}
						}
					}
					all("0")
					version.Add(1)
					all("0")
					for i, h := range hs {
						if i > 0 {
							version.Add(1)
						}
						got, err := purge(t.Context(), h, soft)
						if err != nil || len(got.Failed) > 0 || len(got.Acknowledged) != 3 || !slices.IsSorted(got.Acknowledged) {
							t.Errorf("%+v, %v", got, err)
						}
						all(fmt.Sprint(version.Load()))
					}
				})
			})
		}
	}
}

// What was purged softly is validated, and served if nothing has changed, or the origin is not there.
func TestSoftPurgeValidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Int64
		o := numbered(&version)
		fleet, hs := startFleet(t, 2, Config{Transport: o})
		owner := hs[ownerOf(fleet, hs[0], "/x")]
		get(owner, "/x")
		time.Sleep(time.Minute)
		if _, err := owner.Purge(t.Context(), "/x", true); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"fwd=stale; fwd-status=304", "hit"} {
			if w := get(owner, "/x"); !strings.Contains(w.cacheStatus(), want) || w.Body.String() != "0" {
				t.Errorf("%q %s, want %s", w.Body, w.cacheStatus(), want)
			}
		}
		if n := o.requests.Load(); n != 2 {
			t.Errorf("%d requests, want one and its validation", n)
		}
		if _, err := owner.Purge(t.Context(), "/x", true); err != nil {
			t.Fatal(err)
		}
		o.answer = func(*http.Request) (*http.Response, error) { return nil, errors.New("down") }
		if w := get(owner, "/x"); w.Code != 200 || w.Body.String() != "0" {
			t.Errorf("the origin is down: %d %q", w.Code, w.Body)
		}
	})
}

// One validation is enough for all instances, right after a soft purge: how long the response was on its way does not matter.
func TestSoftPurgeValidatesOnce(t *testing.T) {
	for name, purge := range map[string]func(ctx context.Context, h *Handler) (Purged, error){
		"url": func(ctx context.Context, h *Handler) (Purged, error) { return h.Purge(ctx, "/x", true) },
		"keys": func(ctx context.Context, h *Handler) (Purged, error) {
			return h.PurgeKeys(ctx, []string{"other", "k"}, true)
		},
		"all": func(ctx context.Context, h *Handler) (Purged, error) { return h.PurgeAll(ctx, true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := unchanging("Cache-Control: max-age=600", "Surrogate-Key: k")
				_, hs := startFleet(t, 3, Config{Transport: o})
				for n := range 2 {
					for i := range 9 { // so that it is in everybody's memory
						get(hs[i%3], "/x")
					}
					if got := o.requests.Load(); got != int64(n+1) {
						t.Errorf("after %d purges the origin saw %d requests", n, got)
					}
					time.Sleep(time.Millisecond)
					if _, err := purge(t.Context(), hs[n]); err != nil {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

func TestPurgeOfWhatIsNone(t *testing.T) {
	h := start(t, Config{Transport: origin(200)})
	for name, purge := range map[string]func() (Purged, error){
		"no path":       func() (Purged, error) { return h.Purge(t.Context(), "x", false) },
		"no URL":        func() (Purged, error) { return h.Purge(t.Context(), "http://[", true) },
		"no keys":       func() (Purged, error) { return h.PurgeKeys(t.Context(), nil, false) },
		"an empty key":  func() (Purged, error) { return h.PurgeKeys(t.Context(), []string{"a", ""}, true) },
		"a key with LF": func() (Purged, error) { return h.PurgeKeys(t.Context(), []string{"a\n"}, false) },
	} {
		if got, err := purge(); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
	}
	h.Close()
	if _, err := h.Purge(t.Context(), "/x", false); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A purge names the instances that it could not reach.
func TestPurgeNamesWhoWasNotReached(t *testing.T) {
	for _, soft := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			fleet, hs := startFleet(t, 3, Config{Transport: origin(200, "Cache-Control: max-age=60")})
			fleet.Partition([]int{2})
			got, err := hs[0].Purge(t.Context(), "/x", soft)
			want := []string{fleet.Instance(0).Self(), fleet.Instance(1).Self()}
			if err != nil || !slices.Equal(got.Acknowledged, want) || len(got.Failed) != 1 || got.Failed[fleet.Instance(2).Self()] == "" {
				t.Errorf("soft: %v: %+v, %v", soft, got, err)
			}
			fleet.Heal()
		})
	}
}

// Where too many soft purges come, all is stale: nothing that was purged is forgotten.
func TestSoftPurgesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var version atomic.Int64
		h := start(t, Config{Transport: numbered(&version)})
		get(h, "/x")
		time.Sleep(time.Second)
		for i := range 2*maxPurges + 1 {
			if _, err := h.Purge(t.Context(), fmt.Sprint("/", i), true); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.purges.at); n > maxPurges {
			t.Errorf("%d are remembered", n)
		}
		version.Add(1)
		if w := get(h, "/x"); w.Body.String() != "1" {
			t.Errorf("got %q", w.Body)
		}
	})
}
