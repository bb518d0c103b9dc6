package ring

// capacities returns how many slots each member may own: 1.05 of its fair share
// of the slots, rounded down, but always more than the fair share. So there is
// room for every slot, whatever the weights; and from 20 slots a member on,
// nobody exceeds 1.05 of its share.
//
// Rounding 1.05 of the share up would give room too, but 1.065 of the share at
// 983 members.
func capacities(members []Member) []int {
	var total int64
	for _, m := range members {
		total += int64(m.Weight)
	}
	caps := make([]int, len(members))
	for i, m := range members {
		slots := Slots * int64(m.Weight)
		caps[i] = int(max(slots*105/(total*100), slots/total+1))
	}
	return caps
}

// match gives every slot an owner by deferred acceptance: each slot proposes to
// the members in the order of its preference; a member that is full keeps the
// slots that rank best with it, and the slot it turns out proposes further.
//
// It ends, as capacities add up to more than Slots and every slot's preferences
// name every member. Its result is the one stable matching (see rank), so it
// does not depend on the order of proposals.
func match(prefs *preferences, caps []int, owners *[Slots]uint16) {
	held := newHolders(caps)
	var next [Slots]uint16 // the place in its preferences a slot proposes to next
	for first := range Slots {
		for slot := first; slot >= 0; {
			r := prefs.at(slot, int(next[slot]))
			next[slot]++
			slot = held[r.tie()].propose(newRank(r.cost(), slot))
		}
	}
	for i := range held {
		for _, r := range held[i].slots {
			owners[r.tie()] = uint16(i)
		}
	}
}

// A holder is a member during the matching. Its slots become a heap, the worst
// one at the root, when it is full.
type holder struct{ slots []rank }

func newHolders(caps []int) []holder {
	total := 0
	for _, c := range caps {
		total += c
	}
	arena := make([]rank, total)
	held := make([]holder, len(caps))
	for i, c := range caps {
		held[i].slots, arena = arena[:0:c], arena[c:]
	}
	return held
}

// propose offers a slot to the member. It returns the slot that is left without
// an owner: none (-1), the slot itself, or one that the member held.
func (h *holder) propose(r rank) int {
	if n := len(h.slots); n < cap(h.slots) {
		h.slots = append(h.slots, r)
		if n+1 == cap(h.slots) {
			for i := n / 2; i >= 0; i-- {
				h.sift(i)
			}
		}
		return -1
	}
	worst := h.slots[0]
	if r >= worst {
		return r.tie()
	}
	h.slots[0] = r
	h.sift(0)
	return worst.tie()
}

// sift restores the heap below place i.
func (h *holder) sift(i int) {
	s := h.slots
	for {
		child := 2*i + 1
		if child >= len(s) {
			return
		}
		if child+1 < len(s) && s[child+1] > s[child] {
			child++
		}
		if s[i] >= s[child] {
			return
		}
		s[i], s[child] = s[child], s[i]
		i = child
	}
}
