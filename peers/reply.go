package peers

import (
	"bufio"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// A replyReader reads the reply to a request that was signed with req.
type replyReader struct {
	p      *peer
	src    source
	br     *bufio.Reader
	signed bool
	req    mac
	seq    uint64
	heard  func()
}

// readReply hands each answer in body to deliver and returns what the reply's end says, or what is
// wrong with it. Nothing is delivered that is not genuine.
func (p *peer) readReply(body io.Reader, q *wire.Request, req mac, deliver func(int, cache.Answer), heard func()) (verdict, error) {
	r := &replyReader{p: p, src: source{r: body}, br: readers.Get().(*bufio.Reader), req: req, heard: heard}
	r.br.Reset(&r.src)
	defer func() {
		r.br.Reset(nil)
		readers.Put(r.br)
	}()
	signed, err := wire.ReadPreface(r.br)
	if err != nil {
		return failed, r.broken(err)
	}
	if p.pool.signer != nil && !signed {
		return failed, p.fault(ErrNotAuthentic, "does not prove that it has the Secret: is Secret set there too, or has another program its address?", nil)
	}
	r.signed = signed && p.pool.signer != nil
	return r.frames(q, deliver, signed)
}

// frames reads up to the end, and sees to it that each key was answered once.
func (r *replyReader) frames(q *wire.Request, deliver func(int, cache.Answer), signed bool) (verdict, error) {
	keys := q.Answers()
	limit := q.MaxValue + wire.AnswerOverhead
	done := make([]bool, keys)
	notices := 0 // that a load is queued: one for each key at most
	for left := keys; ; {
		f, err := r.next(limit, signed)
		if err != nil {
			var e *Error
			if errors.As(err, &e) {
				return failed, err
			}
			return failed, r.broken(err)
		}
		r.heard()
		switch f.Type {
		case wire.TypeAnswer:
			k, err := wire.DecodeAnswer(f.Payload)
			queued := err == nil && k.Status == cache.StatusQueued
			if queued {
				notices++
			}
			if err == nil && (k.Index >= keys || done[k.Index] || notices > keys || queued && k.Last) {
				err = fmt.Errorf("answer: key %d of %d was not asked for, or answered twice", k.Index, keys)
			}
			if err != nil {
				return failed, r.broken(err)
			}
			if !queued {
				done[k.Index] = true
				left--
			}
			deliver(k.Index, k.Answer)
			if k.Last {
				return r.end(wire.End{Epoch: k.Epoch}, left)
			}
		case wire.TypeEnd:
			e, err := wire.DecodeEnd(f.Payload)
			if err != nil {
				return failed, r.broken(err)
			}
			return r.end(e, left)
		} // others are skipped
	}
}

// next returns the next frame, if it is genuine.
func (r *replyReader) next(limit uint64, signed bool) (wire.Frame, error) {
	f, signature, err := wire.ReadFrame(r.br, limit, signed)
	if err != nil || !r.signed {
		return f, err
	}
	want := r.p.pool.signer.frame(&r.req, r.seq, byte(f.Type), nil, f.Payload)
	if !hmac.Equal(signature, want[:]) {
		return f, r.p.fault(ErrNotAuthentic, "sent a reply that is not signed with the Secret: was it changed on the way, or has another program its address?", nil)
	}
	r.seq++
	return f, nil
}

// end returns what a reply says that ended with left keys unanswered.
func (r *replyReader) end(e wire.End, left int) (verdict, error) {
	// This also lets the connection be used again.
	n, err := r.br.Read(make([]byte, 1))
	if n > 0 {
		err = errors.New("reply: something follows its end")
	}
	if err != io.EOF {
		return failed, r.broken(err)
	}
	p := r.p
	p.epochs.note(p.pool, p.url, e.Epoch)
	if e.Code == wire.OK && left > 0 {
		return failed, r.broken(fmt.Errorf("reply: %d keys were not answered", left))
	}
	return p.codeError(e)
}

func (r *replyReader) broken(err error) error {
	if r.src.err != nil && r.src.err != io.EOF {
		return r.p.fault(ErrUnreachable, "broke off its reply", notContexts(r.src.err))
	}
	return r.p.fault(ErrProtocol, "sent a reply that makes no sense", err)
}

// A source keeps the error that ended a body, so that a broken connection is told from a broken reply.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil {
		s.err = err
	}
	return n, err
}

// codeError returns the error that the end of a reply stands for, nil for OK.
func (p *peer) codeError(e wire.End) (verdict, error) {
	said := ""
	if e.Message != "" {
		said = ": " + e.Message
	}
	fault := func(v verdict, kind error, format string, args ...any) (verdict, error) {
		return v, p.fault(kind, fmt.Sprintf(format, args...), nil)
	}
	switch e.Code {
	case wire.OK:
		return answered, nil
	case wire.UnknownCache:
		return fault(answered, cache.ErrUnknownCache, "has no cache of this name%s", said)
	case wire.VersionMismatch:
		return fault(answered, cache.ErrVersionMismatch, "runs another Version of this cache%s", said)
	case wire.BadRequest:
		return fault(answered, ErrBadRequest, "does not understand the request (do both run compatible programs?)%s", said)
	case wire.TooLarge:
		return fault(answered, ErrTooLarge, "takes no request of this size (raise Config.MaxValueBytes there)%s", said)
	case wire.Overloaded:
		return fault(answered, ErrOverloaded, "serves too many requests already (add instances, or raise Config.MaxInFlight there)%s", said)
	case wire.Misdirected:
		return fault(final, ErrMisdirected, "is an instance whose Config.Self is %s: list each instance under its own Self", e.Message)
	case wire.Self:
		return fault(final, ErrSelf, "is this instance itself, whose Self is %s: list one address per instance", p.pool.self)
	case wire.Closed:
		return fault(final, ErrClosed, "is shutting down")
	case wire.Unsupported:
		return fault(answered, ErrUnsupported, "does not support what it is asked for (it runs an older program)%s", said)
	case wire.Timeout:
		return answered, &Error{Peer: p.url, Kind: context.DeadlineExceeded, Detail: "ran out of the time that the request had"}
	}
	return fault(answered, ErrFailed, "failed to serve the request%s", said)
}
