package cache

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

const (
	// invalidateTimeout bounds Set, Remove and Clear beside their context.
	invalidateTimeout = 5 * time.Second

	// maxHold bounds the hold that another instance may ask for.
	maxHold = time.Minute

	// fenceKeys and fenceBytes bound the keys of one fence; more keys take several.
	fenceKeys  = 4096
	fenceBytes = 1 << 20
)

// Remove invalidates keys on every instance. When it returns nil, no Get that begins afterwards, on any instance
// of the view, returns a value whose load began before Remove did. A load that is under way goes on for those who
// wait for it, and its result is not stored. Removes are never coalesced.
//
// If instances could not be reached, it returns an *UnreachedError that names them, and all others
// have been invalidated. Remove blocks on ctx, and for at most 10 s for each 4,096 keys or 1 MiB of keys.
func (c *Cache[K, V]) Remove(ctx context.Context, keys ...K) error {
	all := make([]string, len(keys))
	for i, k := range keys {
		if err := c.check(string(k)); err != nil {
			return err
		}
		all[i] = string(k)
	}
	c.count.removes.Add(uint64(len(keys)))
	return c.batches(all, func(keys []string) error { return c.newFence(ctx, Invalidation{Keys: keys}).invalidate() })
}

// RemoveTag is Remove for every key whose value has one of tags, see Entry.Tags. Its cost does not depend on how many there are. A load that
// is under way goes on; what it brings is stored, and given to those who came after RemoveTag had returned, unless it has one of tags.
//
// What is known of tags takes a bounded part of the memory. Where very many are removed, values with other tags that were loaded long before
// may go with them.
func (c *Cache[K, V]) RemoveTag(ctx context.Context, tags ...string) error {
	if c.closed.Load() {
		return ErrClosed
	}
	for _, t := range tags {
		if n := tagBytes([]string{t}); n > MaxTagBytes {
			return &TagError{Bytes: n}
		}
	}
	c.count.removedTags.Add(uint64(len(tags)))
	return c.batches(slices.Clone(tags), func(tags []string) error { return c.newFence(ctx, Invalidation{Tags: tags}).invalidate() })
}

// tagBytes is how MaxTagBytes counts tags.
func tagBytes(tags []string) int {
	n := 4 * len(tags)
	for _, t := range tags {
		n += len(t)
	}
	return n
}

// batches calls invalidate for all names, as many at a time as one fence takes, and joins its errors.
func (c *Cache[K, V]) batches(names []string, invalidate func(names []string) error) error {
	if c.closed.Load() {
		return ErrClosed
	}
	var errs []error
	for len(names) > 0 {
		n, size := 0, 0
		for n < len(names) && n < fenceKeys && (n == 0 || size+len(names[n]) <= fenceBytes) {
			size += len(names[n])
			n++
		}
		errs = append(errs, invalidate(names[:n:n]))
		names = names[n:]
	}
	return joinUnreached(errs)
}

// Clear is Remove for every key. Its cost does not depend on how many there are.
func (c *Cache[K, V]) Clear(ctx context.Context) error {
	if c.closed.Load() {
		return ErrClosed
	}
	c.count.clears.Add(1)
	return c.newFence(ctx, Invalidation{All: true}).invalidate()
}

// Set makes e the value of key: it invalidates key everywhere, as Remove does, and then stores e with the key's
// owner. Sets are never coalesced.
//
// Where Sets and Removes of a key overlap in time, or a RemoveTag of one of e.Tags, nobody can tell in which order the origin changed. A
// Set that another one overlaps therefore may invalidate and store nothing, so that the next Get loads what is true; it
// returns nil all the same. One that did not reach every instance counts as under way until its time is up, at most 5 s.
//
// If e's TTL is negative, e is too large to be kept, or the owner does not run this Version of the cache, Set is Remove. With an *UnreachedError it
// has stored e if the owner is not among those that it names. Set copies a Value that is a byte slice; nobody may
// change any other afterwards.
func (c *Cache[K, V]) Set(ctx context.Context, key K, e Entry[V]) error {
	if err := c.check(string(key)); err != nil {
		return err
	}
	if b, ok := any(&e.Value).(*[]byte); ok && !c.cfg.Arena { // which copies what it stores
		*b = bytes.Clone(*b)
	}
	if e.Rest != nil {
		return errRest
	}
	c.count.sets.Add(1)
	since := c.store.TagSeq()
	it := new(item[V])
	err := c.makeItem(it, string(key), e, nil, memory.Never, how{})
	if err != nil {
		return err
	}
	it.Loaded, it.Given = false, true
	owner := c.owner(string(key))
	if owner == nil && !c.hasOthers() {
		c.store.Put(string(key), it, since)
		return nil
	}
	f := c.newFence(ctx, Invalidation{Keys: []string{string(key)}})
	var encoded []byte
	if owner != nil {
		if encoded, err = c.cfg.Codec.Append(nil, e.Value); err != nil {
			return &EncodeError{Key: string(key), Err: err}
		}
	}
	err = f.raise()
	switch {
	case (c.store.Invalid(it, since) || c.store.TagsHeld(it.Tags())) && !mutant.On(mutant.StoresAcrossTags):
	case owner == nil:
		c.store.PutFenced(string(key), f.ID, it)
	case !f.reached(owner), !c.store.IsSole(string(key), f.ID):
	default:
		a := c.remaining(it)
		a.Value, a.Tags = encoded, e.Tags
		if serr := f.store(owner, &a); serr != nil {
			err = joinUnreached([]error{err, unreached(owner, serr)})
		}
	}
	return joinUnreached([]error{err, f.release()})
}

