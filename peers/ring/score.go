package ring

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// Slot returns the slot of a key: the upper 16 bits of its xxhash64 (seed 0).
// It is the same on every instance, whatever the members are.
func Slot(key string) int {
	return int(xxhash.Sum64String(key) >> (64 - slotBits))
}

// A scorer is what a member's costs are made from.
//
// The hash of a slot and a member comes from a splitmix64 stream whose seed is
// the xxhash64 of the member's ID: word g of the stream holds the upper 15 bits
// for the four slots 4g..4g+3, 16 bits apart; word Slots/4 + s holds the lower
// 17 bits for slot s. Four slots to a word, because building a table looks at
// every slot of every member and nearly always sees in the upper bits that it
// need not look closer (see preferences.scan).
type scorer struct {
	seed  uint64
	recip uint64 // 1/weight in units of 2^-64
}

const (
	laneBits  = 16
	lanes     = 64 / laneBits
	groups    = Slots / lanes       // a group of slots shares a word of the stream
	lowBits   = 32 - (laneBits - 1) // bits of a hash that are not in the group's word
	laneOnes  = 0x0001_0001_0001_0001
	laneMask  = 0x7fff * laneOnes // the 15 bits of each lane
	laneGuard = 0x8000 * laneOnes // the free bit above them
)

func newScorer(m Member) scorer {
	return scorer{xxhash.Sum64String(m.ID), ^uint64(0) / uint64(m.Weight)}
}

// word returns word i of a member's splitmix64 stream.
func word(seed, i uint64) uint64 { return mix(seed + step(i)) }

// step returns how far from its seed a stream's state is at word i.
func step(i uint64) uint64 { return (i + 1) * 0x9e3779b97f4a7c15 }

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash returns the 32-bit hash of a slot and the member; group is the word of
// the slot's group.
func (c scorer) hash(group uint64, slot int) uint32 {
	high := group >> (slot % lanes * laneBits) & 0x7fff
	low := word(c.seed, uint64(groups+slot)) >> (64 - lowBits)
	return uint32(high<<lowBits | low)
}

// cost turns a hash into a cost, the lower the better: the weighted rendezvous
// score -log2(u)/weight, rounded down to units of 2^-42. It is below 2^48, and it
// strictly decreases as the hash grows, at every weight: neighbouring hashes are
// at least 1.4 * 2^-32 / MaxWeight > 2^-42 apart.
func (c scorer) cost(hash uint32) uint64 {
	return mulHi(negLog2(hash), c.recip) >> 6
}

// A rank is a cost in the upper 48 bits and, to break ties, a member or a slot
// in the lower 16. Slots and members both prefer the lower rank, so the order of
// all (cost, member, slot) is one, and the matching it leads to is unique.
type rank uint64

func newRank(cost uint64, tie int) rank { return rank(cost<<16 | uint64(tie)) }
func (r rank) tie() int                 { return int(r & 0xffff) }
func (r rank) cost() uint64             { return uint64(r >> 16) }

// rank returns the rank of member i, whose scorer c is, for the slot.
func (c scorer) rank(slot, i int) rank {
	return newRank(c.cost(c.hash(word(c.seed, uint64(slot/lanes)), slot)), i)
}

// lanesBelow returns what to add to a word, masked with laneMask, so that the
// guard bit of a lane is set just if a hash with those upper bits can cost at
// most limit; and how many of the 2^15 values of a lane that is.
func (c scorer) lanesBelow(limit uint64) (bias uint64, values int) {
	lo, hi := uint32(0), uint32(1)<<15 // the least lane value that can
	for lo < hi {
		mid := (lo + hi) / 2
		if c.cost(mid<<lowBits|(1<<lowBits-1)) <= limit {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	values = 1<<15 - int(lo)
	return uint64(values) * laneOnes, values
}

// firstLane returns the lane of the lowest guard bit that is set.
func firstLane(guards uint64) int { return bits.TrailingZeros64(guards) / laneBits }
