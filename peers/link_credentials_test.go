package peers

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

var otherSecret = []byte("another secret of another fleet.")

// between starts two instances with Configs of their own, whose connections are upgraded if upgraded is true, and returns
// each as the other reaches it.
func between(t *testing.T, upgraded bool, editA, editB func(*Config)) (ab, ba *peer) {
	t.Helper()
	a, b := newNode(t, editA), newNode(t, editB)
	for _, n := range []*node{a, b} {
		n.upgrades.Store(upgraded)
		n.attach(t, responder{})
		if err := n.Set(Member{URL: a.Self()}, Member{URL: b.Self()}); err != nil {
			t.Fatal(err)
		}
	}
	return a.to(t, b.Self()), b.to(t, a.Self())
}

func TestG11UpgradeNeedsTheSecret(t *testing.T) {
	right := func(*Config) {}
	wrong := func(c *Config) { c.Secret = otherSecret }
	none := func(c *Config) { c.Secret, c.Insecure = nil, true }
	for name, c := range map[string]struct {
		a, b   func(*Config)
		ab, ba error
	}{
		"another one":  {right, wrong, ErrUnauthorized, ErrUnauthorized},
		"none at all":  {right, none, ErrNotAuthentic, ErrUnauthorized},
		"the same one": {right, right, nil, nil},
		"both none":    {none, none, nil, nil},
	} {
		ab, ba := between(t, true, c.a, c.b)
		for verb, call := range verbs {
			if err := call(t.Context(), ab); !errors.Is(err, c.ab) || c.ab == nil && err != nil {
				t.Errorf("%s, %s: %v, want %v", name, verb, err, c.ab)
			}
			if err := call(t.Context(), ba); !errors.Is(err, c.ba) || c.ba == nil && err != nil {
				t.Errorf("%s, %s: %v, want %v", name, verb, err, c.ba)
			}
		}
		for _, p := range []*peer{ab, ba} {
			if how, why, n, _ := p.transport(); (n > 0) != (c.ab == nil) || how == "post" {
				t.Errorf("%s: asked by way of %q (%s), %d upgrades", name, how, why, n)
			}
		}
	}
}

// What was recorded upgrades no connection: not the same server's, not another's, not a later process's at the
// same address, and not after the challenge has run out.
func TestG11UpgradeCannotBeReplayed(t *testing.T) {
	n, other := rawNode(t, nil), rawNode(t, nil)
	k := knockingAt(n)
	k.sign(t, n)
	if resp, _, _ := k.send(t, n); resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("the genuine request: HTTP %d", resp.StatusCode)
	}
	later, err := New(Config{Self: n.Self(), Secret: testSecret})
	if err != nil {
		t.Fatal(err)
	}
	defer later.Close()
	replay := func(where string, to *node, want refusal) {
		t.Helper()
		resp, _, _ := k.send(t, to)
		if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get(headerRefusal) != string(want) {
			t.Errorf("to %s: HTTP %d, %q; want %q", where, resp.StatusCode, resp.Header.Get(headerRefusal), want)
		}
	}
	replay("the same instance", n, refusedReplay)
	replay("another instance", other, refusedStale)
	n.handle(later.ServeHTTP)
	replay("a later process", n, refusedStale)
	n.handle(nil)
	k.cred.number++
	k.sign(t, n)
	k.cred.challenge = n.challenger.issue(n.now() - challengeLife)
	k.header.Set(headerAuth, k.cred.header(newSigner(testSecret).request(&k.cred)))
	replay("the same instance, too late", n, refusedExpired)
}

