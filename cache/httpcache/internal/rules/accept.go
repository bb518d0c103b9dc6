package rules

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A weighted is a member of an Accept-Encoding or Accept-Language, with its weight in thousandths.
type weighted struct {
	name   string
	weight int
}

// parseWeighted parses the members of an Accept-Encoding or Accept-Language (RFC 9110, 12.5.3, 12.5.4), with names in
// lower case. It is not ok if they are malformed, or one comes twice.
func parseWeighted(lines []string) (members []weighted, ok bool) {
	for _, line := range lines {
		for member := range strings.SplitSeq(line, ",") {
			if member = trimSpace(member); member == "" {
				continue
			}
			name, q, hasWeight := strings.Cut(member, ";")
			w := weighted{strings.ToLower(trimSpace(name)), 1000}
			if hasWeight {
				if w.weight, ok = parseWeight(trimSpace(q)); !ok {
					return nil, false
				}
			}
			if !IsToken(w.name) || slices.ContainsFunc(members, func(m weighted) bool { return m.name == w.name }) {
				return nil, false
			}
			members = append(members, w)
		}
	}
	return members, true
}

// parseWeight parses a weight (RFC 9110, 12.4.2): q= and at most 1, with at most three digits behind the point.
func parseWeight(s string) (int, bool) {
	if len(s) < 3 || s[0] != 'q' && s[0] != 'Q' || s[1] != '=' {
		return 0, false
	}
	whole, fraction, _ := strings.Cut(s[2:], ".")
	if whole != "0" && whole != "1" || len(fraction) > 3 {
		return 0, false
	}
	n, ok := number((whole + fraction + "000")[:4])
	return n, ok && n <= 1000
}

// codings are the content codings that requests are told apart by.
var codings = [...]string{"br", "deflate", "gzip", "identity", "zstd"}

const identity = 3 // its index in codings

// codingIndex is the index of a coding in codings, or -1. x-gzip is gzip (RFC 9110, 8.4.1.3).
func codingIndex(name string) int {
	if name == "x-gzip" {
		name = "gzip"
	}
	return slices.Index(codings[:], name)
}

// normaliseCodings is which of the codings an Accept-Encoding accepts (RFC 9110, 12.5.3), with > behind
// those that are preferred to the next. So there is a bounded number of variants. identity is accepted last unless
// the field says otherwise.
func normaliseCodings(lines []string) (string, bool) {
	members, ok := parseWeighted(lines)
	if !ok {
		return "", false
	}
	const unsaid = -1
	var weights [len(codings)]int
	others := unsaid
	for i := range weights {
		weights[i] = unsaid
	}
	for _, m := range members {
		if m.name == "*" {
			others = m.weight
		} else if i := codingIndex(m.name); i >= 0 {
			weights[i] = max(weights[i], m.weight)
		}
	}
	accepted := make([]weighted, 0, len(codings))
	for i, w := range weights {
		switch {
		case w == unsaid && others != unsaid:
			w = others
		case w == unsaid && i == identity:
			accepted = append(accepted, weighted{codings[i], 0})
			continue
		}
		if w > 0 {
			accepted = append(accepted, weighted{codings[i], w})
		}
	}
	return join(accepted, false), true
}

// normaliseLanguages is an Accept-Language with its languages sorted by weight and then by name.
func normaliseLanguages(lines []string) (string, bool) {
	members, ok := parseWeighted(lines)
	if !ok {
		return "", false
	}
	return join(members, true), true
}

// join sorts members by weight, and joins them: with their weights, or with > where the next ones' is less.
func join(members []weighted, weights bool) string {
	slices.SortFunc(members, func(a, b weighted) int {
		if a.weight != b.weight {
			return b.weight - a.weight
		}
		return strings.Compare(a.name, b.name)
	})
	var b strings.Builder
	for i, m := range members {
		switch {
		case i == 0:
		case !weights && m.weight < members[i-1].weight:
			b.WriteByte('>')
		default:
			b.WriteByte(',')
		}
		b.WriteString(m.name)
		if weights && m.weight < 1000 {
			b.WriteString(";q=")
			b.WriteString(strconv.Itoa(m.weight))
		}
	}
	return b.String()
}

// PreferredLanguage is the one language that a request prefers to all others (RFC 9110, 12.5.4), in lower case, or "". A stored response
// to the same URL that varies by nothing but Accept-Language, and whose Content-Language it is, is what the
// request would get.
func PreferredLanguage(request http.Header) string {
	members, ok := parseWeighted(request["Accept-Language"])
	if !ok {
		return ""
	}
	best := weighted{}
	for _, m := range members {
		switch {
		case m.weight > best.weight:
			best = m
		case m.weight == best.weight:
			best.name = ""
		}
	}
	return strings.TrimPrefix(best.name, "*")
}
