package peers

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

func TestPropertyWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		used := map[uint64]bool{}
		top := uint64(0)
		for _, step := range rapid.SliceOfN(rapid.IntRange(-3*windowSize/2, 2*windowSize), 1, 300).Draw(t, "steps") {
			n := uint64(max(int(top)+step/rapid.SampledFrom([]int{1, 10, 1000}).Draw(t, "scale"), 0))
			fresh := n > 0 && !used[n] && (top < windowSize || n > top-windowSize)
			if got := w.add(n); got != fresh {
				t.Fatalf("add(%d) = %v with %d the highest", n, got, top)
			}
			used[n] = used[n] || fresh
			if fresh {
				top = max(top, n)
			}
		}
		for n := range used {
			if n > 0 && w.add(n) && used[n] {
				t.Fatalf("%d was taken twice", n)
			}
		}
	})
}

func TestWindowEdges(t *testing.T) {
	var w window
	for _, c := range []struct {
		n  uint64
		ok bool
	}{{0, false}, {1, true}, {1, false}, {1<<63 + 5, false}, {5000 + windowSize, true}, {5000, false}, {5001, true}, {5001, false}, {1 << 62, true}, {1<<62 + 1, false}, {5002, false}} {
		if got := w.add(c.n); got != c.ok {
			t.Errorf("add(%d) = %v", c.n, got)
		}
	}
}

func TestG11Challenges(t *testing.T) {
	c, other := newChallenger(), newChallenger()
	ch := c.issue(10 * time.Second)
	made, ok := c.check(&ch)
	if !ok || made != 10*time.Second {
		t.Fatalf("a fresh challenge: made %v, %v", made, ok)
	}
	if _, ok := other.check(&ch); ok {
		t.Error("a challenge of another process is taken")
	}
	for i := range ch {
		bad := ch
		bad[i] ^= 1
		if _, ok := c.check(&bad); ok {
			t.Errorf("a challenge with byte %d changed is taken", i)
		}
	}
	if why := c.use(&ch, made, 1, 20*time.Second); why != "" {
		t.Errorf("first use: %s", why)
	}
	if why := c.use(&ch, made, 1, 20*time.Second); why != refusedReplay {
		t.Errorf("second use: %q", why)
	}
	if why := c.use(&ch, made, 2, 10*time.Second+challengeLife); why != refusedExpired {
		t.Errorf("a challenge lives too long: %q", why)
	}
	// Who looked at the clock before, and gets the lock after, finds the time that it is.
	if why := c.use(&ch, made, 3, 9*time.Second+challengeLife); why != refusedExpired {
		t.Errorf("time goes back: %q", why)
	}
}

// However many challenges are in use, memory is bounded, and nothing is taken twice.
func TestG11SessionsAreBounded(t *testing.T) {
	c := newChallenger()
	now := time.Second
	first := c.issue(now)
	if why := c.use(&first, now, 1, now); why != "" {
		t.Fatal(why)
	}
	for range maxSeen + 10 {
		now++
		ch := c.issue(now)
		c.use(&ch, now, 1, now)
		if len(c.seen) > maxSeen {
			t.Fatalf("%d sessions", len(c.seen))
		}
	}
	if why := c.use(&first, time.Second, 1, now); why != refusedExpired {
		t.Errorf("a request that was taken before the overflow is taken again: %q", why)
	}
	// Those that ran out make room without harm.
	now += challengeLife
	ch := c.issue(now)
	if why := c.use(&ch, now, 1, now); why != "" || len(c.seen) != 1 {
		t.Errorf("%q, %d sessions are left", why, len(c.seen))
	}
}

// direct is a network without sockets, for bubbles: host -> handler.
type direct map[string]http.Handler

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	d[r.URL.Host].ServeHTTP(rec, in)
	return rec.Result(), nil
}

