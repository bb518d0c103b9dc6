package invalidate

import (
	"fmt"
	"os"
	"sync/atomic"
)

// A ledger is the origin of all keys, and what Removes promised of each, in memory that all processes share: what one of them has
// written there, every other one reads from then on. No clock is looked at.
type ledger struct {
	words []atomic.Uint64
	unmap func() error
}

// Of a ledger's words the first is the key that was removed last, and then each key has two.
const (
	latestWord = iota
	firstKey
)

const wordBytes = 8

func ledgerBytes() int { return wordBytes * (firstKey + 2*keyCount) }

// createLedger makes the file of a ledger.
func createLedger(dir string) (path string, err error) {
	f, err := os.CreateTemp(dir, "ledger")
	if err != nil {
		return "", err
	}
	defer f.Close()
	return f.Name(), f.Truncate(int64(ledgerBytes()))
}

// version is what the origin has for a key: reads of it are linearizable.
func (l *ledger) version(key int) *atomic.Uint64 { return &l.words[firstKey+2*key] }

// floor is the oldest version of a key that a Get may return that begins now: the one that was written before the last Remove that
// has returned nil.
func (l *ledger) floor(key int) *atomic.Uint64 { return &l.words[firstKey+2*key+1] }

// latest returns the key that was removed last.
func (l *ledger) latest() int { return int(l.words[latestWord].Load()) }

// write gives a key a new version at the origin, and returns it.
func (l *ledger) write(key int) uint64 { return l.version(key).Add(1) }

// removed notes that a Remove of a key returned nil, that began when it had a version.
func (l *ledger) removed(key int, version uint64) {
	floor := l.floor(key)
	for old := floor.Load(); old < version && !floor.CompareAndSwap(old, version); old = floor.Load() {
	}
	l.words[latestWord].Store(uint64(key))
}

// A Stale is a read that broke the promise of G4.
type Stale struct {
	Key         int
	Floor, Read uint64 // versions
	Reader      int    // the process
}

func (s Stale) String() string {
	return fmt.Sprintf("process %d read version %d of %s, which was below the floor of %d when it began", s.Reader, s.Read, keyName(s.Key), s.Floor)
}
