package httpcache

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
)

// hints takes informational responses, such as 103 (RFC 8297), from the origin to the client of the request that it was asked for, if that has come to the
// instance that asks. They are never stored, and nobody else gets them.
type hints struct {
	mu sync.Mutex          // guards w, and its use while the request waits for the cache
	w  http.ResponseWriter // nil while the request does not wait
}

// open lets hints go to w, until close is called: in between, nobody else may use w.
func (h *hints) open(w http.ResponseWriter, r *http.Request) {
	if r.ProtoAtLeast(1, 1) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.w = w
	}
}

func (h *hints) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.w = nil
}

// pass writes a hint. The header of the response that follows is not touched.
func (h *hints) pass(code int, header http.Header) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.w == nil {
		return
	}
	own := h.w.Header()
	before := maps.Clone(own)
	maps.Copy(own, header)
	h.w.WriteHeader(code)
	clear(own)
	maps.Copy(own, before)
}

// withHints returns a context for a request to the origin that passes hints on.
func withHints(ctx context.Context, h *hints) context.Context {
	if h == nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
		if code != http.StatusContinue && code != http.StatusSwitchingProtocols {
			h.pass(code, http.Header(header))
		}
		return nil
	}})
}
