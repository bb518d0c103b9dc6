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
// # Request
//
//	byte     version      1
//	byte     verb         1 ping, 2 get, 3 fence, 4 release, 5 store
//	byte     flags        bit 0: of get, reload; of fence and release, all keys;
//	                      bit 1: of get, takeover. Others are 0
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
//	         uvarint  number of keys; for each: string
//	release  string   cache
//	         fixed64  id
//	         uvarint  number of keys; for each: string
//	store    string   cache, string version, string key
//	         fixed64  id of the fence
//	         duration ttl, duration stale
//	         uvarint  size
//	         ...      the value, up to the end of the request
//
// # Reply
//
//	byte     version      1
//	byte     flags        bit 0: every frame is signed. Others are 0
//	...      frames, the last one an end
//
//	frame    byte     type: 1 answer, 2 end
//	         uvarint  length of the payload
//	         ...      payload
//	         32 bytes signature, if the reply is signed
//
//	answer   uvarint  index of the key in the request
//	         byte     cache.Status
//	         byte     flags, bit 0: loaded for this request. Others are 0
//	         duration ttl, duration stale
//	         uvarint  size
//	         string   message
//	         ...      the value, up to the end of the payload
//
//	end      byte     Code
//	         fixed64  epoch of the answering instance's view
//	         ...      message, up to the end of the payload
//
// Answers come in the order in which they became ready. Nothing follows an end; a reply
// without one was cut off.
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
	Timeout         Code = 10 // the time that the request had was over
)

// The types of a reply's frames. The numbers are append-only.
const (
	TypeAnswer = 1
	TypeEnd    = 2
)

const (
	flagReload   = 1 << 0 // of a get
	flagTakeover = 1 << 1 // of a get
	flagAll      = 1 << 0 // of a fence or a release
	flagLoaded   = 1 << 0 // of an answer
	flagSigned   = 1 << 0 // of a reply
)

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
