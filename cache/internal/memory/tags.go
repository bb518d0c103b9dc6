package memory

import (
	"cmp"
	"encoding/binary"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// Tags are the tags of an Item, packed: for each its length, as a uvarint, and its bytes.
type Tags string

// PackTags packs tags.
func PackTags(tags []string) Tags {
	if len(tags) == 0 {
		return ""
	}
	n := 0
	for _, t := range tags {
		n += binary.MaxVarintLen32 + len(t)
	}
	b := make([]byte, 0, n)
	for _, t := range tags {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	return Tags(b)
}

// All yields each tag.
func (t Tags) All() iter.Seq[string] {
	return func(yield func(string) bool) {
		for rest := string(t); rest != ""; {
			n, shift := 0, 0
			for ; rest[0] >= 0x80; rest, shift = rest[1:], shift+7 {
				n |= int(rest[0]&0x7f) << shift
			}
			n |= int(rest[0]) << shift
			if !yield(rest[1 : 1+n]) {
				return
			}
			rest = rest[1+n:]
		}
	}
}

// List returns the tags, unpacked; nil if there are none.
func (t Tags) List() []string {
	if t == "" {
		return nil
	}
	return slices.Collect(t.All())
}

// A Seq numbers what happened to tags in a Store. What was begun at a Seq began before all that has a later one.
type Seq uint64

// tagCost is what a tag that was fenced takes beside its bytes: a slot in a map that may be half empty, and a hold.
const tagCost = 160

// tagFences remember which tags were invalidated, and when. What they say of an item is found out when the item is asked
// for: so an invalidation costs the same however many items have the tag.
type tagFences struct {
	seq  atomic.Uint64 // of the last thing that happened
	over atomic.Int64  // the Instant at which the first of the holds is over

	// mu guards what follows. It is a leaf, and taken under a shard's lock.
	mu    sync.Mutex
	byTag map[string]*tagFence
	every tagFence // holds for every tag: what is no longer known of each
	bytes int
	limit int
}

// A tagFence is what is known of a tag.
type tagFence struct {
	fenced   Seq // when it was invalidated last
	released Seq // when a hold on it ended last: what came from other instances before may be old
	holds    []hold
}

func (t *tagFences) init(limit int) {
	t.byTag = make(map[string]*tagFence)
	t.limit = limit
	t.over.Store(math.MaxInt64)
}

// now returns the present Seq.
func (t *tagFences) now(now Instant) Seq {
	if int64(now) >= t.over.Load() {
		t.mu.Lock()
		t.expireLocked(now)
		t.mu.Unlock()
	}
	return Seq(t.seq.Load())
}

// expireLocked ends the holds that are over, as a release would. mu must be held.
func (t *tagFences) expireLocked(now Instant) {
	if int64(now) < t.over.Load() {
		return
	}
	next, first := Seq(t.seq.Load()+1), Never
	end := func(f *tagFence) {
		n := len(f.holds)
		f.holds = slices.DeleteFunc(f.holds, func(h hold) bool { return h.until <= now })
		if len(f.holds) < n {
			f.released = next
		}
		for _, h := range f.holds {
			first = min(first, h.until)
		}
	}
	end(&t.every)
	for _, f := range t.byTag {
		end(f)
	}
	t.over.Store(int64(first))
	t.seq.Store(uint64(next)) // only now: who sees it finds what it stands for
}

// raise fences tags, and holds them until then.
func (t *tagFences) raise(id uint64, until, now Instant, tags []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
	next := Seq(t.seq.Load() + 1)
	for _, tag := range tags {
		f := t.fenceLocked(tag)
		f.fenced = next
		if until <= now {
			continue
		}
		f.holds = without(f.holds, id)
		if len(f.holds) >= maxHolds { // one that nobody can release stands for them all
			last := slices.MaxFunc(f.holds, func(a, b hold) int { return cmp.Compare(a.until, b.until) })
			f.holds = append(f.holds[:0], hold{until: last.until})
		}
		f.holds = append(f.holds, hold{id: id, raised: now, until: until})
		t.over.Store(min(t.over.Load(), int64(until)))
	}
	t.seq.Store(uint64(next))
}

// release ends the holds of id on tags, and reports whether there was one on each of them.
func (t *tagFences) release(id uint64, now Instant, tags []string) (held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
	next := Seq(t.seq.Load() + 1)
	every := t.every.release(id, next)
	held = true
	for _, tag := range tags {
		f := t.byTag[tag]
		held = (f != nil && f.release(id, next) || every) && held
	}
	t.seq.Store(uint64(next))
	return held
}

func (f *tagFence) release(id uint64, next Seq) bool {
	n := len(f.holds)
	f.holds = without(f.holds, id)
	if len(f.holds) == n {
		return false
	}
	f.released = next
	return true
}

// fenceLocked returns the fence of tag, which is that of every tag if there is no room. mu must be held.
func (t *tagFences) fenceLocked(tag string) *tagFence {
	if f := t.byTag[tag]; f != nil {
		return f
	}
	n := len(tag) + tagCost
	if t.bytes+n > t.limit {
		t.forgetLocked()
	}
	if t.bytes+n > t.limit {
		return &t.every
	}
	f := new(tagFence)
	t.byTag[tag] = f
	t.bytes += n
	return f
}

// forgetLocked forgets the older half of the tags that are not held: from then on every tag counts as invalidated when the last of
// these was. mu must be held.
func (t *tagFences) forgetLocked() {
	old := make([]string, 0, len(t.byTag))
	for tag, f := range t.byTag {
		if len(f.holds) == 0 {
			old = append(old, tag)
		}
	}
	slices.SortFunc(old, func(a, b string) int {
		f, g := t.byTag[a], t.byTag[b]
		return cmp.Compare(max(f.fenced, f.released), max(g.fenced, g.released))
	})
	for _, tag := range old[:(len(old)+1)/2] {
		f := t.byTag[tag]
		t.every.fenced = max(t.every.fenced, f.fenced)
		t.every.released = max(t.every.released, f.released)
		delete(t.byTag, tag)
		t.bytes -= len(tag) + tagCost
	}
}

// invalid reports whether what has these tags, and was begun at since, was invalidated; with given, it came from elsewhere. If not, it
// is as good as if it had been begun at the Seq that invalid returns.
func (t *tagFences) invalid(tags Tags, since Seq, given bool, now Instant) (bool, Seq) {
	if tags == "" || t.now(now) == since {
		return false, since
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.every.invalidates(since, given) {
		return true, since
	}
	for tag := range tags.All() {
		if f := t.byTag[tag]; f != nil && f.invalidates(since, given) {
			return true, since
		}
	}
	return false, Seq(t.seq.Load())
}

func (f *tagFence) invalidates(since Seq, given bool) bool {
	return f.fenced > since || given && f.released > since && !mutant.On(mutant.NoTagHold)
}

// held reports whether a hold is on one of tags.
func (t *tagFences) held(tags Tags, now Instant) bool {
	if tags == "" || t.over.Load() == math.MaxInt64 {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireLocked(now)
	if len(t.every.holds) > 0 {
		return true
	}
	for tag := range tags.All() {
		if f := t.byTag[tag]; f != nil && len(f.holds) > 0 {
			return true
		}
	}
	return false
}

// FenceTags invalidates every item that has one of tags, and what flights that are under way bring that has one. Until then, what
// comes of them from other instances is stored for as long alone.
func (s *Store[V]) FenceTags(id uint64, until Instant, tags ...string) {
	s.tags.raise(id, until, s.Now(), tags)
}

// ReleaseTags ends the hold of the fence id on tags, and reports whether it was there for each of them.
func (s *Store[V]) ReleaseTags(id uint64, tags ...string) bool {
	return s.tags.release(id, s.Now(), tags)
}

// TagSeq returns the present Seq.
func (s *Store[V]) TagSeq() Seq {
	if s.tags.over.Load() == math.MaxInt64 { // it need not ask for the time
		return Seq(s.tags.seq.Load())
	}
	return s.tags.now(s.Now())
}

// TagSeqAt is TagSeq for one who has just asked for the time.
func (s *Store[V]) TagSeqAt(now Instant) Seq { return s.tags.now(now) }

// Invalid reports whether item has a tag that was invalidated since then.
func (s *Store[V]) Invalid(item *Item[V], since Seq) bool {
	if item.Tags() == "" { // it need not ask for the time
		return false
	}
	invalid, _ := s.tags.invalid(item.Tags(), since, item.given(), s.Now())
	return invalid
}

// TagsHeld reports whether a hold is on one of tags: then what comes from another instance and has it may be old.
func (s *Store[V]) TagsHeld(tags Tags) bool { return s.tags.held(tags, s.Now()) }

// dropTaggedLocked drops e, which was invalidated by a tag. A flight of its key that began before is most likely to bring the same tags: nobody
// joins it any more. The shard's lock must be held.
func (s *Store[V]) dropTaggedLocked(sh *shard[V], e *entry[V]) {
	now := Seq(s.tags.seq.Load())
	for kind := range kinds {
		if f := sh.flights.get(kind, e.key(), e.hash); f != nil && f.seq < now {
			sh.detachKindLocked(kind, e.key(), e.hash)
		}
	}
	s.unlinkLocked(sh, e)
}

// isInvalid reports whether e was invalidated by one of its tags.
func (s *Store[V]) isInvalid(e *entry[V], now Instant) bool {
	if e.item.Tags() == "" {
		return false
	}
	since := e.since()
	invalid, seq := s.tags.invalid(e.item.Tags(), since, e.item.given(), now)
	if seq != since {
		e.item.extra.seq.Store(uint64(seq)) // an earlier one, if another stored it meanwhile: it stands for no more
	}
	return invalid
}
