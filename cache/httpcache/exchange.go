package httpcache

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// An exchange is one request to the origin that is under way, for everybody or for the one who asked, as it turns out.
type exchange struct {
	h      *Handler
	key    string
	ask    *ask
	stored *object // that is validated; nil if there is none
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // ends it when nothing comes for FillTimeout
	alone  bool        // its response is for one request alone, which may wait for it as it likes
	back   func()      // gives the turn back, once
	done   func()      // ends it
	all    bool        // all of it is asked for, whatever the request wants

	sent, arrived time.Time
	resp          *http.Response
}

var errOriginSilent = fmt.Errorf("httpcache: the origin sent nothing for longer than FillTimeout: %w", context.DeadlineExceeded)

// newExchange begins an exchange. It is not ended by those who wait for it, be they clients or other instances: the origin has been asked, and what it
// says is kept for the next one. It ends when nothing comes for FillTimeout, or with Close.
func (h *Handler) newExchange(ctx context.Context, key string, a *ask, stored *object, done func()) *exchange {
	x := &exchange{h: h, key: key, ask: a, stored: stored, back: sync.OnceFunc(done)}
	x.ctx, x.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(h.closing, func() { x.cancel(context.Canceled) })
	x.timer = time.AfterFunc(h.cfg.FillTimeout, func() { x.cancel(errOriginSilent) })
	x.done = func() {
		x.timer.Stop()
		stop()
		x.cancel(context.Canceled)
		x.back()
	}
	return x
}

// send asks the origin and waits for the header of its response.
func (x *exchange) send() error {
	u, host, ok := x.h.target(baseOf(x.key))
	if !ok {
		return errOtherOrigin
	}
	req := x.request(u, host)
	x.sent = time.Now()
	resp, err := x.h.filling.RoundTrip(req) //nolint:bodyclose // discard closes it, or pump
	if err != nil {
		if cause := context.Cause(x.ctx); cause != nil {
			err = fmt.Errorf("%w (%w)", cause, err)
		}
		return originError(err)
	}
	x.arrived, x.resp = time.Now(), resp
	x.h.latency.add(x.arrived.Sub(x.sent))
	x.timer.Reset(x.h.cfg.FillTimeout)
	return nil
}

// request is what the origin is asked. Nothing of the address comes from the client but the path and the query, and the host
// with PreserveHost.
func (x *exchange) request(u *url.URL, host string) *http.Request {
	header := make(http.Header, len(x.ask.Header())+4)
	maps.Copy(header, x.ask.Header())
	asked := oneRange(x.ask.Header())
	for _, name := range conditional {
		delete(header, name)
	}
	header.Add("Via", x.h.via)
	header.Add("Cdn-Loop", x.h.loop)
	if x.h.surrogate {
		header.Add("Surrogate-Capability", `fleetcache="Surrogate/1.0"`)
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = nil // not net/http's
	}
	method := http.MethodGet
	switch {
	case x.ask.of != "": // a chunk
		header["Range"], header["If-Range"] = x.ask.header["Range"], x.ask.header["If-Range"]
	case x.stored == nil:
		if asked != nil && x.ask.method == http.MethodGet && !x.all {
			header["Range"] = asked
		}
	case x.stored.body.partial:
		if missing, ok := x.stored.body.missing(); ok {
			header["Range"] = []string{missing}
			if tag := x.stored.header["Etag"]; len(tag) == 1 {
				header["If-Range"] = tag // a weak one never matches: then all of it comes
			}
		}
	default:
		if x.ask.method == http.MethodHead {
			method = http.MethodHead
		} else if fields, ok := rules.Validation(x.stored.header); ok {
			maps.Copy(header, fields)
		}
	}
	return (&http.Request{
		Method: method, URL: u, Host: host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
	}).WithContext(withHints(x.ctx, &x.ask.hints))
}

// conditional are the fields of a request that are answered from what is stored.
var conditional = []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"}

// newFlow returns a flow for the body of the response, and what is told of that while it is on its way.
func (x *exchange) newFlow() (*flow, body) {
	size := x.resp.ContentLength
	f := newFlow(x.h.chunk, min(max(size, 0), x.h.chunk))
	return f, body{id: f.id, size: size, chunk: x.h.chunk, live: true, at: x.h.self}
}

// pump reads the body into f, to its end.
func (x *exchange) pump(f *flow) {
	defer x.done()
	defer x.resp.Body.Close()
	err := x.copyBody(f)
	if err == io.EOF {
		f.finish(io.EOF, x.resp.Trailer)
		return
	}
	if cause := context.Cause(x.ctx); cause != nil {
		err = cause
	}
	f.finish(fmt.Errorf("httpcache: the body was cut short: %w", err), nil)
}

func (x *exchange) copyBody(f *flow) error {
	length := x.resp.ContentLength
	if x.resp.Request != nil && x.resp.Request.Method == http.MethodHead {
		length = 0
	}
	total := int64(0)
	for {
		x.timer.Stop() // the wait for readers is not the origin's fault
		room, err := f.room(x.ctx)
		if err != nil {
			return err
		}
		if !x.alone {
			x.timer.Reset(x.h.cfg.FillTimeout)
		}
		n, err := x.resp.Body.Read(room)
		if total += int64(n); length >= 0 && total > length {
			return fmt.Errorf("it is longer than its Content-Length of %d", length)
		}
		f.add(n)
		if err == io.EOF && length >= 0 && total < length {
			return io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
}
