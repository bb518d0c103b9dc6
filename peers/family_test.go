package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// ServeMux redirects paths such as a//b; a Pool's keys never meet it.
func TestFamilyServeMuxRedirects(t *testing.T) {
	_, b, ab := pair(t, nil)
	b.attach(t, responder{})
	mux := http.NewServeMux()
	mux.Handle(DefaultPath, b.Pool)
	b.handle(mux.ServeHTTP)
	for _, k := range anyKeys {
		mustGet(t, ab, k)
	}
}

// No body, declared or not, makes an instance hold more than its limit.
func TestFamilyUnboundedBodies(t *testing.T) {
	b := newNode(t, func(c *Config) { c.MaxValueBytes = 1 << 10; c.Secret = nil; c.Insecure = true })
	a := newNode(t, func(c *Config) { c.MaxValueBytes = 1 << 10; c.Secret = nil; c.Insecure = true })
	if err := a.Set(Member{URL: b.Self()}); err != nil {
		t.Fatal(err)
	}
	ab := a.to(t, b.Self())
	for _, declared := range []bool{true, false} {
		var body io.Reader = bytes.NewReader(make([]byte, 8<<20))
		if !declared {
			body = io.MultiReader(body)
		}
		req := httptest.NewRequest(http.MethodPost, "/", body)
		req.Header = http.Header{"Content-Type": {contentType}, headerTo: {b.Self()}, headerFrom: {"http://x"}}
		rec := httptest.NewRecorder()
		b.Pool.ServeHTTP(rec, req)
		v, err := ab.readReply(rec.Body, &wire.Request{Verb: wire.Ping}, mac{}, nil, func() {})
		if v != answered || !errors.Is(err, ErrTooLarge) {
			t.Errorf("declared %v: %v", declared, err)
		}
	}
	b.handle(func(w http.ResponseWriter, r *http.Request) { // a reply without an end
		w.Header().Set("Content-Type", contentType)
		w.Write(wire.AppendFrameHead(wire.AppendPreface(nil, false), wire.TypeAnswer, 0, 1<<40))
		for _, err := w.Write(make([]byte, 1<<20)); err == nil; _, err = w.Write(make([]byte, 1<<20)) {
		}
	})
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrProtocol)
}

// What a proxy says is neither the loader's error nor "not found".
func TestFamilyLoadBalancer503IsNotALoaderError(t *testing.T) {
	_, b, ab := pair(t, nil)
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	for _, status := range []int{503, 502, 404, 401, 403, 500, 301, 200, 204} {
		b.handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			if status != 204 {
				io.WriteString(w, "<html>")
			}
		})
		for verb, call := range verbs {
			err := call(t.Context(), ab)
			var remote *cache.RemoteError
			if !errors.Is(err, ErrProtocol) || errors.Is(err, cache.ErrNotFound) || errors.Is(err, cache.ErrUnknownCache) || errors.As(err, &remote) {
				t.Errorf("HTTP %d, %s: %v", status, verb, err)
			}
			if err != nil && !strings.Contains(err.Error(), fmt.Sprint("HTTP ", status)) {
				t.Errorf("the error does not say HTTP %d: %v", status, err)
			}
			ab.health.pong(time.Now(), nil)
		}
	}
}

