package rules

import (
	"net/http"
	"slices"
	"strings"
)

// hopByHop are the fields that are between two ends of a connection (RFC 9110, 7.6.1), or must not be
// stored (RFC 9111, 3.1).
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
}

// HopByHop are the fields of h that are between two ends of a connection, and go no further (RFC 9110, 7.6.1).
func HopByHop(h http.Header) []string { return dropped(h, nil) }

// dropped are the fields of h that are not to be stored (RFC 9111, 3.1): those of a connection, and listed ones.
func dropped(h http.Header, listed []string) []string {
	var drop []string
	add := func(name string) {
		if len(h[name]) > 0 && !slices.Contains(drop, name) {
			drop = append(drop, name)
		}
	}
	for _, name := range hopByHop {
		add(name)
	}
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			add(http.CanonicalHeaderKey(trimSpace(name)))
		}
	}
	for _, name := range listed {
		add(name)
	}
	return drop
}

// StoredHeader is what is stored of a response's header (RFC 9111, 3.1): a copy, without p.Drop; without Age and Content-Length,
// of which each answer gets its own; without fields whose names are none (RFC 9110, 5.1); and with a
// Date (6.6.1), p.Date, if it has none that is valid. The values' slices have no room to append to.
func StoredHeader(x *Exchange, p *Policy) http.Header {
	stored := make(http.Header, len(x.Header)+1)
	for name, values := range x.Header {
		if len(values) > 0 && name != "Age" && name != "Content-Length" && IsToken(name) &&
			!slices.Contains(p.Drop, name) {
			stored[name] = slices.Clip(slices.Clone(values))
		}
	}
	if lines := stored["Date"]; len(lines) != 1 || !isDate(lines[0], p) {
		stored["Date"] = []string{p.Date.UTC().Format(http.TimeFormat)}
	}
	return stored
}

func isDate(s string, p *Policy) bool {
	_, ok := ParseDate(s, p.Date)
	return ok
}

// kept are the fields of a stored response that an update does not change (RFC 9111, 3.2): they are about the
// body that is stored, or are what the update was chosen by.
var kept = map[string]bool{
	"Content-Encoding": true, "Content-Length": true, "Content-Md5": true, "Content-Range": true, "Etag": true,
	"Content-Digest": true, "Repr-Digest": true, "Digest": true,
}

// Freshen is the header that a 304, or a 200 to HEAD, makes of a stored one (RFC 9111, 3.2): a new map, with the update's fields in the
// place of those that it had, but for those of the update's connection, those that its private and no-cache list, and
// those that are about the stored body. An ETag is taken over if there was none.
//
// It has the update's Age, and its Date or none: it is to be judged again as a response to the update's request, and then
// stored by StoredHeader. So a Set-Cookie in the update is judged as well.
func Freshen(stored, update http.Header) http.Header {
	c := newControl()
	directives(update["Cache-Control"], false, c.add)
	drop := dropped(update, c.fields)
	merged := make(http.Header, len(stored)+len(update))
	for name, values := range stored {
		if name != "Age" && name != "Date" {
			merged[name] = slices.Clip(slices.Clone(values))
		}
	}
	for name, values := range update {
		if len(values) == 0 || slices.Contains(drop, name) || kept[name] && (name != "Etag" || len(stored[name]) > 0) {
			continue
		}
		merged[name] = slices.Clip(slices.Clone(values))
	}
	return merged
}
