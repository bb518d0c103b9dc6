package cache

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

const (
	// A journal takes journalShare of the cache's MaxBytes, maxJournal at most, and its open holds as much again.
	journalShare = 128
	maxJournal   = 1 << 20

	// notedBytes is what an invalidation takes there beside its keys, and each key beside its bytes.
	notedBytes = 32

	// journalMargin is how much further back an instance looks than it was asked to, beside a hundredth: requests take
	// their time, and clocks do not run alike.
	journalMargin = time.Second
	maxSince      = 100 * 365 * 24 * time.Hour

	// doubtTime is for how long an invalidation that did not reach everybody, or that this instance heard of late, keeps it from asking
	// others for what they have of its keys, instead of loading it: they may have what is old.
	doubtTime = time.Minute
)

// A journal is what an instance remembers of the invalidations that reached it, or that it began: for those who could not be
// reached, and for those who come while they are under way. It is bounded, and says so when it no longer reaches back.
type journal struct {
	life  uint64
	limit int // of bytes, and of held

	// mu guards what follows. It is a leaf.
	mu      sync.Mutex
	seq     uint64              // of the last one
	noted   []noted             // the oldest first
	ids     map[uint64]struct{} // of noted
	bytes   int
	lost    uint64         // the seq of the last one that was dropped
	lostAt  memory.Instant // when that one came
	open    map[uint64]openHold
	held    int            // bytes of open
	all     memory.Instant // until when every key is held, since there were too many open holds
	doubted memory.Instant // until when every key is in doubt, likewise
}

type noted struct {
	Invalidation
	seq uint64
	at  memory.Instant
}

type openHold struct {
	Invalidation
	until memory.Instant
	doubt memory.Instant // until when it is kept, if nobody releases it
}

func newJournal(maxBytes int64) *journal {
	return &journal{
		life:  rand.Uint64() | 1,
		limit: int(min(maxBytes/journalShare, maxJournal)),
		ids:   make(map[uint64]struct{}),
		open:  make(map[uint64]openHold),
	}
}

// cost is what the journal takes at most, in bytes.
func (j *journal) cost() int64 { return 2 * int64(j.limit) }

func (i *Invalidation) bytes() int {
	n := notedBytes
	for _, names := range [][]string{i.Keys, i.Tags} {
		for _, name := range names {
			n += len(name) + notedBytes
		}
	}
	return n
}

// raise notes a fence.
func (j *journal) raise(req *FenceRequest, now, until memory.Instant) {
	i := Invalidation{ID: req.ID, Keys: req.Keys, Tags: req.Tags, All: req.All}
	n := i.bytes()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.noteLocked(i, n, now)
	if until <= now {
		return
	}
	if j.held+n > j.limit {
		j.dropOldLocked(now, true)
	}
	if j.held+n > j.limit {
		j.all = max(j.all, until)
		j.doubted = max(j.doubted, until+memory.Instant(doubtTime))
		return
	}
	j.openLocked(openHold{i, until, until + memory.Instant(doubtTime)}, n)
}

// openLocked keeps a hold, which takes n bytes. mu must be held.
func (j *journal) openLocked(h openHold, n int) {
	if _, twice := j.open[h.ID]; !twice {
		j.held += n
	}
	j.open[h.ID] = h
}

// heard notes that this instance knows of a hold by a hello: who told it knows best until when there is doubt.
func (j *journal) heard(id uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if h, ok := j.open[id]; ok {
		h.doubt = h.until
		j.open[id] = h
	}
}

// late notes that this instance has heard of an invalidation late.
func (j *journal) late(i Invalidation, now memory.Instant) {
	h := openHold{i, now, now + memory.Instant(doubtTime)}
	n := i.bytes()
	j.mu.Lock()
	defer j.mu.Unlock()
	if old, twice := j.open[i.ID]; twice && old.until > now {
		return
	}
	if j.held+n > j.limit {
		j.doubted = h.doubt
		return
	}
	j.openLocked(h, n)
}

// doubts reports whether others may have of key what is old, though this instance does not hold it any more.
func (j *journal) doubts(key string, now memory.Instant) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.doubted > now {
		return true
	}
	for _, h := range j.open {
		if h.doubt > now && (h.All || slices.Contains(h.Keys, key)) {
			return true
		}
	}
	return false
}

// doubtsTags is doubts for what has tags.
func (j *journal) doubtsTags(tags memory.Tags, now memory.Instant) bool {
	if tags == "" {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, h := range j.open {
		if h.doubt <= now || len(h.Tags) == 0 {
			continue
		}
		for tag := range tags.All() {
			if slices.Contains(h.Tags, tag) {
				return true
			}
		}
	}
	return false
}

// noteLocked keeps an invalidation, and drops the oldest where there is no room. mu must be held.
func (j *journal) noteLocked(i Invalidation, n int, now memory.Instant) {
	if _, twice := j.ids[i.ID]; twice {
		return
	}
	j.seq++
	j.ids[i.ID] = struct{}{}
	j.noted = append(j.noted, noted{i, j.seq, now})
	j.bytes += n
	for j.bytes > j.limit {
		first := &j.noted[0]
		j.lost, j.lostAt = first.seq, first.at
		j.bytes -= first.bytes()
		delete(j.ids, first.ID)
		*first = noted{}
		j.noted = j.noted[1:]
	}
}

// knows reports whether an invalidation has reached this instance, as far as it remembers.
func (j *journal) knows(id uint64) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.ids[id]
	return ok
}

// dropOldLocked forgets holds that are over; with all, those, too, that have just run out, and has everything be in doubt instead. mu must be held.
func (j *journal) dropOldLocked(now memory.Instant, all bool) {
	for id, h := range j.open {
		if h.doubt <= now || all && h.until <= now {
			j.doubted = max(j.doubted, h.doubt)
			delete(j.open, id)
			j.held -= h.bytes()
		}
	}
}

// release notes the end of a hold.
func (j *journal) release(id uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if h, ok := j.open[id]; ok {
		delete(j.open, id)
		j.held -= h.bytes()
	}
}

// tell returns what one who says hello has missed.
func (j *journal) tell(req *HelloRequest, now memory.Instant) *HelloReply {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.dropOldLocked(now, false)
	r := &HelloReply{Life: j.life, Seq: j.seq}
	if req.Brief {
		return r
	}
	for _, h := range j.open {
		until := h.until
		if until <= now {
			if req.Life != 0 || h.doubt <= now {
				continue // it hears of that below
			}
			until = h.doubt // one that had nothing then is kept from taking from others what is old
		}
		hold := h.request(req.Cache)
		hold.Hold = time.Duration(until - now)
		r.Holds = append(r.Holds, *hold)
	}
	all := j.all
	if req.Life == 0 {
		all = max(all, j.doubted)
	}
	if all > now {
		r.Holds = append(r.Holds, FenceRequest{Cache: req.Cache, ID: rand.Uint64() | 1, All: true, Hold: time.Duration(all - now)})
	}
	from := 0
	if req.Life == j.life {
		r.Gap = req.Seq < j.lost
		for from < len(j.noted) && j.noted[from].seq <= req.Seq {
			from++
		}
	} else {
		age := min(req.Since, maxSince)
		since := now - memory.Instant(age+age/100+journalMargin)
		r.Gap = j.lost > 0 && j.lostAt >= since
		for from < len(j.noted) && j.noted[from].at < since {
			from++
		}
	}
	if !r.Gap && !mutant.On(mutant.NoJournal) {
		for _, n := range j.noted[from:] {
			r.Missed = append(r.Missed, n.Invalidation)
		}
	}
	return r
}
