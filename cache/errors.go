package cache

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
)

var (
	// ErrNotFound says that the origin has no value for a key. A loader returns it, or an error that
	// wraps it; it is cached for Config.Negative, and errors.Is finds it on every instance.
	ErrNotFound = errors.New("cache: not found")

	// ErrClosed is returned by every method of a Cache after Close.
	ErrClosed = errors.New("cache: closed")

	// ErrOverloaded says that a load has not begun, because the loads before it took all of the turns that
	// Config.MaxLoads gives: its caller's deadline or LoadTimeout passed before it had one, or too many waited. It is a
	// context.DeadlineExceeded as well. errors.Is finds it on every instance. A caller elsewhere hears a moment later that the
	// owner's load waits (25 ms and the way): if his deadline is sooner, he gets his context's error.
	ErrOverloaded error = overload{}

	// ErrUnknownCache is what a Peer returns if the instance has no cache of the name asked for:
	// it does not run one yet, or any more. It says nothing about the key.
	ErrUnknownCache = errors.New("cache: the instance has no cache of this name")

	// ErrVersionMismatch is what a Peer returns if the instance runs another Version of the cache.
	ErrVersionMismatch = errors.New("cache: the instance runs another Version of this cache")

	// ErrPeerDown is what a Peer returns, at once, if the instance is known to be down.
	ErrPeerDown = errors.New("cache: the instance is down")
)

// A KeyError reports a key that no instance can take.
type KeyError struct {
	Key    string // shortened
	Reason string
}

func (e *KeyError) Error() string { return fmt.Sprintf("cache: key %q: %s", e.Key, e.Reason) }

// A TagError reports tags that are too long.
type TagError struct {
	Key   string // of the entry that has them; "" with RemoveTag
	Bytes int    // as MaxTagBytes counts them
}

func (e *TagError) Error() string {
	what := "a tag has"
	if e.Key != "" {
		what = fmt.Sprintf("Entry.Tags of key %.64q have", e.Key)
	}
	return fmt.Sprintf("cache: %s %d bytes (with four for each), and %d are allowed: use fewer, or digests of them", what, e.Bytes, MaxTagBytes)
}

// A RemoteError is an error that happened on another instance, in its loader above all.
// errors.Is finds ErrNotFound, ErrOverloaded and context.DeadlineExceeded in it where
// that is what happened there.
type RemoteError struct {
	Peer    string // the instance's address
	Status  Status
	Message string // the error's text there
}

func (e *RemoteError) Error() string {
	return fmt.Sprintf("cache: at %s: %s", e.Peer, e.Message)
}

// Unwrap returns ErrNotFound, ErrOverloaded, context.DeadlineExceeded or nil.
func (e *RemoteError) Unwrap() error {
	switch e.Status {
	case StatusNotFound:
		return ErrNotFound
	case StatusLoadTimeout:
		return context.DeadlineExceeded
	case StatusOverloaded:
		return ErrOverloaded
	}
	return nil
}

// A DecodeError says that an instance sent a value that this one's Codec does not understand,
// which mostly means that the encoding changed and Config.Version did not.
type DecodeError struct {
	Peer, Key string
	Err       error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("cache: value of %q from %s does not decode (if the encoding changed, change Config.Version): %v", e.Key, e.Peer, e.Err)
}

func (e *DecodeError) Unwrap() error { return e.Err }

// An EncodeError says that the Codec did not encode a value for another instance.
type EncodeError struct {
	Key string
	Err error
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("cache: value of %q does not encode: %v", e.Key, e.Err)
}

func (e *EncodeError) Unwrap() error { return e.Err }

// A ManyError reports the keys of a GetMany that failed. The results of all other keys were returned.
type ManyError struct {
	Errors map[string]error // by key, never empty
}

func (e *ManyError) Error() string {
	keys := make([]string, 0, len(e.Errors))
	for k := range e.Errors {
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return "cache: no keys failed"
	}
	sort.Strings(keys)
	if len(keys) == 1 {
		return fmt.Sprintf("cache: key %q: %v", keys[0], e.Errors[keys[0]])
	}
	return fmt.Sprintf("cache: %d keys failed; %q: %v", len(keys), keys[0], e.Errors[keys[0]])
}

// Unwrap returns the errors of all keys.
func (e *ManyError) Unwrap() []error {
	errs := make([]error, 0, len(e.Errors))
	for _, err := range e.Errors {
		errs = append(errs, err)
	}
	return errs
}

// An UnreachedError reports that an invalidation did not reach some instances. Every other instance
// has been invalidated; those named here stop serving what they mirror of
// other instances' keys within MirrorTTL, and what they own, or have taken over from an owner that they did not
// reach, when its TTL and Stale end.
type UnreachedError struct {
	Errors map[string]error // by the instance's address, never empty
}

func (e *UnreachedError) Error() string {
	var b strings.Builder
	b.WriteString("cache: the invalidation did not reach")
	addrs := make([]string, 0, len(e.Errors))
	for a := range e.Errors {
		addrs = append(addrs, a)
	}
	sort.Strings(addrs)
	for i, a := range addrs {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s (%v)", a, e.Errors[a])
	}
	return b.String()
}

// Unwrap returns the errors of all instances.
func (e *UnreachedError) Unwrap() []error {
	errs := make([]error, 0, len(e.Errors))
	for _, err := range e.Errors {
		errs = append(errs, err)
	}
	return errs
}
