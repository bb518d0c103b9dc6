package ring

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

const (
	slotBits = 16

	// Slots is the number of slots that keys hash to.
	Slots = 1 << slotBits

	// MaxMembers is the most members a Table takes: 16 slots each. Beyond that
	// the slots are too coarse to be shared out fairly.
	MaxMembers = 1 << 12

	// MaxWeight is the largest weight of a Member.
	MaxWeight = 1000

	// successors is how many ranks after the owner a Table keeps, so that a key
	// whose three best members have all failed still finds the fourth without a
	// computation. They take 384 KiB, beside 128 KiB for the owners; each further
	// rank would take 128 KiB more, for a case that ends when the view changes.
	successors = 3
)

// A Member is an instance that can own slots.
type Member struct {
	// ID names the member; it is not empty, and unique among the members. The
	// placement depends on it byte for byte.
	ID string

	// Weight, from 1 to MaxWeight, is the member's share of the slots in
	// proportion to the other members' weights. 0 means 1.
	Weight int
}

// A Table says who owns each slot, and who follows the owner. It is immutable,
// and a pure function of its set of members. The zero Table has no members.
type Table struct {
	epoch   uint64
	members []Member // sorted by ID
	scorers []scorer // by member

	// Both are nil if there are no members. owners is an array of its own,
	// because a Get reads nothing else and 128 KiB stay in a core's cache.
	owners *[Slots]uint16
	follow *[Slots][successors]uint16 // valid up to the number of members
}

// New returns the Table of the members. Their order does not matter, and New
// neither keeps nor changes the slice. It is fine to have no members: then no
// slot has an owner.
//
// The error is not nil if there are more than MaxMembers, or if a member has an
// empty ID, the ID of another one, or a Weight out of range; it names the member.
func New(members ...Member) (*Table, error) {
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("ring: %d members; a table takes at most %d", len(members), MaxMembers)
	}
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, compareIDs)
	for i := range sorted {
		m := &sorted[i]
		if m.ID == "" {
			return nil, errors.New("ring: a member has an empty ID; give each member a unique one, such as its URL")
		}
		if i > 0 && m.ID == sorted[i-1].ID {
			return nil, fmt.Errorf("ring: member %q is listed more than once; list each ID once", m.ID)
		}
		if m.Weight < 0 || m.Weight > MaxWeight {
			return nil, fmt.Errorf("ring: member %q has weight %d; use 1 to %d, or 0 for 1", m.ID, m.Weight, MaxWeight)
		}
		if m.Weight == 0 {
			m.Weight = 1
		}
	}
	return build(sorted, firstRound), nil
}

func compareIDs(a, b Member) int { return strings.Compare(a.ID, b.ID) }

// build returns the Table of members that are valid and sorted. want is how many
// preferences of a slot to compute at first.
func build(members []Member, want int) *Table {
	t := &Table{epoch: digest(members), members: members}
	if len(members) == 0 {
		return t
	}
	t.scorers = make([]scorer, len(members))
	for i, m := range members {
		t.scorers[i] = newScorer(m)
	}
	prefs := newPreferences(members, t.scorers, want)
	t.owners = new([Slots]uint16)
	match(prefs, capacities(members), t.owners)
	t.follow = new([Slots][successors]uint16)
	for slot := range Slots {
		for k, n := 0, 0; k < len(members) && n < successors; k++ {
			i := uint16(prefs.at(slot, k).tie())
			if i != t.owners[slot] {
				t.follow[slot][n] = i
				n++
			}
		}
	}
	return t
}

// placement is part of every digest. Change it with the placement, so that two
// instances that place keys differently see that from their epochs.
const placement = "fleetcache/ring/1"

// digest returns the epoch of members that are valid and sorted.
func digest(members []Member) uint64 {
	b := []byte(placement)
	for _, m := range members {
		b = binary.AppendUvarint(b, uint64(len(m.ID)))
		b = append(b, m.ID...)
		b = binary.AppendUvarint(b, uint64(m.Weight))
	}
	return xxhash.Sum64(b)
}

// Epoch returns the digest of the members and their weights: equal for equal
// sets, and different for different ones but for a chance of 2^-64. Its value is
// the same on every architecture and in every process, whatever sets came before.
func (t *Table) Epoch() uint64 { return t.epoch }

// Members returns the members, sorted by ID, with a Weight of 0 replaced by 1.
// The slice is the caller's.
func (t *Table) Members() []Member { return slices.Clone(t.members) }

// Len returns the number of members.
func (t *Table) Len() int { return len(t.members) }

// Member returns member i in the order of Members. It panics if there is none.
func (t *Table) Member(i int) Member { return t.members[i] }

// Index returns the place of the member with that ID in the order of Members,
// and whether there is one.
func (t *Table) Index(id string) (int, bool) {
	return slices.BinarySearchFunc(t.members, id, func(m Member, id string) int {
		return cmp.Compare(m.ID, id)
	})
}

// Owner returns the index of the member that owns the key, or -1 if there are no
// members. It takes one hash and one index, no lock and no allocation.
func (t *Table) Owner(key string) int { return t.OwnerOfSlot(Slot(key)) }

// OwnerOfSlot returns the index of the member that owns the slot, or -1 if there
// are no members. It panics if the slot is not in 0..Slots-1.
func (t *Table) OwnerOfSlot(slot int) int {
	if t.owners == nil {
		return -1
	}
	return int(t.owners[slot])
}

// SecondOfSlot returns the index of the member that stands in for the owner of the
// slot, or -1 if there is no other one. It panics if the slot is not in 0..Slots-1.
func (t *Table) SecondOfSlot(slot int) int {
	if len(t.members) < 2 {
		return -1
	}
	return int(t.follow[slot][0])
}

// Owners returns the indexes of all members in the order in which they stand in
// for each other on the key: its owner first, then the others as the key's slot
// ranks them. Every member occurs once.
//
// The first four come from the table and allocate nothing. If the caller goes
// on, the others are ranked then: it takes time in proportion to the number of
// members, and allocates once if there are more than 64.
func (t *Table) Owners(key string) iter.Seq[int] {
	return func(yield func(int) bool) { t.walk(Slot(key), yield) }
}

func (t *Table) walk(slot int, yield func(int) bool) {
	if t.owners == nil || !yield(int(t.owners[slot])) {
		return
	}
	known := min(len(t.members)-1, successors)
	for _, i := range t.follow[slot][:known] {
		if !yield(int(i)) {
			return
		}
	}
	if known == len(t.members)-1 {
		return
	}
	var small [64]rank
	ranks := small[:0]
	if len(t.members) > len(small) {
		ranks = make([]rank, 0, len(t.members))
	}
	for i, c := range t.scorers {
		if i != int(t.owners[slot]) {
			ranks = append(ranks, c.rank(slot, i))
		}
	}
	slices.Sort(ranks)
	for _, r := range ranks[known:] {
		if !yield(r.tie()) {
			return
		}
	}
}
