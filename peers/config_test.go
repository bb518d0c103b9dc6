package peers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

func TestNewNamesEveryBadField(t *testing.T) {
	_, err := New(Config{
		Self: "10.0.0.1:80", Secret: []byte("short"), Insecure: true, Weight: -1, MaxConnsPerPeer: -1, MaxCallsPerPeer: -1,
		MaxInFlight: -1, MaxValueBytes: MaxMaxValueBytes + 1, DialTimeout: -1, ReadTimeout: -1, PingAfter: -1, PingTimeout: -1,
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Self", "Insecure", "Weight", "MaxConnsPerPeer", "MaxCallsPerPeer", "MaxInFlight", "MaxValueBytes", "DialTimeout", "ReadTimeout", "PingAfter", "PingTimeout"} {
		if !strings.Contains(err.Error(), "Config."+field+" ") && !strings.Contains(err.Error(), "Config."+field+":") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
	if strings.Contains(err.Error(), "short") {
		t.Errorf("the error holds the secret: %v", err)
	}
}

func TestG11NoCredentialIsAnError(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string // of the error; "": none
	}{
		"none":                       {Config{Self: "http://a"}, "Secret is empty"},
		"none, https":                {Config{Self: "https://a"}, "Secret is empty"},
		"second secret alone":        {Config{Self: "http://a", Insecure: true, AcceptSecret: testSecret}, "AcceptSecret is set, and Secret is not"},
		"short second secret":        {Config{Self: "http://a", Secret: testSecret, AcceptSecret: make([]byte, 15)}, "AcceptSecret has 15 bytes"},
		"short secret":               {Config{Self: "http://a", Secret: make([]byte, 15)}, "at least 16"},
		"secret":                     {Config{Self: "http://a", Secret: make([]byte, 16)}, ""},
		"insecure":                   {Config{Self: "http://a", Insecure: true}, ""},
		"both":                       {Config{Self: "http://a", Insecure: true, Secret: testSecret}, "leave one of them out"},
		"client without https":       {Config{Self: "http://a", Client: &http.Client{}}, "not an https URL"},
		"authorize without https":    {Config{Self: "http://a", Authorize: func(*http.Request) error { return nil }}, "not an https URL"},
		"client":                     {Config{Self: "https://a", Client: &http.Client{}}, ""},
		"authorize":                  {Config{Self: "https://a", Authorize: func(*http.Request) error { return nil }}, ""},
		"client, http, and a secret": {Config{Self: "http://a", Client: &http.Client{}, Secret: testSecret}, ""},
	} {
		p, err := New(c.cfg)
		if err == nil {
			p.Close()
		}
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
	p, err := New(Config{Self: "https://a", Client: &http.Client{}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Set(Member{URL: "http://b"}); err == nil || !strings.Contains(err.Error(), "http://b") {
		t.Errorf("a member without https: %v", err)
	}
}

func TestSet(t *testing.T) {
	p, err := New(Config{Self: "HTTP://a:80", Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if got := slices.Collect(p.Owners("k")); len(got) != 1 || got[0] != nil || len(p.Others()) != 0 {
		t.Errorf("a fleet of one has owners %v and others %v", got, p.Others())
	}
	alone := p.Epoch()
	if err := p.Set(Member{URL: "http://a"}, Member{URL: "http://b"}, Member{URL: "http://c"}); err != nil {
		t.Fatal(err)
	}
	with, b := p.Epoch(), p.to2("http://b/_fleetcache/")
	if err := p.Set(Member{URL: "http://c"}, Member{URL: "http://b:80/"}); err != nil {
		t.Fatal(err)
	}
	if with == alone || p.Epoch() != with || p.to2("http://b/_fleetcache/") != b {
		t.Error("the order of the list, its spelling or its naming of Self matters")
	}
	if got := slices.Collect(p.Owners("k")); len(got) != 3 {
		t.Errorf("owners are %v", got)
	}
	for _, c := range []struct {
		want string
		list []Member
	}{
		{`"http://B" is listed twice, also as "http://b"`, []Member{{URL: "http://b"}, {URL: "http://B"}}},
		{`"http://b" is listed twice`, []Member{{URL: "http://b"}, {URL: "http://b"}}},
		{`"http://b?": the URL`, []Member{{URL: "http://b?"}}},
		{`"http://b": Weight is -1`, []Member{{URL: "http://b", Weight: -1}}},
		{`"http://b": Weight is 1001`, []Member{{URL: "http://b", Weight: 1001}}},
	} {
		if err := p.Set(c.list...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want %q", err, c.want)
		}
		if p.Epoch() != with {
			t.Error("a Set that failed changed the view")
		}
	}
	for range p.Owners("k") {
		break // an iterator that is left early
	}
}

func (p *Pool) to2(url string) *peer { return p.view.Load().peers[url] }

func TestOwner(t *testing.T) {
	p, err := New(Config{Self: "http://a", Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Set(Member{URL: "http://b"}, Member{URL: "http://c"}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range 100 {
		key := fmt.Sprint("user:", i)
		for o := range p.Owners(key) {
			want := p.Self()
			if o != nil {
				want = o.Addr()
			}
			if got := p.OwnerURL(key); got != want || p.Owner(key) != o {
				t.Errorf("Owner is %v, %s; the first of Owners is %s", p.Owner(key), got, want)
			}
			seen[want] = true
			break
		}
	}
	if len(seen) != 3 {
		t.Errorf("of 100 keys in sequence only %d members own any", len(seen))
	}
}

// A look at the owner costs nothing but the iterator.
func TestOwnersAllocations(t *testing.T) {
	p, err := New(Config{Self: "http://a", Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Set(Member{URL: "http://b"}, Member{URL: "http://c"}); err != nil {
		t.Fatal(err)
	}
	var first cache.Peer
	if n := testing.AllocsPerRun(100, func() {
		for o := range p.Owners("k") {
			first = o
			break
		}
	}); n > 4 {
		t.Errorf("%v allocations to find the owner (%v)", n, first)
	}
}

func TestClose(t *testing.T) { bothWays(t, testClose) }

func testClose(t *testing.T, pair pairing) {
	a, b, ab := pair(t, nil)
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	for range 2 {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrClosed)
	if _, err := a.Attach("d", responder{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Attach after Close: %v", err)
	}
	if err := a.Set(); err != nil { // harmless
		t.Error(err)
	}
}

// Calls that are under way do not outlive the Pool.
func TestCloseFailsCalls(t *testing.T) { bothWays(t, testCloseFailsCalls) }

func testCloseFailsCalls(t *testing.T, pair pairing) {
	a, b, ab := pair(t, nil)
	asked := make(chan struct{})
	b.attach(t, responder{fence: func(r2 context.Context, _ *cache.FenceRequest) error {
		close(asked)
		<-r2.Done()
		return r2.Err()
	}})
	done := make(chan error, 1)
	go func() { done <- verbs["fence"](t.Context(), ab) }()
	receive(t, asked, "the request")
	a.Close()
	wantErr(t, receive(t, done, "the call"), ErrClosed)
}

func TestAnsweringPoolIsClosed(t *testing.T) { bothWays(t, testAnsweringPoolIsClosed) }

func testAnsweringPoolIsClosed(t *testing.T, pair pairing) {
	_, b, ab := pair(t, nil)
	b.attach(t, responder{})
	mustGet(t, ab, "k")
	b.Pool.Close()
	_, err := get(t.Context(), ab, "k")
	wantErr(t, err, ErrClosed)
	_, err = get(t.Context(), ab, "k")
	wantErr(t, err, ErrPeerDown, ErrClosed)
}
