package peers

import (
	"errors"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// What can go wrong with a call to a peer. Each is the Kind of an *Error and is found by errors.Is.
// Besides these, a Kind can be cache.ErrUnknownCache or cache.ErrVersionMismatch.
var (
	// ErrPeerDown: the peer is known to be down. Nothing was sent, or the call was under way when
	// the peer was found to be down. errors.Is finds the reason in it as well. It is the error
	// that package cache knows by the same name.
	ErrPeerDown = cache.ErrPeerDown

	// ErrUnreachable: no connection came about, it broke, or nothing came back in time.
	ErrUnreachable = errors.New("peers: the instance cannot be reached")

	// ErrUnauthorized: the peer refuses this instance's credential, or their TLS
	// certificates do not fit.
	ErrUnauthorized = errors.New("peers: the credential is refused")

	// ErrNotAuthentic: what came back is not proved to be from an instance that has the Secret:
	// the address may have been given to another program.
	ErrNotAuthentic = errors.New("peers: the reply is not authentic")

	// ErrProtocol: what came back is not a fleetcache reply, or a broken one. A proxy's
	// or load balancer's own answers are among these.
	ErrProtocol = errors.New("peers: the reply makes no sense")

	// ErrMisdirected: the instance at this address has another Config.Self.
	ErrMisdirected = errors.New("peers: another instance answers at this address")

	// ErrSelf: the address is one of this very instance, under another name than its Config.Self.
	ErrSelf = errors.New("peers: the address is this instance's own")

	// ErrOverloaded: the peer has as many requests under way as its Config.MaxInFlight allows.
	ErrOverloaded = errors.New("peers: the instance is overloaded")

	// ErrTooLarge: a part of the request is over a limit, at this end or at the other.
	ErrTooLarge = errors.New("peers: the request is too large")

	// ErrBadRequest: the peer does not understand the request; it may run an older program.
	ErrBadRequest = errors.New("peers: the request is not understood")

	// ErrUnsupported: the peer's program is too old for the request.
	ErrUnsupported = errors.New("peers: the instance does not support that")

	// ErrFailed: something broke in the peer while it served the request.
	ErrFailed = errors.New("peers: the instance failed")

	// ErrClosed: the Pool is closed, this one or the peer's.
	ErrClosed = errors.New("peers: closed")
)

// An Error says why a peer gave no usable answer, and how to mend it.
type Error struct {
	Peer   string // the peer's URL
	Kind   error  // one of the Err variables of this package, or of package cache
	Detail string // what happened, for people
	Cause  error  // what it was found by, or nil
}

func (e *Error) Error() string { return "peers: " + e.Peer + " " + e.text() }

// text is the error without the peer's name, so that an error about
// a peer can have another one about it as its cause.
func (e *Error) text() string {
	if e.Cause == nil {
		return e.Detail
	}
	if c, ok := e.Cause.(*Error); ok && c.Peer == e.Peer {
		return e.Detail + ": it " + c.text()
	}
	return e.Detail + ": " + e.Cause.Error()
}

// Unwrap returns Kind and Cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}
