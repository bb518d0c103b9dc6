package peers

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Whatever versions of HTTP and TLS both ends speak, connections are upgraded.
func TestUpgradeOverTLS(t *testing.T) {
	ca := newAuthority(t)
	for name, h2 := range map[string]bool{"http/1.1": false, "h2 and http/1.1": true} {
		t.Run(name, func(t *testing.T) {
			client := ca.client(t)
			client.Transport.(*http.Transport).ForceAttemptHTTP2 = h2
			var protocols [3]atomic.Int64
			b := ca.node(t, tls.NoClientCert, func(*Config) {})
			if h2 { // a server of its own for the same Pool
				b = ca.nodeH2(t)
			}
			b.upgrades.Store(true)
			b.attach(t, responder{})
			b.handle(func(w http.ResponseWriter, r *http.Request) {
				protocols[r.ProtoMajor].Add(1)
				b.Pool.ServeHTTP(w, r)
			})
			a := ca.node(t, tls.NoClientCert, func(c *Config) { c.Client = client })
			if err := a.Set(Member{URL: b.Self()}); err != nil {
				t.Fatal(err)
			}
			ab := a.to(t, b.Self())
			for _, call := range verbs {
				if err := call(t.Context(), ab); err != nil {
					t.Error(err)
				}
			}
			isUpgraded(t, ab)
			if h2 != (protocols[2].Load() > 0) || protocols[1].Load() == 0 {
				t.Errorf("%d requests by HTTP/1.1, %d by HTTP/2", protocols[1].Load(), protocols[2].Load())
			}
		})
	}
}

// nodeH2 is node with a server that speaks HTTP/2 as well.
func (a *authority) nodeH2(t *testing.T) *node {
	n := newUnstarted()
	n.srv.EnableHTTP2 = true
	n.srv.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "server")}, ClientCAs: a.pool}
	n.start(t, "https://", nil)
	return n
}

// A front is something between the instances that does not let connections be upgraded.
type front struct {
	name   string
	reason string // what Stats says of it
	// serve takes the place of n in requests to upgrade.
	serve func(n *node, w http.ResponseWriter, r *http.Request)
	// trip, if it is set, takes the place of the client's Transport instead.
	trip func(base http.RoundTripper, r *http.Request) (*http.Response, error)
}

// hides is a ResponseWriter that cannot be hijacked.
type hides struct{ http.ResponseWriter }

// hidden is a body of which only the reading end is known.
type hidden struct{ io.ReadCloser }

func fails(status int) func(*node, http.ResponseWriter, *http.Request) {
	return func(_ *node, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
	}
}

var fronts = []front{
	{name: "takes the header away", reason: `HTTP 200 of type "application/json"`, serve: func(n *node, w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Upgrade")
		n.Pool.ServeHTTP(w, r)
	}},
	{name: "answers 400", reason: "HTTP 400", serve: fails(400)},
	{name: "answers 426", reason: "HTTP 426", serve: fails(426)},
	{name: "answers 502", reason: "HTTP 502", serve: fails(502)},
	{name: "answers 405", reason: "HTTP 405", serve: fails(405)},
	{name: "closes the connection", reason: "EOF", serve: func(_ *node, w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }},
	{name: "cannot be hijacked", reason: "HTTP 200", serve: func(n *node, w http.ResponseWriter, r *http.Request) { n.Pool.ServeHTTP(hides{w}, r) }},
	{name: "switches to something else", reason: "another protocol", serve: func(_ *node, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}},
	{name: "hides the connection", reason: "Transport hides the connection", trip: func(base http.RoundTripper, r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil {
			resp.Body = hidden{resp.Body}
		}
		return resp, err
	}},
}

