package httpcache

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// serve answers with the response that was found.
func (h *Handler) serve(w http.ResponseWriter, l *lookup, now time.Time) error {
	o := l.o
	outcome := rules.Conditions(l.r.Header, o.header, o.status)
	if outcome == rules.Forward {
		h.count.bypassed.Add(1)
		h.pass(w, l.r, forward{fwdBypass, "conditional"})
		return nil
	}
	var first []byte
	var src *source
	ranges, unsatisfiable := h.ranges(l)
	status, whole := o.status, false
	switch {
	case outcome == rules.NotModified:
		status = http.StatusNotModified
	case unsatisfiable:
		status = http.StatusRequestedRangeNotSatisfiable
	case len(ranges) > 1:
		return h.serveRanges(w, l, ranges)
	case len(ranges) == 1:
		status = http.StatusPartialContent
		src = h.newSource(l.key, o, ranges[0].Start, ranges[0].Length)
	case l.r.Method == http.MethodHead || o.body.size == 0:
	case o.body.chunk == 0:
		whole = true
	default:
		src = h.newSource(l.key, o, 0, -1)
		src.resumer = &resumer{ask: &l.ask, sent: xxhash.New()}
	}
	if src != nil {
		var err error
		if first, err = src.next(l.r.Context()); err != nil && err != io.EOF {
			return err // before anything was sent
		}
	}
	header := w.Header()
	h.setHeader(header, l, now)
	switch status {
	case http.StatusNotModified:
		delete(header, "Content-Length")
		dropForNotModified(header)
	case http.StatusRequestedRangeNotSatisfiable:
		header["Content-Range"] = []string{"bytes */" + strconv.FormatInt(o.body.size, 10)}
		header["Content-Length"] = zeroLength
	case http.StatusPartialContent:
		if !o.body.odd || ranges[0].Length != int64(len(o.body.inline)) { // else it is what the origin said
			header["Content-Range"] = []string{contentRange(ranges[0], o.body.size)}
		}
		header["Content-Length"] = []string{strconv.FormatInt(ranges[0].Length, 10)}
	}
	w.WriteHeader(status)
	switch {
	case src != nil:
		h.copyBody(w, l.r, src, first)
	case whole:
		_, _ = w.Write(o.body.inline) // an error is the client's, who knows
	}
	return nil
}

var zeroLength = []string{"0"}

// bodyAllowed reports whether responses with a status may have a body (RFC 9110, 6.4.1).
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// ranges are those of the response that the request asks for. What is on its way with an unknown size has none.
func (h *Handler) ranges(l *lookup) ([]rules.Range, bool) {
	if l.o.status != http.StatusOK && !l.o.body.partial || l.o.body.size < 0 {
		return nil, false
	}
	ranges, unsatisfiable := rules.Ranges(l.r.Method, l.r.Header, l.o.header, l.o.body.size)
	b := &l.o.body
	if asked := l.r.Header["Range"]; b.partial && (len(asked) == 1 && asked[0] == b.asked && len(l.r.Header["If-Range"]) == 0 ||
		l.o.asker == l.ask.ID() && !slices.ContainsFunc(ranges, b.has)) {
		return []rules.Range{{Start: b.first, Length: int64(len(b.inline))}}, false // what the origin said to this request, or to the same one
	}
	return ranges, unsatisfiable
}

func contentRange(r rules.Range, size int64) string {
	return "bytes " + strconv.FormatInt(r.Start, 10) + "-" + strconv.FormatInt(r.Start+r.Length-1, 10) + "/" + strconv.FormatInt(size, 10)
}

