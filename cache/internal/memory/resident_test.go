package memory_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
)

// What a full store has on the heap is no more than it accounts for, and not much less.
func TestG6AccountedBytesAreOnTheHeap(t *testing.T) {
	for _, c := range []struct {
		key, value int
		arenas     bool
	}{
		{8, 8, false}, {20, 200, false}, {60, 100, false}, {20, 3000, false},
		{8, 8, true}, {20, 200, true}, {60, 100, true}, {20, 3000, true},
	} {
		t.Run(fmt.Sprint(c.key, " and ", c.value, ", in arenas: ", c.arenas), func(t *testing.T) {
			const maxBytes = 8 << 20
			before := heap()
			newStore, least := memory.New[[]byte], int64(maxBytes*15/16)
			if c.arenas {
				newStore, least = memory.NewInArenas[[]byte], maxBytes*4/5 // the rest is for what is dead
			}
			s := newStore(maxBytes, false)
			n := 3 * maxBytes / (c.key + c.value + 200)
			for i := range n {
				s.Put(fmt.Sprintf("%0*d", c.key, i), bytesItem(make([]byte, c.value)), 0)
			}
			used, taken := s.Usage(), int64(heap()-before)
			each := func(bytes int64) int64 { return bytes / int64(used.Entries) }
			t.Logf("%d entries: %d bytes each are accounted for, %d are taken", used.Entries, each(used.Bytes), each(taken))
			if used.Bytes > maxBytes || used.Bytes < least || taken > maxBytes || taken < maxBytes*3/4 {
				t.Errorf("%d bytes are accounted for and %d taken, of %d allowed", used.Bytes, taken, maxBytes)
			}
			runtime.KeepAlive(s)
		})
	}
}

func heap() uint64 {
	for range 3 {
		runtime.GC() // what is pooled goes with the second, and what it kept with the third
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
