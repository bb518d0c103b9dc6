package httpcache

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strconv"
)

type forwardKey struct{}

// pass hands the request to the origin and the response back, as they are and as they come: bodies, trailers,
// informational responses and upgrades included.
func (h *Handler) pass(w http.ResponseWriter, r *http.Request, f forward) {
	if h.next != nil {
		h.passOn(w, r, f)
		return
	}
	noSniffing(w.Header())
	h.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), forwardKey{}, f)))
}

func (h *Handler) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:       h.rewrite,
		Transport:     h.transport,
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(h.cfg.Logger.Handler(), slog.LevelWarn),
		ModifyResponse: func(resp *http.Response) error {
			f := resp.Request.Context().Value(forwardKey{}).(forward)
			params := "fwd=" + f.fwd + "; fwd-status=" + strconv.Itoa(resp.StatusCode)
			if f.detail != "" {
				params += "; detail=" + f.detail
			}
			h.addStatus(resp.Header, params, "")
			h.invalidate(resp)
			h.keep(resp)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if !errors.Is(err, context.Canceled) {
				h.cfg.Logger.Warn("httpcache: the origin did not answer", "method", r.Method, "url", r.URL.Redacted(), "error", err)
			}
			h.originFailed(w, r.Context().Value(forwardKey{}).(forward).fwd, err)
		},
	}
}

// rewrite addresses a request to its origin. Nothing of the address comes from the client.
func (h *Handler) rewrite(pr *httputil.ProxyRequest) {
	to, _ := h.sites.of(pr.In.Host, pr.In.TLS != nil) // without which it would not be here
	out := pr.Out
	out.URL.Scheme, out.URL.Host, out.URL.User = to.origin.Scheme, to.origin.Host, nil
	out.Host = to.host
	out.URL.RawQuery = pr.In.URL.RawQuery // ReverseProxy has dropped what it could not parse
	out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
	pr.SetXForwarded() // appends to it
	out.Header.Add("Via", h.via)
	out.Header.Add("Cdn-Loop", h.loop)
}
