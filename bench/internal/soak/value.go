package soak

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
)

const (
	keyCount = 2000
	maxValue = 4 << 20
	// headBytes is what a value begins with, if it is long enough: the key's hash, a salt, a checksum of both and the rest.
	headBytes = 24
)

func keyName(i int) string { return "key-" + strconv.Itoa(i) }

// sizeOf is how long the values of a key are: 1 B to 4 MiB, as many of each power of two.
func sizeOf(key string) int {
	share := float64(xxhash.Sum64String("size of "+key)>>11) / (1 << 53)
	return min(int(math.Exp2(share*math.Log2(maxValue+1))), maxValue)
}

// makeValue makes a value of key. Those with different salts differ, if they are long enough to have one.
func makeValue(key string, salt uint64) []byte {
	n, hash := sizeOf(key), xxhash.Sum64String(key)
	word := hash
	if n >= headBytes {
		word ^= salt
	}
	value := make([]byte, n+7)
	for i := 0; i < n; i += 8 {
		binary.LittleEndian.PutUint64(value[i:], word)
		word = word*6364136223846793005 + 1442695040888963407
	}
	value = value[:n:n]
	if n >= headBytes {
		binary.LittleEndian.PutUint64(value, hash)
		binary.LittleEndian.PutUint64(value[8:], salt)
		binary.LittleEndian.PutUint64(value[16:], checksum(value))
	}
	return value
}

// checksum is of all of a value but the checksum in it.
func checksum(value []byte) uint64 {
	d := xxhash.New()
	_, _ = d.Write(value[:16]) // it never fails
	_, _ = d.Write(value[headBytes:])
	return d.Sum64()
}

// checkValue returns an error unless value is one of key's, every byte of it.
func checkValue(key string, value []byte) error {
	if len(value) != sizeOf(key) {
		return fmt.Errorf("%s has %d bytes, not %d", key, len(value), sizeOf(key))
	}
	if len(value) < headBytes {
		if want := makeValue(key, 0); string(value) != string(want) {
			return fmt.Errorf("%s is %x, not %x", key, value, want)
		}
		return nil
	}
	if got, want := binary.LittleEndian.Uint64(value), xxhash.Sum64String(key); got != want {
		return fmt.Errorf("%s has the value of another key: %x, not %x", key, got, want)
	}
	if got, want := binary.LittleEndian.Uint64(value[16:]), checksum(value); got != want {
		return fmt.Errorf("%s, %d bytes, has the checksum %x, not %x", key, len(value), got, want)
	}
	return nil
}

// size prints a number of bytes.
func size(n uint64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(n)/(1<<20)), ".0") + " MiB"
}
