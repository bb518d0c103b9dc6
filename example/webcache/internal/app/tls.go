package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers"
)

// pairInterval is how often the files of a certificate are read.
const pairInterval = 2 * time.Second

// peerProto is an application protocol that instances offer besides HTTP/1.1, and nobody ever takes: an instance knows by it that
// another one connects, and shows -peer-cert.
const peerProto = "fleetcache-peer"

// A keyPair is a certificate and its key, as two files have them now.
type keyPair struct {
	certFlag, certFile string
	keyFlag, keyFile   string
	current            atomic.Pointer[tls.Certificate]
	seen               []byte // what was in the files
}

// loadPair reads a keyPair.
func loadPair(certFlag, certFile, keyFlag, keyFile string) (*keyPair, error) {
	k := &keyPair{certFlag: certFlag, certFile: certFile, keyFlag: keyFlag, keyFile: keyFile}
	if _, err := k.read(); err != nil {
		return nil, err
	}
	return k, nil
}

// read reads the files, and reports whether they have changed. If what is in them is no good the last pair stays.
func (k *keyPair) read() (changed bool, err error) {
	cert, err := os.ReadFile(k.certFile)
	if err != nil {
		return false, fmt.Errorf("-%s: %w", k.certFlag, err)
	}
	key, err := os.ReadFile(k.keyFile)
	if err != nil {
		return false, fmt.Errorf("-%s: %w", k.keyFlag, err)
	}
	now := slices.Concat(cert, []byte{0}, key)
	if bytes.Equal(now, k.seen) {
		return false, nil
	}
	pair, err := tls.X509KeyPair(cert, key)
	k.seen = now
	if err != nil {
		return true, fmt.Errorf("-%s and -%s: %s and %s: %w: give a certificate chain in PEM, and the key of its first one", k.certFlag, k.keyFlag, k.certFile, k.keyFile, err)
	}
	k.current.Store(&pair)
	return true, nil
}

// follow reads the files again and again, until ctx ends. What is wrong with them is logged once.
func (k *keyPair) follow(ctx context.Context, interval time.Duration, log *slog.Logger) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := k.read()
		switch {
		case err != nil && (changed || err.Error() != last):
			last = err.Error()
			log.Warn("a certificate was not replaced: the last one stays", "error", err)
		case err == nil && changed:
			last = ""
			log.Info("a certificate was replaced", "file", k.certFile, "until", k.current.Load().Leaf.NotAfter)
		}
	}
}

// A certPool is the authorities in a file.
type certPool struct {
	certs []*x509.Certificate
	raw   map[string]bool
}

func readPool(name, file string) (*certPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-%s: %w", name, err)
	}
	p := &certPool{raw: make(map[string]bool)}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("-%s: %s has a %s: give certificates alone", name, file, block.Type)
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("-%s: %s: %w", name, file, err)
		}
		p.certs = append(p.certs, cert)
		p.raw[string(cert.Raw)] = true
	}
	if len(p.certs) == 0 {
		return nil, fmt.Errorf("-%s: %s has no certificates: give those of authorities, in PEM", name, file)
	}
	return p, nil
}

// addTo adds the authorities to pool. A nil certPool has none.
func (p *certPool) addTo(pool *x509.CertPool) {
	if p == nil {
		return
	}
	for _, cert := range p.certs {
		pool.AddCert(cert)
	}
}

// vouches reports whether the other side has shown a certificate of one of the authorities.
func (p *certPool) vouches(state *tls.ConnectionState) bool {
	if state == nil {
		return false
	}
	return slices.ContainsFunc(state.VerifiedChains, func(chain []*x509.Certificate) bool { return p.raw[string(chain[len(chain)-1].Raw)] })
}

// identity is the certificates of an instance: its own, and those that it trusts.
type identity struct {
	pair, peerPair   *keyPair  // nil: none
	clientCA, peerCA *certPool // nil: none
	peerName         string
	transport        *http.Transport // to the others

	stop      context.CancelFunc
	following sync.WaitGroup
}

// newIdentity reads the files, and follows what becomes of the certificates until close is called.
func newIdentity(t *tlsFiles, log *slog.Logger) (_ *identity, err error) {
	id := &identity{peerName: t.peerName}
	read := func(name, file string) (p *certPool) {
		if file != "" && err == nil {
			p, err = readPool(name, file)
		}
		return p
	}
	load := func(certFlag, certFile, keyFlag, keyFile string) (k *keyPair) {
		if certFile != "" && err == nil {
			k, err = loadPair(certFlag, certFile, keyFlag, keyFile)
		}
		return k
	}
	id.pair, id.peerPair = load("tls-cert", t.cert, "tls-key", t.key), load("peer-cert", t.peerCert, "peer-key", t.peerKey)
	id.clientCA, id.peerCA = read("tls-client-ca", t.clientCA), read("peer-ca", t.peerCA)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	id.stop = cancel
	for _, k := range []*keyPair{id.pair, id.peerPair} {
		if k != nil {
			id.following.Go(func() { k.follow(ctx, pairInterval, log) })
		}
	}
	return id, nil
}

func (id *identity) close() {
	id.stop()
	id.following.Wait()
	if id.transport != nil {
		id.transport.CloseIdleConnections()
	}
}

// server returns the configuration of the server of clients and instances; nil if it does not speak TLS.
func (id *identity) server() *tls.Config {
	if id.pair == nil {
		return nil
	}
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if id.peerPair != nil && slices.Contains(hello.SupportedProtos, peerProto) {
				return id.peerPair.current.Load(), nil
			}
			return id.pair.current.Load(), nil
		},
	}
	if id.clientCA != nil || id.peerPair != nil {
		// Who needs one, and of whom, depends on what is asked for.
		cfg.ClientAuth, cfg.ClientCAs = tls.VerifyClientCertIfGiven, x509.NewCertPool()
		id.clientCA.addTo(cfg.ClientCAs)
		id.peerCA.addTo(cfg.ClientCAs)
	}
	return cfg
}

// secure has a Pool use the certificates for instances, if there are any.
func (id *identity) secure(cfg *peers.Config) {
	if id.peerCA == nil {
		return
	}
	client := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(), ServerName: id.peerName, NextProtos: []string{peerProto, "http/1.1"}}
	id.peerCA.addTo(client.RootCAs)
	if id.peerPair != nil {
		client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.peerPair.current.Load(), nil }
		cfg.Authorize = func(r *http.Request) error {
			if !id.peerCA.vouches(r.TLS) {
				return errors.New("it has no certificate of an authority in -peer-ca")
			}
			return nil
		}
	}
	dialer := &net.Dialer{
		Timeout:         peers.DefaultDialTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	id.transport = &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        client,
		TLSHandshakeTimeout:    5 * time.Second,
		MaxConnsPerHost:        peers.DefaultMaxConnsPerPeer + 20, // see peers.Config.Client
		MaxIdleConnsPerHost:    peers.DefaultMaxConnsPerPeer + 17,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableCompression:     true,
	}
	cfg.Client = &http.Client{Transport: id.transport}
}

// originTLS returns how https origins are spoken to; nil if there is nothing special about that.
func originTLS(file string) (*tls.Config, error) {
	if file == "" {
		return nil, nil
	}
	p, err := readPool("origin-ca", file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // of a system without authorities
	}
	p.addTo(pool)
	return &tls.Config{RootCAs: pool}, nil
}
