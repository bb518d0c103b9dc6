package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// The names of an invalidation are those of keys, or of tags if flagTags is set, and none if flagAll is.

var errNames = errors.New("it names neither keys alone, nor tags alone, nor all keys")

func invalidationFlags(tags []string, all bool) byte {
	return bit(flagAll, all) | bit(flagTags, len(tags) > 0)
}

func appendInvalidated(dst []byte, keys, tags []string, all bool) ([]byte, error) {
	switch {
	case all && len(keys)+len(tags) > 0, len(keys) > 0 && len(tags) > 0:
		return dst, errNames
	case len(tags) > 0:
		return appendKeys(dst, tags)
	}
	return appendKeys(dst, keys)
}

// invalidated reads the names that flags are about.
func (r *reader) invalidated(flags byte) (keys, tags []string, all bool) {
	names := r.keys()
	all = flags&flagAll != 0
	tagged := flags&flagTags != 0
	if all && (tagged || len(names) > 0) || tagged && len(names) == 0 {
		r.fail(errNames)
	}
	if tagged {
		return nil, names, all
	}
	return names, nil, all
}

// checkTags checks the tags of a value.
func checkTags(tags []string) error {
	n := 0
	for _, t := range tags {
		n += 4 + len(t)
	}
	if n > cache.MaxTagBytes {
		return fmt.Errorf("a value's tags have %d bytes, at most %d: %w", n, cache.MaxTagBytes, ErrTooLarge)
	}
	return nil
}

// appendTags appends the tags of a value, of which there is one at least.
func appendTags(dst []byte, tags []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(tags)))
	for _, t := range tags {
		dst = appendString(dst, t)
	}
	return dst
}

// tags reads the tags of a value if has is true.
func (r *reader) tags(has bool) []string {
	if !has {
		return nil
	}
	n := r.count("tags", cache.MaxTagBytes/4, 1)
	if n == 0 {
		r.fail(errRange)
		return nil
	}
	tags := make([]string, 0, n)
	left := uint64(cache.MaxTagBytes)
	for range n {
		t := r.string(func(n uint64) error {
			if n+4 > left {
				return fmt.Errorf("a value's tags have more than %d bytes: %w", cache.MaxTagBytes, ErrTooLarge)
			}
			return nil
		})
		if r.err != nil {
			return nil
		}
		left -= uint64(len(t)) + 4
		tags = append(tags, t)
	}
	return tags
}