// A raised fence is one invalidation in the fleet, from its call until its release.
type raised[K ~string, V any] struct {
	c   *Cache[K, V]
	ctx context.Context
	Invalidation
	peers  []Peer // that were asked to raise it, in the order in which they became known
	fenced []bool // by index in peers: it has raised the fence
	failed map[Peer]error
	gone   []string // addresses of those that left the view, and were not reached
}

func (c *Cache[K, V]) newFence(ctx context.Context, what Invalidation) *raised[K, V] {
	what.ID = rand.Uint64() | 1
	return &raised[K, V]{c: c, ctx: ctx, Invalidation: what}
}

// raise fences this instance, then all others that it knows at the same time, and then those that these know. It returns
// nil or an *UnreachedError.
func (f *raised[K, V]) raise() error {
	ctx, cancel := f.bounded()
	defer cancel()
	deadline, _ := ctx.Deadline()
	req := f.request(f.c.cfg.Name)
	req.Hold = time.Until(deadline)
	held := f.c.hasOthers()
	own := *req
	if !held {
		own.Hold = 0
	}
	f.c.fence(&own)
	// Only now, so that whoever becomes known from here on finds the fence in this instance's journal.
	for from := 0; f.learn(); from = len(f.fenced) {
		if !held { // there was nobody a moment ago
			held = true
			f.c.fence(req)
		}
		f.round(from, func(i int, p Peer) error {
			err := p.Fence(ctx, req)
			if err == nil {
				err = ctx.Err() // too late: holds elsewhere may have run out
			}
			f.fenced[i] = err == nil
			return err
		})
	}
	return f.outcome()
}

func (c *Cache[K, V]) hasOthers() bool {
	return c.cfg.Peers != nil && len(c.cfg.Peers.Others()) > 0
}

// learn adds those that became known since the last time. It returns false if there are none.
func (f *raised[K, V]) learn() bool {
	if f.c.cfg.Peers == nil {
		return false
	}
	before := len(f.peers)
	for _, p := range f.c.cfg.Peers.Others() {
		if mutant.On(mutant.FencesOwnerOnly) && (len(f.Keys) == 0 || p != f.c.owner(f.Keys[0])) {
			continue
		}
		if !slices.Contains(f.peers[:before], p) {
			f.peers = append(f.peers, p)
		}
	}
	return len(f.peers) > before
}

// round calls send for each of the other instances from there on, at the same time.
func (f *raised[K, V]) round(from int, send func(i int, p Peer) error) {
	f.fenced = append(f.fenced, make([]bool, len(f.peers)-len(f.fenced))...)
	errs := make([]error, len(f.peers))
	var wg sync.WaitGroup
	for i := from; i < len(f.peers); i++ {
		wg.Go(func() { errs[i] = send(i, f.peers[i]) })
	}
	wg.Wait()
	for i, err := range errs {
		// An instance that does not run the cache holds nothing of it.
		if err != nil && !errors.Is(err, ErrUnknownCache) {
			if f.failed == nil {
				f.failed = make(map[Peer]error)
			}
			f.failed[f.peers[i]] = err
		}
	}
}

// outcome returns nil, or an *UnreachedError for those that were not reached, and that are in the view. Others have
// left: they are gone, if nobody asks them for anything any more.
func (f *raised[K, V]) outcome() error {
	if f.failed == nil {
		return nil
	}
	if f.c.closed.Load() {
		return ErrClosed
	}
	e := &UnreachedError{Errors: make(map[string]error, len(f.failed))}
	f.gone = nil
	for p, err := range f.failed {
		e.Errors[p.Addr()] = err
		if f.c.cfg.Peers.Left(p) {
			f.gone = append(f.gone, p.Addr())
		}
	}
	if len(f.gone) == len(f.failed) {
		return nil
	}
	for p := range f.failed {
		f.c.owe(p, f.Invalidation)
	}
	return e
}

// invalidate is all that Remove and Clear do.
func (f *raised[K, V]) invalidate() error {
	if err := f.raise(); err != nil {
		return err
	}
	return f.release()
}

