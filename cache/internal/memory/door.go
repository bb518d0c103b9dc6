package memory

import "math/bits"

const (
	// doorShare is the share of the mirrors' bytes that is for what was fetched once: 1/doorShare. It remembers many more keys than there are mirrors, as the
	// hot keys of a fleet are worth one even if what a member is asked for between two requests for one of them would fill them all.
	doorShare = 32
	// maxDoor is how many keys a shard remembers at most.
	maxDoor = 1 << 16
)

// A door remembers which keys were fetched not long ago: it has two bytes for each, a part of its hash, at a place that another part says. Who comes later to a
// place takes it. So what is remembered fades, and one key in 2^16 is taken for another one, which costs a mirror that was not worth it. The nil door
// remembers nothing. A shard's lock guards it.
type door []uint16

// newDoor returns a door that takes as many bytes, or a little less.
func newDoor(bytes int64) door {
	places := min(bytes/2, maxDoor)
	if places < 1 {
		return nil
	}
	return make(door, 1<<(bits.Len64(uint64(places))-1))
}

// bytes is what the door takes.
func (d door) bytes() int64 { return 2 * int64(len(d)) }

// knows remembers a key by its hash, and reports whether it did so before.
func (d door) knows(hash uint64) bool {
	if len(d) == 0 {
		return false
	}
	place, part := &d[hash&uint64(len(d)-1)], uint16(hash>>16)
	known := *place == part
	*place = part
	return known
}
