package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// A Request is what one instance asks of another.
type Request struct {
	Verb  Verb
	Epoch uint64 // of the sender's view
	// Timeout is how long the answer may take, counted by the receiver from its receipt.
	// cache.Forever: the sender waits for as long as it takes.
	Timeout time.Duration

	// The one that Verb names is set. A ping has none.
	Get     *cache.GetRequest
	Fence   *cache.FenceRequest
	Release *cache.ReleaseRequest
	Store   *cache.StoreRequest
	Hello   *cache.HelloRequest
	List    *cache.ListRequest

	// Views says that a fence or a release has Gone, and that a fence has one answer: a list of those whom the receiver
	// knows, which is empty if they are those that Known, the sender's digest of its own, stands for.
	Views bool
	Known uint64

	// MaxValue is, with a get, the longest value that the sender takes, in bytes.
	MaxValue uint64
}

// AppendRequest appends a request's payload to dst. It fails, with an error that wraps ErrTooLarge,
// if q breaks a limit of the format.
func AppendRequest(dst []byte, q *Request) ([]byte, error) {
	dst = append(dst, byte(q.Verb))
	head := func(flags byte) {
		dst = append(dst, flags)
		dst = binary.BigEndian.AppendUint64(dst, q.Epoch)
		dst = appendDuration(dst, q.Timeout)
	}
	switch q.Verb {
	case Ping, Stats, Leave:
		head(0)
		return dst, nil
	case List:
		head(bit(flagSlots, q.List.Slots != nil))
		return appendList(dst, q.List)
	case Get:
		head(bit(flagReload, q.Get.Reload) | bit(flagTakeover, q.Get.Takeover) | bit(flagPeek, q.Get.Peek))
		dst = binary.AppendUvarint(dst, q.MaxValue)
		return appendGet(dst, q.Get)
	case Fence:
		f := q.Fence
		head(invalidationFlags(f.Tags, f.All) | bit(flagViews, q.Views))
		dst = appendString(dst, f.Cache)
		dst = binary.BigEndian.AppendUint64(dst, f.ID)
		dst = appendDuration(dst, f.Hold)
		if err := checkName("the cache's name", f.Cache); err != nil {
			return dst, err
		}
		dst, err := appendInvalidated(dst, f.Keys, f.Tags, f.All)
		if err != nil || !q.Views {
			return dst, err
		}
		return appendGone(binary.BigEndian.AppendUint64(dst, q.Known), f.Gone)
	case Release:
		f := q.Release
		head(invalidationFlags(f.Tags, f.All) | bit(flagViews, q.Views))
		dst = appendString(dst, f.Cache)
		dst = binary.BigEndian.AppendUint64(dst, f.ID)
		if err := checkName("the cache's name", f.Cache); err != nil {
			return dst, err
		}
		dst, err := appendInvalidated(dst, f.Keys, f.Tags, f.All)
		if err != nil || !q.Views {
			return dst, err
		}
		return appendGone(dst, f.Gone)
	case Hello:
		head(bit(flagBrief, q.Hello.Brief) | bit(flagTookOver, q.Hello.TookOver) | bit(flagForgot, q.Hello.Forgot))
		return appendHello(dst, q.Hello)
	case Store:
		head(bit(flagStoreTags, len(q.Store.Tags) > 0))
		return appendStore(dst, q.Store)
	}
	return dst, fmt.Errorf("unknown %v", q.Verb)
}

// HasGone reports whether a fence or a release names instances that are gone.
func (q *Request) HasGone() bool {
	return q.Fence != nil && len(q.Fence.Gone) > 0 || q.Release != nil && len(q.Release.Gone) > 0
}

// Answers is how many answers there will be.
func (q *Request) Answers() int {
	switch q.Verb {
	case Get:
		return len(q.Get.Keys)
	case Stats, Hello, Leave, List:
		return 1
	case Fence:
		if q.Views {
			return 1
		}
	}
	return 0
}

func appendKeys(dst []byte, keys []string) ([]byte, error) {
	if err := checkKeyCount(uint64(len(keys))); err != nil {
		return dst, err
	}
	dst = binary.AppendUvarint(dst, uint64(len(keys)))
	for _, k := range keys {
		if err := checkKeyLen(uint64(len(k))); err != nil {
			return dst, err
		}
		dst = appendString(dst, k)
	}
	return dst, nil
}

func appendGet(dst []byte, g *cache.GetRequest) ([]byte, error) {
	if err := errors.Join(checkName("the cache's name", g.Cache), checkName("the version", g.Version)); err != nil {
		return dst, err
	}
	dst = appendString(dst, g.Cache)
	dst = appendString(dst, g.Version)
	dst, err := appendCarried(dst, g.Carried)
	if err != nil {
		return dst, err
	}
	return appendKeys(dst, g.Keys)
}

