package peers

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// An instance that drains hands over what it holds, and then nobody needs it: the others load nothing anew.
func TestG9DrainOverLoopback(t *testing.T) { eitherWay(t, testG9DrainOverLoopback) }

func testG9DrainOverLoopback(t *testing.T, upgraded bool) {
	l := newLoopback(t, 3, upgraded, echo)
	const keys = 300
	for i := range keys {
		if _, err := l.caches[i%3].Get(t.Context(), fmt.Sprint("key-", i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := l.nodes[2].Pool.Drain(ctx); err != nil {
		t.Errorf("Drain: %v", err)
	}
	for i := range 2 {
		if n := len(l.nodes[i].view.Load().peers); n != 1 {
			t.Errorf("%d has %d other members, want 1", i, n)
		}
	}
	l.nodes[2].srv.Close()
	l.caches[2].Close()
	l.nodes[2].Pool.Close()
	for i := range keys {
		key := fmt.Sprint("key-", i)
		for _, c := range l.caches[:2] {
			if _, err := c.Get(t.Context(), key); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
		if n := l.count(key).Load(); n != 1 {
			t.Errorf("%s was loaded %d times", key, n)
		}
	}
	if pulled := l.caches[0].Stats().Pulled + l.caches[1].Stats().Pulled; pulled == 0 {
		t.Error("nothing was pulled")
	}
}

// One that said that it leaves and begins a new life at the same address owns keys again.
func TestLeaverComesBack(t *testing.T) {
	a, b := newNode(t, nil), newNode(t, nil)
	for _, n := range []*node{a, b} {
		if err := n.Set(Member{URL: a.Self()}, Member{URL: b.Self()}); err != nil {
			t.Fatal(err)
		}
	}
	if names := a.heardLeave(b.Self(), b.instance); names != nil {
		t.Errorf("it is going to pull %v, and has no cache", names)
	}
	if len(a.view.Load().peers) != 0 || !a.Left(a.Others()[0]) {
		t.Error("who leaves is a member")
	}
	a.hear(b.Self(), b.instance)
	if len(a.view.Load().peers) != 0 {
		t.Error("it is a member again because it asks for something")
	}
	a.hear(b.Self(), newInstanceID())
	if len(a.view.Load().peers) != 1 {
		t.Error("in its new life it is no member")
	}
}

// Who asks is known; who left is forgotten if it cannot be reached; and a member is not.
func TestOthersWithoutMembers(t *testing.T) {
	a, b, c := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	a.hear(c.Self(), c.instance)
	if others := a.Others(); len(others) != 1 || others[0].Addr() != c.Self() || a.Left(others[0]) {
		t.Errorf("after it was asked by one, it has the others %v", others)
	}
	if err := a.Set(Member{URL: b.Self()}, Member{URL: c.Self()}); err != nil {
		t.Fatal(err)
	}
	same := a.view.Load().peers[c.Self()]
	if a.Forget([]string{c.Self()}) {
		t.Error("a member was forgotten")
	}
	if err := a.Set(Member{URL: b.Self()}); err != nil {
		t.Fatal(err)
	}
	if len(a.Others()) != 2 || !a.Left(same) {
		t.Error("who left is not remembered")
	}
	if !a.Forget([]string{c.Self()}) || len(a.Others()) != 1 {
		t.Errorf("others %v after one was forgotten", a.Others())
	}
	for pr := range a.Former("key") {
		if pr.Addr() == c.Self() {
			t.Error("it is asked for what it owned")
		}
	}
	a.viewWindow = time.Nanosecond
	if err := a.Set(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Millisecond)
	if others := a.Others(); len(others) != 0 {
		t.Errorf("after the window it has the others %v", others)
	}
}

// One that left, and was forgotten since it could not be reached, stays forgotten whatever it asks in the same life.
func TestForgottenStaysForgotten(t *testing.T) {
	a, b, c := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	for _, members := range [][]Member{{{URL: b.Self()}, {URL: c.Self()}}, {{URL: b.Self()}}} {
		a.hear(c.Self(), c.instance)
		if err := a.Set(members...); err != nil {
			t.Fatal(err)
		}
	}
	left := a.registry[c.Self()]
	if !a.Forget([]string{c.Self()}) {
		t.Fatal("it is not forgotten")
	}
	a.hear(c.Self(), c.instance)
	if len(a.Others()) != 1 || !a.Left(left) || slices.ContainsFunc(a.known(0), func(k wire.Known) bool { return k.URL == c.Self() }) {
		t.Error("one that was forgotten is known again since it asks for something")
	}
	a.learn([]wire.Known{{URL: c.Self(), For: time.Minute, As: wire.KnownLeft}})
	if len(a.Others()) != 1 {
		t.Error("it is known again since others have not forgotten it")
	}
	view := a.view.Load()
	a.learn([]wire.Known{{URL: c.Self(), For: time.Minute}})
	if len(a.Others()) != 2 {
		t.Error("it is a member elsewhere, and not known")
	}
	if !a.hear(c.Self(), c.instance) {
		t.Error("it is not told that it was forgotten")
	}
	a.view.Store(view)
	if changes, err := a.relist(Member{URL: b.Self()}, Member{URL: c.Self()}); err != nil || len(changes.forgotten) != 1 || changes.forgotten[0].Addr() != c.Self() {
		t.Errorf("it comes back: %+v, %v", changes, err)
	}
	if a.hear(c.Self(), c.instance) {
		t.Error("a member counts as forgotten")
	}
	a.view.Store(view)
	if a.hear(c.Self(), newInstanceID()) {
		t.Error("its next life counts as forgotten")
	}
	if len(a.Others()) != 2 || a.Left(a.registry[c.Self()]) {
		t.Error("its next life is not known")
	}
}

// relist is Set, and returns what caches would be told.
func (n *node) relist(members ...Member) (changes, error) {
	listed, err := n.check(members)
	if err != nil {
		return changes{}, err
	}
	n.setMu.Lock()
	defer n.setMu.Unlock()
	n.listed = listed
	return n.replace()
}