// Of a request to upgrade nothing can be changed on the way.
func TestG11UpgradeCannotBeChanged(t *testing.T) {
	n := rawNode(t, nil)
	for name, change := range map[string]func(http.Header){
		"fewer features": func(h http.Header) { h.Set(headerFeatures, "0") },
		"more features":  func(h http.Header) { h.Set(headerFeatures, "ff") },
		"no features":    func(h http.Header) { h.Del(headerFeatures) },
		"to":             func(h http.Header) { h.Set(headerTo, "http://elsewhere/") },
		"from":           func(h http.Header) { h.Set(headerFrom, "http://elsewhere/") },
		"instance":       func(h http.Header) { h.Set(headerInstance, strings.Repeat("0", 32)) },
		"no signature":   func(h http.Header) { h.Del(headerAuth) },
		"half of it":     func(h http.Header) { h.Set(headerAuth, h.Get(headerAuth)[1:]) },
	} {
		k := knockingAt(n)
		k.sign(t, n)
		change(k.header)
		if resp, _, _ := k.send(t, n); resp.StatusCode == http.StatusSwitchingProtocols {
			t.Errorf("%s: the connection is upgraded", name)
		}
	}
	// Without features it is not a request to upgrade that anybody understands; all others are counted.
	if s := n.Stats(); s.Connections != 0 || s.RejectedAuth+s.RejectedGarbage+s.Challenged != 7 {
		t.Errorf("%+v", s)
	}
	// A request that was signed for something else, with the same challenge, is no request to upgrade.
	k := knockingAt(n)
	k.sign(t, n)
	k.cred.number++
	k.cred.body = [32]byte{}
	k.header.Set(headerAuth, k.cred.header(newSigner(testSecret).request(&k.cred)))
	if resp, _, _ := k.send(t, n); resp.StatusCode == http.StatusSwitchingProtocols {
		t.Error("a signature for a POST upgrades a connection")
	}
}

// Whoever says 101 and does not prove that it has the Secret is told nothing.
func TestG11UpgradeMustBeAuthentic(t *testing.T) {
	_, b, ab := upgradedPair(t, nil)
	b.attach(t, responder{})
	for name, forge := range map[string]func(m mac, h http.Header){
		"no proof":            func(mac, http.Header) {},
		"a made-up proof":     func(_ mac, h http.Header) { h.Set(headerProof, base64url.EncodeToString(make([]byte, macSize))) },
		"half a proof":        func(m mac, h http.Header) { h.Set(headerProof, proofOf(m, h)[1:]) },
		"of another secret":   func(m mac, h http.Header) { h.Set(headerProof, encoded(newSigner(otherSecret).accept(&m, "3"))) },
		"of another request":  func(_ mac, h http.Header) { h.Set(headerProof, proofOf(mac{1}, h)) },
		"for other features":  func(m mac, h http.Header) { h.Set(headerProof, proofOf(m, h)); h.Set(headerFeatures, "0") },
		"that of the request": func(m mac, h http.Header) { h.Set(headerProof, encoded(m)) },
		"that of a refusal": func(m mac, h http.Header) {
			h.Set(headerProof, encoded(newSigner(testSecret).refusal(&m, "", &challenge{})))
		},
		"features as a string": func(m mac, h http.Header) { h.Set(headerProof, proofOf(m, h)); h.Set(headerFeatures, "03") },
	} {
		sent := make(chan int, 1)
		b.handle(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") == "" {
				b.Pool.ServeHTTP(w, r)
				return
			}
			var c credential
			m, _ := c.parseAuth(r.Header.Get(headerAuth))
			h := http.Header{"Connection": {"Upgrade"}, "Upgrade": {upgradeToken}, headerFeatures: {"3"}}
			forge(m, h)
			nc, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			fmt.Fprint(nc, "HTTP/1.1 101 Switching Protocols\r\n")
			h.Write(nc)
			fmt.Fprint(nc, "\r\n")
			all, _ := io.ReadAll(rw)
			sent <- len(all)
		})
		_, err := get(t.Context(), ab, "k")
		wantErr(t, err, ErrNotAuthentic)
		if n := receive(t, sent, "the end of the connection"); n > 0 {
			t.Errorf("%s: %d bytes were sent", name, n)
		}
		ab.health.pong(time.Now(), nil)
	}
}

func encoded(m mac) string { return base64url.EncodeToString(m[:]) }

// proofOf is the right proof for a request that was signed with m.
func proofOf(m mac, h http.Header) string {
	return encoded(newSigner(testSecret).accept(&m, h.Get(headerFeatures)))
}

