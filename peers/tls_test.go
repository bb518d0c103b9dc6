package peers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"
)

// An authority issues certificates for a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert, a.key = a.sign(t, template, nil)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, by *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (a *authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	cert, key := a.sign(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}, a)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// client returns a client that trusts a and shows cert, if it has one.
func (a *authority) client(t *testing.T, certs ...tls.Certificate) *http.Client {
	tr := newTransport(t)
	tr.TLSClientConfig = &tls.Config{RootCAs: a.pool, Certificates: certs}
	return &http.Client{Transport: tr}
}

func (a *authority) node(t *testing.T, clientAuth tls.ClientAuthType, edit func(*Config)) *node {
	t.Helper()
	n := newUnstarted()
	n.srv.TLS = &tls.Config{Certificates: []tls.Certificate{a.issue(t, "server")}, ClientAuth: clientAuth, ClientCAs: a.pool}
	n.start(t, "https://", edit)
	return n
}

func TestG11mTLS(t *testing.T) { eitherWay(t, testG11mTLS) }

func testG11mTLS(t *testing.T, upgraded bool) {
	ca, stranger := newAuthority(t), newAuthority(t)
	good, bad := ca.issue(t, "a"), stranger.issue(t, "a")
	mtls := func(c *Config) { c.Secret = nil; c.Client = ca.client(t, good) }
	b := ca.node(t, tls.VerifyClientCertIfGiven, mtls)
	b.attach(t, responder{})
	b.upgrades.Store(upgraded)
	strict := ca.node(t, tls.RequireAndVerifyClientCert, mtls)
	strict.attach(t, responder{})
	strict.upgrades.Store(upgraded)
	for _, c := range []struct {
		name   string
		client *http.Client
		ok     bool
	}{
		{"a good certificate", ca.client(t, good), true},
		{"no certificate", ca.client(t), false},
		{"a stranger's certificate", ca.client(t, bad), false},
		{"a client that trusts somebody else", stranger.client(t, good), false},
	} {
		a := ca.node(t, tls.RequireAndVerifyClientCert, func(cfg *Config) { cfg.Secret = nil; cfg.Client = c.client })
		if err := a.Set(Member{URL: b.Self()}, Member{URL: strict.Self()}); err != nil {
			t.Fatal(err)
		}
		for _, to := range []*node{b, strict} {
			for verb, call := range verbs {
				err := call(t.Context(), a.to(t, to.Self()))
				if (err == nil) != c.ok {
					t.Errorf("%s, %s: %v", c.name, verb, err)
				}
				// A server that ends the handshake may be gone before its reason is read.
				if err != nil && !errors.Is(err, ErrUnauthorized) && (to == b || !errors.Is(err, ErrUnreachable)) {
					t.Errorf("%s, %s: %v, want ErrUnauthorized", c.name, verb, err)
				}
			}
		}
	}
}

// Authorize decides, and what it says is not told to the sender.
func TestG11Authorize(t *testing.T) { eitherWay(t, testG11Authorize) }

func testG11Authorize(t *testing.T, upgraded bool) {
	ca := newAuthority(t)
	onlyA := func(r *http.Request) error {
		if len(r.TLS.VerifiedChains) == 0 || r.TLS.VerifiedChains[0][0].Subject.CommonName != "a" {
			return errors.New("top secret reason")
		}
		return nil
	}
	b := ca.node(t, tls.VerifyClientCertIfGiven, func(c *Config) { c.Secret = nil; c.Authorize = onlyA })
	b.attach(t, responder{})
	b.upgrades.Store(upgraded)
	for name, want := range map[string]error{"a": nil, "b": ErrUnauthorized} {
		a := ca.node(t, tls.RequireAnyClientCert, func(c *Config) { c.Secret = nil; c.Client = ca.client(t, ca.issue(t, name)) })
		if err := a.Set(Member{URL: b.Self()}); err != nil {
			t.Fatal(err)
		}
		if _, err := get(context.Background(), a.to(t, b.Self()), "k"); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	req, _ := http.NewRequest(http.MethodPost, b.Self(), nil)
	req.Header.Set("Content-Type", contentType)
	client := ca.client(t)
	client.Transport.(*http.Transport).DisableKeepAlives = true
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusUnauthorized || len(text) > 0 {
		t.Errorf("HTTP %d %q", resp.StatusCode, text)
	}
}

// A secret and certificates together: both are needed.
func TestG11SecretAndTLS(t *testing.T) { eitherWay(t, testG11SecretAndTLS) }

func testG11SecretAndTLS(t *testing.T, upgraded bool) {
	ca := newAuthority(t)
	cert := ca.issue(t, "a")
	authorize := func(r *http.Request) error {
		if len(r.TLS.VerifiedChains) == 0 {
			return errors.New("no certificate")
		}
		return nil
	}
	b := ca.node(t, tls.VerifyClientCertIfGiven, func(c *Config) { c.Authorize = authorize })
	b.attach(t, responder{})
	b.upgrades.Store(upgraded)
	for name, c := range map[string]struct {
		edit func(*Config)
		want error
	}{
		"both":                  {func(c *Config) { c.Client = ca.client(t, cert) }, nil},
		"the secret alone":      {func(c *Config) { c.Client = ca.client(t) }, ErrUnauthorized},
		"the certificate alone": {func(c *Config) { c.Client = ca.client(t, cert); c.Secret = nil }, ErrUnauthorized},
		"another secret":        {func(c *Config) { c.Client = ca.client(t, cert); c.Secret = make([]byte, 32) }, ErrUnauthorized},
	} {
		a := ca.node(t, tls.RequireAnyClientCert, c.edit)
		if err := a.Set(Member{URL: b.Self()}); err != nil {
			t.Fatal(err)
		}
		if _, err := get(t.Context(), a.to(t, b.Self()), "k"); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
