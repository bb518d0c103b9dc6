package hitratio

import "container/heap"

// lru returns how many requests the exact least-recently-used policy answers with room for the sizes to add up to capacity. What is
// larger than that is not kept.
func lru(t *trace, capacity int64) (hits int) {
	// The keys in memory are a ring in the order of use, with an element of its own, the last, between the latest and the oldest.
	root := uint32(len(t.keys))
	newer, older := make([]uint32, root+1), make([]uint32, root+1)
	held := make([]bool, root)
	newer[root], older[root] = root, root
	unlink := func(n uint32) {
		newer[older[n]], older[newer[n]] = newer[n], older[n]
	}
	used := int64(0)
	for _, n := range t.requests {
		switch {
		case held[n]:
			hits++
			unlink(n)
		case t.sizes[n] > capacity:
			continue
		default:
			held[n] = true
			used += t.sizes[n]
			for used > capacity {
				oldest := newer[root]
				unlink(oldest)
				held[oldest] = false
				used -= t.sizes[oldest]
			}
		}
		latest := older[root]
		older[n], newer[n] = latest, root
		newer[latest], older[root] = n, n
	}
	return hits
}

// belady returns how many requests Belady's policy answers, which knows the future: to make room it evicts what is used again the
// farthest ahead, which may be what has just come, until the sizes add up to capacity; what is not used again is not
// kept at all. With equal sizes no policy answers more. With sizes that differ, the optimum is not to be had in reasonable time, and
// this is the yardstick that is used for it.
func belady(t *trace, next []uint32, capacity int64) (hits int) {
	due := make([]uint32, len(t.keys)) // when a key in memory is used again, 0 if it is not in memory
	var far farthest
	used := int64(0)
	for i, n := range t.requests {
		if due[n] != 0 {
			hits++
			used -= t.sizes[n]
			due[n] = 0
		}
		if next[i] == never || t.sizes[n] > capacity {
			continue
		}
		due[n] = next[i]
		used += t.sizes[n]
		heap.Push(&far, use{next[i], n})
		for used > capacity {
			u := heap.Pop(&far).(use)
			if due[u.key] == u.at { // else it was used since
				used -= t.sizes[u.key]
				due[u.key] = 0
			}
		}
	}
	return hits
}

// A use is the next one of a key.
type use struct{ at, key uint32 }

// farthest is a heap of uses with the farthest first. It also has ones that are past: they come last.
type farthest []use

func (f farthest) Len() int           { return len(f) }
func (f farthest) Less(i, j int) bool { return f[i].at > f[j].at }
func (f farthest) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *farthest) Push(x any)        { *f = append(*f, x.(use)) }
func (f *farthest) Pop() any {
	last := len(*f) - 1
	u := (*f)[last]
	*f = (*f)[:last]
	return u
}
