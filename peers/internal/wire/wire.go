// Package wire is the format in which instances talk to each other. It translates
// between bytes and the requests and answers of package cache, and knows nothing of
// sockets, HTTP or credentials; package peers sends what it makes.
//
// # Numbers
//
// A uvarint is an unsigned LEB128 number of at most 64 bits in its shortest form. A string
// is a uvarint length and that many bytes, which can be any bytes. A fixed64 is 8
// bytes, big-endian. A duration is a uvarint: 0 for zero or less, 1 for cache.Forever,
// and otherwise the nanoseconds plus one. Only durations travel, never points in time.
//
// # Frame
//
//	byte     type         1 answer, 2 end, 3 request, 4 part, 5 cancel, 6 credit,
//	                      7 ping, 8 pong, 9 go-away; with 128 added: the first
//	                      part of a message that is longer than a frame
//	uvarint  call         to which it belongs; 0 for ping, pong and go-away
//	uvarint  length of the payload
//	...      payload
//
//	request  see below                                         client to server
//	answer   see below                                         server to client
//	end      see below                                         server to client
//	part     further bytes of the call's message               both ways
//	cancel   (empty): the client does not wait any more        client to server
//	credit   uvarint  bytes of the call that were taken        both ways
//	ping     up to 32 bytes, which come back in a pong         both ways
//	pong     those of a ping                                   both ways
//	go-away  (empty): no new calls; those under way are
//	         answered                                          server to client
//
// Frames of other types are skipped.
//
// On an upgraded connection frames follow each other in both directions, each with a payload of
// MaxPayload bytes at most. A longer message is sent as a first part, whose payload is a uvarint with the
// length of the whole message and the beginning of it, and parts with the rest; frames of other calls may come between them.
// A client numbers its calls as it likes; it uses a number again once the reply to it has ended, which
// every request has, a cancelled one too.
//
// A message that comes in parts, and the answers of one reply, are subject to credit: a sender has
// sent at most Window bytes of a call's payloads that the receiver has not credited, but for the frame that
// exceeds it.
//
// A POST's body is one request, and its reply's body an answer for each key and an end. Both
// begin with a preface; there are no parts, and each frame of a signed reply has a signature after it.
//
//	preface  byte     version      1
//	         byte     flags        bit 0: every frame is signed. Others are 0
//	signed   ...      frame
//	frame    32 bytes signature
//
// # Request
//
//	byte     verb         1 ping, 2 get, 3 fence, 4 release, 5 store, 6 stats, 7 hello,
//	                      8 leave, 9 list
//	byte     flags        bit 0: of get, reload; of fence and release, all keys; of hello,
//	                      brief; of list, slots; of store, tags; bit 1: of get, takeover;
//	                      of fence and release, views; bit 2: of get, peek; of fence and
//	                      release, tags. Others are 0
//	fixed64  epoch        of the sender's view
//	duration timeout      what is left for the request; Forever if it has no deadline
//	...      body, by verb, up to the end of the request
//
//	ping     (empty)
//	get      uvarint  longest value that the sender takes, in bytes
//	         string   cache, string version
//	         uvarint  number of carried pairs; for each, in ascending order of the
//	                  keys: string key, string value
//	         uvarint  number of keys; for each: string
//	fence    string   cache
//	         fixed64  id
//	         duration hold
//	         uvarint  number of keys, with tags of tags; for each: string
//	         with views: fixed64 digest of those whom the sender knows,
//	         uvarint  number of those that are gone; for each: string url
//	release  string   cache
//	         fixed64  id
//	         uvarint  number of keys, with tags of tags; for each: string
//	         with views: uvarint number of those that are gone; for each: string url
//	store    string   cache, string version, string key
//	         fixed64  id of the fence
//	         duration ttl, duration stale
//	         uvarint  size
//	         with tags: uvarint number of tags; for each: string
//	         ...      the value, up to the end of the request
//	stats    (empty)
//	hello    string   cache
//	         fixed64  life, uvarint seq
//	         duration since
//	leave    (empty)
//	list     string   cache, string version
//	         fixed64  cursor
//	         with slots: 8192 bytes, in which bit s%8 of byte s/8 stands for slot s
//
// Verbs 10 to 15 are set aside for the handing over of entries.
//
// # Reply
//
// A reply is any number of answers, in the order in which they became ready, and an end; or
// an answer with bit 1 of its flags, which is an end with code 0 as well. Nothing follows either; a reply
// without was cut off.
//
//	answer   byte     flags, bit 0: loaded for this request; bit 1: the reply ends
//	                  here; bit 2: tags. Others are 0
//	         fixed64  epoch of the answering instance's view, with bit 1 only
//	         uvarint  index of the key in the request
//	         byte     cache.Status
//	         duration ttl, duration stale
//	         uvarint  size
//	         string   message, empty with tags
//	         with tags: uvarint number of tags; for each: string
//	         ...      the value, up to the end of the payload
//
//	end      byte     Code
//	         fixed64  epoch of the answering instance's view
//	         ...      message, up to the end of the payload
//
// The answer to stats has the value {"Self": ...}, a JSON object of what the instance has counted.
//
// The answer to a fence with views has the value known. It is an empty list if the digest is the receiver's own: the exclusive
// or of the xxhash64 of the URL of each instance that it knows, and of its own.
//
//	known    uvarint  number of instances; for each: string url, duration for which
//	                  the sender will know it, at least, byte: 0 it is in the sender's view,
//	                  1 it was in it, 2 it came and is not in it yet
//
// The answer to hello has the value
//
//	known
//	byte     flags        bit 0: nobody knows any more what was missed. Others are 0
//	fixed64  life, uvarint seq
//	uvarint  number of holds; for each: byte flags (bit 0: all keys; bit 2: tags),
//	         fixed64 id, duration hold, uvarint number of keys or tags, for each: string
//	uvarint  number of missed invalidations; for each: byte flags (bit 0: all keys;
//	         bit 2: tags), fixed64 id, uvarint number of keys or tags, for each: string
//
// The answer to leave has the value
//
//	uvarint  number of caches; for each: string name
//
// The answer to list has the value
//
//	fixed64  cursor of what follows, 0 if nothing does
//	uvarint  number of keys; for each: string
//
// # Features
//
// When a connection is upgraded each side says in a 64-bit word what it understands beyond
// version 1, one bit each, and uses what both do. Unknown bits are ignored.
//
//	bit 0    the peek flag of get
//	bit 1    the verb stats
//	bit 2    the verb hello, and the views flag of fence and release
//	bit 3    the verbs leave and list
//
// A verb or a flag that an instance does not know is answered with an end of code Unsupported.
//
// Each message has exactly one encoding: decoders reject numbers longer than
// need be, unknown flags and bytes left over. No decoder allocates more than a small
// multiple of the bytes that it was given.
package wire

