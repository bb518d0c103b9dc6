package rival

import (
	"runtime"

	"github.com/dgraph-io/ristretto/v2"
)

type ristrettoCache struct {
	*once
	*ristrettoStore
}

type ristrettoStore struct {
	*ristretto.Cache[string, []byte]
	weigh func(key string, value []byte) int64
}

// ristrettoCounters is how many counters its documentation advises, for each entry that it holds when it is full.
const ristrettoCounters = 10

func openRistretto(c Config) (Cache, error) {
	s := new(ristrettoStore)
	var limit int64
	s.weigh, limit = c.weigher()
	entries := c.Entries
	if entries == 0 {
		entries = max(limit>>10, 1<<10) // of about 1 KiB
	}
	var err error
	s.Cache, err = ristretto.NewCache(&ristretto.Config[string, []byte]{
		NumCounters:        ristrettoCounters * entries,
		MaxCost:            limit,
		BufferItems:        64,           // as advised
		IgnoreInternalCost: c.Bytes == 0, // it is in bytes
	})
	if err != nil {
		return nil, err
	}
	return &ristrettoCache{newOnce(s, c), s}, nil
}

// Set implements Cache.
func (s *ristrettoStore) Set(key string, value []byte) { s.Cache.Set(key, value, s.weigh(key, value)) }

// Settle implements Cache: it waits for what was set, as its documentation says, and lets the goroutine run that counts uses, for which
// nobody can wait.
func (c *ristrettoCache) Settle() {
	c.Wait()
	runtime.Gosched()
}

// Close implements Cache.
func (c *ristrettoCache) Close() { c.Cache.Close() }
