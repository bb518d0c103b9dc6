package rules

import (
	"net/http"
	"strconv"
	"time"
)

// Validation returns the conditional fields of a request that validates a stored response (RFC 9111, 4.3.1): its ETag
// as If-None-Match, and its Last-Modified as If-Modified-Since, both as they are. It is not ok if there is neither.
func Validation(stored http.Header) (fields http.Header, ok bool) {
	tag := etagOf(stored)
	_, dated := modifiedAt(stored, time.Time{})
	if tag == "" && !dated {
		return nil, false
	}
	fields = make(http.Header, 2)
	if tag != "" {
		fields["If-None-Match"] = []string{tag}
	}
	if dated {
		fields["If-Modified-Since"] = []string{stored["Last-Modified"][0]}
	}
	return fields, true
}

// CanFreshen says whether a 304 to the Validation of a stored response, or a 200 to a HEAD, is about
// what is stored, whose body has storedLength bytes.
//
// A 304 (RFC 9111, 4.3.4) is not if it has another validator than the stored response, or an ETag that
// this one lacks: the Last-Modified may have matched, which has a second's resolution. There is one exception. If
// the stored ETag was the only validator in the request, it must have matched for there to be a 304 at
// all, so another one in it is an error of the origin's. Who validates by more than Validation's fields must not ask this
// of the 304. One without validators is about the response that was validated.
//
// A 200 to HEAD (4.3.5) is if the validators that it has and its Content-Length are those of the stored response. Otherwise that
// one is stale from now on.
func CanFreshen(stored http.Header, storedLength int64, update http.Header, head bool) bool {
	if head {
		return sameFields(stored, update, "Etag") && sameFields(stored, update, "Last-Modified") &&
			sameLength(storedLength, update["Content-Length"])
	}
	had, got := etagOf(stored), etagOf(update)
	hadDate, hasDate := modifiedAt(stored, time.Time{})
	gotDate, gaveDate := modifiedAt(update, time.Time{})
	switch {
	case got == "":
	case had == "":
		if isStrong(got) {
			return false
		}
	case had == got, equalWeak(had, got):
		return true
	case hasDate:
		return false
	}
	return !hasDate || !gaveDate || hadDate.Equal(gotDate)
}

// sameFields reports whether a field that the update has is as it is stored.
func sameFields(stored, update http.Header, name string) bool {
	a, b := stored[name], update[name]
	return len(b) == 0 || len(a) == 1 && len(b) == 1 && trimSpace(a[0]) == trimSpace(b[0])
}

func sameLength(stored int64, lines []string) bool {
	for _, line := range lines {
		if n, err := strconv.ParseInt(trimSpace(line), 10, 64); err != nil || n != stored {
			return false
		}
	}
	return true
}

// Outcome is what a request's conditions make of a stored response.
type Outcome int

// The outcomes of Conditions.
const (
	Serve              Outcome = iota // the stored response
	NotModified                       // a 304
	PreconditionFailed                // a 412; no condition that a cache evaluates leads to it
	Forward                           // the origin is to say
)

// Conditions is what the conditions of a GET or HEAD make of the response that is stored for it, and may be used without
// validation (RFC 9111, 4.3.2; RFC 9110, 13.2.2). If-Match and If-Unmodified-Since are for the origin alone. If-None-Match goes
// before If-Modified-Since, which is compared with the Last-Modified, or with the Date if there is none. They count
// for a stored 2xx only (13.2.1). If-Range is judged by Ranges.
func Conditions(request http.Header, stored http.Header, status int) Outcome {
	if len(request["If-Match"]) > 0 || len(request["If-Unmodified-Since"]) > 0 {
		return Forward
	}
	if status < 200 || status > 299 {
		return Serve
	}
	if lines := request["If-None-Match"]; len(lines) > 0 {
		if len(lines) == 1 && trimSpace(lines[0]) == "*" || anyWeak(lines, etagOf(stored)) {
			return NotModified
		}
		return Serve
	}
	lines := request["If-Modified-Since"]
	if len(lines) != 1 {
		return Serve
	}
	date := dateOf(stored, time.Time{})
	since, ok := ParseDate(lines[0], date)
	modified, known := modifiedAt(stored, date)
	if !known {
		modified = date
	}
	if ok && !modified.IsZero() && !modified.After(since) {
		return NotModified
	}
	return Serve
}

// SameRepresentation says whether two responses are of one representation, so that their parts may be combined
// (RFC 9111, 3.4): they have the same strong ETag.
func SameRepresentation(a, b http.Header) bool { return equalStrong(etagOf(a), etagOf(b)) }
