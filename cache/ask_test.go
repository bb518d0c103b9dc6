package cache_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// asking makes a cache that asks owners, and what it loads itself.
func asking(t *testing.T, cfg stringConfig, owners ...cache.Peer) (*stringCache, *source) {
	t.Helper()
	o := new(source)
	cfg.Name, cfg.Version, cfg.Peers = "users", "v1", &fakePeers{t: t, owners: owners}
	if cfg.Load == nil {
		cfg.Load = o.load
	}
	return open(t, cfg), o
}

func TestAnswersBecomeValuesAndErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer cache.Answer
		want   string
		is     error // what errors.Is finds
		isNot  error
	}{
		{"value", cache.Answer{Value: []byte("V")}, "V", nil, nil},
		{"empty value", cache.Answer{}, "", nil, nil},
		{"not found", cache.Answer{Status: cache.StatusNotFound, Message: "gone"}, "", cache.ErrNotFound, context.DeadlineExceeded},
		{"failed", cache.Answer{Status: cache.StatusLoadFailed, Message: "no luck"}, "", nil, cache.ErrNotFound},
		{"panicked", cache.Answer{Status: cache.StatusLoadPanicked, Message: "oops"}, "", nil, cache.ErrNotFound},
		{"timeout", cache.Answer{Status: cache.StatusLoadTimeout, Message: "slow"}, "", context.DeadlineExceeded, cache.ErrNotFound},
		{"encoding", cache.Answer{Status: cache.StatusEncodeFailed, Message: "odd"}, "", nil, cache.ErrNotFound},
		{"too large", cache.Answer{Status: cache.StatusTooLarge, Message: "big"}, "", nil, cache.ErrNotFound},
		{"absent, and nobody has peeked", cache.Answer{Status: cache.StatusAbsent, Message: "not here"}, "", nil, cache.ErrNotFound},
		{"from the future", cache.Answer{Status: 200, Value: []byte("V"), Message: "new"}, "", nil, cache.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			owner := &fakePeer{addr: "owner:1", get: answers(tt.answer)}
			c, o := asking(t, stringConfig{}, owner, nil)
			v, err := c.Get(t.Context(), "k")
			if v != tt.want {
				t.Errorf("Get = %q, want %q", v, tt.want)
			}
			var re *cache.RemoteError
			switch {
			case tt.answer.Status == cache.StatusOK:
				if err != nil {
					t.Error(err)
				}
			case !errors.As(err, &re) || re.Peer != "owner:1" || re.Status != tt.answer.Status || re.Message != tt.answer.Message:
				t.Errorf("err = %#v, want a RemoteError with what the owner said", err)
			case tt.is != nil && !errors.Is(err, tt.is), tt.isNot != nil && errors.Is(err, tt.isNot):
				t.Errorf("errors.Is(%v, %v) and %v are not as they should be", err, tt.is, tt.isNot)
			case !strings.Contains(err.Error(), "owner:1") || !strings.Contains(err.Error(), tt.answer.Message):
				t.Errorf("the error does not name the instance and its words: %v", err)
			}
			wantLoads(t, o, "k", 0)
			if owner.calls.Load() != 1 {
				t.Errorf("the owner was asked %d times", owner.calls.Load())
			}
		})
	}
}

// A failing backend must not get the same load from each instance in turn.
func TestFamilyOwnersLoaderErrorDoesNotLoadAgain(t *testing.T) {
	for _, status := range []cache.Status{cache.StatusNotFound, cache.StatusLoadFailed, cache.StatusLoadPanicked, cache.StatusLoadTimeout, cache.StatusEncodeFailed, cache.StatusTooLarge} {
		owner := &fakePeer{addr: "owner", get: answers(cache.Answer{Status: status, Message: "no luck"})}
		next := &fakePeer{addr: "next", get: answers(cache.Answer{Value: []byte("V")})}
		c, o := asking(t, stringConfig{}, owner, next, nil)
		if v, err := c.Get(t.Context(), "k"); err == nil || next.calls.Load() != 0 || o.count("k") != 0 {
			t.Errorf("status %d: Get = %q, %v; %d calls of the next, %d loads here", status, v, err, next.calls.Load(), o.count("k"))
		}
	}
}

func TestDecodeErrorNamesInstanceAndKey(t *testing.T) {
	for _, tt := range []struct {
		name  string
		value string
		want  string
	}{
		{"an error", `{"X":`, "unexpected end"},
		{"a panic", `panic`, "panic: odd value"},
	} {
		owner := &fakePeer{addr: "owner:1", get: answers(cache.Answer{Value: []byte(tt.value)})}
		c := open(t, cache.Config[string, point]{
			Name: "points", Peers: &fakePeers{t: t, owners: []cache.Peer{owner, nil}},
			SizeOf: sizeOfPoint, Codec: panickyCodec{}, Load: loadNothing[point],
		})
		_, err := c.Get(t.Context(), "some key")
		var de *cache.DecodeError
		if !errors.As(err, &de) || de.Peer != "owner:1" || de.Key != "some key" || de.Unwrap() == nil {
			t.Errorf("%s: %#v, want a DecodeError", tt.name, err)
			continue
		}
		for _, want := range []string{"owner:1", "some key", "Config.Version", tt.want} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error lacks %q: %v", tt.name, want, err)
			}
		}
	}
}

// panickyCodec is JSON that panics where it is told to.
type panickyCodec struct{ cache.JSON[point] }

func (panickyCodec) Append(dst []byte, p point) ([]byte, error) {
	if p.X < 0 {
		panic("negative")
	}
	return cache.JSON[point]{}.Append(dst, p)
}

