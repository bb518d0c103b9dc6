package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/internal/freeaddr"
	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// serveWith runs an instance until the test ends, which has flags.
func serveWith(t *testing.T, flags ...string) *service {
	t.Helper()
	opts, err := parseFlags(flags)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newService(t.Context(), opts, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	server := newServer(s, s.log)
	server.TLSConfig = s.identity.server()
	l, err := net.Listen("tcp", opts.listen)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = serve(server, l)
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
		s.close()
	})
	return s
}

// fetch returns a response, and its body.
func fetch(c *http.Client, url string) (*http.Response, string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func cacheable(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=60")
	fmt.Fprint(w, r.URL)
}

// A certificate is replaced while the instance serves, and what is no certificate is not.
func TestCertificateIsReplaced(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "a.test")
	synctest.Test(t, func(t *testing.T) {
		log := &slowWriter{}
		k, err := loadPair("tls-cert", cert, "tls-key", key)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			k.follow(ctx, pairInterval, slog.New(slog.NewTextHandler(log, nil)))
		}()
		later := func() {
			time.Sleep(5 * pairInterval)
			synctest.Wait()
		}
		first := k.current.Load()
		old, _ := os.ReadFile(key)
		if later(); k.current.Load() != first || log.String() != "" {
			t.Errorf("the pair was replaced, or something logged: %s", log)
		}
		ca.issue(t, "a.test")
		fresh, _ := os.ReadFile(key)
		os.WriteFile(key, old, 0o600) // as if its turn had not come yet
		if later(); k.current.Load() != first || strings.Count(log.String(), "was not replaced") != 1 {
			t.Errorf("half a pair: %s", log)
		}
		os.WriteFile(key, fresh, 0o600)
		later()
		second := k.current.Load()
		if second == first || strings.Count(log.String(), "was replaced") != 1 {
			t.Errorf("the pair was not replaced: %s", log)
		}
		os.Remove(cert)
		if later(); k.current.Load() != second || strings.Count(log.String(), "was not replaced") != 2 {
			t.Errorf("no certificate: %s", log)
		}
		cancel()
		<-done
	})
}

// Clients come over TLS, by HTTP/1.1 and HTTP/2, and see the new certificate when it is there.
func TestClientsOverTLS(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "a.test")
	addrs, err := freeaddr.Find("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, "-origin", processtest.Serve(t, cacheable), "-listen", addrs[0], "-tls-cert", cert, "-tls-key", key)
	c := ca.client(t, "a.test")
	resp, body, err := fetch(c, "https://"+addrs[0]+"/x")
	if err != nil || body != "/x" || resp.ProtoMajor != 2 {
		t.Fatalf("%v %s %v", resp, body, err)
	}
	before := resp.TLS.PeerCertificates[0].SerialNumber
	ca.issue(t, "a.test")
	if _, err := s.identity.pair.read(); err != nil {
		t.Fatal(err)
	}
	c.Transport.(*http.Transport).ForceAttemptHTTP2 = false
	resp, _, err = fetch(ca.client(t, "a.test"), "https://"+addrs[0]+"/x")
	if err != nil || resp.TLS.PeerCertificates[0].SerialNumber.Cmp(before) == 0 || !strings.Contains(resp.Header.Get("Cache-Status"), "; hit") {
		t.Errorf("%v %v", resp, err)
	}
	plain, err := http.Get("http://" + addrs[0] + "/x")
	if err == nil {
		plain.Body.Close()
		if plain.StatusCode != http.StatusBadRequest {
			t.Errorf("without TLS: %d", plain.StatusCode)
		}
	}
}

// An origin with a private authority.
func TestOriginCA(t *testing.T) {
	ca := newAuthority(t)
	cert, key := ca.issue(t, "")
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	origin := httptest.NewUnstartedServer(http.HandlerFunc(cacheable))
	origin.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	origin.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	origin.StartTLS()
	defer origin.Close()
	for _, tt := range []struct {
		flags []string
		want  int
	}{{nil, http.StatusBadGateway}, {[]string{"-origin-ca", ca.ca}, http.StatusOK}} {
		addrs, err := freeaddr.Find("127.0.0.1", 1)
		if err != nil {
			t.Fatal(err)
		}
		serveWith(t, append(tt.flags, "-origin", origin.URL, "-listen", addrs[0])...)
		if code, body, _ := processtest.Fetch(t, "http://"+addrs[0]+"/x"); code != tt.want {
			t.Errorf("%v: %d %s", tt.flags, code, body)
		}
	}
}

