package httpcache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Middleware returns a Handler whose origin is next, in this process. Config's Origin, Origins and Transport must be empty: next gets requests with
// the Host that the client named, which is a part of the key. With Peers, the next of the URL's owner answers for
// all instances. What the cache has no part in, upgrades among it, goes to next by the client's own ResponseWriter.
func Middleware(config Config, next http.Handler) (*Handler, error) {
	if next == nil {
		return nil, errors.New("httpcache: Middleware: next is nil: give it the handler whose responses are to be cached")
	}
	if config.Origin != "" || config.Origins != nil || config.Transport != nil {
		return nil, errors.New("httpcache: Middleware: Config.Origin, Origins and Transport must be empty: the origin is next")
	}
	config.Origin, config.PreserveHost, config.Transport = "http://next.invalid", true, local{next}
	h, err := New(config)
	if err != nil {
		return nil, err
	}
	h.next, h.loop = next, "fleetcache-"+newID() // all Middlewares have the same origin
	return h, nil
}

// local is a Transport whose origin is a Handler.
type local struct{ next http.Handler }

// RoundTrip implements http.RoundTripper.
func (t local) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.URL.Scheme, in.URL.Host = "", ""
	in.RequestURI = in.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	body, w := newLocalWriter(r)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				w.end(fmt.Errorf("httpcache: next panicked: %v", p))
			}
		}()
		t.next.ServeHTTP(w, in)
		w.end(nil)
	}()
	select {
	case <-w.begun:
	case <-r.Context().Done():
		w.end(r.Context().Err())
		body.Close()
		return nil, r.Context().Err()
	}
	if w.failed != nil {
		return nil, w.failed
	}
	w.resp.Body = body
	return w.resp, nil
}

// A localWriter is the ResponseWriter of a local. Its methods are called by one goroutine, but for end.
type localWriter struct {
	header http.Header
	body   *io.PipeWriter
	once   sync.Once
	begun  chan struct{} // closed when resp, or failed, is there
	resp   *http.Response
	failed error
}

func newLocalWriter(r *http.Request) (*io.PipeReader, *localWriter) {
	pr, pw := io.Pipe()
	w := &localWriter{header: make(http.Header), body: pw, begun: make(chan struct{})}
	w.resp = &http.Response{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: -1, TransferEncoding: []string{"chunked"}}
	return pr, w
}

// Header implements http.ResponseWriter, as do the methods below.
func (w *localWriter) Header() http.Header { return w.header }

func (w *localWriter) WriteHeader(code int) {
	if code < 200 {
		return // informational responses are not for a cache
	}
	w.once.Do(func() {
		w.resp.StatusCode, w.resp.Status = code, strconv.Itoa(code)+" "+http.StatusText(code)
		w.resp.Header = w.header.Clone()
		if n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
			w.resp.ContentLength, w.resp.TransferEncoding = n, nil
		}
		close(w.begun)
	})
}

func (w *localWriter) Write(b []byte) (int, error) {
	if _, ok := w.header["Content-Type"]; !ok {
		w.header.Set("Content-Type", http.DetectContentType(b))
	}
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// FlushError has http.ResponseController find that nothing is held back.
func (w *localWriter) FlushError() error {
	w.WriteHeader(http.StatusOK)
	return nil
}

// Flush implements http.Flusher.
func (w *localWriter) Flush() { _ = w.FlushError() }

// end ends the response.
func (w *localWriter) end(err error) {
	w.once.Do(func() {
		if err != nil {
			w.failed = err
			close(w.begun)
			return
		}
		w.resp.StatusCode, w.resp.Status, w.resp.Header = http.StatusOK, "200 OK", w.header.Clone()
		w.resp.ContentLength, w.resp.TransferEncoding = 0, nil
		close(w.begun)
	})
	_ = w.body.CloseWithError(err) // nil: io.EOF
}

// passOn gives a request that the cache has no part in to next, with the client's own ResponseWriter.
func (h *Handler) passOn(w http.ResponseWriter, r *http.Request, f forward) {
	to, _ := h.sites.of(r.Host, r.TLS != nil) // without which it would not be here
	asked, target := *r, *r.URL
	target.Scheme = to.origin.Scheme
	asked.URL, asked.Host = &target, to.host
	h.next.ServeHTTP(&passWriter{ResponseWriter: w, begin: func(code int) {
		params := "fwd=" + f.fwd + "; fwd-status=" + strconv.Itoa(code)
		if f.detail != "" {
			params += "; detail=" + f.detail
		}
		h.addStatus(w.Header(), params, "")
		h.invalidate(&http.Response{StatusCode: code, Header: w.Header(), Request: &asked})
	}}, r)
}

// A passWriter is a ResponseWriter that is told when the header of the response is there.
type passWriter struct {
	http.ResponseWriter
	begin func(code int)
	begun bool
}

// WriteHeader implements http.ResponseWriter, as does Write.
func (w *passWriter) WriteHeader(code int) {
	if !w.begun && (code >= 200 || code == http.StatusSwitchingProtocols) {
		w.begun = true
		w.begin(code)
	}
	w.ResponseWriter.WriteHeader(code)
}

func (w *passWriter) Write(b []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// FlushError is for http.ResponseController.
func (w *passWriter) FlushError() error {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Flush implements http.Flusher.
func (w *passWriter) Flush() { _ = w.FlushError() }

// Unwrap is for http.ResponseController, which hijacks by it.
func (w *passWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