// Where connections cannot be upgraded calls go by POST, without anybody's doing; Stats says why; and when it becomes possible
// they are upgraded, without anybody's waiting.
func TestUpgradeFallsBackToPost(t *testing.T) {
	for _, f := range fronts {
		t.Run(f.name, func(t *testing.T) {
			var lifted atomic.Bool
			tries, held := make(chan struct{}, 10), make(chan struct{})
			base := newTransport(t)
			_, b, ab := upgradedPair(t, func(c *Config) {
				if f.trip != nil {
					c.Client = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
						if r.Header.Get("Upgrade") == "" || lifted.Load() {
							return base.RoundTrip(r)
						}
						return f.trip(base, r)
					})}
				}
			})
			b.attach(t, responder{})
			b.handle(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Header.Get("Upgrade") == "":
					b.Pool.ServeHTTP(w, r)
				case lifted.Load():
					tries <- struct{}{}
					<-held
					b.Pool.ServeHTTP(w, r)
				case f.serve != nil:
					f.serve(b, w, r)
				default:
					b.Pool.ServeHTTP(w, r)
				}
			})
			for _, call := range verbs {
				if err := call(t.Context(), ab); err != nil {
					t.Error(err)
				}
			}
			how, why, n, _ := ab.transport()
			if how != "post" || n != 0 || !strings.Contains(why, f.reason) {
				t.Errorf("asked by way of %q, %d upgrades, since %q; want a word of %q", how, n, why, f.reason)
			}
			lifted.Store(true)
			mustGet(t, ab, "k")
			if len(tries) > 0 {
				t.Error("an upgrade is tried again at once")
			}
			ab.way.mu.Lock()
			if d := time.Until(ab.way.due); d < upgradeAgain/2 || d > 5*upgradeAgain/2 {
				t.Errorf("it is tried again in %v", d)
			}
			ab.way.due = time.Now()
			ab.way.mu.Unlock()
			mustGet(t, ab, "k")
			receive(t, tries, "an attempt to upgrade")
			mustGet(t, ab, "k") // while it lasts
			close(held)
			until(t, "an upgraded connection", func() bool { how, _, _, _ := ab.transport(); return how == "upgraded" })
			mustGet(t, ab, "k")
			if how, why, n, _ := ab.transport(); how != "upgraded" || why != "" || n != 1 {
				t.Errorf("asked by way of %q (%s), %d upgrades", how, why, n)
			}
		})
	}
}

// A front that speaks HTTP/2 alone.
func TestUpgradeFallsBackToPostOverHTTP2(t *testing.T) {
	ca := newAuthority(t)
	client := ca.client(t)
	client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
	b := newUnstarted()
	b.upgrades.Store(true)
	b.srv.EnableHTTP2 = true
	b.srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "server")}}
	b.srv.TLS.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if slices.Contains(hello.SupportedProtos, "h2") {
			return nil, nil
		}
		return &tls.Config{Certificates: b.srv.TLS.Certificates, NextProtos: []string{"none of yours"}}, nil
	}
	b.start(t, "https://", nil)
	b.attach(t, responder{})
	a := ca.node(t, tls.NoClientCert, func(c *Config) { c.Client = client })
	if err := a.Set(Member{URL: b.Self()}); err != nil {
		t.Fatal(err)
	}
	ab := a.to(t, b.Self())
	for verb, call := range verbs {
		if err := call(t.Context(), ab); err != nil {
			t.Errorf("%s: %v", verb, err)
		}
	}
	if how, why, _, _ := ab.transport(); how != "post" || !strings.Contains(why, "application protocol") {
		t.Errorf("asked by way of %q (%s)", how, why)
	}
}

// Whoever asks for an upgrade by GET and may not have it gets what people get, and nothing else.
func TestUpgradeTellsNothingSecret(t *testing.T) {
	n := rawNode(t, func(c *Config) { c.Secret = nil; c.Insecure = true })
	for name, change := range map[string]func(http.Header){
		"for another instance": func(h http.Header) { h.Set(headerTo, "http://elsewhere/") },
		"from itself":          func(h http.Header) { h.Set(headerInstance, hexID(n.instance)) },
		"without features":     func(h http.Header) { h.Del(headerFeatures) },
		"with odd features":    func(h http.Header) { h.Set(headerFeatures, "11112222333344445") },
		"of another version":   func(h http.Header) { h.Set("Upgrade", "fleetcache/2") },
		"without the token":    func(h http.Header) { h.Del("Upgrade") },
	} {
		k := knockingAt(n)
		k.sign(t, n)
		change(k.header)
		resp, _, _ := k.send(t, n)
		var told map[string]any
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, json.Unmarshal(body, &told)); err != nil {
			t.Fatalf("%s: %q: %v", name, body, err)
		}
		if resp.StatusCode != http.StatusOK || len(told) != 3 || told["name"] != "fleetcache" || told["protocol"] != 1.0 || told["epoch"] != hexEpoch(n.Epoch()) {
			t.Errorf("%s: HTTP %d, %s", name, resp.StatusCode, body)
		}
	}
	if c := n.Stats().Connections; c != 0 {
		t.Errorf("%d connections are upgraded", c)
	}
}
