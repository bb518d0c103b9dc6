package peerstest

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

var failureChecks = []Check{
	{"Stopped", "An error means that the instance gave no usable answer: it is not there. Calls without a deadline return too.", 3, checkStopped},
	{"KnownDown", "Every method fails at once with ErrPeerDown if the instance is known to be down.", 3, checkKnownDown},
	{"StoppedMeanwhile", "An error means that the instance gave no usable answer: it stopped while it was asked.", 3, checkStoppedMeanwhile},
	{"StoreOnceStopped", "A StoreRequest is delivered to the Responder at most once: no more when the instance stops meanwhile.", 3, checkStoreOnceStopped},
	{"Hung", "Whatever happens to an instance, a call without a deadline returns by the implementation's own.", 3, checkHung},
}

// stop stops instance 1, or skips the check.
func (f *fixture) stop() {
	f.Helper()
	if f.Stop == nil {
		f.Skip("the Subject has no Stop")
	}
	f.Stop(1)
}

// checkOthersGoOn checks that instances 0 and 2 still reach each other.
func (f *fixture) checkOthersGoOn() {
	f.Helper()
	f.attach(0, name, Responder{GetFunc: echo})
	f.attach(2, name, Responder{GetFunc: echo})
	f.get(f.peer(0, 2), "k")
	f.get(f.peer(2, 0), "k")
}

func checkStopped(f *fixture) {
	f.attach(1, name, alike(func(context.Context) error { return nil }))
	p := f.peer(0, 1)
	f.get(p, "k")
	f.stop()
	for _, m := range methods {
		f.until(m, p, "an error", func(err error) bool { return err != nil })
	}
	f.checkOthersGoOn()
}

func checkKnownDown(f *fixture) {
	f.attach(1, name, alike(func(context.Context) error { return nil }))
	p := f.peer(0, 1)
	f.get(p, "k")
	f.stop()
	for _, m := range methods {
		f.until(m, p, "ErrPeerDown", func(err error) bool { return errors.Is(err, cache.ErrPeerDown) })
	}
	f.checkOthersGoOn()
}

// until calls m at p, where instance 1 has stopped, until the error is what it should come to: the stop takes
// its time, and so does finding out.
func (f *fixture) until(m method, p cache.Peer, what string, good func(error) bool) {
	f.Helper()
	for f.ctx.Err() == nil {
		err := await(f, start(func() error { return m.call(context.Background(), p) }), m.name+" at an instance that has stopped")
		if err != nil {
			f.checkUnusable(m.name, err)
		}
		if good(err) {
			return
		}
		time.Sleep(time.Millisecond) // between tries; no event says that p has found out
	}
	f.Errorf("%s still does not return %s, long after the instance was stopped", m.name, what)
}

func checkStoppedMeanwhile(f *fixture) {
	if f.Stop == nil {
		f.Skip("the Subject has no Stop")
	}
	asked := make(chan struct{}, 16)
	f.attach(1, name, alike(func(ctx context.Context) error {
		asked <- struct{}{}
		f.waitFor(ctx.Done())
		return ctx.Err()
	}))
	var calls []<-chan error
	for _, m := range methods {
		calls = append(calls, start(func() error { return m.call(context.Background(), f.peer(0, 1)) }))
		await(f, asked, "the request at the Responder")
	}
	f.stop()
	for i, m := range methods {
		f.checkUnusable(m.name, await(f, calls[i], m.name+", whose instance has stopped"))
	}
	f.checkOthersGoOn()
}

func checkStoreOnceStopped(f *fixture) {
	if f.Stop == nil {
		f.Skip("the Subject has no Stop")
	}
	var delivered atomic.Int64
	asked := make(chan struct{}, 16)
	f.attach(1, name, Responder{StoreFunc: func(ctx context.Context, _ *cache.StoreRequest) error {
		delivered.Add(1)
		asked <- struct{}{}
		f.waitFor(ctx.Done())
		return ctx.Err()
	}})
	done := start(func() error {
		return f.peer(0, 1).Store(f.ctx, &cache.StoreRequest{Cache: name, Key: "k", Value: []byte("v")})
	})
	await(f, asked, "the request at the Responder")
	f.stop()
	f.checkUnusable("Store", await(f, done, "Store, whose instance has stopped"))
	if n := delivered.Load(); n != 1 {
		f.Errorf("one Store was delivered %d times", n)
	}
}

func checkHung(f *fixture) {
	if f.Hang == nil {
		f.Skip("the Subject has no Hang")
	}
	f.attach(1, name, alike(func(context.Context) error { return nil }))
	p := f.peer(0, 1)
	f.get(p, "k")
	f.Hang(1)
	for _, m := range methods {
		err := await(f, start(func() error { return m.call(context.Background(), p) }), m.name+" at an instance that hangs")
		f.checkUnusable(m.name, err)
	}
	f.checkOthersGoOn()
}
