package httpcache

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
)

// A source reads the body of a response, wherever its bytes are.
type source struct {
	h       *Handler
	key     string // of the response
	o       *object
	off     int64 // of what comes next
	end     int64 // behind the last byte that is wanted; -1: the end of the body
	reader  string
	trailer http.Header // once next has returned io.EOF
	resumer *resumer    // nil: what breaks off is not gone on with
}

// newSource returns a source of length bytes from off on, all if length is negative.
func (h *Handler) newSource(key string, o *object, off, length int64) *source {
	s := &source{h: h, key: key, o: o, off: off, end: -1}
	if length >= 0 {
		s.end = off + length
	}
	return s
}

// next returns what comes next, and waits on ctx. The error is io.EOF behind the last byte. Nobody may change the bytes.
func (s *source) next(ctx context.Context) ([]byte, error) {
	if s.end >= 0 && s.off >= s.end {
		return nil, io.EOF
	}
	b, err := s.read(ctx)
	if (err == errGone || errors.Is(err, errNoChunk)) && ctx.Err() == nil {
		b, err = s.resume(ctx, err)
	}
	if s.end >= 0 {
		b = b[:min(int64(len(b)), s.end-s.off)]
	}
	s.off += int64(len(b))
	s.resumer.add(b)
	return b, err
}

func (s *source) read(ctx context.Context) ([]byte, error) {
	if s.o.body.live {
		b, err := s.follow(ctx)
		if err != errHandedOver {
			return b, err
		}
		return s.chunk(ctx)
	}
	body := &s.o.body
	switch {
	case body.chunk > 0 && s.off < body.size:
		return s.chunk(ctx)
	case body.chunk == 0 && s.off-body.first < int64(len(body.inline)):
		return body.inline[s.off-body.first:], nil
	}
	return nil, io.EOF
}

// follow reads what is on its way.
func (s *source) follow(ctx context.Context) ([]byte, error) {
	body := &s.o.body
	if s.reader == "" {
		s.reader = newID()
	}
	if f := s.h.flows.get(body.id); f != nil && body.at == s.h.self {
		b, err := f.read(ctx, s.reader, s.off)
		if err == io.EOF {
			s.trailer = f.trailerOf()
		}
		return b, err
	}
	for body.at != s.h.self {
		p, err := s.h.cache.Get(ctx, directKey(body.at, "read", body.id, strconv.FormatInt(s.off, 10), s.reader))
		switch {
		case err != nil && ctx.Err() == nil:
			return s.again(ctx)
		case err != nil:
			return nil, err
		case p.part == partHandedOver:
			return nil, errHandedOver
		case p.part == partCut:
			return nil, errCut
		case p.part == partLast:
			s.trailer = p.header
			return nil, io.EOF
		case p.part == partGone:
			return s.again(ctx)
		case len(p.body.inline) > 0:
			return p.body.inline, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		}
	}
	return s.again(ctx)
}

// again goes on with what is stored by now of a response whose body was on its way.
func (s *source) again(ctx context.Context) ([]byte, error) {
	if s.key == "" {
		return nil, errGone
	}
	o, err := s.h.cache.Get(withAsk(ctx, &ask{id: newID(), cached: true}), s.key)
	if err != nil || o.kind != kindResponse || o.body.live || o.body.id != s.o.body.id {
		return nil, errGone
	}
	s.o = o
	return s.read(ctx)
}

// chunk reads what is stored in a chunk.
func (s *source) chunk(ctx context.Context) ([]byte, error) {
	size := s.o.body.chunk
	b, err := s.h.chunkOf(ctx, s.key, s.o, s.off/size)
	if err != nil {
		return nil, err
	}
	if from := s.off % size; from < int64(len(b)) {
		return b[from:], nil
	}
	return nil, errCut
}
