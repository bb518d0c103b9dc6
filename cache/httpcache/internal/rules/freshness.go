package rules

import (
	"net/http"
	"strings"
	"time"
)

// dateOf is the Date of a response (RFC 9110, 6.6.1): when it arrived, if it has none that is valid. Of several lines
// it is the earliest.
func dateOf(h http.Header, arrived time.Time) time.Time {
	var date time.Time
	for _, line := range h["Date"] {
		t, ok := ParseDate(line, arrived)
		if !ok {
			return arrived
		}
		if date.IsZero() || t.Before(date) {
			date = t
		}
	}
	if date.IsZero() {
		return arrived
	}
	return date
}

// initialAge is corrected_initial_age (RFC 9111, 4.2.3).
func initialAge(h http.Header, date, sent, arrived time.Time) time.Duration {
	apparent := max(0, arrived.Sub(date))
	delay := max(0, arrived.Sub(sent))
	corrected := ageValue(h["Age"]) + min(delay, Forever)
	return min(max(apparent, corrected), Forever)
}

// ageValue is the Age of a response (RFC 9111, 5.1). An Age that is no delta-seconds, or comes twice, does not
// tell how old the response is: it counts as the oldest. RFC 9111 would have it ignored, and
// the first of a list used; but a sender that is wrong about its age is rarely right about its freshness. A list is taken
// by its first member as long as it was written as one: with a space behind the comma it is what an intermediary makes of two
// lines (RFC 9110, 5.3).
func ageValue(lines []string) time.Duration {
	if len(lines) == 0 {
		return 0
	}
	first, rest, list := strings.Cut(lines[0], ",")
	age, ok := parseSeconds(first)
	for ok && list {
		first, rest, list = strings.Cut(rest, ",")
		_, ok = parseSeconds(first)
	}
	if !ok || len(lines) > 1 {
		return Forever
	}
	return age
}

// lifetime is the freshness lifetime of a response (RFC 9111, 4.2.1), and whether the response itself says it. Otherwise
// it is heuristic (4.2.2), or 0.
func (c *control) lifetime(x *Exchange, date time.Time, o *Options) (_ time.Duration, explicit bool) {
	switch expires, ok := x.Header["Expires"]; {
	case c.sMaxAge != Absent:
		return c.sMaxAge, true
	case c.maxAge != Absent:
		return c.maxAge, true
	case ok && !c.targeted:
		return untilExpires(expires, date, x.Arrived), true
	}
	if o.Heuristic && (heuristicStatus(x.Status) || c.public) {
		return heuristic(x.Header, date), false
	}
	return 0, false
}

// untilExpires is Expires - Date, or 0 if one of the lines is no date (RFC 9111, 5.3).
func untilExpires(lines []string, date, now time.Time) time.Duration {
	lifetime := Forever
	for _, line := range lines {
		t, ok := ParseDate(line, now)
		if !ok {
			return 0
		}
		lifetime = min(lifetime, t.Sub(date))
	}
	return max(0, lifetime)
}

// maxHeuristic is the most that is guessed.
const maxHeuristic = 24 * time.Hour

// heuristic is a tenth of the time since the response was modified (RFC 9111, 4.2.2).
func heuristic(h http.Header, date time.Time) time.Duration {
	modified, ok := modifiedAt(h, date)
	if !ok {
		return 0
	}
	return min(max(0, date.Sub(modified)/10), maxHeuristic)
}

// modifiedAt is the Last-Modified (RFC 9110, 8.8.2), if there is one and it is valid.
func modifiedAt(h http.Header, now time.Time) (time.Time, bool) {
	lines := h["Last-Modified"]
	if len(lines) != 1 {
		return time.Time{}, false
	}
	return ParseDate(lines[0], now)
}
