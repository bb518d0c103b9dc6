package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// anyKeys are keys that one transport or another mangles.
var anyKeys = []string{"", ".", "..", "/", "a b", "a+b", "a%20b", "a//b", "a/../b", "?", "#", "\xff\xfe", "\x00", "ü", "\n\r", strings.Repeat("x", cache.MaxKeyBytes)}

// Keys and values are any bytes, and nothing of them is in a URL or a header.
func TestG12AnyBytes(t *testing.T) { bothWays(t, testG12AnyBytes) }

func testG12AnyBytes(t *testing.T, pair pairing) {
	a, b, ab := pair(t, nil)
	tap := &wiretap{base: a.client.Transport}
	a.client.Transport = tap
	t.Cleanup(tap.base.(*http.Transport).CloseIdleConnections)
	var stored atomic.Pointer[cache.StoreRequest]
	b.attach(t, responder{store: func(_ context.Context, q *cache.StoreRequest) error { stored.Store(q); return nil }})
	answers, err := get(t.Context(), ab, anyKeys...)
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range anyKeys {
		if string(answers[i].Value) != k {
			t.Errorf("%q comes back as %q", k, answers[i].Value)
		}
		mustGet(t, ab, k)
		want := &cache.StoreRequest{Cache: "c", Key: k, Value: []byte(k), TTL: cache.Forever}
		if err := ab.Store(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		if got := stored.Load(); got.Key != k || string(got.Value) != k || got.TTL != cache.Forever {
			t.Errorf("stored %+v, want %+v", got, want)
		}
	}
	for _, m := range tap.all {
		if m.url != b.Self() {
			t.Errorf("a request went to %s", m.url)
		}
	}
	if _, err := get(t.Context(), ab, strings.Repeat("x", cache.MaxKeyBytes+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a key that is too long: %v", err)
	}
}

func TestG10UnknownCacheIsNotNotFound(t *testing.T) { bothWays(t, testG10UnknownCacheIsNotNotFound) }

func testG10UnknownCacheIsNotNotFound(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	if _, err := b.Attach("another", responder{}); err != nil {
		t.Fatal(err)
	}
	for verb, call := range verbs {
		err := call(t.Context(), ab)
		if !errors.Is(err, cache.ErrUnknownCache) || errors.Is(err, cache.ErrNotFound) || errors.Is(err, cache.ErrVersionMismatch) {
			t.Errorf("%s: %v", verb, err)
		}
		if err != nil && !strings.Contains(err.Error(), b.Self()) {
			t.Errorf("%s: the error does not name the instance: %v", verb, err)
		}
	}
}

func TestG10VersionMismatch(t *testing.T) { bothWays(t, testG10VersionMismatch) }

func testG10VersionMismatch(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	b.attach(t, responder{
		get: func(_ context.Context, q *cache.GetRequest, _ func(int, cache.Answer)) error {
			if q.Version != "2" {
				return fmt.Errorf("has %q: %w", "2", cache.ErrVersionMismatch)
			}
			return errors.New("other")
		},
	})
	_, err := get(t.Context(), ab, "k")
	if !errors.Is(err, cache.ErrVersionMismatch) || errors.Is(err, cache.ErrUnknownCache) {
		t.Error(err)
	}
}

// A list of members names this instance by another name.
func TestSelfUnderAnotherName(t *testing.T) { eitherWay(t, testSelfUnderAnotherName) }

func testSelfUnderAnotherName(t *testing.T, upgraded bool) {
	n := newNode(t, quick)
	n.upgrades.Store(upgraded)
	n.attach(t, responder{})
	_, port, _ := net.SplitHostPort(n.srv.Listener.Addr().String())
	other := "http://localhost:" + port
	if err := n.Set(Member{URL: n.Self()}, Member{URL: other}); err != nil {
		t.Fatal(err)
	}
	p := n.to(t, other+DefaultPath)
	_, err := get(t.Context(), p, "k")
	wantErr(t, err, ErrSelf)
	want := fmt.Sprintf("%s is this instance itself, whose Self is %s", other+DefaultPath, n.Self())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
	_, err = get(t.Context(), p, "k") // its keys go to the next in order
	wantErr(t, err, ErrPeerDown, ErrSelf)
}

func TestMisdirected(t *testing.T) { eitherWay(t, testMisdirected) }

func testMisdirected(t *testing.T, upgraded bool) {
	a, b, _ := pair(t, nil)
	b.upgrades.Store(upgraded)
	b.attach(t, responder{get: func(context.Context, *cache.GetRequest, func(int, cache.Answer)) error {
		t.Error("executed")
		return nil
	}})
	_, port, _ := net.SplitHostPort(b.srv.Listener.Addr().String())
	other := "http://localhost:" + port + DefaultPath
	if err := a.Set(Member{URL: other}); err != nil {
		t.Fatal(err)
	}
	_, err := get(t.Context(), a.to(t, other), "k")
	wantErr(t, err, ErrMisdirected)
	if err == nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), b.Self()) {
		t.Errorf("the error does not name both: %v", err)
	}
}

