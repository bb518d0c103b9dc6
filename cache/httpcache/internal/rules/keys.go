package rules

import (
	"net/http"
	"slices"
	"strings"
)

// SurrogateKeys are the keys that a response may be purged by: those of its Surrogate-Key, which has spaces between
// them, and its Cache-Tag, which has commas; as they are, sorted, without duplicates.
func SurrogateKeys(h http.Header) []string {
	var keys []string
	for _, line := range h["Surrogate-Key"] {
		keys = append(keys, strings.Fields(line)...)
	}
	for _, line := range h["Cache-Tag"] {
		for key := range strings.SplitSeq(line, ",") {
			if key = trimSpace(key); key != "" {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}
