package rules

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// varyOf are the fields that a Vary nominates (RFC 9110, 12.5.5): ["*"] if it has a * anywhere, or is malformed.
func varyOf(lines []string) []string {
	var names []string
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			switch name = trimSpace(name); {
			case name == "":
			case name == "*" || !IsToken(name):
				return []string{"*"}
			default:
				names = append(names, http.CanonicalHeaderKey(name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// VaryValues normalises the nominated fields of a request (RFC 9111, 4.1). Two requests have the string in common exactly if
// the fields match: each is in both or in neither, and says the same. The lines of a field are joined, and
// whitespace goes around commas outside quoted-strings. An Accept-Encoding says which of the codings that the cache knows
// are accepted, and which are preferred to which; an Accept-Language, which languages in any order, with their weights.
// The fields are to be those of a Policy's Vary, and not *.
func VaryValues(fields []string, request http.Header) string {
	var b strings.Builder
	for _, name := range fields {
		b.WriteString(name)
		lines, ok := request[http.CanonicalHeaderKey(name)]
		if !ok || len(lines) == 0 {
			b.WriteString("\n")
			continue
		}
		value := normalise(name, lines)
		b.WriteByte('=')
		b.WriteString(strconv.Itoa(len(value)))
		b.WriteByte(':')
		b.WriteString(value)
		b.WriteByte('\n')
	}
	return b.String()
}

// malformed comes before a value that is taken as it is, so that it is not taken for the normal form of another.
const malformed = "?"

func normalise(name string, lines []string) string {
	switch http.CanonicalHeaderKey(name) {
	case "Accept-Encoding":
		if s, ok := normaliseCodings(lines); ok {
			return s
		}
		return malformed + joinLines(lines)
	case "Accept-Language":
		if s, ok := normaliseLanguages(lines); ok {
			return s
		}
		return malformed + joinLines(lines)
	case "Cookie": // its lines are joined otherwise (RFC 9113, 8.2.3)
		return strings.Join(lines, "; ")
	}
	return joinLines(lines)
}

// joinLines joins field lines (RFC 9110, 5.3), and takes away the whitespace around commas.
func joinLines(lines []string) string {
	var b strings.Builder
	for i, line := range lines {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, rest := 0, trimSpace(line); rest != ""; j++ {
			if j > 0 {
				b.WriteByte(',')
			}
			end := comma(rest)
			b.WriteString(trimSpace(rest[:end]))
			if end == len(rest) {
				break
			}
			if rest = trimSpace(rest[end+1:]); rest == "" {
				b.WriteByte(',')
			}
		}
	}
	return b.String()
}

// comma is where the first comma outside a quoted-string is in s, or its length.
func comma(s string) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ',':
			return i
		case '"':
			_, rest, ok := cutQuoted(s[i:])
			if !ok {
				return len(s) // nobody knows what is in it
			}
			i = len(s) - len(rest) - 1
		}
	}
	return len(s)
}