func TestG3PanicOfAResponder(t *testing.T) { bothWays(t, testG3PanicOfAResponder) }

func testG3PanicOfAResponder(t *testing.T, pair pairing) {
	var log logbook
	_, b, ab := pair(t, func(c *Config) { c.Logger = log.logger() })
	for _, v := range []any{"a bug", http.ErrAbortHandler, errors.New("x")} {
		detach, err := b.Attach("c", responder{get: func(_ context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
			deliver(0, cache.Answer{Value: []byte("early")})
			panic(v)
		}})
		if err != nil {
			t.Fatal(err)
		}
		answers, err := get(t.Context(), ab, "k", "l")
		wantErr(t, err, ErrFailed)
		if string(answers[0].Value) != "early" {
			t.Errorf("what was delivered before the panic is lost")
		}
		detach()
		detach() // twice is fine
	}
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	if s := b.Stats(); s.Panics != 3 {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(log.String(), "a bug") {
		t.Errorf("the panic is not logged: %s", log.String())
	}
}

// A disconnect ends the request's context at the other side, and nobody else's.
func TestG2DisconnectIsOneWaiter(t *testing.T) { bothWays(t, testG2DisconnectIsOneWaiter) }

func testG2DisconnectIsOneWaiter(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	type seen struct{ ctx context.Context }
	asked, release := make(chan seen, 2), make(chan struct{})
	b.attach(t, responder{get: func(ctx context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		asked <- seen{ctx}
		if q.Keys[0] == "leaves" {
			<-ctx.Done()
			return ctx.Err()
		}
		select {
		case <-release:
			deliver(0, cache.Answer{Value: []byte("v")})
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	ctx, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() { _, err := get(ctx, ab, "leaves"); left <- err }()
	leaver := receive(t, asked, "the first request")
	go func() { _, err := get(t.Context(), ab, "stays"); stayed <- err }()
	stayer := receive(t, asked, "the second request")
	if leaver.ctx.Err() != nil {
		t.Error("the context has ended before its time")
	}
	leave()
	wantErr(t, receive(t, left, "the call that left"), context.Canceled)
	receive(t, leaver.ctx.Done(), "the end of the context at the other side")
	if stayer.ctx.Err() != nil {
		t.Error("another request's context has ended too")
	}
	close(release)
	if err := receive(t, stayed, "the call that stayed"); err != nil {
		t.Error(err)
	}
}

// A read deadline for the body must not end the context while the request is served.
func TestG2SlowLoadOutlivesReadTimeout(t *testing.T) { bothWays(t, testG2SlowLoadOutlivesReadTimeout) }

func testG2SlowLoadOutlivesReadTimeout(t *testing.T, pair pairing) {
	_, b, ab := pair(t, func(c *Config) { c.ReadTimeout = 20 * time.Millisecond; quick(c) })
	b.attach(t, responder{get: func(ctx context.Context, _ *cache.GetRequest, deliver func(int, cache.Answer)) error {
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
		deliver(0, cache.Answer{Value: []byte("k")})
		return ctx.Err()
	}})
	mustGet(t, ab, "k")
}

// Answers arrive when they are ready, not when all are.
func TestAnswersArriveOneByOne(t *testing.T) { bothWays(t, testAnswersArriveOneByOne) }

func testAnswersArriveOneByOne(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	first := make(chan struct{})
	b.attach(t, responder{get: func(ctx context.Context, q *cache.GetRequest, deliver func(int, cache.Answer)) error {
		deliver(1, cache.Answer{Value: []byte("1")})
		select {
		case <-first: // the other side has it
		case <-ctx.Done():
			return ctx.Err()
		}
		deliver(0, cache.Answer{Value: []byte("0")})
		deliver(2, cache.Answer{Value: bytes.Repeat([]byte("2"), 1<<20)})
		return nil
	}})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var order []int
	var values []string
	err := ask(ctx, ab, &cache.GetRequest{Cache: "c", Keys: []string{"a", "b", "c"}}, func(i int, a cache.Answer) {
		order, values = append(order, i), append(values, string(a.Value))
		if len(order) == 1 {
			close(first)
		}
	})
	if err != nil || !slices.Equal(order, []int{1, 0, 2}) || values[0] != "1" || len(values[2]) != 1<<20 {
		t.Errorf("%v, %v", order, err)
	}
}

// What a caller got stays as it is.
func TestValuesAreTheCallers(t *testing.T) { bothWays(t, testValuesAreTheCallers) }

func testValuesAreTheCallers(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	b.attach(t, responder{})
	answers, err := get(t.Context(), ab, "first", "second")
	if err != nil {
		t.Fatal(err)
	}
	_ = append(answers[0].Value, "xxxxxxxxxxxxxxxxxxxxxx"...)
	for range 10 {
		mustGet(t, ab, "other")
	}
	if string(answers[0].Value) != "first" || string(answers[1].Value) != "second" {
		t.Errorf("%q, %q", answers[0].Value, answers[1].Value)
	}
}

func TestEpochsAreCompared(t *testing.T) { bothWays(t, testEpochsAreCompared) }

func testEpochsAreCompared(t *testing.T, pair pairing) {
	a, b, ab := pair(t, nil)
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	if a.Stats().Peers[0].EpochMismatches+b.Stats().Peers[0].EpochMismatches != 0 {
		t.Error("instances with the same view disagree")
	}
	if err := a.Set(Member{URL: b.Self()}, Member{URL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	mustGet(t, ab, "k")
	for _, n := range []*node{a, b} {
		for _, p := range n.Stats().Peers {
			if want := uint64(1); p.URL != "http://127.0.0.1:1"+DefaultPath && p.EpochMismatches != want {
				t.Errorf("%s counts %d mismatches with %s", n.Self(), p.EpochMismatches, p.URL)
			}
		}
	}
}

func TestPeopleAndProbes(t *testing.T) {
	n := newNode(t, nil)
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete} {
		req, _ := http.NewRequest(method, n.Self(), nil)
		resp := do(t, req)
		body, _ := io.ReadAll(resp.Body)
		switch method {
		case http.MethodGet:
			var got map[string]any
			if err := json.Unmarshal(body, &got); err != nil || resp.StatusCode != 200 || !slices.Equal(slices.Sorted(maps.Keys(got)), []string{"epoch", "name", "protocol"}) {
				t.Errorf("GET: HTTP %d %s", resp.StatusCode, body)
			}
		case http.MethodHead:
			if resp.StatusCode != 200 || len(body) > 0 {
				t.Errorf("HEAD: HTTP %d %s", resp.StatusCode, body)
			}
		default:
			if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET, HEAD, POST" {
				t.Errorf("%s: HTTP %d", method, resp.StatusCode)
			}
		}
	}
}

// A store that may have been executed is not sent again, and a get is.
func TestRetriesOnAReusedConnection(t *testing.T) {
	_, b, ab := pair(t, nil)
	var stores, gets atomic.Int64
	b.attach(t, responder{})
	for verb, count := range map[string]*atomic.Int64{"store": &stores, "get": &gets} {
		b.handle(nil)
		mustGet(t, ab, "k") // a connection to use again
		b.handle(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			if count.Add(1) == 1 {
				panic(http.ErrAbortHandler) // executed, and the reply is lost
			}
			b.Pool.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		})
		verbs[verb](t.Context(), ab)
		ab.health.pong(time.Now(), nil)
	}
	if stores.Load() != 1 || gets.Load() != 2 {
		t.Errorf("a store was sent %d times, a get %d times", stores.Load(), gets.Load())
	}
}