func (panickyCodec) Decode(src []byte) (point, error) {
	if string(src) == "panic" {
		panic("odd value")
	}
	return cache.JSON[point]{}.Decode(src)
}

func TestG7MirrorTermCountsFromSending(t *testing.T) {
	for _, tt := range []struct {
		name      string
		ttl       time.Duration // of the answer
		mirrorTTL time.Duration // of the Config
		want      time.Duration // how long it is mirrored, from when it was asked for
	}{
		{"MirrorTTL", time.Hour, 30 * time.Second, 30 * time.Second},
		{"the default", time.Hour, 0, cache.DefaultMirrorTTL},
		{"TTL is shorter", 20 * time.Second, 30 * time.Second, 20 * time.Second},
		{"no expiry", cache.Forever, time.Minute, time.Minute},
		{"not to be kept", 0, 30 * time.Second, 0},
		{"no mirrors", time.Hour, -1, 0},
		{"over before it came", 3 * time.Second, 30 * time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				owner := &fakePeer{addr: "owner"}
				owner.get = func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
					time.Sleep(4 * time.Second)
					// It would be served stale by its owner, and is not here.
					deliver(0, cache.Answer{Value: fmt.Append(nil, owner.calls.Load()), TTL: tt.ttl, Stale: time.Hour})
					return nil
				}
				c, _ := asking(t, stringConfig{MirrorTTL: tt.mirrorTTL}, owner, nil)
				wantGet(t, c, "k", "1") // once is not enough for a mirror
				wantPeek(t, c, "k", "")
				sent := time.Now()
				wantGet(t, c, "k", "2")
				if tt.want == 0 {
					wantPeek(t, c, "k", "")
					return
				}
				time.Sleep(tt.want - time.Since(sent) - 1)
				wantGet(t, c, "k", "2")
				if s := c.Stats(); s.MirrorHits != 1 || s.MirrorBytes == 0 || s.MirrorBytes != s.Bytes {
					t.Errorf("%d mirror hits, %d of %d bytes are mirrors", s.MirrorHits, s.MirrorBytes, s.Bytes)
				}
				time.Sleep(time.Nanosecond)
				wantPeek(t, c, "k", "")
				wantGet(t, c, "k", "3")
			})
		})
	}
}

func TestMirrorOfNotFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &fakePeer{addr: "owner", get: answers(cache.Answer{Status: cache.StatusNotFound, Message: "user 7 left", TTL: 10 * time.Second})}
		c, _ := asking(t, stringConfig{}, owner, nil)
		for range 5 {
			if _, err := c.Get(t.Context(), "k"); !errors.Is(err, cache.ErrNotFound) || !strings.Contains(err.Error(), "user 7 left") {
				t.Errorf("err = %v", err)
			}
		}
		if n := owner.calls.Load(); n != 2 {
			t.Errorf("the owner was asked %d times, want 2: the second answer is mirrored", n)
		}
		time.Sleep(10 * time.Second)
		_, _ = c.Get(t.Context(), "k")
		if n := owner.calls.Load(); n != 3 {
			t.Errorf("the owner was asked %d times, want 3: the answer's TTL is over", n)
		}
	})
}

type tenantCarrier struct{}

func (tenantCarrier) Inject(ctx context.Context) map[string]string {
	tenant, _ := ctx.Value(ctxKey{}).(string)
	return map[string]string{"tenant": tenant}
}

func (tenantCarrier) Extract(ctx context.Context, carried map[string]string) context.Context {
	return context.WithValue(ctx, ctxKey{}, "carried "+carried["tenant"])
}

func TestAskSaysWhatItIsAskedFor(t *testing.T) {
	var got []*cache.GetRequest
	owner := &fakePeer{addr: "owner"}
	owner.get = func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		got = append(got, req)
		return answers(cache.Answer{Value: []byte("V")})(ctx, req, deliver)
	}
	c, _ := asking(t, stringConfig{Carry: tenantCarrier{}}, owner, nil)
	ctx := context.WithValue(t.Context(), ctxKey{}, "acme")
	_, _ = c.Get(ctx, "a")
	_, _ = c.Refresh(ctx, "b")
	_, _ = c.GetMany(ctx, []string{"c", "d", "c"})
	for i, want := range []cache.GetRequest{{Keys: []string{"a"}}, {Keys: []string{"b"}, Reload: true}, {Keys: []string{"c", "d"}}} {
		req := got[i]
		if req.Cache != "users" || req.Version != "v1" || req.Carried["tenant"] != "acme" || req.Reload != want.Reload || !slices.Equal(req.Keys, want.Keys) {
			t.Errorf("request %d: %+v", i, req)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d requests, want 3", len(got))
	}
}

func TestTraceNamesTheInstance(t *testing.T) {
	owner := &fakePeer{addr: "owner:1", get: answers(cache.Answer{Value: []byte("V"), Loaded: true})}
	c, _ := asking(t, stringConfig{}, owner, nil)
	var tr cache.Trace
	if _, err := c.Get(cache.WithTrace(t.Context(), &tr), "k"); err != nil || tr != (cache.Trace{Peer: "owner:1", Loaded: true}) {
		t.Errorf("trace = %+v, %v", tr, err)
	}
	owner.get = answers(cache.Answer{Value: []byte("V")})
	tr = cache.Trace{}
	if _, err := c.Get(cache.WithTrace(t.Context(), &tr), "other"); err != nil || tr != (cache.Trace{Peer: "owner:1"}) {
		t.Errorf("trace = %+v, %v", tr, err)
	}
	if s := c.Stats(); s.Fetches != 2 || s.FetchHits != 1 {
		t.Errorf("%d fetches, %d from memory; want 2 and 1", s.Fetches, s.FetchHits)
	}
}