func appendCarried(dst []byte, m map[string]string) ([]byte, error) {
	if err := checkCarriedCount(uint64(len(m))); err != nil {
		return dst, err
	}
	dst = binary.AppendUvarint(dst, uint64(len(m)))
	if len(m) == 0 {
		return dst, nil
	}
	total := uint64(0)
	keys := make([]string, 0, len(m))
	for k, v := range m {
		keys = append(keys, k)
		total += uint64(len(k)) + uint64(len(v))
	}
	if err := checkCarriedBytes(total); err != nil {
		return dst, err
	}
	slices.Sort(keys)
	for _, k := range keys {
		dst = appendString(dst, k)
		dst = appendString(dst, m[k])
	}
	return dst, nil
}

func appendStore(dst []byte, s *cache.StoreRequest) ([]byte, error) {
	err := errors.Join(checkName("the cache's name", s.Cache), checkName("the version", s.Version), checkKeyLen(uint64(len(s.Key))), checkTags(s.Tags))
	if err != nil {
		return dst, err
	}
	dst = appendString(dst, s.Cache)
	dst = appendString(dst, s.Version)
	dst = appendString(dst, s.Key)
	dst = binary.BigEndian.AppendUint64(dst, s.Fence)
	dst = appendDuration(dst, s.TTL)
	dst = appendDuration(dst, s.Stale)
	dst = appendSize(dst, s.Size)
	if len(s.Tags) > 0 {
		dst = appendTags(dst, s.Tags)
	}
	return append(dst, s.Value...), nil
}

const getFlags = flagReload | flagTakeover | flagPeek

// bit returns mask if it is set.
func bit(mask byte, set bool) byte {
	if set {
		return mask
	}
	return 0
}

// DecodeRequest decodes a request's payload. Only the Value of a store aliases b. The error wraps ErrUnsupported if
// the verb or a flag is not known.
func DecodeRequest(b []byte) (*Request, error) {
	r := reader{b: b}
	q := &Request{Verb: Verb(r.byte())}
	var known byte
	switch q.Verb {
	case Get:
		known = getFlags
	case Fence, Release:
		known = flagAll | flagViews | flagTags
	case Store:
		known = flagStoreTags
	case Hello:
		known = flagBrief | flagTookOver | flagForgot
	case List:
		known = flagSlots
	}
	flags := r.flags(known)
	q.Epoch = r.fixed64()
	q.Timeout = r.duration()
	if r.err == nil {
		r.body(q, flags)
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("%v request: %w", q.Verb, err)
	}
	return q, nil
}

func (r *reader) body(q *Request, flags byte) {
	switch q.Verb {
	case Ping, Stats, Leave:
	case List:
		q.List = r.list(flags&flagSlots != 0)
	case Get:
		q.MaxValue = r.uvarint()
		q.Get = &cache.GetRequest{
			Cache:    r.name("the cache's name"),
			Version:  r.name("the version"),
			Reload:   flags&flagReload != 0,
			Takeover: flags&flagTakeover != 0,
			Peek:     flags&flagPeek != 0,
			Carried:  r.carried(),
			Keys:     r.keys(),
		}
	case Fence:
		q.Fence = &cache.FenceRequest{
			Cache: r.name("the cache's name"),
			ID:    r.fixed64(),
			Hold:  r.duration(),
		}
		q.Fence.Keys, q.Fence.Tags, q.Fence.All = r.invalidated(flags)
		if q.Views = flags&flagViews != 0; q.Views {
			q.Known, q.Fence.Gone = r.fixed64(), r.gone()
		}
	case Release:
		q.Release = &cache.ReleaseRequest{
			Cache: r.name("the cache's name"),
			ID:    r.fixed64(),
		}
		q.Release.Keys, q.Release.Tags, q.Release.All = r.invalidated(flags)
		if q.Views = flags&flagViews != 0; q.Views {
			q.Release.Gone = r.gone()
		}
	case Hello:
		q.Hello = &cache.HelloRequest{
			Cache:    r.name("the cache's name"),
			Life:     r.fixed64(),
			Seq:      r.uvarint(),
			Since:    r.duration(),
			Brief:    flags&flagBrief != 0,
			TookOver: flags&flagTookOver != 0,
			Forgot:   flags&flagForgot != 0,
		}
	case Store:
		q.Store = &cache.StoreRequest{
			Cache:   r.name("the cache's name"),
			Version: r.name("the version"),
			Key:     r.string(checkKeyLen),
			Fence:   r.fixed64(),
			TTL:     r.duration(),
			Stale:   r.duration(),
			Size:    r.size(),
			Tags:    r.tags(flags&flagStoreTags != 0),
			Value:   r.rest(),
		}
	default:
		r.fail(ErrUnsupported)
	}
}

func (r *reader) carried() map[string]string {
	n := r.uvarint()
	if r.err != nil || n == 0 {
		return nil
	}
	if err := checkCarriedCount(n); err != nil {
		r.fail(err)
		return nil
	}
	m := make(map[string]string, n)
	left := uint64(MaxCarriedBytes)
	within := func(n uint64) error {
		if n > left {
			return checkCarriedBytes(MaxCarriedBytes + n - left)
		}
		left -= n
		return nil
	}
	prev := ""
	for i := range n {
		k, v := r.string(within), r.string(within)
		if r.err != nil {
			return nil
		}
		if i > 0 && k <= prev {
			r.fail(errors.New("the carried keys are not in ascending order"))
			return nil
		}
		m[k], prev = v, k
	}
	return m
}
