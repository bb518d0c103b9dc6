package httpcache

import (
	"strings"
	"time"
)

// directives are the members of a Cache-Control field, by their names in lower case.
type directives map[string]string

// has reports whether one of names is there, with or without a value.
func (d directives) has(names ...string) bool {
	for _, name := range names {
		if _, ok := d[name]; ok {
			return true
		}
	}
	return false
}

// parseCacheControl parses the field lines of a Cache-Control (RFC 9111, 5.2). It is not ok if they are malformed,
// or a directive comes twice: what they mean would be a guess.
func parseCacheControl(lines []string) (d directives, ok bool) {
	for _, s := range lines {
		for s = skipSpace(s); s != ""; s = skipSpace(s) {
			if s[0] == ',' { // an empty member, RFC 9110, 5.6.1
				s = s[1:]
				continue
			}
			var name, value string
			if name, s = cutToken(s); name == "" {
				return nil, false
			}
			if strings.HasPrefix(s, "=") {
				if value, s, ok = cutValue(s[1:]); !ok {
					return nil, false
				}
			}
			if s = skipSpace(s); s != "" && s[0] != ',' {
				return nil, false
			}
			name = strings.ToLower(name)
			if d.has(name) {
				return nil, false
			}
			if d == nil {
				d = make(directives)
			}
			d[name] = value
		}
	}
	return d, true
}

// cutValue cuts a token or a quoted-string off s. A quoted-string keeps its first quote, so
// that it is not taken for a token.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest = cutToken(s)
		return value, rest, value != ""
	}
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return s[:i], s[i+1:], true
		case c == '\\':
			i++
			if i < len(s) && !isText(s[i]) {
				return "", "", false
			}
		case !isText(c):
			return "", "", false
		}
	}
	return "", "", false
}

func cutToken(s string) (token, rest string) {
	i := 0
	for i < len(s) && isTokenByte(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t") }

func isText(c byte) bool { return c == '\t' || c >= ' ' && c != 0x7f }

func isTokenByte(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' ||
		strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// maxSeconds is the most that a number of seconds counts for (RFC 9111, 1.2.2).
const maxSeconds = 1 << 31

// parseSeconds parses delta-seconds: digits, and nothing else.
func parseSeconds(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	n := int64(0)
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(10*n+int64(s[i]-'0'), maxSeconds)
	}
	return time.Duration(n) * time.Second, true
}
