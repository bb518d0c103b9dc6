package memory

// A ghostKind says why a key is remembered.
type ghostKind uint8

const (
	seen      ghostKind = iota // it was asked for
	fromSmall                  // it was evicted from the small queue
	fromMain                   // it was evicted from main
	ghostKinds
)

const (
	// minGhosts is how many keys of a kind are remembered at least. They are few enough to be paid from the shard's fixed cost.
	minGhosts = 64
	ways      = 8
	// ghostBytes is what a slot takes.
	ghostBytes = 12
)

// A ghost is what is known of a key that was evicted.
type ghost struct {
	kind ghostKind
	age  uint32 // how many of its kind were added since
	turn uint32 // that was given when it was added
}

// ghosts remembers hashes of keys: of each kind as many as there are entries, times a factor of its own. It is a table of sets of
// slots. A hash has one set, and takes the slot that is the least use there. Two keys with the same 32 bits of hash are one: that costs a hint.
// No pointer is in it, and nothing is allocated but when the number of entries has changed by a quarter.
type ghosts struct {
	slots []ghostSlot // sets of ways
	added [ghostKinds]uint32
}

// at is the number that the ghost has in its kind, with the kind in the top two bits. The zero slot has nothing: the numbers begin at 1.
type ghostSlot struct {
	hash, at, turn uint32
}

const (
	kindShift = 30
	atMask    = 1<<kindShift - 1
)

func (g *ghosts) clear() { *g = ghosts{} }

// limit returns how many of a kind are remembered while there are so many entries.
func limit(kind ghostKind, entries int) uint32 {
	switch kind {
	case fromSmall:
		entries *= 2
	case fromMain:
		entries /= 2
	}
	return uint32(min(max(entries, minGhosts), atMask/2))
}

func (s ghostSlot) kind() ghostKind { return ghostKind(s.at >> kindShift) }

func (g *ghosts) age(s ghostSlot) uint32 { return (g.added[s.kind()] - s.at) & atMask }

// live reports whether the slot holds a ghost that is not forgotten.
func (g *ghosts) live(s ghostSlot, entries int) bool {
	return s.at != 0 && g.age(s) < limit(s.kind(), entries)
}

// set returns the slots that a hash may be in.
func (g *ghosts) set(hash uint32) []ghostSlot {
	if len(g.slots) == 0 {
		return nil
	}
	i := int(uint64(hash) * uint64(len(g.slots)/ways) >> 32)
	return g.slots[i*ways : (i+1)*ways]
}

// find returns the slot of hash, nil if it is not remembered.
func (g *ghosts) find(hash uint64, entries int) *ghostSlot {
	set := g.set(uint32(hash))
	for i := range set {
		if s := &set[i]; s.hash == uint32(hash) && g.live(*s, entries) {
			return s
		}
	}
	return nil
}

func (g *ghosts) has(hash uint64, entries int) bool { return g.find(hash, entries) != nil }

// take forgets hash, and returns what was known of it.
func (g *ghosts) take(hash uint64, entries int) (ghost, bool) {
	s := g.find(hash, entries)
	if s == nil {
		return ghost{}, false
	}
	found := ghost{s.kind(), g.age(*s), s.turn}
	*s = ghostSlot{}
	return found, true
}

// add remembers hash.
func (g *ghosts) add(hash uint64, kind ghostKind, turn uint32, entries int) {
	g.fit(entries)
	g.added[kind] = (g.added[kind] + 1) & atMask
	if g.added[kind] == 0 && kind == 0 {
		g.added[kind] = 1
	}
	g.put(ghostSlot{uint32(hash), uint32(kind)<<kindShift | g.added[kind], turn}, entries)
}

// put stores s in the place of what is known of the same hash, or else of what is the least use.
func (g *ghosts) put(s ghostSlot, entries int) {
	set := g.set(s.hash)
	worst, most := 0, -1.
	for i, o := range set {
		switch {
		case o.at != 0 && o.hash == s.hash:
			set[i] = s
			return
		case !g.live(o, entries):
			worst, most = i, 2
		default:
			if age := float64(g.age(o)) / float64(limit(o.kind(), entries)); age > most {
				worst, most = i, age
			}
		}
	}
	set[worst] = s
}

// fit makes the table anew if there are many more entries than it was made for, or many less.
func (g *ghosts) fit(entries int) {
	want := max(2*entries, minGhosts)
	if len(g.slots) >= want && len(g.slots) <= 2*want+minGhosts {
		return
	}
	if len(g.slots) > 0 && len(g.slots) < want {
		want += want / 4 // there will be more yet
	}
	old := g.slots
	g.slots = make([]ghostSlot, (want+ways-1)/ways*ways)
	for _, s := range old {
		if g.live(s, entries) {
			g.put(s, entries)
		}
	}
}

// shrink gives back the room that so many entries do not need.
func (g *ghosts) shrink(entries int) {
	if len(g.slots) > 0 {
		g.fit(entries)
	}
}
