package httpcache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// A partEnd says what follows a part of a body.
type partEnd uint8

const (
	partMore       partEnd = iota // there is more, or may be
	partLast                      // nothing: that was all. The part has no bytes, and the trailer
	partHandedOver                // the chunk that it is in is stored elsewhere
	partGone                      // the instance knows nothing of this body
	partCut                       // nothing: it broke off
)

var (
	errTooLong = errors.New("httpcache: the body is longer than MaxObjectBytes")
	errNoChunk = errors.New("httpcache: a chunk of a stored body is gone")
	errCut     = errors.New("httpcache: the body broke off")
	errGone    = fmt.Errorf("%w: the instance that it came to is gone", errCut)
)

// storeChunks stores the chunks of a flow with their owners, as they come, to the end of it.
func (h *Handler) storeChunks(ctx context.Context, o *object, f *flow) error {
	for i := int64(0); ; i++ {
		switch b, err := f.awaitBlock(ctx, i); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case i*h.chunk+int64(len(b)) > h.cfg.MaxObjectBytes:
			f.window()
			return errTooLong
		}
		if _, err := h.chunkOf(ctx, "", o, i); err != nil {
			f.window()
			return err
		}
		f.handOver(i)
	}
}

// chunkOf gets a chunk of the body of the response with a key from the chunk's owner. If he has to, he gets it from the instance that
// the body comes to, or else anew from the origin.
func (h *Handler) chunkOf(ctx context.Context, key string, o *object, i int64) ([]byte, error) {
	a := &ask{from: o.body.at, of: baseOf(key), keepFor: o.left(time.Now())}
	if tag := o.header["Etag"]; len(tag) == 1 && strings.HasPrefix(tag[0], `"`) && o.body.size > 0 && len(o.variant.fields) == 0 {
		last := min((i+1)*o.body.chunk, o.body.size) - 1
		a.header = http.Header{"If-Range": tag, "Range": {fmt.Sprintf("bytes=%d-%d", i*o.body.chunk, last)}}
	}
	c, err := h.cache.Get(withAsk(ctx, a), chunkKey(o.body.id, i))
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, cache.ErrOverloaded) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errNoChunk, err)
	}
	return c.body.inline, nil
}

// loadChunk is the loader of a chunk, at its owner.
func (h *Handler) loadChunk(ctx context.Context, key string) (cache.Entry[*object], error) {
	a := askOf(ctx)
	if a.from != "" || h.cfg.Peers == nil {
		id, i, _ := strings.Cut(key[1:], "\x00")
		c, err := h.cache.Get(ctx, directKey(a.from, "chunk", id, i))
		if err == nil && c.part == partMore && len(c.body.inline) > 0 {
			return cache.Entry[*object]{Value: c, TTL: max(c.keep, 1)}, nil
		}
	}
	c, err := h.repair(ctx, a)
	if err != nil {
		return cache.Entry[*object]{}, err
	}
	return cache.Entry[*object]{Value: c, TTL: max(a.keepFor, 1)}, nil
}

// repair gets a chunk that was evicted, or went with its instance, from the origin, if that still has the same.
func (h *Handler) repair(ctx context.Context, a *ask) (*object, error) {
	if len(a.header) == 0 {
		return nil, errNoChunk
	}
	done, err := h.turn(ctx, a.of)
	if err != nil {
		return nil, err
	}
	x := h.newExchange(ctx, a.of, a, nil, done)
	h.count.fills.Add(1)
	if err := x.send(); err != nil {
		x.done()
		return nil, err
	}
	defer x.discard()
	resp := x.resp
	cr, ok := rules.ParseContentRange(resp.Header)
	if resp.StatusCode != http.StatusPartialContent || !ok || !rules.SameRepresentation(resp.Header, http.Header{"Etag": a.header["If-Range"]}) ||
		a.header["Range"][0] != fmt.Sprintf("bytes=%d-%d", cr.Start, cr.Start+cr.Length-1) || cr.Length > h.chunk {
		return nil, errNoChunk
	}
	b := make([]byte, cr.Length)
	if _, err := io.ReadFull(resp.Body, b); err != nil {
		return nil, originError(err)
	}
	return &object{kind: kindBytes, keep: a.keepFor, body: body{inline: b}}, nil
}

// answerDirect does what another instance asks this one for: to read a flow, or tell of it. Nothing of it is kept.
func (h *Handler) answerDirect(ctx context.Context, key string) (cache.Entry[*object], error) {
	_, rest, _ := strings.Cut(key, "\x00")
	parts := strings.Split(rest, "\x00")
	if len(parts) < 2 {
		return cache.Entry[*object]{}, fmt.Errorf("httpcache: there is no key %q", key)
	}
	if parts[0] == "soft" && len(parts) >= 3 {
		h.purges.note(parts[1], parts[2], parts[3:])
		return unkept(&object{kind: kindMark, at: h.self}), nil
	}
	if parts[0] == "who" && len(parts) >= 3 {
		return unkept(&object{kind: kindMark, asker: h.askers.get(strings.Join(parts[2:], "\x00"))}), nil
	}
	f := h.flows.get(parts[1])
	if f == nil {
		return unkept(&object{kind: kindBytes, part: partGone}), nil
	}
	switch {
	case parts[0] == "head" && f.head != nil:
		return unkept(f.head), nil
	case parts[0] == "read" && len(parts) == 4:
		off, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil || off < 0 {
			break
		}
		// Whoever asks is told in time that there is nothing yet: he has to tell it from an instance that does not answer.
		ctx, cancel := context.WithTimeout(ctx, h.cfg.FillTimeout/2)
		defer cancel()
		b, err := f.read(ctx, parts[3], off)
		return unkept(partOf(f, b, err)), nil
	case parts[0] == "chunk" && len(parts) == 3 && f.head == nil:
		i, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil || i < 0 {
			break
		}
		b, err := f.awaitBlock(ctx, i)
		return unkept(partOf(f, b, err)), nil
	}
	return cache.Entry[*object]{}, fmt.Errorf("httpcache: there is no key %q", key)
}

func unkept(o *object) cache.Entry[*object] { return cache.Entry[*object]{Value: o, TTL: -1} }

// partOf is what reading a flow gave.
func partOf(f *flow, b []byte, err error) *object {
	o := &object{kind: kindBytes, keep: f.keep, body: body{inline: b}}
	switch {
	case err == io.EOF:
		o.part, o.header = partLast, f.trailerOf()
	case errors.Is(err, errHandedOver):
		o.part = partHandedOver
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled): // there was nothing yet
	case err != nil:
		o.part = partCut
	}
	return o
}

// trailerOf is the trailer of a flow that has ended well.
func (f *flow) trailerOf() http.Header {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := make(http.Header, len(f.trailer))
	for name, values := range f.trailer {
		if len(values) > 0 && validField(name, "") {
			t[name] = values
		}
	}
	return t
}