// setHeader makes header that of a response from the cache.
func (h *Handler) setHeader(header http.Header, l *lookup, now time.Time) {
	o := l.o
	maps.Copy(header, o.header)
	age := o.ageAt(now)
	noSniffing(header)
	switch {
	case l.trace.Loaded && !l.stale:
		h.count.misses.Add(1)
		status := o.status
		if o.validated {
			status = http.StatusNotModified
		}
		params := "fwd=" + l.why + "; fwd-status=" + strconv.Itoa(status) + "; stored"
		if o.asker != l.ask.ID() {
			params += "; collapsed"
		}
		if o.body.size >= 0 && bodyAllowed(o.status) {
			header["Content-Length"] = []string{strconv.FormatInt(o.body.size, 10)}
		}
		if age >= time.Second {
			header["Age"] = []string{strconv.FormatInt(int64(age/time.Second), 10)}
		}
		h.addStatus(header, params+l.shownKey(), l.trace.Peer)
	default:
		if l.trace.Peer == "" {
			h.count.hits.Add(1)
		} else {
			h.count.peerHits.Add(1)
		}
		h.show(header, l, age)
	}
}

// show adds to the header of a hit what the cache says of it.
func (h *Handler) show(header http.Header, l *lookup, age time.Duration) {
	o, peer := l.o, l.trace.Peer
	seconds, ttl := int64(age/time.Second), int64((o.policy.lifetime-age)/time.Second)
	var s *showing
	if peer == "" && o.shown != nil {
		s = o.shown.now.Load()
	}
	if s == nil || s.age != seconds || s.ttl != ttl || s.size != o.body.size {
		s = &showing{age: seconds, ttl: ttl, size: o.body.size}
		s.fields.age = []string{strconv.FormatInt(seconds, 10)}
		s.fields.status = h.withStatus(o.header["Cache-Status"], "hit; ttl="+strconv.FormatInt(ttl, 10)+l.shownKey(), peer)
		s.fields.length = []string{strconv.FormatInt(max(o.body.size, 0), 10)}
		if peer == "" && o.shown != nil {
			o.shown.now.Store(s)
		}
	}
	header["Age"], header["Cache-Status"] = s.fields.age, s.fields.status
	if o.body.size >= 0 && bodyAllowed(o.status) {
		header["Content-Length"] = s.fields.length
	}
}

// dropForNotModified drops what a 304 does not say (RFC 9110, 15.4.5).
func dropForNotModified(header http.Header) {
	for name := range header {
		if strings.HasPrefix(name, "Content-") && name != "Content-Location" && name != "Content-Security-Policy" || name == "Last-Modified" && len(header["Etag"]) > 0 {
			delete(header, name)
		}
	}
}

// copyBody writes a body to the client, of which first has been read. Where it breaks off, so does the answer: the client must not take a part
// for the whole.
func (h *Handler) copyBody(w http.ResponseWriter, r *http.Request, src *source, first []byte) {
	var flush *http.ResponseController
	if src.o.body.live {
		flush = http.NewResponseController(w)
	}
	for b := first; ; {
		if len(b) > 0 {
			if _, err := w.Write(b); err != nil {
				return // the client's, who knows
			}
		}
		if flush != nil {
			_ = flush.Flush() // the next bytes may be long in coming
		}
		var err error
		if b, err = src.next(r.Context()); err == io.EOF {
			break
		} else if err != nil {
			if errors.Is(err, errNoChunk) && src.key != "" && !src.o.body.live {
				h.forget(src.key)
			}
			h.brokeOff(r, err)
		}
	}
	for name, values := range src.trailer {
		w.Header()[http.TrailerPrefix+name] = values
	}
}

// forget removes a response of which a part is gone that was not missed before a client had the parts in front of it: the next one gets it anew.
func (h *Handler) forget(key string) {
	h.background.start(key, func() {
		ctx, cancel := context.WithTimeout(h.closing, invalidateTimeout)
		defer cancel()
		if err := h.cache.Remove(ctx, key); err != nil && h.closing.Err() == nil {
			h.cfg.Logger.Warn("httpcache: a response that is not whole was not removed everywhere", "key", key, "error", err)
		}
	})
}

