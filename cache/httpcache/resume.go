package httpcache

import (
	"context"
	"io"
	"net/http"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A resumer goes on with a body of which something is gone, with an instance or evicted: it has the response filled anew, and takes it for the same if the part that was sent is, byte for
// byte, and what its header says of the body.
type resumer struct {
	ask  *ask           // has what the origin is to see
	sent *xxhash.Digest // of all that the source has given
	done bool           // it was tried
}

// add notes what has been sent.
func (r *resumer) add(b []byte) {
	if r != nil {
		_, _ = r.sent.Write(b) // never fails
	}
}

// resume goes on where s broke off, since an instance is gone, or a chunk. If it cannot, it returns why.
func (s *source) resume(ctx context.Context, why error) ([]byte, error) {
	r := s.resumer
	if r == nil || r.done || s.off == 0 {
		return nil, why
	}
	r.done = true
	a := &ask{id: newID(), header: r.ask.Header(), method: http.MethodGet}
	get := s.h.cache.Get
	if why != errGone { // what is stored is not whole
		get, a.anew = s.h.cache.Refresh, true
	}
	o, err := get(withAsk(ctx, a), s.key)
	if err != nil || o.kind != kindResponse || !sameBody(s.o, o) {
		return nil, why
	}
	again, sum := s.h.newSource(s.key, o, 0, -1), xxhash.New()
	for left := s.off; ; {
		b, err := again.next(ctx)
		if err != nil && (err != io.EOF || left > 0) {
			return nil, why
		}
		n := min(left, int64(len(b)))
		_, _ = sum.Write(b[:n]) // never fails
		if left -= n; left > 0 {
			continue
		}
		if sum.Sum64() != r.sent.Sum64() {
			return nil, why
		}
		s.o, s.reader = again.o, again.reader
		return b[n:], err
	}
}

// sameBody reports whether two responses may have the same body, by what their headers say.
func sameBody(a, b *object) bool {
	if a.status != b.status || a.body.size >= 0 && b.body.size >= 0 && a.body.size != b.body.size || b.body.partial {
		return false
	}
	for _, name := range [...]string{"Etag", "Last-Modified", "Content-Type", "Content-Encoding"} {
		if !slices.Equal(a.header[name], b.header[name]) {
			return false
		}
	}
	return true
}
