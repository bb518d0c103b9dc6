// Package payload makes keys and values. A value is a function of its key, and the key says how long it is, so that any
// server makes the same values and any client can check them.
package payload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// MinSize and MaxSize bound values, in bytes.
const (
	MinSize = 8
	MaxSize = 64 << 20
)

// Key returns the i-th key whose value has size bytes. It needs no escaping in a URL.
func Key(size, i int) string { return fmt.Sprintf("%d-%08d", size, i) }

// Size returns the length of the value of key.
func Size(key string) (int, error) {
	digits, _, _ := strings.Cut(key, "-")
	size, err := strconv.Atoi(digits)
	if err != nil || size < MinSize || size > MaxSize {
		return 0, fmt.Errorf("payload: key %q does not begin with a size from %d to %d", key, MinSize, MaxSize)
	}
	return size, nil
}

// Value makes the value of key.
func Value(key string) ([]byte, error) {
	size, err := Size(key)
	if err != nil {
		return nil, err
	}
	value := make([]byte, size+7)
	word := xxhash.Sum64String(key)
	for i := 0; i < size; i += 8 {
		binary.LittleEndian.PutUint64(value[i:], word)
		word = word*6364136223846793005 + 1442695040888963407
	}
	return value[:size:size], nil
}

// Check returns an error unless value looks like that of key, which has size bytes: it has that length, and
// begins as it should. It is cheap enough for the path that is measured.
func Check(key string, size int, value []byte) error {
	if len(value) != size {
		return fmt.Errorf("payload: the value of %s has %d bytes, not %d", key, len(value), size)
	}
	if got, want := binary.LittleEndian.Uint64(value), xxhash.Sum64String(key); got != want {
		return fmt.Errorf("payload: the value of %s begins with %x, not %x: it is another key's", key, got, want)
	}
	return nil
}

// CheckAll returns an error unless value is that of key, byte for byte.
func CheckAll(key string, value []byte) error {
	want, err := Value(key)
	if err != nil {
		return err
	}
	if !bytes.Equal(value, want) {
		return fmt.Errorf("payload: the value of %s is not what it should be (%d bytes, want %d)", key, len(value), len(want))
	}
	return nil
}

// Held is the memory of a server that is no cache: values are made when they are asked for first. Its
// methods may be called concurrently. The zero value is empty.
type Held struct {
	// mu guards values.
	mu     sync.RWMutex
	values map[string][]byte
}

// Get returns the value of key, which nobody may change. It does not allocate if it has been asked for key before.
func (h *Held) Get(key []byte) ([]byte, error) {
	h.mu.RLock()
	value, ok := h.values[string(key)]
	h.mu.RUnlock()
	if ok {
		return value, nil
	}
	value, err := Value(string(key))
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.values == nil {
		h.values = make(map[string][]byte)
	}
	h.values[string(key)] = value
	return value, nil
}