func directPair(t *testing.T, edit func(*Config)) (a, b *Pool, tap *wiretap) {
	t.Helper()
	net := direct{}
	tap = &wiretap{base: net}
	pools := make([]*Pool, 2)
	for i, host := range []string{"a", "b"} {
		cfg := Config{Self: "http://" + host, Secret: testSecret, Client: &http.Client{Transport: tap}}
		if edit != nil {
			edit(&cfg)
		}
		p, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		net[host] = p
		pools[i] = p
	}
	for _, p := range pools {
		if err := p.Set(Member{URL: "http://a"}, Member{URL: "http://b"}); err != nil {
			t.Fatal(err)
		}
		for _, pr := range p.view.Load().peers {
			pr.byPost()
		}
	}
	return pools[0], pools[1], tap
}

// A challenge is asked for once, is renewed by the replies while there is traffic, and is
// asked for again after a silence.
func TestG11ChallengesAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, tap := directPair(t, nil)
		defer a.Close()
		defer b.Close()
		if _, err := b.Attach("c", responder{}); err != nil {
			t.Fatal(err)
		}
		p := a.to2("http://b/_fleetcache/")
		for range 100 {
			mustGet(t, p, "k")
			time.Sleep(5 * time.Second)
		}
		if n := len(tap.all); n != 101 {
			t.Errorf("100 calls took %d requests", n)
		}
		time.Sleep(2 * challengeLife)
		mustGet(t, p, "k")
		if n := len(tap.all); n != 103 {
			t.Errorf("a call after a silence took %d requests, want 2", n-101)
		}
		if s := b.Stats(); s.Challenged != 2 || s.RejectedAuth != 0 || s.Served != 101 {
			t.Errorf("%+v", s)
		}
	})
}

// What was recorded is refused: by the same instance, by another one, after the challenge has run out, and
// by a later process at the same address.
func TestG11ReplayRefused(t *testing.T) {
	for verb, call := range verbs {
		t.Run(verb, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stores atomic.Int64
				a, b, tap := directPair(t, nil)
				defer a.Close()
				defer b.Close()
				counting := responder{
					get: func(_ context.Context, q *cache.GetRequest, d func(int, cache.Answer)) error {
						stores.Add(1)
						d(0, cache.Answer{})
						return nil
					},
					fence:   func(context.Context, *cache.FenceRequest) error { stores.Add(1); return nil },
					release: func(context.Context, *cache.ReleaseRequest) error { stores.Add(1); return nil },
					store:   func(context.Context, *cache.StoreRequest) error { stores.Add(1); return nil },
				}
				later, err := New(Config{Self: "http://b", Secret: testSecret})
				if err != nil {
					t.Fatal(err)
				}
				defer later.Close()
				for _, p := range []*Pool{a, b, later} {
					if _, err := p.Attach("c", counting); err != nil {
						t.Fatal(err)
					}
				}
				if err := call(t.Context(), a.to2("http://b/_fleetcache/")); err != nil {
					t.Fatal(err)
				}
				recorded := tap.last()
				replay := func(to *Pool, want refusal) {
					t.Helper()
					req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(recorded.body))
					req.Header = recorded.header.Clone()
					rec := httptest.NewRecorder()
					to.ServeHTTP(rec, req)
					if rec.Code != http.StatusUnauthorized || rec.Header().Get(headerRefusal) != string(want) || rec.Body.Len() > 0 {
						t.Errorf("got %d, %q, %q; want %q", rec.Code, rec.Header().Get(headerRefusal), rec.Body, want)
					}
				}
				replay(b, refusedReplay)
				replay(a, refusedStale)
				replay(later, refusedStale)
				time.Sleep(challengeLife)
				replay(b, refusedExpired)
				if n := stores.Load(); n != 1 {
					t.Errorf("a %s was executed %d times", verb, n)
				}
			})
		})
	}
}

