package peerstest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var errorChecks = []Check{
	{"VersionMismatch", "ErrVersionMismatch is what a Peer returns if the instance runs another Version.", 2, checkVersionMismatch},
	{"OtherErrors", "An error that is neither ErrPeerDown, ErrUnknownCache, ErrVersionMismatch nor the context's own means that the instance gave no usable answer.", 2, checkOtherErrors},
	{"Panic", "An error means that the instance gave no usable answer: a Responder that panics fails its call, and no other.", 2, checkPanic},
}

func checkVersionMismatch(f *fixture) {
	for _, err := range []error{cache.ErrVersionMismatch, fmt.Errorf("wrapped: %w", cache.ErrVersionMismatch)} {
		detach := f.attach(1, name, alike(func(context.Context) error { return err }))
		for _, m := range methods {
			if got := m.call(f.ctx, f.peer(0, 1)); !errors.Is(got, cache.ErrVersionMismatch) || errors.Is(got, cache.ErrUnknownCache) {
				f.Errorf("%s: %v; want ErrVersionMismatch", m.name, got)
			}
		}
		detach()
	}
}

// checkUnusable checks the error of a call that got no usable answer from instance 1.
func (f *fixture) checkUnusable(method string, err error) {
	f.Helper()
	if err == nil {
		f.Errorf("%s returned nil", method)
		return
	}
	for _, meaning := range []error{
		cache.ErrUnknownCache, cache.ErrVersionMismatch, cache.ErrNotFound, cache.ErrClosed,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, meaning) {
			f.Errorf("%s: errors.Is finds %q in %q, which is no such error", method, meaning, err)
		}
	}
	if !strings.Contains(err.Error(), f.addrs[1]) {
		f.Errorf("%s: error %q does not name the instance, %s", method, err, f.addrs[1])
	}
}

func checkOtherErrors(f *fixture) {
	local := errors.New("disk on fire")
	for _, err := range []error{
		local, io.EOF, io.ErrUnexpectedEOF, errors.New(""), cache.ErrNotFound, cache.ErrClosed,
		// The Responder's own; the caller's context is fine.
		context.Canceled, context.DeadlineExceeded,
	} {
		detach := f.attach(1, name, alike(func(context.Context) error { return err }))
		for _, m := range methods {
			got := m.call(f.ctx, f.peer(0, 1))
			f.checkUnusable(m.name, got)
			if errors.Is(got, cache.ErrPeerDown) {
				f.Errorf("%s: an instance that answers is taken for down: %v", m.name, got)
			}
			if errors.Is(got, local) {
				f.Errorf("%s: an error value crossed from one process to another: %v", m.name, got)
			}
		}
		detach()
	}
}

func checkPanic(f *fixture) {
	detach := f.attach(1, name, alike(func(context.Context) error { panic("a bug in the Responder") }))
	for _, m := range methods {
		f.checkUnusable(m.name, await(f, start(func() error { return m.call(f.ctx, f.peer(0, 1)) }), m.name+" at a Responder that panics"))
	}
	detach()
	f.attach(1, name, alike(func(context.Context) error { return nil }))
	for _, m := range methods {
		if err := m.call(f.ctx, f.peer(0, 1)); err != nil {
			f.Errorf("%s, after a panic: %v", m.name, err)
		}
	}
}
