package httpcache

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Why a response is not stored, as Cache-Status says it in detail.
const (
	whyStatus       = "status"        // it is not a 200 (RFC 9111, 3)
	whyServerError  = "server-error"  // it is a 500 or more
	whyCacheControl = "cache-control" // malformed, or a directive twice (4.2.1)
	whyPrivate      = "private"       // private (5.2.2.7)
	whyNoStore      = "no-store"      // no-store (5.2.2.5) or must-understand (5.2.2.3)
	whyNoCache      = "no-cache"      // no-cache (5.2.2.4): it would have to be validated
	whyVary         = "vary"          // Vary (4.1)
	whySetCookie    = "set-cookie"    // Set-Cookie (7.3)
	whyFreshness    = "freshness"     // no max-age or s-maxage (5.2.2.1, 5.2.2.10), or used up already
	whyAge          = "age"           // an Age or a Date of which the age cannot be told (4.2.3)
	whyTooLarge     = "too-large"     // over MaxObjectBytes
	whyFraming      = "framing"       // a trailer; or a body that ends with the connection (3.3)
	whyTargeted     = "targeted"      // says something else to some caches (RFC 9213)
)

// judgeResponse returns how long the response may be served, by its header: its freshness lifetime
// (RFC 9111, 4.2.1); or why it must not be stored.
func judgeResponse(resp *http.Response) (lifetime time.Duration, why string) {
	if resp.StatusCode >= 500 {
		return 0, whyServerError
	}
	if resp.StatusCode != http.StatusOK || has(resp.Header, "Content-Range") {
		return 0, whyStatus
	}
	cc, ok := parseCacheControl(resp.Header["Cache-Control"])
	switch {
	case !ok:
		return 0, whyCacheControl
	case cc.has("private"):
		return 0, whyPrivate
	case cc.has("no-store", "must-understand"):
		return 0, whyNoStore
	case cc.has("no-cache"):
		return 0, whyNoCache
	case has(resp.Header, "Vary"):
		return 0, whyVary
	case has(resp.Header, "Set-Cookie"), has(resp.Header, "Set-Cookie2"):
		return 0, whySetCookie
	case has(resp.Header, "Cdn-Cache-Control"), has(resp.Header, "Surrogate-Control"):
		return 0, whyTargeted
	case len(resp.Trailer) > 0, endsWithConnection(resp):
		return 0, whyFraming
	}
	for _, name := range []string{"max-age", "s-maxage"} { // the last one wins (RFC 9111, 4.2.1)
		if !cc.has(name) {
			continue
		}
		if lifetime, ok = parseSeconds(cc[name]); !ok {
			return 0, whyCacheControl
		}
	}
	if lifetime == 0 {
		return 0, whyFreshness
	}
	return lifetime, ""
}

func has(h http.Header, name string) bool { return len(h[name]) > 0 }

// endsWithConnection reports whether only the end of the connection ends the body: nobody can tell
// then whether it is whole.
func endsWithConnection(resp *http.Response) bool {
	return resp.ContentLength < 0 && len(resp.TransferEncoding) == 0 && resp.Close
}

// initialAge returns the age that a response had when it arrived, corrected_initial_age of RFC 9111, 4.2.3, and its
// Date, which is when it arrived if it has none (RFC 9110, 6.6.1). It is not ok if the fields
// make no sense.
func initialAge(header http.Header, sent, arrived time.Time) (age time.Duration, date time.Time, ok bool) {
	if lines := header["Age"]; len(lines) > 1 {
		return 0, date, false
	} else if len(lines) == 1 {
		if age, ok = parseSeconds(lines[0]); !ok {
			return 0, date, false
		}
	}
	age += arrived.Sub(sent)
	date = arrived
	if lines := header["Date"]; len(lines) > 1 {
		return 0, date, false
	} else if len(lines) == 1 {
		var err error
		if date, err = http.ParseTime(lines[0]); err != nil {
			return 0, date, false
		}
	}
	return max(age, sinceDate(arrived, date)), date, true
}

// sinceDate is apparent_age: how long before now date is. A Date names a whole second, any part of which may have been
// over; it is taken to have begun then.
func sinceDate(now, date time.Time) time.Duration { return max(now.Sub(date), 0) }

// hopByHop are the fields that are between two ends of a connection (RFC 9110, 7.6.1), or must not be
// stored (RFC 9111, 3.1).
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
}

// storedHeader returns what is stored of a header: what goes end to end, without Age and Content-Length,
// which each answer gets its own of, and with a Date; and without fields whose names are none (RFC 9110, 5.1), which
// net/http lets through. The values' slices have no room to append to.
func storedHeader(header http.Header, date time.Time) http.Header {
	drop := slices.Concat(hopByHop, []string{"Age", "Content-Length"})
	for _, line := range header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			drop = append(drop, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	stored := make(http.Header, len(header))
	for name, values := range header {
		if len(values) > 0 && !slices.Contains(drop, name) && validField(name, "") {
			stored[name] = slices.Clip(slices.Clone(values))
		}
	}
	if !has(stored, "Date") {
		stored["Date"] = []string{date.UTC().Format(http.TimeFormat)}
	}
	return stored
}
