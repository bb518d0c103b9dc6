package rules

import (
	"net/http"
	"time"
)

// Absent is a delta-seconds that is not there.
const Absent time.Duration = -1

// Forever is the most that a delta-seconds counts for (RFC 9111, 1.2.2), and what a max-stale without a value allows.
const Forever = 1 << 31 * time.Second

// Request is what a request's header asks of a cache (RFC 9111, 5.2.1, and Pragma, 5.4).
type Request struct {
	NoCache, NoStore, OnlyIfCached           bool
	MaxAge, MinFresh, MaxStale, StaleIfError time.Duration // Absent if not there
}

// ParseRequest parses the Cache-Control of a request (RFC 9111, 5.2.1), or its Pragma if it has none (5.4). Of what
// comes twice or is malformed, the most restrictive counts: the least max-age, the most min-fresh, no max-stale.
func ParseRequest(h http.Header) Request {
	r := Request{MaxAge: Absent, MinFresh: Absent, MaxStale: Absent, StaleIfError: Absent}
	lines, ok := h["Cache-Control"]
	if !ok {
		if lines = h["Pragma"]; len(lines) > 0 {
			directives(lines, false, func(d directive) {
				r.NoCache = r.NoCache || d.name == "no-cache"
			})
		}
		return r
	}
	directives(lines, false, r.add)
	return r
}

func (r *Request) add(d directive) {
	switch d.name {
	case "no-cache":
		r.NoCache = true
	case "no-store":
		r.NoStore = true
	case "only-if-cached":
		r.OnlyIfCached = r.OnlyIfCached || d.form != broken
	case "max-age":
		r.MaxAge = least(r.MaxAge, d.seconds(0))
	case "min-fresh":
		r.MinFresh = max(r.MinFresh, d.seconds(Forever))
	case "max-stale":
		if d.form == bare {
			r.MaxStale = least(r.MaxStale, Forever)
		} else {
			r.MaxStale = least(r.MaxStale, d.seconds(0))
		}
	case "stale-if-error":
		r.StaleIfError = least(r.StaleIfError, d.seconds(0))
	}
}

// least is the lesser of what is there.
func least(a, b time.Duration) time.Duration {
	if a == Absent {
		return b
	}
	return min(a, b)
}

// seconds is the argument, or invalid if it is no delta-seconds (RFC 9111, 1.2.2). A quoted one is taken too (5.2).
func (d directive) seconds(invalid time.Duration) time.Duration {
	if d.form == token || d.form == quoted {
		if n, ok := parseSeconds(d.value); ok {
			return n
		}
	}
	return invalid
}

// parseSeconds parses delta-seconds: digits, and nothing else. What is more than Forever is Forever.
func parseSeconds(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(10*n+int64(s[i]-'0'), int64(Forever/time.Second))
	}
	return time.Duration(n) * time.Second, true
}
