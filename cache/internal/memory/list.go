package memory

import "strings"

// A rank is how hot the entries of a List are: the hottest first.
const (
	hotMain = iota
	coldMain
	hotSmall
	coldSmall
	ranks
)

// A Listed is a key that a store holds something of, and what stands for that: see version.
type Listed struct {
	Key     string
	Version uint64
}

// List returns keys that this store holds for its own instance, and that have not expired, the hottest first: those behind cursor,
// which is 0 at first, and as many as there are in a shard at least, or until there are about most bytes of them. next is the cursor
// for the next ones, 0 if there are none. What moves meanwhile may be left out, or come twice. Nothing is listed that Peek does not find.
func (s *Store[V]) List(cursor uint64, most int) (keys []Listed, next uint64) {
	shards := uint64(len(s.shards))
	for bytes := 0; cursor < ranks*shards; {
		from := len(keys)
		keys = s.appendKeys(keys, s.shards[cursor%shards], cursor/shards)
		for _, k := range keys[from:] {
			bytes += len(k.Key)
		}
		if cursor++; bytes >= most && cursor < ranks*shards {
			return keys, cursor
		}
	}
	return keys, 0
}

func (s *Store[V]) appendKeys(keys []Listed, sh *shard[V], rank uint64) []Listed {
	now := s.Now()
	if s.isolated.Load() {
		return keys
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	q := &sh.policies[owned].main
	if rank >= hotSmall {
		q = &sh.policies[owned].small
	}
	hot := rank == hotMain || rank == hotSmall
	for e := range q.newest {
		if hot == (e.hits.Load() > 0) && e.isFresh(now) && !s.isInvalid(e, now) {
			keys = append(keys, Listed{strings.Clone(e.key()), s.version(e)})
		}
	}
	return keys
}

// Has reports whether the store holds something fresh of key.
func (s *Store[V]) Has(key string) bool {
	now := s.Now()
	sh, hash := s.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.table.get(hash, key)
	return e != nil && !e.item.Mirror && now < e.item.Fresh && !s.isInvalid(e, now)
}

// Full reports whether the next entry of this instance's own would evict others.
func (s *Store[V]) Full() bool { return s.budgets[owned].isFull() }
