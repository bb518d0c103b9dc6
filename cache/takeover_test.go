package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func value(v string) func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
	return answers(cache.Answer{Value: []byte(v), TTL: time.Hour})
}

var errDown = errors.New("connection refused")

// Who gives no answer is passed over, in the key's order, until somebody does.
func TestG8WhoDoesNotAnswerIsPassedOver(t *testing.T) {
	lost := failing(errDown)
	for _, tt := range []struct {
		name   string
		peers  []func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error // nil: this process
		want   string
		calls  string // of each peer
		stored bool
		stats  cache.Stats
	}{
		{"the owner answers", peersGet(value("1"), nil), "1", "1", false, cache.Stats{Fetches: 1, FetchHits: 1}},
		{"the next one does", peersGet(lost, value("2"), nil), "2", "1 1", false, cache.Stats{Fetches: 2, FetchHits: 1, FetchFailures: 1}},
		{"this one is next", peersGet(lost, nil, value("3")), "k#1", "1 0", true, cache.Stats{Fetches: 1, FetchFailures: 1, Takeovers: 1, Loads: 1}},
		{"this one is third", peersGet(lost, lost, nil), "k#1", "1 1", true, cache.Stats{Fetches: 2, FetchFailures: 2, Takeovers: 1, Loads: 1}},
		{"too many are lost", peersGet(lost, lost, lost, value("4"), nil), "k#1", "1 1 1 0", false, cache.Stats{Fetches: 3, FetchFailures: 3, LastResorts: 1, Loads: 1}},
		{"all are lost, and this one is not in the view", peersGet(lost, lost), "k#1", "1 1", false, cache.Stats{Fetches: 2, FetchFailures: 2, LastResorts: 1, Loads: 1}},
		{"the cache is unknown there", peersGet(failing(cache.ErrUnknownCache), value("2"), nil), "2", "1 1", false, cache.Stats{Fetches: 2, FetchHits: 1}},
		{"another Version", peersGet(failing(fmt.Errorf("%w: v2", cache.ErrVersionMismatch)), value("2"), nil), "2", "1 1", false, cache.Stats{Fetches: 2, FetchHits: 1}},
		{"known to be down", peersGet(failing(cache.ErrPeerDown), value("2"), nil), "2", "1 1", false, cache.Stats{Fetches: 2, FetchHits: 1}},
		{"those cost no try", peersGet(failing(cache.ErrPeerDown), failing(cache.ErrUnknownCache), failing(cache.ErrPeerDown), lost, lost, value("6"), nil), "6", "1 1 1 1 1 1", false, cache.Stats{Fetches: 6, FetchHits: 1, FetchFailures: 2}},
		{"nil without an answer", peersGet(failing(nil), value("2"), nil), "2", "1 1", false, cache.Stats{Fetches: 2, FetchHits: 1, FetchFailures: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var owners []cache.Peer
			var peers []*fakePeer
			for i, get := range tt.peers {
				if get == nil {
					owners = append(owners, nil)
					continue
				}
				p := &fakePeer{addr: fmt.Sprint("peer ", i), get: get}
				owners, peers = append(owners, p), append(peers, p)
			}
			c, _ := asking(t, stringConfig{}, owners...)
			wantGet(t, c, "k", tt.want)
			var calls []string
			for _, p := range peers {
				calls = append(calls, fmt.Sprint(p.calls.Load()))
			}
			if got := strings.Join(calls, " "); got != tt.calls {
				t.Errorf("calls %s, want %s", got, tt.calls)
			}
			if _, ok := c.Peek("k"); ok != tt.stored {
				t.Errorf("stored: %v, want %v", ok, tt.stored)
			}
			got := c.Stats()
			got.Misses, got.Entries, got.Bytes, got.MaxBytes, got.Joins = 0, 0, 0, 0, 0
			if got != tt.stats {
				t.Errorf("got  %+v\nwant %+v", got, tt.stats)
			}
		})
	}
}

func peersGet(gets ...func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error) []func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
	return gets
}

// During a deploy an instance that does not run the cache yet must not make keys read as absent.
func TestFamilyUnknownCacheIsNotNotFound(t *testing.T) {
	for _, err := range []error{cache.ErrUnknownCache, cache.ErrVersionMismatch} {
		synctest.Test(t, func(t *testing.T) {
			stranger := &fakePeer{addr: "stranger", get: failing(err)}
			c, _ := asking(t, stringConfig{Negative: time.Hour}, stranger, nil)
			for i := range 3 {
				key := fmt.Sprint(i)
				wantGet(t, c, key, key+"#1")
			}
			if n := stranger.calls.Load(); n != 1 {
				t.Errorf("the stranger was asked %d times, want once in a while", n)
			}
			time.Sleep(time.Minute)
			stranger.get = value("V")
			wantGet(t, c, "later", "V") // it is asked again, and has caught up
		})
	}
}

