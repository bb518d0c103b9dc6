package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
	"github.com/seed-0f2aaebe/fleetcache/singleflight"
)

// responder answers other instances. It looks in memory and joins or starts fills, and nothing else: it has no
// way to ask who owns a key.
type responder[K ~string, V any] struct{ c *Cache[K, V] }

// Hit implements Responder.
func (r responder[K, V]) Hit(version, key string) (a Answer, ok bool) {
	c := r.c
	if c.closed.Load() || version != c.cfg.Version {
		return Answer{}, false
	}
	it := c.store.Hit(key, c.raw == nil)
	if it == nil {
		return Answer{}, false
	}
	c.count.served.Add(1)
	c.count.servedHits.Add(1)
	return c.answer(key, it, false), true
}

// Get implements Responder.
func (r responder[K, V]) Get(ctx context.Context, req *GetRequest, deliver func(int, Answer)) error {
	c := r.c
	if err := r.checkVersion(req.Version); err != nil {
		return err
	}
	if c.cfg.Carry != nil {
		ctx = c.cfg.Carry.Extract(ctx, req.Carried)
	}
	c.count.served.Add(uint64(len(req.Keys)))
	if !req.Peek {
		c.awaitJoin(ctx)
	}
	var missing []string
	var indexes []int
	var behind []due
	for i, key := range req.Keys {
		if err := c.check(key); err != nil {
			return err
		}
		if it := c.inMemory(key, req, &behind); it != nil {
			c.count.servedHits.Add(1)
			deliver(i, c.answer(key, it, false))
			continue
		}
		if req.Peek {
			deliver(i, Answer{Status: StatusAbsent, Message: "not in memory"})
			continue
		}
		missing, indexes = append(missing, key), append(indexes, i)
	}
	c.refresh(ctx, memory.Fill, behind...) // for the one who asks, this instance is the owner
	if len(missing) == 0 {
		return nil
	}
	if mutant.On(mutant.Forwards) {
		return r.forward(ctx, missing, indexes, deliver)
	}
	closed, left := false, false
	h := how{reload: req.Reload, takeover: req.Takeover}
	queued := func(j int) { deliver(indexes[j], Answer{Status: StatusQueued}) }
	c.many(ctx, missing, h, queued, func(j int, it *item[V], err error) {
		switch {
		case err == nil:
			deliver(indexes[j], c.answer(missing[j], it, it.Loaded))
		case errors.Is(err, ErrClosed) && c.closed.Load(): // ours, and not of a cache that the loader asked
			closed = true
		case ctx.Err() != nil && err == ctx.Err(): // the one who asked has left, or this process is ending
			left = true
		default:
			deliver(indexes[j], failure(err))
		}
	})
	switch {
	case closed:
		return ErrUnknownCache
	case left:
		return ctx.Err()
	}
	return nil
}

// forward is how a mutant answers: it gets keys as if its own callers had asked.
func (r responder[K, V]) forward(ctx context.Context, keys []string, indexes []int, deliver func(int, Answer)) error {
	for j, key := range keys {
		it, err := r.c.one(ctx, r.c.store.Now(), r.c.owner(key), key, how{})
		switch {
		case err == nil:
			deliver(indexes[j], r.c.answer(key, it, it.Loaded))
		case ctx.Err() != nil:
			return ctx.Err()
		default:
			deliver(indexes[j], failure(err))
		}
	}
	return nil
}

// inMemory returns the item of key that answers req, nil if there is none. If it is to be refreshed, it is added to behind.
func (c *Cache[K, V]) inMemory(key string, req *GetRequest, behind *[]due) *item[V] {
	switch {
	case req.Peek:
		if it := c.store.Peek(key, true); it != nil {
			return it
		}
		return c.store.Copy(key)
	case req.Reload:
		return nil
	}
	now := c.store.Now()
	it, refresh := c.store.GetAt(now, key)
	if refresh {
		*behind = append(*behind, due{key, now < it.Fresh})
	}
	return it
}

// Met implements Responder.
func (r responder[K, V]) Met(peers, forgotten []Peer) { r.c.meet(peers, forgotten) }

// Hello implements Responder.
func (r responder[K, V]) Hello(_ context.Context, req *HelloRequest) (*HelloReply, error) {
	if r.c.closed.Load() {
		return nil, ErrUnknownCache
	}
	if req.Forgot {
		r.c.rejoin()
	}
	return r.c.journal.tell(req, r.c.store.Now()), nil
}

// Fence implements Responder. Fences hold for every Version.
func (r responder[K, V]) Fence(_ context.Context, req *FenceRequest) error {
	r.c.fence(req)
	if req.Hold <= 0 { // others heard of it before, or will
		r.c.journal.late(Invalidation{ID: req.ID, Keys: req.Keys, All: req.All}, r.c.store.Now())
	}
	return r.c.forget(req.Gone)
}

