package cache

import (
	"bytes"
	"context"
	"iter"
	"math/bits"
	"time"
)

// Peers is how a Cache finds and reaches the other instances of its service.
// peers.Pool implements it over HTTP and peerstest.Fleet in memory;
// peerstest.TestPeers is the suite that any implementation must pass.
//
// All methods may be called concurrently, and none of them blocks.
type Peers interface {
	// Attach makes r answer the requests that other instances make of the cache
	// called name, until detach is called. It fails if the name is taken.
	// A request for a name that nothing is attached to is answered with
	// ErrUnknownCache. From then on r.Met is called whenever instances come into the view, or can be reached again.
	Attach(name string, r Responder) (detach func(), err error)

	// Self returns this process's own address: the Addr of the Peer by which others reach it.
	Self() string

	// Owners yields every instance of the current view once, in the order in which they are
	// to be asked for key: its owner, then whoever takes over, in turn.
	// The order is the same on every instance with the same view.
	// A nil Peer stands for this process.
	Owners(key string) iter.Seq[Peer]

	// Owner returns the first of Owners(key): the instance that owns key, nil if it is this process.
	// It allocates nothing.
	Owner(key string) Peer

	// Former yields the instances that owned key in views that this instance had not long ago, the latest first,
	// but neither its present owner nor this process. If this process owns key, and the instance that comes next in its order
	// said not long ago that it took over, see HelloRequest, that one comes first. It is empty most of the time.
	Former(key string) iter.Seq[Peer]

	// Gained yields the instances that owned, in views that this instance had not long ago, slots that this process owns now and has
	// not owned since, with those slots; and likewise those that took over, as in Former.
	Gained() iter.Seq2[Peer, *Slots]

	// Preceding yields the instances that own slots in which this process comes next in the order of Owners, with those slots.
	Preceding() iter.Seq2[Peer, *Slots]

	// Slot returns the slot of key: a number from 0 to 65535 that depends on the key alone, and is the same on every instance.
	// All keys of a slot have the same owner.
	Slot(key string) int

	// Others returns every other instance that may hold something that this fleet caches: those of the current view;
	// and for a time those that left it, those that asked this one something without being in it, and those that
	// others said they know, see Peer. The caller must not change the slice.
	Others() []Peer

	// Left reports whether p, which is one of Others, left the view, and nothing was heard of a new life of it since. Others that are
	// not in the view are on their way into it.
	Left(p Peer) bool

	// Forget has Former yield the instances with these addresses no more, and Others only while they are in the
	// view, since somebody who invalidates could not reach them. It returns false, and forgets none, if one of them is
	// in the current view.
	Forget(addrs []string) bool
}

// A Peer is another instance, as this one reaches it. Peers are comparable: while an
// instance stays in the view, the same value stands for it.
//
// Every call fails at once with ErrPeerDown if the instance is known to be down. An error that is neither that,
// ErrUnknownCache, ErrVersionMismatch nor the end of the call's own time or context means that the instance gave no
// usable answer.
type Peer interface {
	// Addr is the address that names the instance in errors, statistics and logs.
	Addr() string

	// Get asks the instance for req.Keys and returns at once; the answers are taken from what it returns. The call
	// ends by itself after timeout (Forever: never), or a moment later, with an error that is
	// context.DeadlineExceeded. Get does not keep req. If the instance is known to be down, the first Next says so.
	Get(req *GetRequest, timeout time.Duration) Answers

	// Hello, Fence, List, Release and Store are as those of Responder. Each returns by its context. Before Hello is delivered,
	// the other instance has this one among its Others. When Hello or Fence returns nil, this instance has all of the
	// other one's Others among its own: those that it had when its Responder had returned.
	Hello(ctx context.Context, req *HelloRequest) (*HelloReply, error)
	Fence(ctx context.Context, req *FenceRequest) error
	List(ctx context.Context, req *ListRequest) (*ListReply, error)
	Release(ctx context.Context, req *ReleaseRequest) error
	Store(ctx context.Context, req *StoreRequest) error
}

// Answers are what comes of a Peer's Get. Its methods are not called concurrently, but from different
// goroutines in turn.
//
// An implementation may have one more method, Interrupt(), see singleflight.Interrupter: it is called at most once,
// before Close and perhaps while Next waits, and does not block. It ends the call, and makes Next return an error at
// once. Without it, a caller whose cache is closed waits for its Next to return.
type Answers interface {
	// Next waits for the next answer, in the order in which they become ready, and returns it with its key's index
	// in req.Keys; before that of a key there may be one with StatusQueued. After all keys were answered it returns io.EOF, for ever. Other errors are as those of Peer:
	// the call is over, and Next returns the same again; answers before it stand. If ctx ends first, Next
	// returns ctx.Err() and the call goes on: Next may be called again, with another context.
	Next(ctx context.Context) (i int, a Answer, err error)

	// Close ends the call if it is not over: one waiter has left each load at the other end. It must be called once,
	// and nothing after it.
	Close()
}

