package httpcache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// A Handler is a shared HTTP cache in front of an origin, or this instance's part of one. It is an http.Handler, and
// its methods may be called concurrently.
type Handler struct {
	cfg       Config
	sites     *sites
	via       string
	loop      string // what CDN-Loop has of this cache (RFC 8586)
	status    string // what every member of Cache-Status that is ours ends with
	self      string // this instance's address in the fleet
	rules     rules.Options
	surrogate bool  // Surrogate-Control counts
	chunk     int64 // the size of the chunks that larger bodies are stored in
	cache     *cache.Cache[string, *object]
	turns     chan struct{} // has an element for each fill that is under way
	flows     flows
	purges    purges
	searches  searches
	askers    askers
	latency   latency // of fills
	personal  recent  // URLs, and paths, of which those who say who they are got what is theirs alone
	shared    recent  // paths of which they got what is for everybody
	transport http.RoundTripper
	filling   http.RoundTripper // for fills: what is passed may hold all of its connections for as long as clients like
	own       []*http.Transport // if Config had none
	proxy     *httputil.ReverseProxy
	next      http.Handler // of a Middleware; nil: the origin is reached by transport
	count     counters

	background background      // what runs without a request; it ends with closing
	closing    context.Context // ends with Close
	close      context.CancelFunc
}

// ChunkBytes is the size of the chunks that longer bodies are stored in, at most.
const ChunkBytes = 256 << 10

// New returns a Handler, or an error that names each field of the Config that is wrong. With Peers, it answers other
// instances from then on. Close it when it is no longer used.
func New(config Config) (*Handler, error) {
	cfg, sites, err := config.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Handler{
		cfg: cfg, sites: sites, transport: cfg.Transport,
		via: "1.1 fleetcache", loop: loopID(&cfg),
		rules:     rules.Options{StoreSetCookie: cfg.StoreSetCookie, Targets: cfg.Targets, Heuristic: !cfg.NoHeuristics},
		chunk:     min(ChunkBytes, cfg.MaxBytes/chunkShare, cfg.MaxObjectBytes),
		surrogate: slices.Contains(cfg.Targets, "Surrogate-Control"),
		turns:     make(chan struct{}, cfg.MaxFills),
		flows:     flows{limit: cfg.MaxBytes / lingerShare},
	}
	if cfg.Instance != "" {
		h.via += " (" + cfg.Instance + ")"
		h.status = `; instance="` + cfg.Instance + `"`
	}
	h.filling = h.transport
	if h.transport == nil {
		h.own = []*http.Transport{newTransport(cfg.TLS), newTransport(cfg.TLS)}
		h.transport, h.filling = h.own[0], h.own[1]
	}
	h.proxy = h.newProxy()
	h.closing, h.close = context.WithCancel(context.Background())
	c := cache.Config[string, *object]{
		Name:        cfg.Name,
		Version:     encoding,
		Load:        h.load,
		SizeOf:      (*object).memory,
		Codec:       codec{},
		TTL:         time.Second, // every Entry has its own
		Stale:       -1,          // what is stale is validated, by what HTTP says
		MirrorTTL:   cfg.MirrorTTL,
		LoadTimeout: cfg.FillTimeout,
		MaxBytes:    cfg.MaxBytes,
		Carry:       carrier{},
		Logger:      cfg.Logger,
	}
	if cfg.Peers != nil {
		c.Peers, h.self = placed{cfg.Peers}, cfg.Peers.Self()
	}
	if h.cache, err = cache.New(c); err != nil {
		return nil, fmt.Errorf("httpcache: %w", err)
	}
	return h, nil
}

const (
	chunkShare  = 64 // a chunk is at most 1/chunkShare of MaxBytes
	lingerShare = 32
)

// ServeHTTP answers from the cache, or with what the origin answers, as it comes. A client that leaves does not end the fill that it has
// begun.
//
// It panics with http.ErrAbortHandler if a body breaks off in the middle.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.count.requests.Add(1)
	switch {
	case r.Method == http.MethodConnect:
		h.refuse(w, http.StatusNotImplemented, "CONNECT is for proxies, and this is none")
		return
	case r.URL.Opaque != "" || strings.ContainsAny(r.URL.RawQuery, " \t\r\n"):
		// net/http would send the origin a target that is not the one that is judged here.
		h.refuse(w, http.StatusBadRequest, "the target of the request is malformed")
		return
	case h.loops(r.Header):
		h.refuse(w, http.StatusLoopDetected, "the request has been here before")
		return
	}
	to, code := h.sites.of(r.Host, r.TLS != nil)
	if code != 0 {
		h.refuse(w, code, "there is no origin for the host of the request")
		return
	}
	l, f := h.newLookup(r, to.prefix)
	if f != (forward{}) {
		h.count.bypassed.Add(1)
		h.pass(w, r, f)
		return
	}
	l.w = w
	if err := h.answer(w, l); err != nil {
		h.fail(w, l, err)
	}
}