// brokeOff ends a request whose answer has begun and cannot be ended well.
func (h *Handler) brokeOff(r *http.Request, err error) {
	if r.Context().Err() == nil {
		h.cfg.Logger.Warn("httpcache: a body broke off", "url", r.URL.Redacted(), "error", err)
	}
	panic(http.ErrAbortHandler)
}

// serveRanges answers with several ranges (RFC 9110, 14.6).
func (h *Handler) serveRanges(w http.ResponseWriter, l *lookup, ranges []rules.Range) error {
	o := l.o
	var random [16]byte
	rand.Read(random[:])
	boundary := hex.EncodeToString(random[:])
	heads, length := make([]string, len(ranges)), int64(0)
	for i, r := range ranges {
		head := "\r\n--" + boundary + "\r\n"
		if t := o.header["Content-Type"]; len(t) > 0 {
			head += "Content-Type: " + textproto.TrimString(t[0]) + "\r\n"
		}
		heads[i] = head + "Content-Range: " + contentRange(r, o.body.size) + "\r\n\r\n"
		length += int64(len(heads[i])) + r.Length
	}
	end := "\r\n--" + boundary + "--\r\n"
	src := h.newSource(l.key, o, ranges[0].Start, ranges[0].Length)
	first, err := src.next(l.r.Context())
	if err != nil {
		return err
	}
	header := w.Header()
	h.setHeader(header, l, time.Now())
	delete(header, "Content-Range")
	header["Content-Type"] = []string{"multipart/byteranges; boundary=" + boundary}
	header["Content-Length"] = []string{strconv.FormatInt(length+int64(len(end)), 10)}
	w.WriteHeader(http.StatusPartialContent)
	for i, r := range ranges {
		if i > 0 {
			src, first = h.newSource(l.key, o, r.Start, r.Length), nil
		}
		_, _ = io.WriteString(w, heads[i]) // an error is the client's, who knows
		h.copyBody(w, l.r, src, first)
	}
	_, _ = io.WriteString(w, end)
	return nil
}

var errClaimGone = errors.New("httpcache: the response that must not be shared is gone")

// serveClaim answers with the response that nobody but this request is to get, from the instance that has it.
func (h *Handler) serveClaim(w http.ResponseWriter, l *lookup) error {
	ctx, mark := l.r.Context(), l.o
	head, err := h.claimed(ctx, mark)
	if err != nil {
		return err
	}
	if f := h.flows.get(mark.claim); f != nil {
		defer f.attend()()
	}
	h.count.passed.Add(1)
	src := h.newSource("", head, 0, -1)
	header := w.Header()
	maps.Copy(header, head.header)
	noSniffing(header)
	h.addStatus(header, "fwd="+l.why+"; fwd-status="+strconv.Itoa(head.status)+"; detail="+mark.why+l.shownKey(), l.trace.Peer)
	if head.body.size >= 0 && bodyAllowed(head.status) && l.r.Method != http.MethodHead {
		header["Content-Length"] = []string{strconv.FormatInt(head.body.size, 10)}
	}
	status := head.status
	if status == http.StatusOK && head.body.size > 0 && l.r.Method == http.MethodGet && fromStart(l.r.Header) {
		status = http.StatusPartialContent // some players take nothing else for an answer
		header["Content-Range"] = []string{contentRange(rules.Range{Length: head.body.size}, head.body.size)}
	}
	w.WriteHeader(status)
	if l.r.Method == http.MethodHead {
		return nil
	}
	_ = http.NewResponseController(w).Flush()
	h.copyBody(w, l.r, src, nil)
	return nil
}

// claimed is the header of the response that a mark stands for.
func (h *Handler) claimed(ctx context.Context, mark *object) (*object, error) {
	if mark.at == h.self {
		f := h.flows.get(mark.claim)
		if f == nil || f.head == nil {
			return nil, errClaimGone
		}
		return f.head, nil
	}
	head, err := h.cache.Get(ctx, directKey(mark.at, "head", mark.claim))
	if err != nil {
		return nil, err
	}
	if head.kind != kindResponse {
		return nil, errClaimGone
	}
	return head, nil
}
