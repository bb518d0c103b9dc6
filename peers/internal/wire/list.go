package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// MaxNames is how many names of caches there may be in a list.
const MaxNames = 1 << 12

// AppendNames appends the value that answers a leave: names of caches.
func AppendNames(dst []byte, names []string) []byte {
	names = names[:min(len(names), MaxNames)]
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, n := range names {
		dst = appendString(dst, n)
	}
	return dst
}

// DecodeNames decodes the value that answers a leave.
func DecodeNames(b []byte) ([]string, error) {
	r := reader{b: b}
	var names []string
	for range r.count("names of caches", MaxNames, 1) {
		names = append(names, r.name("the cache's name"))
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("leave: %w", err)
	}
	return names, nil
}

func appendList(dst []byte, l *cache.ListRequest) ([]byte, error) {
	if err := errors.Join(checkName("the cache's name", l.Cache), checkName("the version", l.Version)); err != nil {
		return dst, err
	}
	dst = appendString(dst, l.Cache)
	dst = appendString(dst, l.Version)
	dst = binary.BigEndian.AppendUint64(dst, l.Cursor)
	if l.Slots != nil {
		dst = append(dst, l.Slots[:]...)
	}
	return dst, nil
}

func (r *reader) list(slots bool) *cache.ListRequest {
	l := &cache.ListRequest{Cache: r.name("the cache's name"), Version: r.name("the version"), Cursor: r.fixed64()}
	if !slots {
		return l
	}
	l.Slots = new(cache.Slots)
	if len(r.b) < len(l.Slots) {
		r.fail(errShort)
		return l
	}
	copy(l.Slots[:], r.b)
	r.b = r.b[len(l.Slots):]
	return l
}

// AppendList appends the value that answers a list.
func AppendList(dst []byte, l *cache.ListReply) ([]byte, error) {
	n := len(l.Keys)
	if err := checkKeyCount(uint64(n)); err != nil {
		return dst, err
	}
	if len(l.Versions) != n {
		return dst, fmt.Errorf("%d versions of %d keys", len(l.Versions), n)
	}
	dst = binary.AppendUvarint(binary.BigEndian.AppendUint64(dst, l.Next), uint64(n))
	for i, k := range l.Keys {
		if err := checkKeyLen(uint64(len(k))); err != nil {
			return dst, err
		}
		dst = binary.BigEndian.AppendUint64(appendString(dst, k), l.Versions[i])
	}
	return dst, nil
}

// leastListed is what a key in a list takes at least.
const leastListed = 1 + 8

// DecodeList decodes the value that answers a list.
func DecodeList(b []byte) (*cache.ListReply, error) {
	r := reader{b: b}
	l := &cache.ListReply{Next: r.fixed64()}
	if n := r.count("keys", MaxKeys, leastListed); n > 0 {
		l.Keys, l.Versions = make([]string, 0, n), make([]uint64, 0, n)
		for range n {
			l.Keys, l.Versions = append(l.Keys, r.string(checkKeyLen)), append(l.Versions, r.fixed64())
			if r.err != nil {
				break
			}
		}
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	return l, nil
}