func TestFamilyGarbageAnswer(t *testing.T) {
	insecure := func(c *Config) { c.Secret = nil; c.Insecure = true }
	_, b, ab := pair(t, insecure)
	end := func(c wire.Code) []byte { return wire.AppendEnd(nil, wire.End{Code: c}) }
	frame := func(typ wire.Type, payload []byte) []byte {
		return append(wire.AppendFrameHead(nil, typ, 0, len(payload)), payload...)
	}
	answer := func(i int) []byte { return frame(wire.TypeAnswer, wire.AppendAnswerHead(nil, i, &cache.Answer{})) }
	ok := []byte{wire.Version, 0}
	for name, body := range map[string][]byte{
		"nothing":            {},
		"text":               []byte("hello, world, this is not for you"),
		"another version":    {9, 0},
		"unknown flags":      {wire.Version, 0x80},
		"unknown frame":      slices.Concat(ok, frame(77, nil)),
		"no answer":          slices.Concat(ok, frame(wire.TypeEnd, end(wire.OK))),
		"answered twice":     slices.Concat(ok, answer(0), answer(0), frame(wire.TypeEnd, end(wire.OK))),
		"an unasked key":     slices.Concat(ok, answer(1), frame(wire.TypeEnd, end(wire.OK))),
		"no end":             slices.Concat(ok, answer(0)),
		"a broken end":       slices.Concat(ok, answer(0), frame(wire.TypeEnd, []byte{0})),
		"more after the end": slices.Concat(ok, answer(0), frame(wire.TypeEnd, end(wire.OK)), ok),
	} {
		b.handle(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			w.Write(body)
		})
		if _, err := get(t.Context(), ab, "k"); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
		ab.health.pong(time.Now(), nil)
	}
	// A code that this program does not know is a failure of that instance.
	b.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(slices.Concat(ok, frame(wire.TypeEnd, end(200))))
	})
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrFailed)
	// A connection that breaks in the middle.
	b.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(slices.Concat(ok, answer(0)))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	_, err = get(t.Context(), ab, "k")
	wantErr(t, err, ErrUnreachable)
}

func TestFamilyClientIsNotChanged(t *testing.T) {
	tr := newTransport(t)
	client := &http.Client{Transport: tr, Timeout: time.Nanosecond}
	before := *client
	a, b, ab := pair(t, func(c *Config) { c.Client = client })
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	a.Close()
	if client.Transport != before.Transport || client.Timeout != before.Timeout || client.CheckRedirect != nil || client.Jar != nil {
		t.Errorf("the caller's client was changed to %+v", client)
	}
}

// Without a Logger nothing crashes where something would be logged.
func TestFamilyNilLogger(t *testing.T) {
	_, b, ab := pair(t, func(c *Config) { c.Logger = nil })
	b.attach(t, responder{fence: func(context.Context, *cache.FenceRequest) error { panic("logged") }})
	wantErr(t, verbs["fence"](t.Context(), ab), ErrFailed)
	b.kill()
	if _, err := get(t.Context(), ab, "k"); err == nil {
		t.Error("no error")
	}
}

// Nobody writes or deletes without the fleet's credential, and nothing is mounted behind the program's back.
func TestFamilyNoUnauthenticatedWrites(t *testing.T) {
	n := newNode(t, nil)
	for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPost, http.MethodPatch} {
		req, err := http.NewRequestWithContext(t.Context(), method, n.Self(), strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 4 {
			t.Errorf("%s: HTTP %d", method, resp.StatusCode)
		}
		if _, pattern := http.DefaultServeMux.Handler(req); pattern != "" {
			t.Errorf("something is mounted on http.DefaultServeMux at %q", pattern)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// A member that comes back at another address is asked there, and not where it was.
func TestFamilyMovedMemberIsAskedWhereItIs(t *testing.T) {
	a, old, moved := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	for _, members := range [][]Member{{{URL: old.Self()}}, {{URL: moved.Self()}}} {
		if err := a.Set(members...); err != nil {
			t.Fatal(err)
		}
		for _, p := range a.Others() {
			if !a.Left(p) && p.Addr() != members[0].URL {
				t.Errorf("%s is asked, the member is %s", p.Addr(), members[0].URL)
			}
		}
	}
}

// A Pool keeps as many idle connections as it uses, not net/http's two a host, and bounds them.
func TestFamilyConnectionsAreKeptAndBounded(t *testing.T) {
	n := newNode(t, nil)
	tr, ok := n.client.Transport.(*http.Transport)
	if !ok {
		t.Fatalf("the Pool's own Transport is a %T", n.client.Transport)
	}
	want := n.cfg.MaxConnsPerPeer
	if tr.MaxIdleConnsPerHost < want || tr.MaxConnsPerHost < want || tr.MaxConnsPerHost > 2*want || tr.IdleConnTimeout <= 0 {
		t.Errorf("MaxConnsPerHost %d, MaxIdleConnsPerHost %d, IdleConnTimeout %v; want about %d connections, kept for a while", tr.MaxConnsPerHost, tr.MaxIdleConnsPerHost, tr.IdleConnTimeout, want)
	}
}
