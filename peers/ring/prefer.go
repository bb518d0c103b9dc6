package ring

import "slices"

// preferences holds, for every slot, the members it prefers: an exact prefix of
// the slot's whole preference list, which is lengthened when the matching wants
// more of it. A prefix is what costs at most a limit; round is how often the
// slot's limit has been raised. The limits decide only how fast a table is
// built, never what it is.
type preferences struct {
	scorers []scorer
	rounds  []round
	lists   []list // by slot
	arena   []rank // the lists' ranks; lengthened lists move to its end
	hits    []uint16
	buf     [lanes][]rank
}

type list struct {
	start, end uint32 // in arena
	round      uint8
}

// A round is a limit on the cost, with what a scan for it needs.
type round struct {
	limit   uint64
	filters []filter // by member
	found   int      // slots that pass a filter, summed over the members, times 2^15 / Slots
}

// A filter shows in a word of a member's stream which of the word's four slots
// may cost at most the round's limit.
type filter struct{ seed, bias uint64 }

// pass returns the guard bits of the lanes that pass. step is that of the word.
func (f filter) pass(step uint64) (word, guards uint64) {
	word = mix(f.seed + step)
	return word, (word&laneMask + f.bias) & laneGuard
}

const maxCost = 1<<48 - 1

// firstRound is how many members the first scan should find for a slot, on
// average. Fewer, and too many slots are scanned twice; more, and ranks are
// computed and sorted that nobody asks for.
const firstRound = 8

func newPreferences(members []Member, scorers []scorer, want int) *preferences {
	p := &preferences{
		scorers: scorers,
		lists:   make([]list, Slots),
		hits:    make([]uint16, len(members)+1),
	}
	var total uint64
	for _, m := range members {
		total += uint64(m.Weight)
	}
	// want / (ln 2 * total) if every cost were far below 1, which is too low
	// when a few members have most of the weight.
	limit := uint64(want) * (14427 << 42 / 10000) / total
	for !p.addRound(limit, want) {
		limit += limit / 4
	}
	found := Slots * (p.rounds[0].found >> 15)
	p.arena = make([]rank, 0, found+found/8+Slots)
	for g := range groups {
		p.scan(g)
	}
	return p
}

// addRound adds a round with the limit, unless that would find fewer than want
// members for a slot, on average, while there are more.
func (p *preferences) addRound(limit uint64, want int) bool {
	if limit > maxCost || want >= len(p.scorers) {
		limit = maxCost
	}
	r := round{limit: limit, filters: make([]filter, len(p.scorers))}
	for i, c := range p.scorers {
		bias, values := c.lanesBelow(limit)
		r.filters[i] = filter{c.seed, bias}
		r.found += values
	}
	if r.found < want<<15 && limit < maxCost {
		return false
	}
	p.rounds = append(p.rounds, r)
	return true
}

// scan fills in the lists of the four slots of a group, for the first round.
func (p *preferences) scan(group int) {
	r := &p.rounds[0]
	for i := range p.buf {
		p.buf[i] = p.buf[i][:0]
	}
	step := step(uint64(group))
	for _, i := range r.sieve(step, p.hits) {
		c := p.scorers[i]
		w, guards := r.filters[i].pass(step)
		for ; guards != 0; guards &= guards - 1 {
			lane := firstLane(guards)
			if cost := c.cost(c.hash(w, group*lanes+lane)); cost <= r.limit {
				p.buf[lane] = append(p.buf[lane], newRank(cost, int(i)))
			}
		}
	}
	for lane := range p.buf {
		p.store(group*lanes+lane, p.buf[lane], 0)
	}
}

// sieve returns the members of whose four slots at least one passes. It is where
// the time goes when there are many members, so it is kept tight: no call, and
// no branch on what passes.
func (r *round) sieve(step uint64, hits []uint16) []uint16 {
	n := 0
	for i, f := range r.filters {
		_, guards := f.pass(step)
		hits[n] = uint16(i)
		n += int(-(guards >> 1) >> 63) // 1 if any guard bit is set
	}
	return hits[:n]
}

// store sorts the ranks and makes them the slot's list.
func (p *preferences) store(slot int, ranks []rank, round uint8) {
	sortRanks(ranks)
	start := len(p.arena)
	p.arena = append(p.arena, ranks...)
	p.lists[slot] = list{uint32(start), uint32(len(p.arena)), round}
}

// lengthen makes the slot's list longer, or leaves it when it is whole. The old
// list is a prefix of the new one.
func (p *preferences) lengthen(slot int) {
	old := p.lists[slot]
	have := int(old.end - old.start)
	step := step(uint64(slot / lanes))
	lane := uint64(1) << (slot%lanes*laneBits + laneBits - 1) // its guard bit
	for next := int(old.round) + 1; have < len(p.scorers); next++ {
		if next == len(p.rounds) {
			p.addRound(p.rounds[next-1].limit*4, 0)
		}
		r := &p.rounds[next]
		ranks := p.buf[0][:0]
		for i, f := range r.filters {
			w, guards := f.pass(step)
			if guards&lane == 0 {
				continue
			}
			c := p.scorers[i]
			if cost := c.cost(c.hash(w, slot)); cost <= r.limit {
				ranks = append(ranks, newRank(cost, i))
			}
		}
		p.buf[0] = ranks
		if len(ranks) > have {
			p.store(slot, ranks, uint8(next))
			return
		}
	}
}

// at returns the rank at place k of the slot's preferences; k is less than the
// number of members.
func (p *preferences) at(slot, k int) rank {
	for {
		if l := p.lists[slot]; k < int(l.end-l.start) {
			return p.arena[int(l.start)+k]
		}
		p.lengthen(slot)
	}
}

// sortRanks sorts ranks, which are few nearly always.
func sortRanks(ranks []rank) {
	if len(ranks) > 4*firstRound {
		slices.Sort(ranks)
		return
	}
	for i := 1; i < len(ranks); i++ {
		r, j := ranks[i], i
		for ; j > 0 && ranks[j-1] > r; j-- {
			ranks[j] = ranks[j-1]
		}
		ranks[j] = r
	}
}
