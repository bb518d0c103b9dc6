package httpcache

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"strconv"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// The keys of the cache begin with what they are keys of.
const (
	keyResponse = 'r' // then the URL; and, behind a NUL, what tells its variants apart
	keyChunk    = 'c' // then a body's ID, and behind a NUL the number of the chunk
	keyDirect   = '@' // then an instance's address, and behind a NUL what it is asked to do, see direct
)

// variantKey is the key of the variant of the URL with the key base that has a family, and values of fields.
func variantKey(base, family string, fields []string, values string) string {
	sum := sha256.Sum256([]byte(strings.Join(fields, ",") + "\x00" + values))
	return base + "\x00" + family + string(sum[:16])
}

// baseOf is the URL's own key, whatever variant key is of.
func baseOf(key string) string {
	base, _, _ := strings.Cut(key, "\x00")
	return base
}

// familyOf is the family of a variant's key, "" if key is a URL's own.
func familyOf(key string) string {
	_, rest, ok := strings.Cut(key, "\x00")
	if !ok || len(rest) < idLen {
		return ""
	}
	return rest[:idLen]
}

func chunkKey(body string, i int64) string {
	return string(keyChunk) + body + "\x00" + strconv.FormatInt(i, 10)
}

func directKey(addr string, parts ...string) string {
	return string(keyDirect) + addr + "\x00" + strings.Join(parts, "\x00")
}

const idLen = 32

// newID returns what nobody can guess.
func newID() string {
	var b [idLen / 2]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// placed is the fleet as the cache sees it: all variants of a URL have one owner, and a direct key has the
// instance that it names.
type placed struct{ cache.Peers }

// place is the part of a key that it is placed by.
func place(key string) string {
	if key != "" && key[0] == keyResponse {
		return baseOf(key)
	}
	return key
}

// direct returns the instance that a direct key names: nil if it is this one, or none that is known.
func (p placed) direct(key string) (to cache.Peer, ok bool) {
	if key == "" || key[0] != keyDirect {
		return nil, false
	}
	addr, _, _ := strings.Cut(key[1:], "\x00")
	for _, o := range p.Others() {
		if o.Addr() == addr {
			return o, true
		}
	}
	return nil, true
}

// Owner implements cache.Peers, as do the methods below.
func (p placed) Owner(key string) cache.Peer {
	if to, ok := p.direct(key); ok {
		return to
	}
	return p.Peers.Owner(place(key))
}

func (p placed) Owners(key string) iter.Seq[cache.Peer] {
	if to, ok := p.direct(key); ok {
		return func(yield func(cache.Peer) bool) { yield(to) }
	}
	return p.Peers.Owners(place(key))
}

func (p placed) Former(key string) iter.Seq[cache.Peer] {
	if key != "" && key[0] == keyDirect {
		return func(func(cache.Peer) bool) {}
	}
	return p.Peers.Former(place(key))
}

func (p placed) Slot(key string) int { return p.Peers.Slot(place(key)) }
