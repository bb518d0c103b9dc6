package rules

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// Options are what an operator decides.
type Options struct {
	// StoreSetCookie has responses with Set-Cookie stored, which RFC 9111, 7.3 lets a cache: everyone gets the same cookie.
	StoreSetCookie bool

	// Targets are the targeted fields that count (RFC 9213), in order of preference, such as
	// Fleetcache-Cache-Control, CDN-Cache-Control. One that is there overrides Cache-Control and Expires, even a
	// no-store in them. Surrogate-Control is understood too, if it is listed.
	Targets []string

	// Device is what Surrogate-Control may target a directive at, and what the cache calls itself in
	// Surrogate-Capability: fleetcache if it is empty.
	Device string

	// Heuristic has a response that does not say how long it is fresh taken for fresh for a tenth of the time since
	// it was modified, at most 24 h (RFC 9111, 4.2.2).
	Heuristic bool
}

func (o *Options) device() string {
	if o.Device == "" {
		return "fleetcache"
	}
	return o.Device
}

// Exchange is one request, and the header of the response to it.
type Exchange struct {
	Method        string
	RequestHeader http.Header
	Status        int
	Header        http.Header
	Sent, Arrived time.Time
}

// Policy is what a response that may be stored says of its use. It is fresh while its age is less than Lifetime
// (RFC 9111, 4.2).
type Policy struct {
	Lifetime time.Duration // freshness lifetime (4.2.1), at most Forever
	Age      time.Duration // corrected_initial_age on arrival (4.2.3), at most Forever
	Date     time.Time     // when it was generated; when it arrived, if it does not say
	NoCache  bool          // must be validated before each use (5.2.2.4)

	// MustRevalidate is must-revalidate, proxy-revalidate or s-maxage (5.2.2.2, 5.2.2.8, 5.2.2.10): a max-stale does not
	// count, and it is not served stale after an error but within StaleIfError.
	MustRevalidate bool

	// StaleWhileRevalidate and StaleIfError are RFC 5861's, Absent if not there, or if NoCache, must-revalidate or
	// proxy-revalidate forbid them. Next to an s-maxage they count: who writes both means both.
	StaleWhileRevalidate, StaleIfError time.Duration

	Immutable bool     // RFC 8246
	Validator bool     // has an ETag or Last-Modified to be validated by (4.3.1)
	Drop      []string // the fields of the response that are not to be stored (3.1)
	Vary      []string // canonical names, sorted, without duplicates; ["*"] if it is *, or malformed (4.1)
}

// Why a response is not to be stored, as Cache-Status says it in detail.
const (
	WhyMethod        = "method"        // neither GET nor HEAD
	WhyStatus        = "status"        // not final, not understood, or not cacheable unless it said so (3)
	WhyNoStore       = "no-store"      // in the request or the response (5.2.1.5, 5.2.2.5)
	WhyPrivate       = "private"       // 5.2.2.7
	WhyAuthorization = "authorization" // 3.5
	WhySetCookie     = "set-cookie"    // 7.3
	WhyVary          = "vary"          // 4.1
	WhyNoCache       = "no-cache"      // to be validated each time, but without a validator
	WhyFreshness     = "freshness"     // says nothing of its freshness, and has no validator
	WhyPartial       = "partial"       // a 206 that might be stored, by a cache that can (3.3)
)

// Judge says whether a response may be stored by a shared cache and shared with others (RFC 9111, 3). why is "" if so, and
// otherwise a word for Cache-Status. For a 206 it is WhyPartial if nothing else
// forbids it; whoever can combine ranges (3.4) may store it then. The Policy is that of the response in any case.
func Judge(x *Exchange, o *Options) (p Policy, why string) {
	c := controlOf(x.Header, o)
	p.Date = dateOf(x.Header, x.Arrived)
	p.Age = initialAge(x.Header, p.Date, x.Sent, x.Arrived)
	var explicit bool
	p.Lifetime, explicit = c.lifetime(x, p.Date, o)
	p.NoCache, p.Immutable = c.noCache, c.immutable
	p.MustRevalidate = c.mustRevalidate || c.proxyRevalidate || c.sMaxAge != Absent
	p.StaleWhileRevalidate, p.StaleIfError = c.whileRevalidate, c.ifError
	if c.noCache || c.mustRevalidate || c.proxyRevalidate {
		p.StaleWhileRevalidate, p.StaleIfError = Absent, Absent
	}
	_, p.Validator = Validation(x.Header)
	p.Drop = dropped(x.Header, c.fields)
	p.Vary = varyOf(x.Header["Vary"])
	return p, forbidden(x, o, &c, &p, explicit)
}

// forbidden is why the response may not be stored, or "".
func forbidden(x *Exchange, o *Options, c *control, p *Policy, explicit bool) string {
	understood := c.mustUnderstand && understoodStatus(x.Status)
	switch {
	case x.Method != http.MethodGet && x.Method != http.MethodHead:
		return WhyMethod
	case !storableStatus(x.Status), c.mustUnderstand && !understood:
		return WhyStatus
	case c.noStore && !understood, ParseRequest(x.RequestHeader).NoStore:
		return WhyNoStore
	case c.private:
		return WhyPrivate
	case len(x.RequestHeader["Authorization"]) > 0 && !c.authorized:
		return WhyAuthorization
	case !o.StoreSetCookie && setsCookie(x.Header, p.Drop):
		return WhySetCookie
	case slices.Contains(p.Vary, "*"), foreignCoding(x.Header, p.Vary):
		return WhyVary
	case !explicit && !c.public && !heuristicStatus(x.Status):
		return WhyStatus
	case c.noCache && !p.Validator:
		return WhyNoCache
	case !explicit && p.Lifetime == 0 && !p.Validator:
		return WhyFreshness
	case x.Status == http.StatusPartialContent:
		return WhyPartial
	}
	return ""
}

// setsCookie reports whether a response sets a cookie. No client heeds Set-Cookie2 (RFC 6265 made it obsolete).
func setsCookie(h http.Header, drop []string) bool {
	return len(h["Set-Cookie"]) > 0 && !slices.Contains(drop, "Set-Cookie")
}

// foreignCoding reports whether the response is in a coding that VaryValues does not tell requests apart by.
func foreignCoding(h http.Header, vary []string) bool {
	if !slices.Contains(vary, "Accept-Encoding") {
		return false
	}
	for _, line := range h["Content-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			if coding = trimSpace(coding); coding != "" && codingIndex(strings.ToLower(coding)) < 0 {
				return true
			}
		}
	}
	return false
}

// storableStatus reports whether a response with a status may be stored if it says so. A 304 is no response of its
// own; 407, 412, 416 and 417 answer the request's own fields, which nothing in the key tells apart; 428, 429, 431 and
// 511 must not be stored (RFC 6585).
func storableStatus(status int) bool {
	switch status {
	case 304, 407, 412, 416, 417, 428, 429, 431, 511:
		return false
	}
	return 200 <= status && status < 600
}

// heuristicStatus reports whether a status is heuristically cacheable (RFC 9110, 15.1).
func heuristicStatus(status int) bool {
	switch status {
	case 200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501:
		return true
	}
	return false
}

// understoodStatus reports whether the cache knows what a status asks of it (RFC 9111, 3): those of RFC 9110 that are
// stored. Not a 206, which not every cache can use.
func understoodStatus(status int) bool {
	switch status {
	case 200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411,
		413, 414, 415, 421, 422, 426, 500, 501, 502, 503, 504, 505:
		return true
	}
	return false
}
