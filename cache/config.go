package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"runtime/debug"
	"time"
)

// Limits and defaults. A zero field of a Config means the default of its name.
const (
	DefaultMaxBytes    = 64 << 20
	DefaultMirrorTTL   = 30 * time.Second
	DefaultLoadTimeout = 30 * time.Second

	// MinMaxBytes is the least that MaxBytes may be.
	MinMaxBytes = 64 << 10

	// MaxKeyBytes is the length of the longest key. Keys are arbitrary bytes.
	MaxKeyBytes = 16 << 10

	// MaxTagBytes bounds the tags of one Entry, and the length of one tag: their bytes, and four more for each. Tags are
	// arbitrary bytes.
	MaxTagBytes = 16 << 10
)

// Config describes a Cache. Load is required, SizeOf unless V is string or []byte, and with Peers Name and Codec;
// every other zero field has the default that stands beside it.
type Config[K ~string, V any] struct {
	// Name names the cache within the fleet. Required with Peers.
	Name string

	// Version names the encoding of V. Instances that run different Versions of a cache never
	// exchange its values: change it whenever a value that the old program encoded would
	// not decode in the new one.
	Version string

	// Load gets the value of key from the origin. It runs on a context of its own, with
	// the values of the first caller's context (on another instance, what Carry brought across),
	// which ends when nobody waits for the load any more, at LoadTimeout, or with Close.
	// The cache keeps the Value: nobody may change it afterwards.
	// Required.
	Load func(ctx context.Context, key K) (Entry[V], error)

	// LoadMany gets many values at once, for GetMany. A key that the map lacks is ErrNotFound; an error
	// fails every key; with a *ManyError, what is in the map is good, and the keys that it
	// names have errors of their own. A single key is loaded by Load. Without
	// LoadMany, GetMany runs Load for all its keys concurrently.
	LoadMany func(ctx context.Context, keys []K) (map[K]Entry[V], error)

	// TTL is how long a value is fresh. 0: until it is evicted. The owner of one that is in demand
	// refreshes it before that, in the background, so that hardly anyone waits for a load: at most 5 times
	// as early as its last load took, and not in the first half of its time.
	TTL time.Duration

	// Stale is how much longer than TTL a value is served, while its owner refreshes it in the background,
	// and when that fails. 0: not at all. It needs a TTL. Negative: neither that, nor is a value refreshed
	// before its TTL is over; it is loaded while somebody waits for it.
	Stale time.Duration

	// Negative is how long ErrNotFound is cached. 0: not at all.
	Negative time.Duration

	// MirrorTTL is how long an instance may serve its copy of a value that another one
	// owns, counted from when it asked for it. 0: DefaultMirrorTTL. Negative: it keeps none, and none in case
	// the other one fails either.
	MirrorTTL time.Duration

	// LoadTimeout bounds each load, the wait for its turn included, whether or
	// not the loader heeds its context. 0: DefaultLoadTimeout.
	LoadTimeout time.Duration

	// InlineLoads has the first Get that wants a key run the load on its caller's goroutine, if its context cannot end (context.Background):
	// no goroutine is started and woken, which tells where a load takes microseconds. Such a Get returns when the loader does, even
	// after LoadTimeout or Close: so it is for loaders that heed their context. Others who wait for the load leave as ever, at LoadTimeout at the latest.
	InlineLoads bool

	// Jitter shortens each TTL by a random part of up to this share of it, so that what was loaded
	// together does not expire together. At least 0 and less than 1.
	Jitter float64

	// MaxBytes bounds what the cache keeps in this process's memory: keys, values,
	// mirrors and its own bookkeeping. With Peers, an eighth of it is for mirrors, and a tenth for copies of
	// what is hot on those instances that this one takes over from if they fail. A value that
	// would take more than a quarter of its part is returned and not kept.
	// 0: by MemoryShare, or DefaultMaxBytes. At least MinMaxBytes.
	MaxBytes int64

	// MaxEntries bounds how many values the cache keeps, beside MaxBytes: with Peers mirrors and copies are among them, and have the same shares. 0: MaxBytes alone
	// bounds them.
	MaxEntries int64

	// MemoryShare makes MaxBytes this share of the memory that the Go runtime may use: its soft limit (GOMEMLIMIT), as it is when New is called. There must be
	// one. The other shares are for the rest of the program and for garbage: half is much. More than 0 and less than 1; 0: MaxBytes says it.
	MemoryShare float64

	// Arena keeps values, which must be string or []byte, with their keys in memory that the garbage collector does not look into: a
	// collection takes about as long as if there was no cache. It is for many small values. Each value that is stored is copied, those of loaders too. What Get
	// returns is still not copied: it is a part of a chunk of up to 32 KiB, which stays as long as somebody holds that part. Copy what
	// is held for long. Of MaxBytes, a seventh is for what chunks waste while others replace what is in them.
	//
	// Values of about 1 KiB or more have no chunk, and still nothing in them is looked at. Those with Tags, and those that other instances own, are
	// objects as without Arena.
	Arena bool

	// SizeOf returns the size of a value in memory, in bytes. Required, unless V is string or []byte.
	SizeOf func(V) int64

	// MaxLoads bounds how many loads this instance runs at a time; a LoadMany counts as one.
	// Others wait for their turn, at most 65,536, and only as long as somebody wants them; who has no turn in time
	// gets ErrOverloaded. A loader that Gets from a cache with this bound keeps its own turn
	// meanwhile: do not nest them. 0: no bound.
	MaxLoads int

	// Peers connects the cache to the other instances. nil: a fleet of one.
	Peers Peers

	// Codec translates values for other instances. Required with Peers, unless V is string or []byte.
	Codec Codec[V]

	// Carry takes chosen parts of the caller's context to the loader on another instance. nil: nothing.
	Carry Carrier

	// Logger reports what no caller is told: panics of loaders, instances that fail. nil: nothing is logged.
	Logger *slog.Logger
}

