package rival

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A scale claims sizes (cache.Entry.Size) of which a given sum of weights fills a cache of fleetcache's. Its MaxBytes bounds its own
// bookkeeping, too, which no other library counts; so that this does not change what fits, an entry claims its weight in
// units, less what Stats().Bytes say that an entry takes, and MaxBytes is what the entries get and the
// store sets aside for itself. All of that is measured from outside. The number of shards is that of a real cache
// of this MaxBytes.
type scale struct {
	unit, maxBytes int64
	arena          bool // with Config.Arena
}

// meanBytes is what an entry claims on the average at least, so that what an entry takes itself has room in it.
const meanBytes = 4 << 10

// scaleFor returns a scale by which weights of limit together fit, of about so many entries (0: limit).
func scaleFor(limit, entries int64, arena bool) (*scale, error) {
	if entries == 0 {
		entries = limit
	}
	key := scaleKey{limit, entries, arena}
	if s, ok := scales.Load(key); ok {
		return s.(*scale), nil
	}
	s := &scale{unit: 1, arena: arena}
	if mean := max(limit/entries, 1); mean < meanBytes {
		s.unit = (meanBytes + mean - 1) / mean
	}
	if least := int64(2 * cache.MinMaxBytes); s.unit*limit < least {
		s.unit = least/limit + 1
	}
	need := s.unit*limit + s.unit/2
	s.maxBytes = need
	for range 4 { // what is set aside depends on MaxBytes, a little
		room, err := roomIn(s.maxBytes, arena)
		if err != nil {
			return nil, err
		}
		if room >= need && room-need <= need/1024 {
			break
		}
		s.maxBytes += need - room
	}
	scales.Store(key, s)
	return s, nil
}

// scales are those that were measured: a cache is opened again and again.
var scales sync.Map

type scaleKey struct {
	limit, entries int64
	arena          bool
}

// size returns what the entry of key claims.
func (s *scale) size(key string, weight int64) int64 {
	return max(weight*s.unit-overhead(len(key), s.arena), 1)
}

// overheads are what entries take beside their sizes, by the length of the key, or 0: a call is a part of what is measured.
var overheads, arenaOverheads [cache.MaxKeyBytes + 1]atomic.Int64

// overhead is what an entry takes beside its size, its key included, as Stats say. It is the same in every cache.
func overhead(keyLen int, arena bool) int64 {
	if keyLen > cache.MaxKeyBytes { // such a key is not kept at all
		return 0
	}
	known := &overheads
	if arena {
		known = &arenaOverheads
	}
	n := known[keyLen].Load()
	if n == 0 {
		n = probeOverhead(keyLen, arena)
		known[keyLen].Store(n)
	}
	return n
}

func probeOverhead(keyLen int, arena bool) int64 {
	const entries, size = 32, 1 << 10
	p := newProbe(1<<20, arena)
	defer p.Close()
	p.keyLen = keyLen
	before := p.cache.Stats().Bytes
	for range entries {
		p.add(size)
	}
	stats := p.cache.Stats()
	if stats.Entries == 0 {
		return 0
	}
	return (stats.Bytes-before)/int64(stats.Entries) - size
}

// Overhead returns what an entry with a key of 8 bytes takes of MaxBytes in fleetcache, beside its value.
func Overhead() int64 { return overhead(probeKey, false) }

// probeShare is which part of a probed cache one entry takes.
const probeShare = 4 << 10

// roomIn returns how many bytes entries get in a cache: as many as there are when it has been filled twice over.
func roomIn(maxBytes int64, arena bool) (int64, error) {
	over := overhead(probeKey, arena)
	each := max(maxBytes/probeShare, 2*over)
	p := newProbe(maxBytes, arena)
	defer p.Close()
	for range 2 * (maxBytes/each + 1) {
		p.add(each - over)
	}
	stats := p.cache.Stats()
	if stats.Evictions+stats.Rejected == 0 {
		return 0, fmt.Errorf("a cache of %d bytes has not filled up: %d entries take %d", maxBytes, stats.Entries, stats.Bytes)
	}
	return stats.Bytes + each, nil // no more than that would have fitted
}

// A probe is a cache that is filled to see what it holds.
type probe struct {
	*fleetcache
	keyLen int
	next   uint64
	size   int64
}

const probeKey = 8

func newProbe(maxBytes int64, arena bool) *probe {
	p := &probe{keyLen: probeKey}
	inner, err := newFleetcache(Config{}, maxBytes, arena, func(string, []byte) int64 { return p.size })
	if err != nil {
		panic(err) // MaxBytes is more than the least
	}
	p.fleetcache = inner
	return p
}

// add stores one more entry, of a size.
func (p *probe) add(size int64) {
	p.size = size
	p.next++
	key := make([]byte, max(p.keyLen, 8))
	binary.LittleEndian.PutUint64(key, p.next)
	p.Set(string(key[:p.keyLen]), nil)
}
