package memberlist

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gossip "github.com/hashicorp/memberlist"
)

func TestMain(m *testing.M) { childOrTests(m) }

// All see all, and what changes; who leaves is seen to be leaving first, and who dies is gone.
func TestMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t)
		all := fleet(t, n, 5)
		wantNothing(t, time.Minute, all...)
		if err := all[1].SetWeight(t.Context(), 7); err != nil {
			t.Error(err)
		}
		want(t, told, "1 2*7 3 4 5", all...)
		if err := all[2].Leave(t.Context()); err != nil {
			t.Error(err)
		}
		want(t, told, "1 2*7 3! 4 5", all...)
		if err := all[2].Leave(t.Context()); err != nil {
			t.Errorf("again: %v", err)
		}
		wantNothing(t, time.Minute, all...)
		if err := all[2].Close(); err != nil {
			t.Error(err)
		}
		if err := all[2].Leave(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Leave of a Source that is closed: %v", err)
		}
		want(t, told, "1 2*7 4 5", all[0], all[1], all[3], all[4])
		wantNothing(t, 0, all[2])
		n.kill(all[3].addr)
		want(t, told, "1 2*7 5", all[0], all[1], all[4])
		// One that was not heard to leave before it does.
		if err := all[4].Close(); err != nil {
			t.Error(err)
		}
		time.Sleep(told)
		one, two := all[0].take(), all[1].take()
		if gone := []string{"1 2*7"}; !slices.Equal(one[max(len(one)-1, 0):], gone) || !slices.Equal(two[max(len(two)-1, 0):], gone) {
			t.Errorf("after Close: %q and %q", one, two)
		}
		if !slices.Contains(append(one, two...), "1 2*7 5!") {
			t.Errorf("nobody heard that it leaves: %q and %q", one, two)
		}
		for _, h := range all {
			if log := h.log.String(); h != all[3] && strings.Contains(log, "left out") {
				t.Errorf("%s logged %s", h.addr, log)
			}
		}
	})
}

// An instance that lost all others at once keeps its list, and is joined again as soon as it can be.
func TestCutOff(t *testing.T) {
	cutOff := "error: memberlist: no seed could be joined: failed to join 10.0.0"
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t)
		all := fleet(t, n, 4)
		n.split(all[3].addr)
		time.Sleep(time.Minute)
		items := all[3].take()
		if last := items[len(items)-1]; !strings.HasPrefix(last, cutOff) && last != "error: "+errCutOff.Error() || slices.Contains(items, "4") {
			t.Errorf("yielded %q", items)
		}
		want(t, 0, "1 2 3", all[:3]...)
		time.Sleep(10 * time.Minute)
		for _, item := range all[3].take() {
			if !strings.HasPrefix(item, "error: ") {
				t.Errorf("and then yielded %q", item)
			}
		}
		n.mend()
		want(t, healed, "1 2 3 4", all...)

		// The others leave in good order: that is the end of the fleet.
		for _, h := range all[:3] {
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute) // and the seeds are gone
		items = all[3].take()
		if !slices.Contains(items, "4") || !slices.ContainsFunc(items, func(i string) bool { return strings.HasPrefix(i, cutOff) }) {
			t.Errorf("yielded %q", items)
		}
	})
}

// Two halves of a fleet that forgot each other find each other by way of the seeds, though half of them know none that is on the other side.
func TestPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t)
		all := fleet(t, n, 6)
		n.split(all[0].addr, all[1].addr, all[2].addr) // all seeds are there
		want(t, time.Minute, "1 2 3", all[:3]...)
		want(t, 0, "4 5 6", all[3:]...)
		time.Sleep(2 * time.Minute) // the dead are gossiped to for half a minute
		for _, h := range all {
			h.take()
		}
		n.mend()
		want(t, healed, "1 2 3 4 5 6", all...)
	})
}

// A seed's name is looked up each time; that it cannot be is said, once.
func TestSeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t)
		first := start(t, n, 1, func(c *Config) { c.Seeds = nil })
		want(t, time.Second, "1", first)
		wrong := start(t, n, 2, func(c *Config) { c.Seeds = []string{"other.test.", "127.0.0.1:1"} })
		time.Sleep(time.Hour)
		items := wrong.take()
		if len(items) != 1 || items[0] != "error: memberlist: no seed could be joined: failed to join 127.0.0.1:1: no route to 127.0.0.1:1" {
			t.Errorf("yielded %q", items)
		}
		// Nobody is at the seed yet.
		late := start(t, n, 4, func(c *Config) { c.Seeds = []string{"seed.test."} })
		time.Sleep(time.Minute)
		if items := late.take(); len(items) != 1 || !strings.Contains(items[0], "failed to join 10.0.0.3:1") {
			t.Errorf("yielded %q", items)
		}
		seed := start(t, n, 3, func(c *Config) { c.Seeds = []string{"10.0.0.1:1", "other.test."} })
		want(t, healed, "1 3 4", first, late)
		items = seed.take()
		if lookup := "error: memberlist: the seed other.test. cannot be looked up: lookup other.test.: no such host"; len(items) == 0 || items[len(items)-1] != "1 3 4" || items[0] != lookup {
			t.Errorf("yielded %q", items)
		}
	})
}