// What was answered before an instance failed stands; only the rest is asked of the next one.
func TestG8AnswersBeforeAFailureStand(t *testing.T) {
	owner := &fakePeer{addr: "owner"}
	owner.get = func(_ context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		deliver(1, cache.Answer{Value: []byte("from the owner")})
		if req.Keys[0] == "a" {
			return errDown
		}
		return nil // and leaves the others unanswered, which it must not
	}
	var asked []string
	next := &fakePeer{addr: "next"}
	next.get = func(ctx context.Context, req *cache.GetRequest, deliver func(int, cache.Answer)) error {
		asked = append(asked, strings.Join(req.Keys, " "))
		return value("from the next")(ctx, req, deliver)
	}
	c, _ := asking(t, stringConfig{}, owner, next, nil)
	wantMany(t, c, "a b c", map[string]string{"a": "from the next", "b": "from the owner", "c": "from the next"}, nil)
	wantMany(t, c, "x y z", map[string]string{"x": "from the next", "y": "from the owner", "z": "from the next"}, nil)
	if strings.Join(asked, ", ") != "a c, x z" {
		t.Errorf("the next one was asked for %q", asked)
	}
}

func TestG5AnOwnerThatHangsIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &fakePeer{addr: "owner", get: func(ctx context.Context, _ *cache.GetRequest, _ func(int, cache.Answer)) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		c, o := asking(t, stringConfig{LoadTimeout: 10 * time.Second}, owner, nil)
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%v after %v; want to leave after 1 s", err, time.Since(begin))
		}
		synctest.Wait()
		if s := c.Stats(); s.Flights != 0 || o.count("k") != 0 {
			t.Errorf("%d flights, %d loads; want none for nobody", s.Flights, o.count("k"))
		}
		begin = time.Now()
		_, err := c.Get(t.Context(), "k")
		if d := time.Since(begin); !errors.Is(err, context.DeadlineExceeded) || d < 10*time.Second || d > 20*time.Second {
			t.Errorf("without a deadline: %v after %v; want a little more than LoadTimeout", err, d)
		}
	})
}

func TestRemoveNamesTheInstancesThatItDidNotReach(t *testing.T) {
	fences := 0
	fine := &fakePeer{addr: "fine", get: value("V"), fence: func(_ context.Context, req *cache.FenceRequest) error {
		if fences++; req.Cache != "users" || req.Hold <= 0 || req.ID == 0 {
			t.Errorf("fence: %+v", req)
		}
		return nil
	}}
	lost := &fakePeer{addr: "lost:1", fence: func(context.Context, *cache.FenceRequest) error { return errDown }}
	stranger := &fakePeer{addr: "stranger", fence: func(context.Context, *cache.FenceRequest) error { return cache.ErrUnknownCache }}
	for name, call := range map[string]func(*stringCache) error{
		"Remove": func(c *stringCache) error { return c.Remove(t.Context(), "k") },
		"Set":    func(c *stringCache) error { return c.Set(t.Context(), "k", cache.Entry[string]{Value: "set"}) },
		"Clear":  func(c *stringCache) error { return c.Clear(t.Context()) },
	} {
		c, _ := asking(t, stringConfig{}, nil, fine, lost, stranger)
		wantGet(t, c, "k", "k#1")
		err := call(c)
		var ue *cache.UnreachedError
		if !errors.As(err, &ue) || len(ue.Errors) != 1 || ue.Errors["lost:1"] != errDown || !errors.Is(err, errDown) || !strings.Contains(err.Error(), "lost:1 (connection refused)") {
			t.Errorf("%s: %v; want an UnreachedError that names lost:1 alone", name, err)
		}
		if v, ok := c.Peek("k"); ok != (name == "Set") {
			t.Errorf("%s: what is left here is %q, %v", name, v, ok)
		}
	}
	if fences != 3 {
		t.Errorf("the instance that could be reached was fenced %d times, want 3", fences)
	}
}

func TestSetStoresWithTheOwner(t *testing.T) {
	var fenced uint64
	var stored *cache.StoreRequest
	owner := &fakePeer{
		addr:  "owner",
		fence: func(_ context.Context, req *cache.FenceRequest) error { fenced = req.ID; return nil },
		store: func(_ context.Context, req *cache.StoreRequest) error { stored = req; return nil },
	}
	c, _ := asking(t, stringConfig{TTL: time.Hour, Stale: time.Minute}, owner, nil)
	if err := c.Set(t.Context(), "k", cache.Entry[string]{Value: "V", Size: 77}); err != nil {
		t.Fatal(err)
	}
	s := stored
	if s == nil || s.Cache != "users" || s.Version != "v1" || s.Key != "k" || s.Fence != fenced || string(s.Value) != "V" || s.Size != 77 ||
		s.TTL > time.Hour || s.TTL < time.Hour-time.Minute || s.Stale != time.Minute {
		t.Errorf("stored %+v under the fence %d", s, fenced)
	}
	wantPeek(t, c, "k", "") // it is the owner's
	owner.store = func(context.Context, *cache.StoreRequest) error { return errDown }
	var ue *cache.UnreachedError
	if err := c.Set(t.Context(), "k", cache.Entry[string]{Value: "V"}); !errors.As(err, &ue) || ue.Errors["owner"] != errDown {
		t.Errorf("Set: %v, want an UnreachedError: the value is not stored", err)
	}
}

// What expired on its way is as good as no answer.
func TestG7AnAnswerThatExpiredOnItsWayIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		owner := &fakePeer{addr: "owner"}
		owner.get = func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			time.Sleep(4 * time.Second)
			deliver(0, cache.Answer{Value: []byte("old"), TTL: 3 * time.Second, Stale: time.Second})
			return nil
		}
		c, _ := asking(t, stringConfig{}, owner, nil)
		wantGet(t, c, "k", "k#1")
	})
}