// A Responder answers requests from other instances. A Cache has one, which it hands to
// Peers.Attach; a Peer is the remote end of one. It has no way to ask who owns a key, so
// it can never forward a request.
type Responder interface {
	// Hit answers for one key from memory, if that can be done at once: nothing is waited for, and no function of
	// the program's is called. If ok is false, ask Get. It keeps neither string: their bytes may be changed after
	// it has returned.
	Hit(version, key string) (a Answer, ok bool)

	// Get answers for each of req.Keys from memory or by loading it. It calls deliver with
	// the key's index in req.Keys once per key, as answers become ready, in any order,
	// never concurrently and never after Get has returned. Before a key's answer there may be one
	// Answer more, with StatusQueued and nothing else. If Get returns nil, every key was
	// answered; if it returns an error, those delivered before it stand.
	// Cancelling ctx withdraws one waiter from each load; it fails nobody else.
	// Get may be delivered to the responder more than once.
	Get(ctx context.Context, req *GetRequest, deliver func(i int, a Answer)) error

	// Met says that peers came into this instance's view, or can be reached again. forgotten are those of them that this instance had
	// forgotten, see Peers, and that have begun no new life since. It does not block.
	Met(peers, forgotten []Peer)

	// Moved says that this instance's view is another one, so that it may own what others owned. It does not block.
	Moved()

	// List lists keys that the instance holds, the hottest first, to one who takes them over, or keeps copies of them.
	List(ctx context.Context, req *ListRequest) (*ListReply, error)

	// Hello says which invalidations are under way, and which were made since the sender heard last of them.
	Hello(ctx context.Context, req *HelloRequest) (*HelloReply, error)

	// Fence drops what the instance holds of the keys, and makes sure that nothing that
	// it began to load or fetch before is stored. A second delivery of a Fence must happen
	// before its call returns, or not at all. Of this and the calls below, a first delivery
	// may come after a call that failed.
	Fence(ctx context.Context, req *FenceRequest) error

	// Release ends the hold of an earlier Fence. It fails if there is none, for the instance has begun
	// a new life since, and then its caller fences again. Delivering it twice is harmless.
	Release(ctx context.Context, req *ReleaseRequest) error

	// Store stores a value under the fence that its sender raised before. A request
	// is delivered to the responder at most once.
	Store(ctx context.Context, req *StoreRequest) error
}

// A GetRequest asks an instance for values. The receiver must not change it or keep it.
type GetRequest struct {
	Cache, Version string
	Keys           []string
	// Reload asks for a new load of each key even where memory holds it.
	Reload bool
	// Peek asks for an answer from memory alone. It starts no load and no refresh: what memory does not have is answered
	// with StatusAbsent. It goes before Reload.
	Peek bool
	// Takeover says that those who come before the receiver in the keys' order did not answer the sender.
	Takeover bool
	// Carried is what the sender's Config.Carry took from its caller's context.
	Carried map[string]string
}

// A FenceRequest invalidates keys, whatever Version of the cache holds them.
type FenceRequest struct {
	Cache string
	// ID identifies the fence among all others that are raised at about the same time.
	ID uint64
	// Keys are the keys to invalidate, or Tags the tags of what is to be invalidated, or All stands for every key of
	// the cache: one of the three.
	Keys []string
	Tags []string
	All  bool
	// Hold is how long, from its receipt, the receiver neither stores nor shares what
	// it gets of these keys, or with these tags, from other instances.
	Hold time.Duration
	// Gone is as in a ReleaseRequest. If the receiver cannot forget one of them it raises the fence, and the request
	// fails.
	Gone []string
}

// A ReleaseRequest ends a hold early: every instance has been fenced.
type ReleaseRequest struct {
	Cache string
	ID    uint64
	Keys  []string
	Tags  []string
	All   bool
	// Gone are addresses of instances that left the sender's view and could not be reached. The receiver forgets
	// them, see Peers, before it ends the hold; if it cannot, the request fails.
	Gone []string
}

// Slots is a set of slots.
type Slots [1 << 16 / 8]byte

// Has reports whether slot, which is from 0 to 65535, is in the set.
func (s *Slots) Has(slot int) bool { return s[slot>>3]&(1<<(slot&7)) != 0 }

// Len returns how many slots are in the set.
func (s *Slots) Len() (n int) {
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return n
}

// Add adds a slot.
func (s *Slots) Add(slot int) { s[slot>>3] |= 1 << (slot & 7) }

// A ListRequest asks an instance for the keys that it holds.
type ListRequest struct {
	Cache, Version string
	// Slots are those whose keys are wanted; nil: all.
	Slots *Slots
	// Cursor is 0 at first, and then Next of the last reply. Pulled says that the sender has what it wants, and lists nothing.
	Cursor uint64
}

// Pulled is the Cursor of one who has pulled what it wants.
const Pulled uint64 = 1<<64 - 1

