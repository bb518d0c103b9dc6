package kind

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers"
)

const (
	cacheName = "bench"
	// heldBytes bounds each cache in a server: it is more than all values together.
	heldBytes = 2 << 30
)

var fleetSecret = []byte("the secret of a fleet of two")

// An instance is a process's part of the fleet: a Pool, a Cache, and the server that the Pool is mounted on.
type instance struct {
	url    string
	pool   *peers.Pool
	cache  *cache.Cache[string, []byte]
	server *http.Server
	client *http.Client // with a certificate to trust; nil: the Pool's own
}

func newInstance(s Setup, secure bool) (_ *instance, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	in := &instance{url: "http://" + l.Addr().String(), server: &http.Server{}}
	defer func() {
		if err != nil {
			l.Close()
			in.close()
		}
	}()
	if secure {
		in.url = "https://" + l.Addr().String()
		if in.server.TLSConfig, in.client, err = s.tls(); err != nil {
			return nil, err
		}
	}
	if in.pool, err = peers.New(peers.Config{Self: in.url, Secret: fleetSecret, Client: in.client}); err != nil {
		return nil, err
	}
	in.cache, err = cache.New(cache.Config[string, []byte]{
		Name:      cacheName,
		Load:      cache.LoadFunc(func(_ context.Context, key string) ([]byte, error) { return payload.Value(key) }),
		MirrorTTL: -1,
		MaxBytes:  heldBytes,
		Peers:     in.pool,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle(peers.DefaultPath, in.pool)
	in.server.Handler = mux
	serveHTTP(in.server, l)
	return in, nil
}

// serveHTTP serves l, with TLS if the server is set up for it, until the server is closed.
func serveHTTP(s *http.Server, l net.Listener) {
	serve := s.Serve
	if s.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.ServeTLS(l, "", "") }
	}
	go func() { _ = serve(l) }() // the error is that it was closed
}

// tls returns what a server needs for TLS, and a client that trusts it.
func (s Setup) tls() (*tls.Config, *http.Client, error) {
	cert, err := tls.X509KeyPair(s.Cert, s.Key)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(s.Cert) {
		return nil, nil, errors.New("the certificate is not PEM")
	}
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: roots},
		MaxIdleConnsPerHost: peers.DefaultMaxConnsPerPeer + 17, // as the Pool's own has
		DisableCompression:  true,
	}}
	return &tls.Config{Certificates: []tls.Certificate{cert}}, client, nil
}

// join makes a fleet of this instance and another one.
func (in *instance) join(url string) error {
	return in.pool.Set(peers.Member{URL: in.url}, peers.Member{URL: url})
}

func (in *instance) close() error {
	errs := []error{in.server.Close()}
	if in.cache != nil {
		errs = append(errs, in.cache.Close())
	}
	if in.pool != nil {
		errs = append(errs, in.pool.Close())
	}
	if in.client != nil {
		in.client.CloseIdleConnections()
	}
	return errors.Join(errs...)
}

// A cacheCaller uses the cache as a program does.
type cacheCaller struct{ cache *cache.Cache[string, []byte] }

func (c cacheCaller) Get(ctx context.Context, key string) ([]byte, error) {
	return c.cache.Get(ctx, key)
}

func (c cacheCaller) GetMany(ctx context.Context, keys []string, got func(i int, value []byte) error) error {
	values, err := c.cache.GetMany(ctx, keys)
	if err != nil {
		return err
	}
	for i, key := range keys {
		if err := got(i, values[key]); err != nil {
			return err
		}
	}
	return nil
}
