package rules

import (
	"net/http"
	"strings"
)

// etagOf is the ETag of a response (RFC 9110, 8.8.3), or "" if it has none, or several.
func etagOf(h http.Header) string {
	if lines := h["Etag"]; len(lines) == 1 {
		return trimSpace(lines[0])
	}
	return ""
}

// isStrong reports whether an entity tag is well-formed, and strong.
func isStrong(tag string) bool {
	return len(tag) >= 2 && tag[0] == '"' && strings.IndexByte(tag[1:], '"') == len(tag)-2
}

// equalStrong is the strong comparison (RFC 9110, 8.8.3.2).
func equalStrong(a, b string) bool { return a == b && isStrong(a) }

// equalWeak is the weak comparison (RFC 9110, 8.8.3.2).
func equalWeak(a, b string) bool {
	a, b = strings.TrimPrefix(a, "W/"), strings.TrimPrefix(b, "W/")
	return equalStrong(a, b)
}

// anyWeak reports whether one of the entity tags of an If-None-Match matches tag (RFC 9110, 13.1.2). A
// line that is, byte for byte, what the stored response has as its ETag matches even if it is malformed: it is what the
// client was given.
func anyWeak(lines []string, tag string) bool {
	if tag == "" {
		return false
	}
	for _, s := range lines {
		if trimSpace(s) == tag {
			return true
		}
		for {
			s = strings.TrimLeft(s, " \t,")
			rest := strings.TrimPrefix(s, "W/")
			if !strings.HasPrefix(rest, `"`) {
				break
			}
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				break
			}
			if equalWeak(rest[:end+2], tag) {
				return true
			}
			s = rest[end+2:]
		}
	}
	return false
}
