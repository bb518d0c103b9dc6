package rules

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// Range is a part of a representation: Length bytes from Start on.
type Range struct{ Start, Length int64 }

// maxRanges is the most ranges that are answered: more are an attack (RFC 9110, 17.15).
const maxRanges = 16

// Ranges is what of a stored 200 of size bytes a request is to get (RFC 9110, 14.2), in the request's order. With no ranges, and
// not unsatisfiable, it is to get the whole: so it is without a Range, or if that is malformed, in another unit than bytes, or
// asks for more than maxRanges, or in sum for more than there is; if the method is not GET; or if the If-Range (13.1.5)
// does not match, by the strong comparison, or as exactly the Last-Modified of a second before the Date. unsatisfiable: a 416 is due (15.5.17).
func Ranges(method string, request http.Header, stored http.Header, size int64) (ranges []Range, unsatisfiable bool) {
	lines := request["Range"]
	if method != http.MethodGet || len(lines) != 1 || size < 0 || !ifRange(request["If-Range"], stored) {
		return nil, false
	}
	unit, set, ok := strings.Cut(lines[0], "=")
	if !ok || !strings.EqualFold(trimSpace(unit), "bytes") {
		return nil, false
	}
	specs, sum := 0, int64(0)
	for spec := range strings.SplitSeq(set, ",") {
		if spec = trimSpace(spec); spec == "" {
			continue
		}
		r, satisfiable, ok := parseRange(spec, size)
		if specs++; !ok || specs > maxRanges {
			return nil, false
		}
		if satisfiable {
			if r.Length > size-sum || r.Length == 0 { // a suffix of an empty representation is the whole of it
				return nil, false
			}
			sum += r.Length
			ranges = append(ranges, r)
		}
	}
	return ranges, specs > 0 && len(ranges) == 0
}

// parseRange parses one int-range or suffix-range (RFC 9110, 14.1.1).
func parseRange(spec string, size int64) (r Range, satisfiable, ok bool) {
	from, to, ok := strings.Cut(spec, "-")
	if !ok || from == "" && to == "" {
		return r, false, false
	}
	first, ok1 := parseOffset(from)
	last, ok2 := parseOffset(to)
	switch {
	case from == "":
		n := min(last, size)
		return Range{size - n, n}, last > 0, ok2
	case to == "":
		last = math.MaxInt64
	case !ok2 || last < first:
		return r, false, false
	}
	if !ok1 || first >= size {
		return r, false, ok1
	}
	return Range{first, min(last, size-1) - first + 1}, true, true
}

// parseOffset parses digits, and nothing else. What is too large for an int64 is the largest.
func parseOffset(s string) (n int64, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		if d := int64(s[i] - '0'); n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
		} else {
			n = 10*n + d
		}
	}
	return n, s != ""
}

// ifRange evaluates If-Range (RFC 9110, 13.1.5).
func ifRange(lines []string, stored http.Header) bool {
	if len(lines) != 1 {
		return len(lines) == 0
	}
	value := trimSpace(lines[0])
	if strings.Contains(value, `"`) {
		return equalStrong(value, etagOf(stored))
	}
	date := dateOf(stored, time.Time{})
	modified, ok := modifiedAt(stored, date)
	if !ok || date.Sub(modified) < time.Second { // then it is weak (8.8.2.2)
		return false
	}
	t, ok := ParseDate(value, date)
	return ok && t.Equal(modified)
}

// ContentRange is what a 206 has of a representation (RFC 9110, 14.4).
type ContentRange struct {
	Range
	Size int64 // of the whole; -1 if it is not known
}

// ParseContentRange parses the Content-Range of a 206 (RFC 9110, 14.4). It is not ok if it is not there exactly once, in
// bytes, with a last position that is not before the first, and before the size: what it comes with must not be
// combined with anything then.
func ParseContentRange(h http.Header) (r ContentRange, ok bool) {
	lines := h["Content-Range"]
	if len(lines) != 1 {
		return r, false
	}
	unit, rest, _ := strings.Cut(trimSpace(lines[0]), " ")
	span, total, ok := strings.Cut(rest, "/")
	from, to, dash := strings.Cut(span, "-")
	if !ok || !dash || !strings.EqualFold(unit, "bytes") {
		return r, false
	}
	first, ok1 := parseOffset(from)
	last, ok2 := parseOffset(to)
	size, ok3 := parseOffset(total)
	if total == "*" {
		size, ok3 = -1, true
	}
	if !ok1 || !ok2 || !ok3 || last < first || last == math.MaxInt64 || size >= 0 && last >= size {
		return r, false
	}
	return ContentRange{Range{first, last - first + 1}, size}, true
}