// Two instances know each other by certificates, and clients see others on the same port.
func TestG11FleetByCertificates(t *testing.T) {
	fleet, public, strangers := newAuthority(t), newAuthority(t), newAuthority(t)
	cert, key := public.issue(t, "www.test")
	peerCert, peerKey := fleet.issue(t, "fleet.test")
	const total = 40
	var loads atomic.Int64
	origin := processtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		loads.Add(1)
		cacheable(w, r)
	})
	addrs, err := freeaddr.Find("127.0.0.1", 2)
	if err != nil {
		t.Fatal(err)
	}
	urls := []string{"https://" + addrs[0], "https://" + addrs[1]}
	var services []*service
	for i := range urls {
		services = append(services, serveWith(t, "-origin", origin, "-listen", addrs[i], "-tls-cert", cert, "-tls-key", key, "-self", urls[i], "-peers", strings.Join(urls, ","),
			"-peer-cert", peerCert, "-peer-key", peerKey, "-peer-ca", fleet.ca, "-peer-name", "fleet.test"))
	}
	for _, s := range services {
		processtest.WaitFor(t, "the instances to know each other", func() bool {
			return !s.cache.Stats().Cache.Joining && s.pool.Stats().Peers[0].Up
		})
	}
	client := public.client(t, "www.test")
	for i := range 2 * total {
		resp, body, err := fetch(client, fmt.Sprintf("%s/%d", urls[i%2], i/2))
		if err != nil || body != fmt.Sprintf("/%d", i/2) || i%2 == 1 && resp.Header.Get("Cache-Status") == "" {
			t.Fatalf("%s, %v", body, err)
		}
	}
	if n := loads.Load(); n != total {
		t.Errorf("%d loads of %d objects", n, total)
	}
	peerHits := services[0].cache.Stats().PeerHits + services[1].cache.Stats().PeerHits
	if peerHits == 0 {
		t.Errorf("the instances did not ask each other")
	}
	if p := services[0].pool.Stats().Peers[0]; p.Transport != "upgraded" {
		t.Errorf("the connection is not upgraded: %s", p.NotUpgraded)
	}
	// Nobody else gets at what is theirs.
	strangerCert, strangerKey := strangers.issue(t, "fleet.test")
	for name, c := range map[string]*http.Client{
		"no certificate": client, "a stranger's": public.client(t, "www.test", strangerCert, strangerKey), "the public one": public.client(t, "www.test", cert, key),
	} {
		resp, err := c.Post(urls[0]+peers.DefaultPath, "application/x-fleetcache", nil)
		if err != nil {
			continue // the handshake failed
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %s, want 401", name, resp.Status)
		}
	}
}

// With -tls-client-ca, clients need certificates, of its authorities and not of the fleet's.
func TestClientCertificates(t *testing.T) {
	clients, fleet, public := newAuthority(t), newAuthority(t), newAuthority(t)
	cert, key := public.issue(t, "www.test")
	peerCert, peerKey := fleet.issue(t, "fleet.test")
	good, goodKey := clients.issue(t, "client")
	addrs, err := freeaddr.Find("127.0.0.1", 1)
	if err != nil {
		t.Fatal(err)
	}
	url := "https://" + addrs[0]
	serveWith(t, "-origin", processtest.Serve(t, cacheable), "-listen", addrs[0], "-tls-cert", cert, "-tls-key", key, "-tls-client-ca", clients.ca,
		"-self", url, "-peers", url, "-peer-cert", peerCert, "-peer-key", peerKey, "-peer-ca", fleet.ca)
	for name, tt := range map[string]struct {
		files []string
		want  int
	}{"a good one": {[]string{good, goodKey}, 200}, "none": {nil, 403}, "an instance's": {[]string{peerCert, peerKey}, 403}} {
		resp, _, err := fetch(public.client(t, "www.test", tt.files...), url+"/x")
		if err != nil || resp.StatusCode != tt.want {
			t.Errorf("%s: %v, %v, want %d", name, resp, err, tt.want)
		}
	}
}
