package httpcache

import (
	"net/http"
	"strings"
)

// addStatus adds our member to the Cache-Status of header (RFC 9211), behind those that are there. peer is the
// instance that the response came from, if not this one. The values in header are not
// written to: they may be the cache's.
func (h *Handler) addStatus(header http.Header, params, peer string) {
	header["Cache-Status"] = h.withStatus(header["Cache-Status"], params, peer)
}

// withStatus returns old, and our member behind it.
func (h *Handler) withStatus(old []string, params, peer string) []string {
	member := "fleetcache; " + params + h.status
	if peer != "" {
		member += `; peer="` + quotable(peer) + `"`
	}
	return append(old[:len(old):len(old)], member)
}

// shownKey is the parameter key of Cache-Status, "" if it is not shown.
func (l *lookup) shownKey() string {
	if !l.h.cfg.ShowKey {
		return ""
	}
	_, rest, _ := strings.Cut(baseOf(l.key), "://")
	return `; key="` + quotable(rest[strings.IndexByte(rest, '/'):]) + `"`
}

// quotable returns s as it may stand in a quoted string: addresses have nothing that would have
// to be escaped, unless somebody is up to something.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
}