import (
	"errors"
	"fmt"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// Version is the version of this format. A message of another one is an error.
const Version = 1

// Limits of the format.
const (
	MaxName         = 255              // bytes of a cache's name, and of its version
	MaxKeys         = 1 << 20          // keys of one request
	MaxMessage      = 16 << 10         // bytes of an error's text; AppendAnswer and AppendEnd cut longer ones
	MaxCarried      = 64               // carried pairs
	MaxCarriedBytes = 8 << 10          // bytes of all carried keys and values
	SignatureSize   = 32               // bytes of a frame's signature
	AnswerOverhead  = MaxMessage + 128 // most bytes of an answer without its value
	MaxPayload      = 68 << 10         // bytes of a payload on an upgraded connection
	MaxPing         = 32               // bytes of a ping's payload
	PartSize        = 32 << 10         // bytes of a part, as this package's users send them
	Window          = 256 << 10        // bytes of a call that may be sent and not credited
)

// Features are what an instance understands beyond the first version, one bit each. The bits are append-only.
type Features uint64

// The features.
const (
	FeaturePeek  Features = 1 << 0
	FeatureStats Features = 1 << 1
	FeatureViews Features = 1 << 2
	FeatureLeave Features = 1 << 3

	// AllFeatures are those of this package.
	AllFeatures = FeaturePeek | FeatureStats | FeatureViews | FeatureLeave
)

// A Verb says what a request asks for. The numbers are append-only: new verbs get
// new numbers, none is ever changed or used again.
type Verb uint8

// The verbs.
const (
	Ping    Verb = 1
	Get     Verb = 2
	Fence   Verb = 3
	Release Verb = 4
	Store   Verb = 5
	Stats   Verb = 6
	Hello   Verb = 7
	Leave   Verb = 8
	List    Verb = 9
)

func (v Verb) String() string {
	switch v {
	case Ping:
		return "ping"
	case Get:
		return "get"
	case Fence:
		return "fence"
	case Release:
		return "release"
	case Store:
		return "store"
	case Stats:
		return "stats"
	case Hello:
		return "hello"
	case Leave:
		return "leave"
	case List:
		return "list"
	}
	return fmt.Sprintf("verb %d", uint8(v))
}

// A Code says what became of a request as a whole; each answer has a cache.Status besides.
// The numbers are append-only: new codes get new numbers, none is ever changed or
// used again. A code that an instance does not know is an error to it, like Failed.
type Code uint8

// The codes.
const (
	OK              Code = 0
	UnknownCache    Code = 1  // no cache of this name is attached
	VersionMismatch Code = 2  // the cache has another Version
	BadRequest      Code = 3  // the request does not decode, or breaks a limit of the format
	TooLarge        Code = 4  // the request is larger than the instance takes
	Overloaded      Code = 5  // too many requests at once
	Misdirected     Code = 6  // the request was sent to another address than the instance's own
	Self            Code = 7  // the sender is the instance itself
	Closed          Code = 8  // the instance is shutting down
	Failed          Code = 9  // something broke, such as a panic
	Timeout         Code = 10 // the time that the request had was over, or it was cancelled
	Unsupported     Code = 11 // the verb, or a flag, is not known
)

// A Type says what a frame is. The numbers are append-only.
type Type uint8

// The types.
const (
	TypeAnswer  Type = 1
	TypeEnd     Type = 2
	TypeRequest Type = 3
	TypePart    Type = 4
	TypeCancel  Type = 5
	TypeCredit  Type = 6
	TypePing    Type = 7
	TypePong    Type = 8
	TypeGoAway  Type = 9

	// FirstPart is added to the type of a message that comes in parts.
	FirstPart Type = 128
)

const (
	flagReload   = 1 << 0 // of a get
	flagTakeover = 1 << 1 // of a get
	flagPeek     = 1 << 2 // of a get
	flagAll      = 1 << 0 // of a fence or a release, and of a hold or a missed invalidation
	flagViews    = 1 << 1 // of a fence or a release
	flagTags     = 1 << 2 // of a fence or a release, and of a hold or a missed invalidation
	flagBrief    = 1 << 0 // of a hello
	flagTookOver = 1 << 1 // of a hello
	flagForgot   = 1 << 2 // of a hello
	flagSlots    = 1 << 0 // of a list
	flagGap      = 1 << 0 // of the value that answers a hello
	flagLoaded   = 1 << 0 // of an answer
	flagLast     = 1 << 1 // of an answer

	flagAnswerTags = 1 << 2 // of an answer
	flagStoreTags  = 1 << 0 // of a store

	flagSigned = 1 << 0 // of a reply
)

// ErrUnsupported says that a message has a verb or a flag that is not known.
var ErrUnsupported = errors.New("not known to this instance")

// ErrTooLarge says that a message, or a part of it, is over a limit.
var ErrTooLarge = errors.New("over the limit")

// checkNames, checkKeys and checkCarried hold the limits that both ends keep: the sender, so
// that the error is clear and stays at home, and the receiver, because it trusts nobody.

func checkName(what, s string) error {
	if len(s) > MaxName {
		return fmt.Errorf("%s has %d bytes, at most %d: %w", what, len(s), MaxName, ErrTooLarge)
	}
	return nil
}

func checkKeyLen(n uint64) error {
	if n > cache.MaxKeyBytes {
		return fmt.Errorf("a key has %d bytes, at most %d: %w", n, cache.MaxKeyBytes, ErrTooLarge)
	}
	return nil
}

func checkKeyCount(n uint64) error {
	if n > MaxKeys {
		return fmt.Errorf("%d keys in one request, at most %d: %w", n, MaxKeys, ErrTooLarge)
	}
	return nil
}

func checkCarriedCount(n uint64) error {
	if n > MaxCarried {
		return fmt.Errorf("%d carried values, at most %d: %w", n, MaxCarried, ErrTooLarge)
	}
	return nil
}

func checkCarriedBytes(n uint64) error {
	if n > MaxCarriedBytes {
		return fmt.Errorf("carried keys and values have %d bytes, at most %d: %w", n, MaxCarriedBytes, ErrTooLarge)
	}
	return nil
}
