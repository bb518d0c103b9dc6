package httpcache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A Handler is a shared HTTP cache in front of an origin, or this instance's part of one. It is an http.Handler, and
// its methods may be called concurrently.
type Handler struct {
	cfg       Config
	origin    *url.URL
	prefix    string // of every key: the origin's scheme and host
	via       string
	status    string // what every member of Cache-Status that is ours ends with
	cache     *cache.Cache[string, *object]
	transport http.RoundTripper
	filling   http.RoundTripper // for fills: what is passed may hold all of its connections for as long as clients like
	own       []*http.Transport // if Config had none
	proxy     *httputil.ReverseProxy
	count     counters

	closing context.Context // ends with Close
	close   context.CancelFunc
}

// New returns a Handler, or an error that names each field of the Config that is wrong. With Peers, it answers other
// instances from then on. Close it when it is no longer used.
func New(config Config) (*Handler, error) {
	cfg, origin, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Handler{cfg: cfg, origin: origin, prefix: origin.Scheme + "://" + origin.Host, transport: cfg.Transport, via: "1.1 fleetcache"}
	if cfg.Instance != "" {
		h.via += " (" + cfg.Instance + ")"
		h.status = `; instance="` + cfg.Instance + `"`
	}
	h.filling = h.transport
	if h.transport == nil {
		h.own = []*http.Transport{newTransport(), newTransport()}
		h.transport, h.filling = h.own[0], h.own[1]
	}
	h.proxy = h.newProxy()
	h.closing, h.close = context.WithCancel(context.Background())
	h.cache, err = cache.New(cache.Config[string, *object]{
		Name:        cfg.Name,
		Version:     encoding,
		Load:        h.fill,
		SizeOf:      (*object).size,
		Codec:       codec{},
		TTL:         time.Second, // every Entry has its own
		Stale:       -1,          // a refresh that meets a status of 500 would put a mark in the place of what is fresh
		MirrorTTL:   cfg.MirrorTTL,
		LoadTimeout: cfg.FillTimeout,
		MaxBytes:    cfg.MaxBytes,
		MaxLoads:    cfg.MaxFills,
		Peers:       cfg.Peers,
		Logger:      cfg.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("httpcache: %w", err)
	}
	return h, nil
}

// ServeHTTP answers from the cache, or with what the origin answers. A miss that may be stored is read whole
// before its first byte goes out, since nobody is to get a part of a response that turns out broken; everything else
// is streamed. A client that leaves does not end the fill that it has begun.
//
// It panics with http.ErrAbortHandler if the origin breaks off in the middle of a response that is passed.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.count.requests.Add(1)
	if r.Method == http.MethodConnect {
		http.Error(w, "CONNECT is for proxies, and this is none", http.StatusNotImplemented)
		return
	}
	if r.URL.Opaque != "" || strings.ContainsAny(r.URL.RawQuery, " \t\r\n") {
		// net/http would send the origin a target that is not the one that is judged here.
		http.Error(w, "the target of the request is malformed", http.StatusBadRequest)
		return
	}
	if f := judgeRequest(r); f != (forward{}) {
		h.count.bypassed.Add(1)
		h.pass(w, r, f)
		return
	}
	key, f := h.key(r.URL)
	if f != (forward{}) {
		h.count.bypassed.Add(1)
		h.pass(w, r, f)
		return
	}
	var t cache.Trace
	o, err := h.cache.Get(cache.WithTrace(r.Context(), &t), key)
	switch {
	case err != nil:
		h.fail(w, r, key, err)
	case o.pass != "":
		h.count.passed.Add(1)
		h.pass(w, r, forward{fwdURIMiss, o.pass})
	default:
		h.serve(w, r, o, &t)
	}
}

// serve answers with a stored response.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, o *object, t *cache.Trace) {
	age := o.ageAt(time.Now())
	header := w.Header()
	for name, values := range o.header {
		header[name] = values
	}
	header["Content-Length"] = []string{strconv.Itoa(len(o.body))}
	header["Age"] = []string{strconv.FormatInt(int64(age/time.Second), 10)}
	noSniffing(header)
	if t.Loaded {
		h.count.misses.Add(1)
		h.addStatus(header, "fwd=uri-miss; fwd-status="+strconv.Itoa(o.status)+"; stored", t.Peer)
	} else {
		if t.Peer == "" {
			h.count.hits.Add(1)
		} else {
			h.count.peerHits.Add(1)
		}
		h.addStatus(header, "hit; ttl="+strconv.FormatInt(int64((o.lifetime-age)/time.Second), 10), t.Peer)
	}
	w.WriteHeader(o.status)
	if r.Method != http.MethodHead {
		w.Write(o.body) // an error is the client's, who knows
	}
}

// fail answers a request for which the cache has no response.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, key string, err error) {
	var remote *cache.RemoteError
	var decode *cache.DecodeError
	var tooLarge bool
	if errors.As(err, &remote) {
		tooLarge = remote.Status == cache.StatusTooLarge || remote.Status == cache.StatusEncodeFailed
	}
	if tooLarge || errors.As(err, &decode) || errors.Is(err, cache.ErrClosed) {
		// It is not the origin that failed.
		h.cfg.Logger.Debug("httpcache: passing a request", "key", key, "error", err)
		h.count.passed.Add(1)
		h.pass(w, r, forward{fwdURIMiss, "internal"})
		return
	}
	h.failed(w, fwdURIMiss, err)
}

// failed answers that the origin did not.
func (h *Handler) failed(w http.ResponseWriter, fwd string, err error) {
	h.count.failed.Add(1)
	code, detail := http.StatusBadGateway, "origin-error"
	if isTimeout(err) {
		code, detail = http.StatusGatewayTimeout, "origin-timeout"
	}
	header := w.Header()
	delete(header, "Content-Type") // noSniffing's
	h.addStatus(header, "fwd="+fwd+"; detail="+detail, "")
	header.Set("Cache-Control", "no-store")
	http.Error(w, http.StatusText(code), code)
}

// Close ends the cache and its fills: requests that wait for one, and later ones, are passed to the origin. It does
// not wait for requests. A second Close does nothing. Neither Peers nor a Transport of the Config is closed.
func (h *Handler) Close() error {
	err := h.cache.Close()
	h.close()
	for _, t := range h.own {
		t.CloseIdleConnections()
	}
	return err
}

// noSniffing keeps net/http from making up a Content-Type that the origin did not send.
func noSniffing(header http.Header) {
	if _, ok := header["Content-Type"]; !ok {
		header["Content-Type"] = nil
	}
}