// Instances that share no key do not hear each other; a key is replaced without an interruption.
func TestKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t)
		all := fleet(t, n, 3)
		other := bytes.Repeat([]byte{7}, 16)
		stranger := start(t, n, 4, func(c *Config) { c.Keys = [][]byte{other} })
		insecure := start(t, n, 5, func(c *Config) { c.Keys, c.Insecure = nil, true })
		wantNothing(t, 5*time.Minute, all...)
		for _, h := range []*host{stranger, insecure} {
			if items := h.take(); len(items) != 1 || !strings.HasPrefix(items[0], "error: memberlist: no seed could be joined") {
				t.Errorf("%s yielded %q", h.addr, items)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		}
		if lines := strings.Count(all[0].log.String(), "\n"); lines == 0 || lines > 5*60/10*logLines {
			t.Errorf("%d lines are logged of strangers", lines)
		}
		for _, keys := range [][][]byte{{testKey, other}, {other, testKey}, {other}} {
			for _, h := range all {
				if err := h.SetKeys(keys...); err != nil {
					t.Error(err)
				}
				wantNothing(t, time.Minute, all...)
			}
		}
		if ring := all[0].setup.gossip.Keyring.GetKeys(); len(ring) != 1 || !bytes.Equal(ring[0], other) {
			t.Errorf("the keys are %q", ring)
		}
		start(t, n, 6, func(c *Config) { c.Keys = [][]byte{other} })
		want(t, told, "1 2 3 6", all...)
		for _, keys := range [][][]byte{nil, {testKey, nil}} {
			if err := all[0].SetKeys(keys...); err == nil {
				t.Errorf("no error for the keys %q", keys)
			}
		}
		if err := insecure.SetKeys(testKey); err == nil {
			t.Error("an insecure Source takes keys")
		}
	})
}

// A node whose metadata make no sense is left out, until they do.
func TestGarbage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t)
		all := fleet(t, n, 3)
		odd := start(t, n, 4, func(c *Config) {
			tune := c.Tune
			c.Tune = func(g *gossip.Config) {
				tune(g)
				g.Delegate = garbage{g.Delegate}
			}
		})
		wantNothing(t, 5*time.Minute, all...)
		want(t, 0, "1 2 3", odd)
		if log := all[0].log.String(); strings.Count(log, "a node is left out") != 1 || !strings.Contains(log, "of version 9") {
			t.Errorf("logged %s", log)
		}
	})
}

// garbage says what nobody understands.
type garbage struct{ gossip.Delegate }

func (garbage) NodeMeta(int) []byte { return []byte("\x09garbage") }

// After a restart there are two nodes with a URL for a while, and one member.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemnet(t)
		all := fleet(t, n, 3)
		n.kill(all[1].addr)
		again := start(t, n, 2, nil)
		want(t, told, "1 2 3", again)
		wantNothing(t, 5*time.Minute, all[0], all[2])
		// One that was leaving is not any more when its successor is there.
		if err := again.Leave(t.Context()); err != nil {
			t.Error(err)
		}
		want(t, told, "1 2! 3", all[0], all[2])
		start(t, n, 9, func(c *Config) { c.Self = "http://2" })
		want(t, told, "1 2 3", all[0], all[2])
		again.Close()
		wantNothing(t, time.Minute, all[0], all[2])
	})
}

func TestSetWeightErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, newMemnet(t), 1, func(c *Config) { c.Self += "/" + strings.Repeat("x", 497) }) // the longest that can be told
		for _, w := range []int{-1, 0, 1001} {
			if err := h.SetWeight(t.Context(), w); err == nil {
				t.Errorf("no error for %d", w)
			}
		}
		if err := h.SetWeight(t.Context(), 1000); err != nil { // alone
			t.Error(err)
		}
		h.announce <- struct{}{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.SetWeight(ctx, 3); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while another one is under way: %v", err)
		}
		<-h.announce
	})
}