// A change of any byte that is signed is found out.
func TestG11SignedFieldsCannotBeChanged(t *testing.T) {
	a, b, _ := pair(t, nil)
	b.attach(t, responder{store: func(context.Context, *cache.StoreRequest) error { t.Error("executed"); return nil }})
	tap := &wiretap{base: newTransport(t)}
	a.client.Transport = tap
	p := a.to(t, b.Self())
	for name, change := range map[string]func(*tapped){
		"to":       func(m *tapped) { m.header.Set(headerTo, a.Self()) },
		"from":     func(m *tapped) { m.header.Set(headerFrom, "http://c") },
		"instance": func(m *tapped) { m.header.Set(headerInstance, strings.Repeat("0", 32)) },
		"body":     func(m *tapped) { m.body[len(m.body)-1] ^= 1 },
		"auth": func(m *tapped) {
			auth := []byte(m.header.Get(headerAuth))
			auth[len(auth)/2] ^= 1
			m.header.Set(headerAuth, string(auth))
		},
		"no auth": func(m *tapped) { m.header.Del(headerAuth) },
	} {
		// The original never arrives, the changed one does.
		a.client.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Header.Get(headerAuth) == "" {
				return tap.base.RoundTrip(r)
			}
			r, body := withBody(r)
			m := tapped{r.Method, r.URL.String(), r.Header.Clone(), body}
			change(&m)
			return m.send(t, m.url), nil
		})
		if err := verbs["store"](t.Context(), p); err == nil {
			t.Errorf("%s: a changed request is accepted", name)
		}
		p.health.pong(time.Now(), nil)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Without the credential nothing is read, written or told.
func TestG11RefusesWithoutCredential(t *testing.T) {
	_, b, ab := pair(t, nil)
	executed := func() { t.Error("a request without the credential was executed") }
	b.attach(t, responder{
		get:     func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error { executed(); return nil },
		fence:   func(context.Context, *cache.FenceRequest) error { executed(); return nil },
		release: func(context.Context, *cache.ReleaseRequest) error { executed(); return nil },
		store:   func(context.Context, *cache.StoreRequest) error { executed(); return nil },
	})
	for _, q := range []*wire.Request{
		{Verb: wire.Ping},
		{Verb: wire.Get, Get: &cache.GetRequest{Cache: "c", Keys: []string{"k"}}},
		{Verb: wire.Fence, Fence: &cache.FenceRequest{Cache: "c", All: true}},
		{Verb: wire.Release, Release: &cache.ReleaseRequest{Cache: "c", All: true}},
		{Verb: wire.Store, Store: &cache.StoreRequest{Cache: "c", Key: "k"}},
	} {
		body, err := wire.AppendRequest(nil, q)
		if err != nil {
			t.Fatal(err)
		}
		for _, auth := range []string{"", "x", strings.Repeat("A", base64url.EncodedLen(authSize))} {
			m := tapped{http.MethodPost, b.Self(), http.Header{"Content-Type": {contentType}, headerTo: {b.Self()}, headerFrom: {"http://x"},
				headerInstance: {strings.Repeat("00", 16)}}, body}
			if auth != "" {
				m.header.Set(headerAuth, auth)
			}
			resp := m.send(t, b.Self())
			if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusUnauthorized || len(text) > 0 {
				t.Errorf("%v: HTTP %d %q", q.Verb, resp.StatusCode, text)
			}
		}
	}
	if s := b.Stats(); s.Challenged != 10 || s.RejectedAuth != 5 || s.Served != 0 {
		t.Errorf("%+v", s)
	}
	// An instance with another Secret is told so, at once and in words, and does not try for ever.
	other := newNode(t, func(c *Config) { c.Secret = []byte("another secret of a fleet") })
	if err := other.Set(Member{URL: b.Self()}); err != nil {
		t.Fatal(err)
	}
	before := b.Stats().RejectedAuth
	for verb, call := range verbs {
		p := other.to(t, b.Self())
		err := call(t.Context(), p)
		wantErr(t, err, ErrUnauthorized)
		if !strings.Contains(err.Error(), "is Secret the same on both?") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if n := b.Stats().RejectedAuth - before; n > 6 {
		t.Errorf("%d requests were made with the wrong Secret", n)
	}
	_ = ab
}

// A browser can be made to post, but not this type.
func TestG11ContentTypeIsRequired(t *testing.T) {
	n := newNode(t, func(c *Config) { c.Secret = nil; c.Insecure = true })
	resp := tapped{method: http.MethodPost, header: http.Header{"Content-Type": {"text/plain"}}}.send(t, n.Self())
	if resp.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("HTTP %d", resp.StatusCode)
	}
}

