package kind

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/payload"
)

// net/http with nothing on top: a GET whose path is the key, a reply with a Content-Length. Tuned: a Transport without
// proxy or compression, RoundTrip without the Client's redirects and cookies, a content type that need not be sniffed, a
// buffer of the right length for the body.
var (
	// HTTP/1.1 has an idle connection for each caller.
	http1 = Kind{
		Name:  "http1",
		About: "net/http, HTTP/1.1: a GET for each call; an idle connection for each caller",
		Serve: func(context.Context, Setup) (*Server, error) { return serveValues(&http.Server{}) },
		Dial: func(_ context.Context, addr string, _ Setup) (Client, error) {
			return &httpClient{addr: addr, transport: httpTransport}, nil
		},
	}
	// h2c has one connection, enough streams on it for all callers, frames that take a value of
	// 64 KiB whole, and windows as large as they come.
	h2c = Kind{
		Name:  "h2c",
		About: "net/http, HTTP/2 without TLS: a GET for each call; one connection, large windows and frames",
		Serve: func(context.Context, Setup) (*Server, error) {
			return serveValues(&http.Server{Protocols: unencryptedHTTP2(), HTTP2: http2Config()})
		},
		Dial: func(_ context.Context, addr string, _ Setup) (Client, error) {
			return &httpClient{addr: addr, transport: h2cTransport}, nil
		},
	}
)

const valuePath = "/value/"

func unencryptedHTTP2() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

func http2Config() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxConcurrentStreams:          1 << 12,
		MaxReadFrameSize:              1 << 20,
		MaxReceiveBufferPerConnection: 4<<20 - 1,
		MaxReceiveBufferPerStream:     1 << 20,
	}
}

// httpTransport returns a Transport that keeps a connection for each of n callers.
func httpTransport(n int) *http.Transport {
	return &http.Transport{
		MaxIdleConnsPerHost: n,
		DisableCompression:  true,
		IdleConnTimeout:     10 * time.Minute,
	}
}

func h2cTransport(int) *http.Transport {
	return &http.Transport{
		Protocols:          unencryptedHTTP2(),
		HTTP2:              http2Config(),
		DisableCompression: true,
	}
}

func serveValues(server *http.Server) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var held payload.Held
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, _ := strings.CutPrefix(r.URL.Path, valuePath)
		value, err := held.Get([]byte(key))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(len(value)))
		w.Write(value)
	})
	serveHTTP(server, l)
	return &Server{Addr: "http://" + l.Addr().String(), Close: server.Close}, nil
}

type httpClient struct {
	addr      string
	transport func(callers int) *http.Transport
	current   *http.Transport
}

func (c *httpClient) Callers(n int) ([]Caller, error) {
	if err := c.Close(); err != nil {
		return nil, err
	}
	c.current = c.transport(n)
	return repeat(n, httpCaller{c.addr + valuePath, c.current}), nil
}

func (c *httpClient) Close() error {
	if c.current != nil {
		c.current.CloseIdleConnections()
	}
	return nil
}

type httpCaller struct {
	base      string
	transport *http.Transport
}

func (c httpCaller) Get(ctx context.Context, key string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+key, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.ContentLength < 0 {
		return nil, fmt.Errorf("status %s, content length %d", resp.Status, resp.ContentLength)
	}
	value := make([]byte, resp.ContentLength)
	if _, err := io.ReadFull(resp.Body, value); err != nil {
		return nil, err
	}
	return value, nil
}