// refuse answers a request that goes no further.
func (h *Handler) refuse(w http.ResponseWriter, code int, text string) {
	h.count.failed.Add(1)
	h.addStatus(w.Header(), "detail=refused", "")
	http.Error(w, text, code)
}

// loopID is what a cache is called in CDN-Loop: the same at all instances, and another one for a cache with other origins, which may stand in front of this one.
func loopID(c *Config) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q", c.Name, c.Origin)
	for _, host := range slices.Sorted(maps.Keys(c.Origins)) {
		fmt.Fprintf(sum, " %q %q", host, c.Origins[host])
	}
	return "fleetcache-" + hex.EncodeToString(sum.Sum(nil)[:8])
}

// loops reports whether a request has been sent by this cache (RFC 8586).
func (h *Handler) loops(header http.Header) bool {
	for _, line := range header["Cdn-Loop"] {
		for member := range strings.SplitSeq(line, ",") {
			id, _, _ := strings.Cut(member, ";")
			if strings.TrimSpace(id) == h.loop {
				return true
			}
		}
	}
	return false
}

// answer answers a request from the cache, or by a fill.
func (h *Handler) answer(w http.ResponseWriter, l *lookup) error {
	if err := l.look(); err == errImpatient {
		h.count.passed.Add(1)
		h.pass(w, l.r, forward{fwdURIMiss, "impatient"})
		return nil
	} else if err != nil {
		return err
	}
	for validated := false; ; validated = true {
		if l.o.kind == kindMark {
			return h.answerMark(w, l)
		}
		if l.trace.Loaded {
			h.noteEvidence(l, false)
		}
		h.searches.learn(l.path, l.o.header)
		now := time.Now()
		switch j := l.judge(now); {
		case j == serveAndRenew:
			h.renew(l)
			l.stale = !l.o.isFresh(now)
			fallthrough
		case j == serve:
			err := h.serve(w, l, now)
			if !errors.Is(err, errNoChunk) && !errors.Is(err, errCut) || validated {
				return err
			}
			l.ask.anew = true // some of it is gone
		case l.ask.cached:
			return cache.ErrNotFound
		case j == forwardUnheard || validated:
			h.count.passed.Add(1)
			h.pass(w, l.r, forward{l.why, "collapsed"})
			return nil
		}
		if err := l.validate(); err != nil {
			return err
		}
	}
}

// answerMark answers a request whose response must not be shared.
func (h *Handler) answerMark(w http.ResponseWriter, l *lookup) error {
	h.noteEvidence(l, true)
	o := l.o
	if o.asker == l.ask.ID() && o.claim != "" {
		return h.serveClaim(w, l)
	}
	h.count.passed.Add(1)
	h.pass(w, l.r, forward{fwdURIMiss, o.why})
	return nil
}

// statusClientGone is for logs alone, as that of other servers is: whoever left before there was an answer tells nothing of the origin.
const statusClientGone = 499

// fail answers a request for which the cache has no response.
func (h *Handler) fail(w http.ResponseWriter, l *lookup, err error) {
	var remote *cache.RemoteError
	var decode *cache.DecodeError
	var ours bool
	if errors.As(err, &remote) {
		ours = remote.Status == cache.StatusTooLarge || remote.Status == cache.StatusEncodeFailed
	}
	switch {
	case errors.Is(err, context.Canceled) && l.r.Context().Err() != nil:
		h.failed(w, l.why, "client-gone", statusClientGone)
	case errors.Is(err, cache.ErrNotFound): // only-if-cached
		h.failed(w, fwdRequest, "only-if-cached", http.StatusGatewayTimeout)
	case ours, errors.As(err, &decode), errors.Is(err, cache.ErrClosed), errors.Is(err, errVary), errors.Is(err, errClaimGone),
		errors.Is(err, errNoChunk), errors.Is(err, errCut):
		// It is not the origin that failed.
		h.cfg.Logger.Debug("httpcache: passing a request", "key", l.key, "error", err)
		h.count.passed.Add(1)
		h.pass(w, l.r, forward{fwdURIMiss, "internal"})
	default:
		h.originFailed(w, l.why, err)
	}
}

// originFailed answers that the origin did not.
func (h *Handler) originFailed(w http.ResponseWriter, fwd string, err error) {
	switch {
	case errors.Is(err, cache.ErrOverloaded):
		w.Header().Set("Retry-After", "1")
		h.failed(w, fwd, "overloaded", http.StatusServiceUnavailable)
	case isTimeout(err):
		h.failed(w, fwd, "origin-timeout", http.StatusGatewayTimeout)
	default:
		h.failed(w, fwd, "origin-error", http.StatusBadGateway)
	}
}

// failed answers with an error of the cache's own.
func (h *Handler) failed(w http.ResponseWriter, fwd, detail string, code int) {
	h.count.failed.Add(1)
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
	h.background.close()
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
