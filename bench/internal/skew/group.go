package skew

import (
	"math/rand/v2"

	"github.com/golang/groupcache/consistenthash"
	"github.com/golang/groupcache/lru"
)

const (
	// groupReplicas is how often a member is on groupcache's circle: what its HTTPPool has by default.
	groupReplicas = 50
	// hotChance says how seldom groupcache keeps what it got from a peer: once in hotChance.
	hotChance = 10
	// Of main and hot cache together, groupcache takes from the hot one while that is more than 1/hotShare of the main one.
	hotShare = 8
)

// A group is golang/groupcache's policy: who owns a key by its consistenthash, and which other keys a member keeps. What a member owns and was asked for is
// in its main cache, what others own in its hot cache, and both share its memory: when that is full, the hot cache gives way until it is an eighth of the
// main one. Both evict what was used least recently. Nothing expires.
//
// Entries all take the same room, and as much as in fleetcache. So what is in the main cache need not be modelled one by one: how many of the member's keys were
// asked for says how large it is.
type group struct {
	owners []uint16 // of keys
	room   int      // of a member, in entries
	main   []int    // by member: entries
	hot    []*lru.Cache
	calls  []int64 // by member: what others asked it for
	seen   []bool  // by key: is in the main cache of its owner
	rng    *rand.Rand
}

func newGroup(n int, keys []string, room int, rng *rand.Rand) *group {
	circle := consistenthash.New(groupReplicas, nil)
	number := make(map[string]uint16, n)
	g := &group{room: room, main: make([]int, n), calls: make([]int64, n), seen: make([]bool, len(keys)), owners: make([]uint16, len(keys)), rng: rng}
	for i := range n {
		circle.Add(memberName(i))
		number[memberName(i)] = uint16(i)
		g.hot = append(g.hot, lru.New(0))
	}
	for k, key := range keys {
		g.owners[k] = number[circle.Get(key)]
	}
	return g
}

// get has member m asked for key k, and reports whether it has asked another member.
func (g *group) get(m, k int) (crossed bool) {
	owner := int(g.owners[k])
	if owner == m {
		g.load(owner, k)
		return false
	}
	if _, ok := g.hot[m].Get(k); ok {
		return false
	}
	g.load(owner, k)
	g.calls[owner]++
	if g.rng.IntN(hotChance) == 0 {
		g.hot[m].Add(k, nil)
		g.shrink(m)
	}
	return true
}

// load has k in the main cache of its owner.
func (g *group) load(owner, k int) {
	if !g.seen[k] {
		g.seen[k] = true
		g.main[owner]++
		g.shrink(owner)
	}
}

// shrink has member m hold no more than there is room for.
func (g *group) shrink(m int) {
	for g.main[m]+g.hot[m].Len() > g.room {
		if g.hot[m].Len()*hotShare > g.main[m] {
			g.hot[m].RemoveOldest()
		} else {
			g.main[m]-- // its owner will load it anew, which is no call of another member
		}
	}
}

// duplicated returns the share of the entries that are in hot caches.
func (g *group) duplicated() float64 {
	main, hot := 0, 0
	for m := range g.main {
		main += g.main[m]
		hot += g.hot[m].Len()
	}
	return float64(hot) / float64(max(main+hot, 1))
}
