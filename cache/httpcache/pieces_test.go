package httpcache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// A piece of a body comes some time after the one before; or the body ends then, with an error.
type piece struct {
	after time.Duration
	text  string
	err   error
}

var errBroken = errors.New("connection reset by peer")

// streaming is an origin whose header comes after a time, and its body then in pieces. With a length of -1 nobody knows how much there is.
func streaming(header string, latency time.Duration, length int64, pieces ...piece) *fakeOrigin {
	return &fakeOrigin{answer: func(r *http.Request) (*http.Response, error) {
		if err := sleep(r.Context(), latency); err != nil {
			return nil, err
		}
		return streamed(r.Context(), header, length, pieces...), nil
	}}
}

// streamed is a response whose body comes in pieces.
func streamed(ctx context.Context, header string, length int64, pieces ...piece) *http.Response {
	resp := response(200, header, "Transfer-Encoding: chunked", "", "0\r\n\r\n")
	resp.Body = &pieceBody{ctx: ctx, pieces: pieces}
	if resp.ContentLength = length; length >= 0 {
		resp.TransferEncoding = nil
	}
	return resp
}

// sleep is time.Sleep that ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

type pieceBody struct {
	ctx    context.Context
	pieces []piece
	rest   string
}

func (b *pieceBody) Read(p []byte) (int, error) {
	for b.rest == "" {
		if len(b.pieces) == 0 {
			return 0, io.EOF
		}
		next := b.pieces[0]
		if err := sleep(b.ctx, next.after); err != nil {
			return 0, err
		}
		if next.err != nil {
			return 0, next.err
		}
		b.pieces, b.rest = b.pieces[1:], next.text
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

func (b *pieceBody) Close() error { return nil }

// text is n bytes of which no two places look the same.
func text(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString("<")
		b.WriteString(time.Duration(i * 1e9).String())
		b.WriteString(">")
	}
	return b.String()[:n]
}

// repeated is a piece n times.
func repeated(p piece, n int) []piece {
	pieces := make([]piece, n)
	for i := range pieces {
		pieces[i] = p
	}
	return pieces
}
