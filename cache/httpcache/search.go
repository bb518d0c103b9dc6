package httpcache

import (
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/cache/httpcache/internal/rules"
)

// searches are the No-Vary-Search rules of paths, as their latest responses had them: what a query may have that makes no difference. Each instance
// learns them by itself. The zero value has none.
type searches struct {
	any atomic.Bool // there have been some: what most never have costs a hit no lock

	mu     sync.RWMutex // guards byPath
	byPath map[string]*rules.NoVarySearch
}

// maxSearches bounds the paths whose rules are remembered.
const maxSearches = 1024

// canonical is a query without what makes no difference for its path.
func (s *searches) canonical(path, query string) string {
	if !s.any.Load() {
		return query
	}
	s.mu.RLock()
	rule := s.byPath[path]
	s.mu.RUnlock()
	if rule == nil {
		return query
	}
	return rule.Canonical(query)
}

// learn notes the rule of a path.
func (s *searches) learn(path string, header http.Header) {
	lines := header["No-Vary-Search"]
	if len(lines) == 0 && !s.any.Load() {
		return
	}
	s.mu.RLock()
	known := s.byPath[path]
	s.mu.RUnlock()
	if len(lines) == 0 && known == nil {
		return
	}
	rule, err := rules.ParseNoVarySearch(lines)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || rule == nil {
		delete(s.byPath, path)
		return
	}
	if s.byPath == nil || len(s.byPath) >= maxSearches {
		s.byPath = make(map[string]*rules.NoVarySearch)
	}
	s.byPath[path] = rule
	s.any.Store(true)
}

// deceives reports whether a URL's path ends as that of one kind of file, and the response is of another. A path that somebody made up in front of a
// page that is somebody's own may look like a picture's (web cache deception).
func deceives(key string, header http.Header) bool {
	path, _, _ := strings.Cut(baseOf(key), "?")
	dot := strings.LastIndexByte(path, '.')
	if dot < strings.LastIndexByte(path, '/') {
		return false
	}
	want, ok := staticTypes[strings.ToLower(path[dot+1:])]
	if !ok {
		return false
	}
	lines := header["Content-Type"]
	if len(lines) != 1 {
		return true
	}
	kind, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(lines[0])), ";")
	for w := range strings.FieldsSeq(want) {
		if kind = strings.TrimSpace(kind); kind == w || strings.HasSuffix(w, "/") && strings.HasPrefix(kind, w) {
			return false
		}
	}
	return true
}

// staticTypes are the media types of files, by the ends of their names; those that end in a slash stand for all that begin so.
var staticTypes = func() map[string]string {
	types := make(map[string]string)
	for want, ends := range map[string]string{
		"image/":   "avif bmp gif ico jpeg jpg png svg tif tiff webp",
		"text/css": "css",
		"text/javascript application/javascript application/x-javascript application/ecmascript":                                           "js mjs",
		"font/ application/font-woff application/font-woff2 application/vnd.ms-fontobject application/x-font-ttf application/octet-stream": "eot otf ttf woff woff2",
		"audio/ video/ application/ogg application/octet-stream":                                                                           "avi flac m4a mkv mov mp3 mp4 mpeg mpg oga ogg ogv opus wav webm",
		"application/":        "7z bin bz2 dmg doc docx exe gz iso jar pdf pptx rar tar tgz wasm xlsx zip zst",
		"text/csv text/plain": "csv",
	} {
		for end := range strings.FieldsSeq(ends) {
			types[end] = want
		}
	}
	return types
}()