// A reply that is not signed for this very request is not believed.
func TestG11ReplyMustBeAuthentic(t *testing.T) {
	a, b, ab := pair(t, nil)
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	var recorded []byte
	b.handle(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		b.Pool.ServeHTTP(rec, r)
		recorded = rec.Body.Bytes()
		w.Header().Set("Content-Type", contentType)
		w.Write(recorded)
	})
	mustGet(t, ab, "k")
	reply := recorded
	unsigned := wire.AppendPreface(nil, false)
	unsigned = append(unsigned, reply[2:]...)
	insecure := newNode(t, func(c *Config) { c.Secret = nil; c.Insecure = true })
	insecure.attach(t, responder{})
	for name, c := range map[string]struct {
		kind   error
		change func(genuine []byte) []byte
	}{
		"of another request":        {ErrNotAuthentic, func([]byte) []byte { return reply }},
		"not signed":                {ErrNotAuthentic, func([]byte) []byte { return unsigned }},
		"value changed":             {ErrNotAuthentic, func(b []byte) []byte { b[bytes.IndexByte(b, 'k')] ^= 1; return b }},
		"without its end":           {ErrProtocol, func(b []byte) []byte { return b[:2+bytes.IndexByte(b, 'k')+1+macSize-2] }},
		"end put first":             {ErrNotAuthentic, func(b []byte) []byte { end := b[len(b)-macSize-11:]; return append(b[:2:2], end...) }},
		"something after the end":   {ErrProtocol, func(b []byte) []byte { return append(b, 0) }},
		"cut in the last signature": {ErrProtocol, func(b []byte) []byte { return b[:len(b)-1] }},
		"nothing":                   {ErrProtocol, func([]byte) []byte { return nil }},
	} {
		b.handle(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			b.Pool.ServeHTTP(rec, r)
			w.Header().Set("Content-Type", contentType)
			if rec.Code != http.StatusOK {
				w.WriteHeader(rec.Code)
			}
			w.Write(c.change(rec.Body.Bytes()))
		})
		delivered := 0
		err := ask(t.Context(), ab, &cache.GetRequest{Cache: "c", Keys: []string{"k"}}, func(i int, a cache.Answer) {
			if string(a.Value) != "k" {
				t.Errorf("%s: %q was delivered", name, a.Value)
			}
			delivered++
		})
		wantErr(t, err, c.kind)
		if err == nil || c.kind == ErrNotAuthentic && delivered > 0 {
			t.Errorf("%s: %d answers were delivered, %v", name, delivered, err)
		}
		ab.health.pong(time.Now(), nil)
	}
	// An instance that does not ask for the Secret is none of ours.
	if err := a.Set(Member{URL: insecure.Self()}); err != nil {
		t.Fatal(err)
	}
	_, err := get(t.Context(), a.to(t, insecure.Self()), "k")
	wantErr(t, err, ErrNotAuthentic)
}

// A refusal that somebody made up does not make a store be sent twice.
func TestG11RefusalMustBeAuthentic(t *testing.T) {
	a, b, ab := pair(t, nil)
	var stores atomic.Int64
	b.attach(t, responder{store: func(context.Context, *cache.StoreRequest) error { stores.Add(1); return nil }})
	b.handle(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		b.Pool.ServeHTTP(rec, r)
		if rec.Code == http.StatusOK && r.Method == http.MethodPost {
			setChallenge(w.Header(), a.challenger.issue(0))
			w.Header().Set(headerRefusal, string(refusedStale))
		} else {
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	wantErr(t, verbs["store"](t.Context(), ab), ErrUnauthorized)
	if n := stores.Load(); n != 1 {
		t.Errorf("a store was executed %d times", n)
	}
}

// A genuine refusal is followed by a second try, for each verb.
func TestG11RestartIsNoError(t *testing.T) {
	a, b, ab := pair(t, nil)
	b.attach(t, responder{})
	for _, call := range verbs {
		if err := call(t.Context(), ab); err != nil {
			t.Fatal(err)
		}
		again, err := New(Config{Self: b.Self(), Secret: testSecret}) // another process at the same address
		if err != nil {
			t.Fatal(err)
		}
		if _, err := again.Attach("c", responder{}); err != nil {
			t.Fatal(err)
		}
		b.handle(again.ServeHTTP)
		if err := call(t.Context(), ab); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		again.Close()
		b.handle(nil)
		ab.health.pong(time.Now(), nil)
	}
	_ = a
}
