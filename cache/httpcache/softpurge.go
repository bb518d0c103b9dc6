package httpcache

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// purges are the soft purges that an instance has heard of.
type purges struct {
	any atomic.Bool // there are some: what most never have costs a hit no lock

	mu  sync.RWMutex // guards what follows
	at  map[string]series
	all series
	n   int // in at
}

// A purge has the same ID on all instances.
type purge struct {
	id string
	at time.Time // when this instance heard of it
}

// A series is the purges of the same, as an instance has heard of them. Those that are under way at the same time come to instances in different
// orders. So it is not enough to know the last one: that the owner knew it when he asked the origin does not tell that he knew the one before.
type series struct {
	last   []purge   // in the order in which they came
	missed time.Time // when the last one came that is not among them: as good as one that no response says of
}

const (
	// maxPurges bounds the soft purges that an instance remembers. Beyond them, all is stale.
	maxPurges = 4096

	// maxSame bounds those of the same. Beyond them, a response from another instance is older by purgeMargin, whatever it says.
	maxSame = 64

	// maxAfter bounds those that a response says of.
	maxAfter = 128

	// purgeMargin is how much older a response from another instance is taken to be than it says, since its way here took time; unless it
	// says that the origin was asked for it when the purge was known.
	purgeMargin = 2 * time.Second

	// purgeMemory is for how long responses say so: until the instance that heard of the purge last is beyond the margin.
	purgeMemory = 2*invalidateTimeout + 2*purgeMargin
)

// note notes a purge that this instance hears of now.
func (ps *purges) note(id, what string, names []string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.any.Store(true)
	p := purge{id, time.Now()}
	if what == softAll {
		ps.all.add(p)
		return
	}
	if ps.n+len(names) > maxPurges {
		ps.forgetLocked(p.at.Add(-purgeMemory)) // which the responses to come do not mention
	}
	if ps.n+len(names) > maxPurges {
		ps.forgetLocked(p.at)
		ps.all.add(p)
		return
	}
	if ps.at == nil {
		ps.at = make(map[string]series)
	}
	for _, name := range names {
		s := ps.at[what+name]
		ps.n -= len(s.last)
		s.add(p)
		ps.n += len(s.last)
		ps.at[what+name] = s
	}
}

// forgetLocked forgets what the purges were of that came until then: all that was loaded before the last one of them is stale. mu must be held.
func (ps *purges) forgetLocked(until time.Time) {
	ps.n = 0
	var last time.Time
	maps.DeleteFunc(ps.at, func(_ string, s series) bool {
		at := s.last[len(s.last)-1].at
		if at.After(until) {
			ps.n += len(s.last)
			return false
		}
		if at.After(last) {
			last = at
		}
		return true
	})
	ps.all.forget(until)
	if last.After(ps.all.missed) {
		ps.all.missed = last
	}
}

// add adds a purge that has just come.
func (s *series) add(p purge) {
	s.forget(p.at.Add(-purgeMemory)) // whoever knew the last one asked the origin later than that
	if len(s.last) == maxSame {
		s.forget(s.last[0].at)
	}
	s.last = append(s.last, p)
}

// forget forgets the IDs of the purges that came until then.
func (s *series) forget(until time.Time) {
	n := 0
	for n < len(s.last) && !s.last[n].at.After(until) {
		n++
	}
	if n > 0 {
		s.missed = s.last[n-1].at
		s.last = slices.Delete(s.last, 0, n)
	}
}

// has reports whether a purge came after what was loaded then, and is not among those that were known when that was loaded.
func (s *series) has(loaded time.Time, known []string) bool {
	for _, p := range slices.Backward(s.last) {
		if !p.at.After(loaded) {
			return false
		}
		if !slices.Contains(known, p.id) {
			return true
		}
	}
	return s.missed.After(loaded)
}

// find reports whether is holds for the purges of the URL with a key, of one of surrogate keys, or of everything.
func (ps *purges) find(key string, keys []string, is func(series) bool) bool {
	if !ps.any.Load() {
		return false
	}
	ps.mu.RLock()
	defer ps.mu.RUnlock()
	return is(ps.all) || is(ps.at[softURL+baseOf(key)]) || slices.ContainsFunc(keys, func(k string) bool { return is(ps.at[softKeys+k]) })
}

// has reports whether o, which is the response of the URL with a key, has been purged since it was loaded.
func (ps *purges) has(key string, o *object) bool {
	loaded := o.arrived.Add(-o.since)
	if o.remote {
		loaded = loaded.Add(-purgeMargin)
	}
	return ps.find(key, o.keys, func(s series) bool { return s.has(loaded, o.after) })
}

// before returns the IDs of the latest purges of a response that this instance had heard of when it asked the origin for it.
func (ps *purges) before(sent time.Time, key string, keys []string) (ids []string) {
	ps.find(key, keys, func(s series) bool {
		for _, p := range slices.Backward(s.last) {
			if sent.Sub(p.at) >= purgeMemory || len(ids) == maxAfter {
				break
			}
			if !p.at.After(sent) && !slices.Contains(ids, p.id) {
				ids = append(ids, p.id)
			}
		}
		return false
	})
	return ids
}
