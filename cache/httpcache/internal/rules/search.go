package rules

import (
	"errors"
	"net/url"
	"slices"
	"strings"

	"github.com/dunglas/httpsfv"
)

// NoVarySearch says which parameters of a query a response depends on (the No-Vary-Search field of
// draft-ietf-httpbis-no-vary-search). The nil one is the default: every byte of the query counts.
type NoVarySearch struct {
	anyOrder bool
	only     bool     // names are those that count; otherwise, those that do not
	names    []string // decoded
}

var errNoVarySearch = errors.New("rules: malformed No-Vary-Search")

// ParseNoVarySearch parses the lines of a No-Vary-Search field, a structured Dictionary: key-order, params, except. It
// returns nil if it is the default, and nil and an error if it is malformed, which counts as the default.
func ParseNoVarySearch(lines []string) (*NoVarySearch, error) {
	if len(lines) == 0 {
		return nil, nil
	}
	dict, err := httpsfv.UnmarshalDictionary(lines)
	if err != nil {
		return nil, errNoVarySearch
	}
	n := new(NoVarySearch)
	order, hasOrder := dict.Get("key-order")
	params, hasParams := dict.Get("params")
	except, hasExcept := dict.Get("except")
	ok := true
	if hasOrder {
		n.anyOrder, ok = boolean(order)
	}
	if ok && hasParams {
		if n.only, ok = boolean(params); !ok {
			n.names, ok = keys(params)
		}
	}
	if ok && hasExcept {
		if ok = n.only; ok { // except is for params=?1 alone
			n.names, ok = keys(except)
		}
	}
	if !ok {
		return nil, errNoVarySearch
	}
	if !n.anyOrder && !n.only && len(n.names) == 0 {
		return nil, nil
	}
	return n, nil
}

func boolean(m httpsfv.Member) (value, ok bool) {
	if item, isItem := m.(httpsfv.Item); isItem {
		value, ok = item.Value.(bool)
	}
	return value, ok
}

func keys(m httpsfv.Member) (names []string, ok bool) {
	list, ok := m.(httpsfv.InnerList)
	if !ok {
		return nil, false
	}
	for _, item := range list.Items {
		s, ok := item.Value.(string)
		if !ok {
			return nil, false
		}
		names = append(names, unescapeQuery(s))
	}
	return names, true
}

// Canonical is rawQuery without the parameters that do not count, in the order of their names if the order does not, and
// with each escaped in one way. Queries for which it is the same are one for the response. Canonical of what it returns
// is that itself.
func (n *NoVarySearch) Canonical(rawQuery string) string {
	if n == nil {
		return rawQuery
	}
	type pair struct{ name, value string }
	var pairs []pair
	for s := range strings.SplitSeq(rawQuery, "&") {
		if s == "" {
			continue
		}
		name, value, _ := strings.Cut(s, "=")
		name, value = unescapeQuery(name), unescapeQuery(value)
		if slices.Contains(n.names, name) == n.only {
			pairs = append(pairs, pair{name, value})
		}
	}
	if n.anyOrder {
		slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	}
	var b strings.Builder
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(p.name))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(p.value))
	}
	return b.String()
}

// unescapeQuery decodes + and %XX, as application/x-www-form-urlencoded does: a % that is not followed
// by two hex digits is itself.
func unescapeQuery(s string) string {
	if !strings.ContainsAny(s, "+%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(s):
			if high, low := unhex(s[i+1]), unhex(s[i+2]); high >= 0 && low >= 0 {
				c = byte(high<<4 | low)
				i += 2
			}
		}
		b = append(b, c)
	}
	return string(b)
}

func unhex(c byte) int {
	if 'A' <= c && c <= 'F' {
		c += 'a' - 'A'
	}
	return strings.IndexByte("0123456789abcdef", c)
}