// A ListReply has keys, the hottest first.
type ListReply struct {
	Keys []string
	// Versions has a number for each of Keys, which stands for what the instance holds of it: what takes its place has another one.
	Versions []uint64
	Next     uint64 // the Cursor for what follows; 0: that was all
}

// A HelloRequest asks an instance what its sender may have missed.
type HelloRequest struct {
	Cache string
	// Life and Seq are those of the last reply that the sender had, or 0.
	Life, Seq uint64
	// Since is how long the sender has held anything: what was invalidated before that did not concern it.
	Since time.Duration
	// Brief says that the sender has missed nothing: it asks for Life and Seq alone.
	Brief bool
	// Forgot says that the sender had forgotten the receiver, see Peers, and knows it again: so invalidations have passed the receiver by, and
	// it is to ask everybody for them.
	Forgot bool
	// TookOver says that the receiver could not be reached, and that the sender, which comes next, has loaded what the receiver owns.
	// It has heard since what the receiver knows of. When the receiver's Responder has answered, its Peers yields the sender in Former and
	// Gained, for a time, and calls Moved. If the sender is not a member of the receiver's view, it is ignored.
	TookOver bool
}

// A HelloReply says what was invalidated.
type HelloReply struct {
	// Life tells the receiver's life from its others, and Seq numbers the invalidations that it knows of.
	Life, Seq uint64
	// Holds are those that are under way, with what is left of each. IDs are not 0.
	Holds []FenceRequest
	// Missed are those that came after Seq of the request; if its Life is another one, those of the time that it names.
	// Nobody knows any more whether that is all of them if Gap is true.
	Missed []Invalidation
	Gap    bool
}

// An Invalidation is what a Fence was about.
type Invalidation struct {
	ID   uint64 // of the fence
	Keys []string
	Tags []string
	All  bool
	// Over says, of one of HelloReply.Missed, that it has reached everyone: nobody has what is old.
	Over bool
}

// A StoreRequest stores a value that a caller of Set gave. The receiver must not change it.
// It owns Value, which nobody else changes afterwards.
type StoreRequest struct {
	Cache, Version string
	Key            string
	// Fence is the ID of the fence that the sender raised for Key. If another fence was under way
	// at any time since, the store succeeds and stores nothing.
	Fence uint64
	Value []byte
	// TTL and Stale are as in Answer.
	TTL, Stale time.Duration
	// Size is the size of the value as the sender accounts for it, 0 for the receiver's Config.SizeOf.
	Size int64
	// Tags are the value's, MaxTagBytes at most.
	Tags []string
}

// An Answer is what an instance says of one key.
type Answer struct {
	Status Status
	// Value is the encoded value if Status is StatusOK. The receiver of an Answer from
	// a Peer owns it, unless Borrowed is true; the receiver of an Answer from a Cache's Responder must not change it.
	Value []byte
	// Borrowed says that Value is good only until the next call of a method of the Answers that it came from: whoever
	// keeps it copies it. A Responder leaves it false.
	Borrowed bool
	// Size is the size that the value's own instance accounts for it, 0 if not known.
	Size int64
	// TTL is how much longer the answer is fresh: Forever if it does not expire,
	// zero or less if it must not be kept.
	TTL time.Duration
	// Stale is how much longer than TTL it may be served while it is refreshed.
	Stale time.Duration
	// Tags are the value's, MaxTagBytes at most.
	Tags []string
	// Loaded says that the answer was loaded for this request, and not found in memory.
	Loaded bool
	// Message is the text of the error that Status stands for.
	Message string
}

// Own makes Value the receiver's, by a copy if it is Borrowed.
func (a *Answer) Own() {
	if a.Borrowed {
		a.Value, a.Borrowed = bytes.Clone(a.Value), false
	}
}

// Forever is the TTL of an Answer that does not expire.
const Forever time.Duration = 1<<63 - 1

// Status says what became of one key. Its values are part of the wire's format: new ones are
// appended, none is ever changed or used again. A Status that an instance does
// not know is an error to it, like StatusLoadFailed.
type Status uint8

// The values of Status.
const (
	StatusOK           Status = 0 // Value has it
	StatusNotFound     Status = 1 // the loader returned ErrNotFound
	StatusLoadFailed   Status = 2 // the loader returned another error
	StatusLoadPanicked Status = 3 // the loader panicked, or called runtime.Goexit
	StatusLoadTimeout  Status = 4 // the load took longer than LoadTimeout, or than the request allowed
	StatusEncodeFailed Status = 5 // the value could not be encoded
	StatusTooLarge     Status = 6 // the value is larger than the transport carries
	StatusAbsent       Status = 7 // memory has nothing that may be served; only in answer to a Peek
	StatusOverloaded   Status = 8 // the load had no turn in time: ErrOverloaded
	StatusQueued       Status = 9 // no answer yet: the load waits for its turn, and the answer follows
)