// Release implements Responder.
func (r responder[K, V]) Release(_ context.Context, req *ReleaseRequest) error {
	return r.c.release(req)
}

// Store implements Responder.
func (r responder[K, V]) Store(_ context.Context, req *StoreRequest) error {
	c := r.c
	if err := r.checkVersion(req.Version); err != nil {
		return err
	}
	it := (&item[V]{Size: req.Size, Given: true}).With(memory.Extra{Tags: memory.PackTags(req.Tags)})
	if err := c.decode(it, &Answer{Value: req.Value, TTL: req.TTL}); err != nil {
		return &DecodeError{Key: req.Key, Err: err}
	}
	// The sender said how long the value is good after its fence was raised here: the way here counts.
	if fenced, ok := c.store.FencedAt(req.Key, req.Fence); ok && req.TTL > 0 {
		it.Fresh = after(fenced, req.TTL)
		it.Until, it.Lease = after(it.Fresh, max(req.Stale, 0)), memory.Never
	}
	c.store.PutFenced(req.Key, req.Fence, it)
	return nil
}

func (r responder[K, V]) checkVersion(version string) error {
	if r.c.closed.Load() {
		return ErrUnknownCache
	}
	if version != r.c.cfg.Version {
		return fmt.Errorf("%w: cache %q: asked for Version %q, have %q", ErrVersionMismatch, r.c.cfg.Name, version, r.c.cfg.Version)
	}
	return nil
}

// answer makes the Answer for an item.
func (c *Cache[K, V]) answer(key string, it *item[V], loaded bool) Answer {
	if it.Err() != nil {
		a := failure(it.Err())
		a.TTL, a.Loaded = c.remaining(it).TTL, loaded
		return a
	}
	value, err := c.encoded(key, it)
	if err != nil {
		return Answer{Status: StatusEncodeFailed, Message: (&EncodeError{Key: key, Err: err}).Error()}
	}
	a := c.remaining(it)
	a.Value, a.Size, a.Tags, a.Loaded = value, it.Size, it.Tags().List(), loaded
	return a
}

// remaining returns an Answer with how long it is still good.
func (c *Cache[K, V]) remaining(it *item[V]) Answer {
	a := Answer{Size: it.Size, TTL: Forever}
	if it.Fresh != memory.Never {
		now := c.store.Now()
		a.TTL = max(time.Duration(it.Fresh-now), 0)
		a.Stale = max(time.Duration(it.Until-max(it.Fresh, now)), 0)
	}
	return a
}

// encoded returns the encoding of it's value, which is kept beside it for the next time.
func (c *Cache[K, V]) encoded(key string, it *item[V]) (b []byte, err error) {
	if encoded := it.Extra().Encoded; encoded != nil {
		return encoded, nil
	}
	if c.raw != nil {
		return c.raw(it.Value), nil
	}
	defer panicToError(&err)
	if b, err = c.cfg.Codec.Append(nil, it.Value); err != nil {
		return nil, err
	}
	c.store.SetEncoded(key, it, b)
	return b, nil
}

// failure makes the Answer for an error.
func failure(err error) Answer {
	a := Answer{Status: StatusLoadFailed, Message: err.Error(), Loaded: true}
	pe, panicked := err.(*singleflight.PanicError)
	re, mirrored := err.(*RemoteError) // itself: what a loader wraps is the loader's error
	switch {
	case mirrored: // that there is none, as another instance found
		a.Status, a.Message = re.Status, re.Message
	case panicked:
		a.Status, a.Message = StatusLoadPanicked, fmt.Sprintf("the loader panicked: %v", pe.Value)
	case singleflight.IsGoexit(err):
		a.Status, a.Message = StatusLoadPanicked, "the loader called runtime.Goexit"
	case errors.Is(err, ErrNotFound):
		a.Status = StatusNotFound
	case errors.Is(err, ErrOverloaded): // which is that, too
		a.Status = StatusOverloaded
	case errors.Is(err, context.DeadlineExceeded):
		a.Status = StatusLoadTimeout
	}
	return a
}

// rawBytes returns what makes the encoding of a V that is string or []byte and has no Codec of the program's, else nil.
// The encoding is the value itself: nobody may change it.
func rawBytes[V any](codec Codec[V]) func(V) []byte {
	switch any(codec).(type) {
	case stringCodec:
		return any(func(v string) []byte { return unsafe.Slice(unsafe.StringData(v), len(v)) }).(func(V) []byte)
	case sliceCodec:
		return any(func(v []byte) []byte { return v }).(func(V) []byte)
	}
	return nil
}