// A Secret is replaced in three steps; at each of them the fleet is a mixture of instances that have taken it and
// instances that have not, and all of them talk.
func TestG11SecretIsRotated(t *testing.T) {
	steps := []func(*Config){
		func(c *Config) { c.Secret = testSecret },
		func(c *Config) { c.Secret, c.AcceptSecret = testSecret, otherSecret },
		func(c *Config) { c.Secret, c.AcceptSecret = otherSecret, testSecret },
		func(c *Config) { c.Secret = otherSecret },
	}
	for _, upgraded := range []bool{false, true} {
		nodes := make([]*node, len(steps))
		var members []Member
		for i, step := range steps {
			nodes[i] = newNode(t, step)
			nodes[i].upgrades.Store(upgraded)
			nodes[i].attach(t, responder{})
			members = append(members, Member{URL: nodes[i].Self()})
		}
		for i, n := range nodes {
			if err := n.Set(members...); err != nil {
				t.Fatal(err)
			}
			for j := max(i-1, 0); j < len(steps) && j <= i+1; j++ {
				if i == j {
					continue // there would have to be two of them
				}
				ab := n.to(t, nodes[j].Self())
				for verb, call := range verbs {
					if err := call(t.Context(), ab); err != nil {
						t.Errorf("step %d asks step %d, upgraded %v, %s: %v", i, j, upgraded, verb, err)
					}
				}
				if how, why, _, _ := ab.transport(); (how == "upgraded") != upgraded {
					t.Errorf("step %d asks step %d by way of %q (%s)", i, j, how, why)
				}
			}
		}
		for _, c := range [][2]int{{0, 3}, {3, 0}} { // who skips a step is not let in
			_, err := get(t.Context(), nodes[c[0]].to(t, nodes[c[1]].Self()), "k")
			wantErr(t, err, ErrUnauthorized)
		}
	}
}

// Authorize looks at requests to upgrade like at all others.
func TestG11AuthorizeSeesUpgrades(t *testing.T) {
	ca := newAuthority(t)
	var refuse atomic.Bool
	var mu sync.Mutex
	var seen []string
	b := ca.node(t, tls.RequireAndVerifyClientCert, func(c *Config) {
		c.Secret = nil
		c.Authorize = func(r *http.Request) error {
			mu.Lock()
			defer mu.Unlock()
			if r.Header.Get("Upgrade") == upgradeToken {
				seen = append(seen, r.TLS.PeerCertificates[0].Subject.CommonName)
			}
			if refuse.Load() {
				return errors.New("top secret reason")
			}
			return nil
		}
	})
	b.upgrades.Store(true)
	b.attach(t, responder{})
	for name, want := range map[string]error{"a": nil, "b": ErrUnauthorized} {
		refuse.Store(want != nil)
		a := ca.node(t, tls.NoClientCert, func(c *Config) { c.Secret = nil; c.Client = ca.client(t, ca.issue(t, name)) })
		if err := a.Set(Member{URL: b.Self()}); err != nil {
			t.Fatal(err)
		}
		ab := a.to(t, b.Self())
		_, err := get(t.Context(), ab, "k")
		if !errors.Is(err, want) || err != nil && strings.Contains(err.Error(), "top secret") {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, n, _ := ab.transport(); (n > 0) != (want == nil) {
			t.Errorf("%s: %d upgrades", name, n)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 2 {
		t.Errorf("Authorize saw requests to upgrade of %v", seen)
	}
}

// An instance's proof is worth nothing to another one: it is for the request's own signature.
func TestG11ProofsDiffer(t *testing.T) {
	s := newSigner(testSecret)
	m, r := mac{1}, mac{2}
	ch := challenge{}
	codes := map[mac]string{}
	for name, code := range map[string]mac{
		"accept":          s.accept(&m, "3"),
		"other features":  s.accept(&m, "2"),
		"other request":   s.accept(&r, "3"),
		"refusal":         s.refusal(&m, "3", &ch),
		"frame":           s.frame(&m, 0, byte(wire.TypeEnd), nil, []byte("3")),
		"frame, no field": s.frame(&m, 0, 0, nil, nil),
	} {
		if other, ok := codes[code]; ok {
			t.Errorf("%s and %s have the same code", name, other)
		}
		codes[code] = name
	}
}

// Authorize is told who a request says it comes from, and can hold it to that.
func TestG11AuthorizeKnowsTheSender(t *testing.T) {
	for _, upgraded := range []bool{true, false} {
		var only atomic.Value
		only.Store("")
		a, b, ab := pair(t, func(c *Config) {
			c.Authorize = func(r *http.Request) error {
				if from := Sender(r); from != only.Load() {
					return fmt.Errorf("%s is not %s", from, only.Load())
				}
				return nil
			}
		})
		a.upgrades.Store(upgraded)
		b.upgrades.Store(upgraded)
		b.attach(t, responder{})
		only.Store(a.Self())
		mustGet(t, ab, "k")
		only.Store(b.Self())
		_, err := get(t.Context(), a.to(t, b.Self()), "k")
		if upgraded { // once for a connection
			if err != nil {
				t.Error(err)
			}
			continue
		}
		wantErr(t, err, ErrUnauthorized)
	}
}