// An Entry is what a loader returns and Set takes: a value, and what differs for it from the Config.
type Entry[V any] struct {
	Value V

	// TTL and Stale override the Config's. Zero: the Config's. A negative TTL: the value goes to
	// those who wait for it and is not kept. A negative Stale: as in the Config.
	TTL, Stale time.Duration

	// Size is the size of Value in bytes. Zero: what SizeOf says.
	Size int64

	// Tags are what RemoveTag finds the entry by, in any order: the users, pages or tables that it was made of. A load that returns
	// more than MaxTagBytes of them fails with a *TagError. The slice is copied. What stands for ErrNotFound has no tags.
	Tags []string

	// Rest is nil, unless Value is what there is so far of something that takes longer: of a response, say, its header. Then Value goes to
	// those who wait, and to those who come while Rest runs, on any instance, and is not kept. Rest runs when Load has returned, and what
	// it returns is kept, as Load's own result would be; with an error, nothing is. Those who came before an invalidation of the key, and no
	// others, share the load until Rest has returned, and it has its turn (MaxLoads) as long.
	// Nobody waits for Rest: its context ends with Close alone, so that it has to bound itself. Only Load may return one.
	Rest func(ctx context.Context) (Entry[V], error)
}

// A Carrier takes chosen parts of a caller's context, its trace or its tenant, to the loader on
// another instance. What it takes must be small: it crosses with every request.
type Carrier interface {
	// Inject returns what to carry of ctx. The map is not changed afterwards.
	Inject(ctx context.Context) map[string]string
	// Extract returns ctx with what was carried.
	Extract(ctx context.Context, carried map[string]string) context.Context
}

// LoadFunc makes a Config.Load of a function that returns just a value.
func LoadFunc[K ~string, V any](load func(context.Context, K) (V, error)) func(context.Context, K) (Entry[V], error) {
	return func(ctx context.Context, key K) (Entry[V], error) {
		v, err := load(ctx, key)
		return Entry[V]{Value: v}, err
	}
}

