package httpcache

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// oneRange is the Range of a request that may be passed on to the origin for a fill: a single one of bytes, with no If-Range.
func oneRange(h http.Header) []string {
	lines := h["Range"]
	if len(lines) != 1 || len(h["If-Range"]) > 0 || strings.Contains(lines[0], ",") || !strings.HasPrefix(lines[0], "bytes=") || fromStart(h) {
		return nil
	}
	return lines
}

// fromStart reports whether the Range of a request is all that there is, as browsers begin with films. The origin is asked for it without a Range: what
// is long is stored if it is whole, and not as a part.
func fromStart(h http.Header) bool {
	lines := h["Range"]
	return len(lines) == 1 && lines[0] == "bytes=0-" && len(h["If-Range"]) == 0
}

// missing is the Range of what is missing of a part that is stored, and ok if that is one range.
func (b *body) missing() (string, bool) {
	end := b.first + int64(len(b.inline))
	switch {
	case b.odd:
	case b.first == 0 && end < b.size:
		return "bytes=" + strconv.FormatInt(end, 10) + "-", true
	case b.first > 0 && end == b.size:
		return "bytes=0-" + strconv.FormatInt(b.first-1, 10), true
	}
	return "", false
}

// has reports whether what is stored of a body has all of a range.
func (b *body) has(r rules.Range) bool {
	return !b.partial || r.Start >= b.first && r.Start+r.Length <= b.first+int64(len(b.inline))
}

// part returns the entry of a 206: of what was asked for, as a part that is stored (RFC 9111, 3.3); or of the whole, if what was missing
// of it was asked for (3.4).
func (x *exchange) part(e *rules.Exchange, p *rules.Policy) (cache.Entry[*object], error) {
	cr, ok := rules.ParseContentRange(e.Header)
	n := x.resp.ContentLength
	if !ok || cr.Size < 0 || cr.Size > x.h.chunk || n < 0 || n > cr.Length {
		return x.mark(rules.WhyPartial)
	}
	// Of one that has less than it says nobody can tell which of the two is wrong. Its bytes are placed by where they begin, as the client does who
	// asked for them. They are not combined with others, and nothing is said of what is behind them.
	odd := n < cr.Length
	cr.Length = n
	if s := x.stored; s != nil && s.body.partial {
		from := s.body.first + int64(len(s.body.inline))
		fits := cr.Start == from || cr.Start+cr.Length == s.body.first
		if odd || s.body.odd || !fits || cr.Size != s.body.size || !rules.SameRepresentation(s.header, e.Header) {
			return x.again()
		}
	}
	b := make([]byte, cr.Length)
	_, err := io.ReadFull(x.resp.Body, b)
	x.discard()
	if err != nil {
		x.h.count.fillErrors.Add(1)
		return cache.Entry[*object]{}, originError(err)
	}
	o := x.object(e, p)
	o.body = body{id: newID(), size: cr.Size, first: cr.Start, partial: true, odd: odd, inline: b}
	o.body.asked = strings.Join(x.resp.Request.Header["Range"], ",")
	if s := x.stored; s != nil && s.body.partial {
		before, after := s.body.inline, b
		if cr.Start < s.body.first {
			before, after = b, s.body.inline
		}
		o.body.asked = ""
		o.body.first = min(cr.Start, s.body.first)
		o.body.inline = append(before[:len(before):len(before)], after...)
		o.header = rules.StoredHeader(&rules.Exchange{Header: rules.Freshen(s.header, e.Header)}, p)
	}
	if o.body.first == 0 && int64(len(o.body.inline)) == o.body.size {
		o.status, o.body.partial = http.StatusOK, false
		delete(o.header, "Content-Range")
	}
	return again(o), nil
}
