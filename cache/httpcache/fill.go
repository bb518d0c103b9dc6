package httpcache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

const (
	markTTL       = 10 * time.Second // how long a mark keeps requests from being collapsed
	markTTLFailed = time.Second      // after a status of 500 or more
)

var errOtherOrigin = errors.New("httpcache: another instance asks for a URL of another origin: give all the same Config.Origin")

// fill is the cache's loader: it asks the origin, for everybody. What it returns is to be shared, or a mark; a
// response that must not be shared does not get out of here.
//
// It goes on when those who wait for it have left, be they clients or an instance that was killed: the origin has
// been asked, and what it says is kept for the next one. So ctx ends it at its deadline, or with Close, alone.
func (h *Handler) fill(ctx context.Context, key string) (cache.Entry[*object], error) {
	deadline, _ := ctx.Deadline()
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline)
	defer cancel()
	defer context.AfterFunc(h.closing, cancel)()

	h.count.fills.Add(1)
	o, err := h.ask(ctx, key)
	switch {
	case err != nil:
		h.count.fillErrors.Add(1)
		h.cfg.Logger.Warn("httpcache: the origin did not answer", "key", key, "error", err)
		return cache.Entry[*object]{}, err
	case o.pass == whyServerError:
		h.count.marks.Add(1)
		return cache.Entry[*object]{Value: o, TTL: markTTLFailed}, nil
	case o.pass != "":
		h.count.marks.Add(1)
		return cache.Entry[*object]{Value: o, TTL: markTTL}, nil
	}
	return cache.Entry[*object]{Value: o, TTL: o.lifetime - o.age}, nil
}

// ask asks the origin for the URL of key.
func (h *Handler) ask(ctx context.Context, key string) (*object, error) {
	u, ok := h.target(key)
	if !ok {
		return nil, errOtherOrigin
	}
	req := (&http.Request{
		Method: http.MethodGet,
		URL:    u,
		Host:   u.Host,
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{
			"Accept":          {"*/*"},
			"Accept-Encoding": {"identity"},
			"User-Agent":      {"fleetcache"},
			"Via":             {h.via},
		},
	}).WithContext(ctx)
	sent := time.Now()
	resp, err := h.filling.RoundTrip(req)
	if err != nil {
		return nil, originError(err)
	}
	defer resp.Body.Close()
	arrived := time.Now()

	lifetime, why := judgeResponse(resp)
	if why != "" {
		return &object{pass: why}, nil
	}
	age, date, ok := initialAge(resp.Header, sent, arrived)
	switch {
	case !ok:
		return &object{pass: whyAge}, nil
	case age >= lifetime:
		return &object{pass: whyFreshness}, nil
	}
	o := &object{status: resp.StatusCode, header: storedHeader(resp.Header, date), lifetime: lifetime, age: age, arrived: arrived}
	room := h.cfg.MaxObjectBytes - o.size()
	body, whole, err := readBody(resp, room)
	switch {
	case err != nil:
		return nil, originError(err)
	case !whole, lines(o.header) > maxLines:
		return &object{pass: whyTooLarge}, nil
	case len(resp.Trailer) > 0: // not announced
		return &object{pass: whyFraming}, nil
	}
	o.body = body
	return o, nil
}

// readBody reads a body of at most limit bytes; whole is false if there are more. A body
// that ends before its time is an error.
func readBody(resp *http.Response, limit int64) (body []byte, whole bool, err error) {
	length := resp.ContentLength
	if limit < 0 || length > limit {
		return nil, false, nil
	}
	if length >= 0 {
		body = make([]byte, length)
		if _, err = io.ReadFull(resp.Body, body); err != nil {
			return nil, false, fmt.Errorf("the body was cut short: %w", err)
		}
		// A Transport that is not net/http's may say less than it has.
		if n, err := resp.Body.Read(make([]byte, 1)); n > 0 || err != nil && err != io.EOF {
			return nil, false, fmt.Errorf("the body is not as long as its Content-Length of %d: %w", length, errors.Join(err, io.ErrUnexpectedEOF))
		}
		return body, true, nil
	}
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, false, fmt.Errorf("the body was cut short: %w", err)
	}
	if n > limit {
		return nil, false, nil
	}
	return bytes.Clone(buf.Bytes()), true, nil // without the room to grow
}

func lines(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}

// originError is err, such that a time-out of any kind is a context.DeadlineExceeded: other
// instances are told of it as one.
func originError(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("httpcache: %w: %w", context.DeadlineExceeded, err)
	}
	return fmt.Errorf("httpcache: %w", err)
}

func isTimeout(err error) bool { return errors.Is(originError(err), context.DeadlineExceeded) }
