package local

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/zipf"
)

const (
	keyCount  = 1 << 16
	valueSize = 1 << 10
	// exponent is that of popularity: the nth key is asked for 1/n^exponent times as often as the first.
	exponent = 0.99
	// drawCount is how many keys are drawn before the clock starts; goroutines go through them from different places on, again and again.
	drawCount = 1 << 20
)

// keys are all keys, and an order in which to ask for them, which was drawn by popularity.
type keys struct {
	all   []string
	drawn []uint32 // indices in all
}

// newKeys draws for n keys. The same seed gives the same order.
func newKeys(n, draws int, seed uint64) *keys {
	k := &keys{all: make([]string, n), drawn: make([]uint32, draws)}
	for i := range k.all {
		k.all[i] = keyName(i)
	}
	random := rand.New(rand.NewPCG(seed, seed))
	// Which keys are popular has nothing to do with where they are in memory, or with when they were made.
	popular := random.Perm(n)
	z := zipf.New(n, exponent)
	for i := range k.drawn {
		k.drawn[i] = uint32(popular[z.Draw(random.Float64())])
	}
	return k
}

// keyName is a string of its own, of as many bytes for each i.
func keyName(i int) string { return fmt.Sprintf("key:%016x", i) }

// from returns the key that was drawn i-th, round and round.
func (k *keys) from(i int) string { return k.all[k.drawn[i%len(k.drawn)]] }

// newValue makes a value of size bytes that belongs to key, as one that comes from an origin is made anew each time.
func newValue(key string, size int) []byte {
	v := make([]byte, size)
	copy(v[8:], key)
	binary.LittleEndian.PutUint64(v, uint64(len(key)))
	return v
}

// belongs reports whether v looks like what newValue makes of key. It is cheap enough for the path that is measured.
func belongs(key string, v []byte) bool {
	n := len(key)
	return len(v) > 8+n && v[0] == byte(n) && v[8+n-1] == key[n-1]
}