// withDefaults returns c with every zero field set to its default, or an error that names
// every field that is wrong. c itself is a copy: the caller's is not changed.
func (c Config[K, V]) withDefaults() (Config[K, V], error) {
	if err := c.check(); err != nil {
		return c, err
	}
	if c.MirrorTTL == 0 {
		c.MirrorTTL = DefaultMirrorTTL
	}
	if c.LoadTimeout == 0 {
		c.LoadTimeout = DefaultLoadTimeout
	}
	switch {
	case c.MemoryShare > 0:
		c.MaxBytes = int64(c.MemoryShare * float64(memoryLimit()))
	case c.MaxBytes == 0:
		c.MaxBytes = DefaultMaxBytes
	}
	if c.SizeOf == nil {
		c.SizeOf = bytesSizeOf[V]()
	}
	if c.Codec == nil {
		c.Codec = bytesCodec[V]()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// memoryLimit returns the runtime's soft memory limit, math.MaxInt64 if there is none.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

func (c *Config[K, V]) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("cache: Config."+format, args...)) }
	if c.Load == nil {
		bad("Load is nil: give it the function that gets a value from the origin")
	}
	if c.Peers != nil && c.Name == "" {
		bad("Name is empty: with Peers, give the cache a name that is the same on every instance")
	}
	if len(c.Name) > 255 {
		bad("Name has %d bytes: use at most 255", len(c.Name))
	}
	if len(c.Version) > 255 {
		bad("Version has %d bytes: use at most 255", len(c.Version))
	}
	for _, d := range []struct {
		name  string
		value time.Duration
		zero  string
	}{
		{"TTL", c.TTL, "0 for values that do not expire"},
		{"Negative", c.Negative, "0 not to cache ErrNotFound"},
		{"LoadTimeout", c.LoadTimeout, "0 for the default of " + DefaultLoadTimeout.String()},
	} {
		if d.value < 0 {
			bad("%s is %v: use a positive duration, or %s", d.name, d.value, d.zero)
		}
	}
	if c.Stale > 0 && c.TTL == 0 {
		bad("Stale is %v without a TTL: set TTL, after which a value is stale", c.Stale)
	}
	if !(c.Jitter >= 0 && c.Jitter < 1) {
		bad("Jitter is %v: use at least 0 and less than 1, such as 0.1", c.Jitter)
	}
	if c.MaxBytes != 0 && c.MaxBytes < MinMaxBytes {
		bad("MaxBytes is %d: use at least %d, or 0 for the default of %d", c.MaxBytes, MinMaxBytes, DefaultMaxBytes)
	}
	if c.MaxEntries < 0 {
		bad("MaxEntries is %d: use a positive number, or 0 to have MaxBytes alone bound what is kept", c.MaxEntries)
	}
	if limit := memoryLimit(); c.MemoryShare != 0 {
		switch share := c.MemoryShare; {
		case !(share > 0 && share < 1):
			bad("MemoryShare is %v: use more than 0 and less than 1, such as 0.3, or 0 to have MaxBytes say it", share)
		case c.MaxBytes != 0:
			bad("MemoryShare is %v, and MaxBytes is %d: set one of them", share, c.MaxBytes)
		case limit == math.MaxInt64:
			bad("MemoryShare is %v of a memory limit that there is not: set GOMEMLIMIT, or MaxBytes in its place", share)
		case share*float64(limit) < MinMaxBytes:
			bad("MemoryShare is %v of a memory limit of %d bytes: use a share that makes at least %d", share, limit, MinMaxBytes)
		}
	}
	if c.MaxLoads < 0 {
		bad("MaxLoads is %d: use a positive number, or 0 for no bound", c.MaxLoads)
	}
	if c.Arena && bytesSizeOf[V]() == nil {
		bad("Arena is set: it can only be if V is string or []byte, and V is %v; leave it out, or encode the values yourself", reflect.TypeFor[V]())
	}
	if c.SizeOf == nil && bytesSizeOf[V]() == nil {
		bad("SizeOf is nil: it can only be left out if V is string or []byte, and V is %v", reflect.TypeFor[V]())
	}
	if c.Peers != nil && c.Codec == nil && bytesCodec[V]() == nil {
		bad("Codec is nil: with Peers it can only be left out if V is string or []byte, and V is %v; use JSON or Gob, or write one", reflect.TypeFor[V]())
	}
	return errors.Join(errs...)
}
