package cache

import (
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/cache/internal/memory"
	"github.com/seed-0f2aaebe/fleetcache/internal/mutant"
)

// late reports whether an answer of a was in a memory there, and has expired since the request was sent.
func (c *Cache[K, V]) late(a *call[V], ans *Answer) bool {
	if ans.Loaded || ans.TTL == Forever {
		return false
	}
	left := max(ans.TTL, 0)
	if left += max(ans.Stale, 0); left < 0 { // the sum is more than there is
		return false
	}
	expires := after(a.sent, left)
	if expires > after(a.until, hopTime) {
		return false // by then the call was over: there is no need to ask for the time
	}
	return left > 0 && c.store.Now() >= expires
}

// fromAnswer makes f's item of a peer's answer in a walk that began then: had the owner been asked a moment later, it might have answered, and knows better
// than who took over.
func (c *Cache[K, V]) fromAnswer(f *flight[V], peer string, a *Answer, asked memory.Instant) (*item[V], error) {
	it := f.Item()
	it.Mirror, it.Loaded, it.Size = true, a.Loaded, a.Size
	extra := memory.Extra{Peer: peer}
	if !mutant.On(mutant.UntaggedMirrors) {
		extra.Tags = memory.PackTags(a.Tags)
	}
	switch a.Status {
	case StatusOK:
		if err := c.decode(it, a); err != nil {
			return nil, &DecodeError{Peer: peer, Key: f.Key, Err: err}
		}
	case StatusNotFound:
		extra.Err = &RemoteError{Peer: peer, Status: a.Status, Message: a.Message}
		it.Size = int64(len(a.Message))
	default:
		return nil, &RemoteError{Peer: peer, Status: a.Status, Message: a.Message}
	}
	it.With(extra)
	if !a.Loaded {
		c.count.fetchHits.Add(1)
	}
	if mutant.On(mutant.LeaseFromReceipt) {
		asked = c.store.Now()
	}
	if a.TTL > 0 && c.cfg.MirrorTTL > 0 {
		it.Fresh = after(asked, min(a.TTL, c.cfg.MirrorTTL))
		it.Until, it.Lease = it.Fresh, it.Fresh
	}
	return it, nil
}

// decode decodes a's value into it. The Codec's panics are errors: it runs where nobody waits for them.
func (c *Cache[K, V]) decode(it *item[V], a *Answer) (err error) {
	defer panicToError(&err)
	if _, keeps := any(c.cfg.Codec).(sliceCodec); keeps {
		a.Own()
	}
	if d, ok := c.cfg.Codec.(TTLDecoder[V]); ok {
		it.Value, err = d.DecodeTTL(a.Value, a.TTL)
	} else {
		it.Value, err = c.cfg.Codec.Decode(a.Value)
	}
	if err != nil {
		return err
	}
	if it.Size <= 0 || c.raw != nil { // which is cheap, and exact
		it.Size = max(it.Size, c.cfg.SizeOf(it.Value))
	}
	return nil
}

// panicToError is deferred: it makes an error of a panic.
func panicToError(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}
