package memory

import (
	"fmt"
	"unsafe"
)

// CostOf is the cost that the store accounts for an item.
func (s *Store[V]) CostOf(it *Item[V], key string) int64 { return s.cost(key, it) }

// CountedEntries is how many entries and copies have been reserved, if they are bounded.
func (s *Store[V]) CountedEntries() (n int) {
	for c := range s.budgets {
		n += int(s.budgets[c].entries.Load())
	}
	return n
}

// ArenaBytes is what the chunks of all arenas take, and what of it are blocks of entries.
func (s *Store[V]) ArenaBytes() (all, live int64) {
	for _, sh := range s.shards {
		sh.mu.Lock()
		for _, c := range sh.arena.chunks {
			if c.memory != nil {
				all += sh.arena.chunkBytes
				live += int64(c.live)
			}
		}
		sh.mu.Unlock()
	}
	return all, live
}

// CostOfCopy is what it accounts for a copy.
func CostOfCopy[V any](it *Item[V], key string) int64 { return it.cost(key) + copyCost }

// Earliest is the Instant before which it is not refreshed, if it is stored at now.
func (it *Item[V]) Earliest(now Instant) Instant { return it.earliest(now) }

// IsDue reports whether who asks for it at now is told to refresh it.
func IsDue[V any](it *Item[V], now Instant) bool { return (&entry[V]{item: *it}).isDue(now) }

// Room is what entries may take, and what is remembered of those that were fetched once takes.
func (s *Store[V]) Room() (bytes int64) {
	for c := range s.budgets {
		bytes += s.budgets[c].max
	}
	for _, sh := range s.shards {
		bytes += sh.door.bytes()
	}
	return bytes
}

// all yields every entry. The shard's lock must be held.
func (t *table[V]) all(yield func(*entry[V]) bool) {
	for _, segment := range *t.segments.Load() {
		for i := range segment {
			b := &segment[i]
			for j := range b.slots {
				if e := b.slots[j].Load(); e != nil && !yield(e) {
					return
				}
			}
			for e := b.more.Load(); e != nil; e = e.chain.Load() {
				if !yield(e) {
					return
				}
			}
		}
	}
}

// CheckArenas returns what is wrong with the arenas, nil if nothing is: each counts what it has, keeps what the table finds and no more, and wastes
// no more than it may.
func (s *Store[V]) CheckArenas() error {
	for _, sh := range s.shards {
		sh.mu.Lock()
		err := sh.checkArenaLocked()
		sh.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (sh *shard[V]) checkArenaLocked() error {
	a := &sh.arena
	if !a.isOn() {
		return nil
	}
	var live, dead int64
	byChunk := make([]uint32, len(a.chunks))
	for _, c := range a.chunks {
		live += int64(c.live)
		if c.closed {
			dead += a.chunkBytes - int64(c.live)
		}
	}
	if live != a.live || dead != a.dead {
		return fmt.Errorf("%d bytes are alive and %d dead, and %d and %d are counted", live, dead, a.live, a.dead)
	}
	if a.tooMuchIsDead() {
		return fmt.Errorf("%d bytes are dead of %d", dead, live)
	}
	found, lone := 0, 0
	for e := range sh.table.all {
		found++
		head := (*blockHead)(unsafe.Add(unsafe.Pointer(e), -headBytes))
		if head.number&isLone == 0 {
			byChunk[head.number] += head.size
		} else if lone++; a.lone[head.number&^isLone] != unsafe.Pointer(head) {
			return fmt.Errorf("%q has no place of its own", e.key())
		}
	}
	for n, c := range a.chunks {
		if byChunk[n] != c.live || c.live > 0 && c.memory == nil {
			return fmt.Errorf("chunk %d has %d bytes, and the table finds %d", n, c.live, byChunk[n])
		}
	}
	if kept := len(a.lone) - len(a.unusedLone); found != sh.table.len || kept != lone {
		return fmt.Errorf("the table finds %d of %d entries, %d are objects, and %d are kept", found, sh.table.len, lone, kept)
	}
	return nil
}