// bounded returns the context for one round of messages.
func (f *raised[K, V]) bounded() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(f.ctx, invalidateTimeout)
	stop := context.AfterFunc(f.c.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

func (f *raised[K, V]) reached(p Peer) bool { return f.failed[p] == nil }

// store stores the value of the fence's one key with its owner.
func (f *raised[K, V]) store(owner Peer, a *Answer) error {
	ctx, cancel := f.bounded()
	defer cancel()
	err := owner.Store(ctx, &StoreRequest{
		Cache: f.c.cfg.Name, Version: f.c.cfg.Version, Key: f.Keys[0], Fence: f.ID,
		Value: a.Value, TTL: a.TTL, Stale: a.Stale, Size: a.Size, Tags: a.Tags,
	})
	if errors.Is(err, ErrUnknownCache) || errors.Is(err, ErrVersionMismatch) {
		return nil // it cannot keep the value, and has no older one that this Version would see
	}
	return err
}

// release ends the holds of the fence, everywhere. It is part of the call, so that what begins after the call finds
// no hold; and it finds instances that began a new life, or made their cache, since they were asked to raise the
// fence. They have no hold to end, and may have fetched what is old from one that was not fenced yet.
// They are fenced once more, now that nobody has anything old to give. Those that are gone may have it, and are
// forgotten before. It returns nil or an *UnreachedError.
//
// If an instance of the view was not reached, it does nothing: the holds run out by themselves, since that one may still answer
// with what is old.
func (f *raised[K, V]) release() error {
	if len(f.failed) > len(f.gone) {
		return nil
	}
	gone := f.failed
	f.failed = nil
	req := &ReleaseRequest{Cache: f.c.cfg.Name, ID: f.ID, Keys: f.Keys, Tags: f.Tags, All: f.All, Gone: f.gone}
	again := f.request(req.Cache)
	again.Gone = f.gone
	if errors.Is(f.c.release(req), errStillMember) { // a moment ago
		f.failed = gone
		return f.outcome()
	}
	ctx, cancel := f.bounded()
	defer cancel()
	f.round(0, func(i int, p Peer) error {
		if _, isGone := gone[p]; isGone {
			return nil
		}
		if f.fenced[i] && isNilOrUnknown(p.Release(ctx, req)) {
			return nil
		}
		return p.Fence(ctx, again)
	})
	return f.outcome()
}

// isNilOrUnknown reports whether an instance did what it was asked for, or has no need to.
func isNilOrUnknown(err error) bool { return err == nil || errors.Is(err, ErrUnknownCache) }

// request returns the FenceRequest, without a hold, that tells an instance of i.
func (i *Invalidation) request(name string) *FenceRequest {
	return &FenceRequest{Cache: name, ID: i.ID, Keys: i.Keys, Tags: i.Tags, All: i.All}
}

// fence does what a FenceRequest asks for, on this instance.
func (c *Cache[K, V]) fence(req *FenceRequest) { c.fenceBy(req, c.store.Fence) }

// fenceBy is fence, by a method of the store for its keys.
func (c *Cache[K, V]) fenceBy(req *FenceRequest, fenceKeys func(id uint64, until memory.Instant, keys ...string)) {
	now := c.store.Now()
	until := after(now, min(req.Hold, maxHold))
	if c.journal != nil {
		c.journal.raise(req, now, until) // first: who says hello from now on hears of it here
	}
	switch {
	case req.All:
		c.store.FenceAll(req.ID, until)
	case len(req.Tags) > 0:
		c.store.FenceTags(req.ID, until, req.Tags...)
	default:
		fenceKeys(req.ID, until, req.Keys...)
	}
}

var (
	// errNoHold is what an instance says to a release if it does not have the hold, or not on every key.
	errNoHold = errors.New("cache: there is no hold of this fence")

	// errStillMember is what it says if it cannot forget an instance.
	errStillMember = errors.New("cache: an instance that the sender could not reach, and that left its view, is in this one's view")
)

// forget forgets instances that could not be reached by one who invalidates.
func (c *Cache[K, V]) forget(gone []string) error {
	if len(gone) > 0 && !mutant.On(mutant.ForgetsNobody) && !c.cfg.Peers.Forget(gone) {
		return errStillMember
	}
	return nil
}

// release does what a ReleaseRequest asks for, on this instance.
func (c *Cache[K, V]) release(req *ReleaseRequest) error {
	if err := c.forget(req.Gone); err != nil {
		return err
	}
	if c.journal != nil {
		c.journal.release(req.ID)
	}
	var held bool
	switch {
	case req.All:
		held = c.store.ReleaseAll(req.ID)
	case len(req.Tags) > 0:
		held = c.store.ReleaseTags(req.ID, req.Tags...)
	default:
		held = c.store.Release(req.ID, req.Keys...)
	}
	if !held {
		return errNoHold
	}
	return nil
}

func unreached(p Peer, err error) error {
	return &UnreachedError{Errors: map[string]error{p.Addr(): err}}
}

// joinUnreached returns one *UnreachedError for all of those in errs, nil if there is none; or another error
// that is among them.
func joinUnreached(errs []error) error {
	all := make(map[string]error)
	for _, err := range errs {
		if errors.Is(err, ErrClosed) {
			return ErrClosed
		}
		if e, ok := err.(*UnreachedError); ok {
			for addr, err := range e.Errors {
				all[addr] = err
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &UnreachedError{Errors: all}
}
