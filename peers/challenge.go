package peers

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

const (
	// challengeLife is how long a challenge is taken, by the clock of the server that gave it.
	challengeLife = time.Minute

	// maxSeen bounds the challenges that a server keeps the used numbers of: 2 KiB each.
	maxSeen = 4096

	// windowSize is how far a number may be behind the highest that was used with its challenge. A
	// request can be overtaken by as many while its connection is made: a third of
	// a second at 50,000 requests a second. One that falls behind is refused, and signed once more.
	windowSize = windowWords*64 - 64

	// maxInFlightToPeer bounds Config.MaxConnsPerPeer, well within the window.
	maxInFlightToPeer = 1 << 12

	windowWords   = 256
	challengeID   = 16
	challengeMAC  = 16
	challengeSize = challengeID + 8 + challengeMAC
)

// A challenge is 16 random bytes, the time of its making since the server's start, and a
// code that only its server can make and check. So giving one out costs no memory.
type challenge [challengeSize]byte

// A challenger gives out challenges and sees to it that each number is used once with each. It may
// be used concurrently.
type challenger struct {
	key *signer // random, of this process

	mu sync.Mutex
	// mu guards the fields below.

	// seen are the challenges with which a genuine request has come, by their random bytes. A
	// challenge that is not there has been used with no number since floor.
	seen map[[challengeID]byte]*seenChallenge
	// floor is when challenges were made that are not taken any more, as if they had run out.
	floor time.Duration
	// latest is the latest time that use was told of: it never goes back, whoever gets the lock first.
	latest time.Duration
	swept  time.Duration // when those that ran out were dropped
}

type seenChallenge struct {
	made time.Duration
	used window
}

func newChallenger() *challenger {
	var key [32]byte
	rand.Read(key[:]) // never fails
	return &challenger{key: newSigner(key[:]), seen: map[[challengeID]byte]*seenChallenge{}, floor: -1}
}

// issue returns a new challenge. now is the time since the server's start, as in all methods.
func (c *challenger) issue(now time.Duration) (ch challenge) {
	rand.Read(ch[:challengeID])
	binary.BigEndian.PutUint64(ch[challengeID:], uint64(now))
	m := c.seal(&ch)
	copy(ch[challengeID+8:], m[:challengeMAC])
	return ch
}

func (c *challenger) seal(ch *challenge) mac {
	g := c.key.begin("fleetcache/1 challenge")
	g.field(ch[:challengeID+8], nil)
	return g.sum()
}

// check says whether ch is a challenge of this process's, and when it was made.
func (c *challenger) check(ch *challenge) (made time.Duration, ok bool) {
	m := c.seal(ch)
	if !hmac.Equal(ch[challengeID+8:], m[:challengeMAC]) {
		return 0, false
	}
	return time.Duration(binary.BigEndian.Uint64(ch[challengeID:])), true
}

// use takes a number of a challenge that check allowed, for a request that is genuine in all else.
// It returns "" once for each.
func (c *challenger) use(ch *challenge, made time.Duration, number uint64, now time.Duration) refusal {
	id := [challengeID]byte(ch[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.latest = max(c.latest, now)
	now = c.latest
	if made <= c.floor || now-made >= challengeLife {
		return refusedExpired
	}
	s := c.seen[id]
	if s == nil {
		c.makeRoomLocked(now)
		if made <= c.floor {
			return refusedExpired
		}
		s = &seenChallenge{made: made}
		c.seen[id] = s
	}
	if !s.used.add(number) {
		return refusedReplay
	}
	return ""
}

// makeRoomLocked drops challenges that have run out. If too many are left it drops all, and
// takes none of the challenges that were made until now any more: their clients sign once more. To
// drop some without that would let their requests be replayed.
func (c *challenger) makeRoomLocked(now time.Duration) {
	if len(c.seen) < maxSeen && now-c.swept < challengeLife {
		return
	}
	c.swept = now
	for id, s := range c.seen {
		if now-s.made >= challengeLife {
			delete(c.seen, id)
		}
	}
	if len(c.seen) >= maxSeen {
		clear(c.seen)
		c.floor = now
	}
}

// A window remembers which numbers were used, of those that are not too far behind the highest:
// the algorithm of RFC 6479. The zero window has seen none.
type window struct {
	top  uint64 // the highest number used
	seen [windowWords]uint64
}

// add reports whether n is used for the first time. What is too far behind counts as used, and so does 0.
func (w *window) add(n uint64) bool {
	if n == 0 || n+windowSize <= w.top && w.top >= windowSize || n > 1<<62 {
		return false
	}
	if n > w.top {
		from, to := w.top/64, n/64
		if to-from > windowWords {
			from = to - windowWords
		}
		for i := from + 1; i <= to; i++ {
			w.seen[i%windowWords] = 0
		}
		w.top = n
	}
	word, bit := &w.seen[n/64%windowWords], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
