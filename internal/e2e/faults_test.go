//go:build linux

package e2e

import (
	"fmt"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Five processes, under load all the time, and what may become of them.
func TestFaults(t *testing.T) {
	if outside(t) {
		return
	}
	t.Run("G1 G4 nothing happens", testCalm)
	t.Run("G8 SIGKILL", testKill)
	t.Run("G8 SIGSTOP and SIGCONT", testStop)
	t.Run("G4 G8 partition", testPartition)
	t.Run("G9 rolling replacement", testRolling)
}

// A crowd costs one load, and a write one more.
func testCalm(t *testing.T) {
	w, all := newWorld(t)
	since := w.tally()
	for _, method := range []string{"", "PUT", "POST"} {
		for i := range 5 {
			path := fmt.Sprintf("/crowd/%d", i)
			if method != "" {
				w.do(all[i%len(all)], method, path)
			}
			var crowd sync.WaitGroup
			for range 8 {
				for _, in := range all {
					crowd.Go(func() { w.do(in, "GET", path) })
				}
			}
			crowd.Wait()
			w.once([]string{path}, 1, since)
		}
	}
	w.load()
	w.stable(2 * time.Second)
	w.calm()
}

// without returns all instances but one.
func without(all []*instance, one *instance) []*instance {
	return slices.DeleteFunc(slices.Clone(all), func(in *instance) bool { return in == one })
}

// One is killed, and a new one started in its place.
func testKill(t *testing.T) {
	w, all := newWorld(t)
	w.load()
	w.stable(time.Second)
	victim := all[2]
	since := w.tally()
	w.happens("SIGKILL of "+victim.String(), &cut{"kill", map[*instance]int{victim: 1}}, func() {
		victim.hurt.Add(1)
		victim.signal(syscall.SIGKILL)
		<-victim.gone
		w.ask(without(all, victim)...)
	})
	time.Sleep(3 * time.Second)
	w.once(w.paths, 2, since, victim) // what it owned is loaded once more
	all = w.heals("another one is started", all, func() []*instance {
		all[2] = w.fleet.start(2, 8080)
		return all
	})
	w.stable(time.Second)
	w.calm()
}

// One is stopped for long enough to be found out, and goes on with what it held.
func testStop(t *testing.T) {
	w, all := newWorld(t)
	w.load()
	for i, d := range []time.Duration{300 * time.Millisecond, 6 * time.Second} {
		victim := all[1+i]
		w.happens("SIGSTOP of "+victim.String(), &cut{"stop", map[*instance]int{victim: 1}}, func() {
			victim.hurt.Add(1)
			victim.signal(syscall.SIGSTOP)
			w.ask(without(all, victim)...)
		})
		time.Sleep(d)
		w.heals("SIGCONT", all, func() []*instance {
			victim.signal(syscall.SIGCONT)
			victim.hurt.Add(1)
			return all
		})
		w.stable(500 * time.Millisecond)
	}
	w.calm()
}

// Two are cut off from three, who all know the origin and have clients.
func testPartition(t *testing.T) {
	w, all := newWorld(t)
	w.load()
	w.stable(500 * time.Millisecond)
	var sides [2][]string
	c := &cut{"partition", make(map[*instance]int)}
	for i, in := range all {
		c.side[in] = i % 2
		sides[i%2] = append(sides[i%2], addr(in.index))
	}
	w.happens(fmt.Sprint("partition of ", sides), c, func() {
		if err := drop(sides[0], sides[1]); err != nil {
			t.Fatal(err)
		}
	})
	t.Cleanup(func() { _ = dropNothing() }) // if it fails before
	time.Sleep(8 * time.Second)
	w.heals("the partition is healed", all, func() []*instance {
		if err := dropNothing(); err != nil {
			t.Error(err)
		}
		return all
	})
	w.stable(time.Second)
	w.calm()
}

// Each is replaced by another process under another name: that comes first, then the old one is terminated, and then the file names it no more.
func testRolling(t *testing.T) {
	w, all := newWorld(t)
	w.load()
	w.stable(500 * time.Millisecond)
	since := w.tally()
	var slowest time.Duration
	for i := range all {
		old := all[i]
		fresh := w.fleet.start(i, 8081)
		w.fleet.list(append(slices.Clone(w.fleet.members), fresh.url))
		w.fleet.await(append(slices.Clone(all), fresh))
		w.history.note(fmt.Sprint(fresh, " has come"))
		all[i] = fresh
		w.ask(all...)
		old.signal(syscall.SIGTERM)
		begin := time.Now()
		select {
		case <-old.gone:
		case <-time.After(30 * time.Second):
			t.Fatalf("%v does not end", old)
		}
		if code := old.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("%v ended with %d", old, code)
		}
		w.fleet.list(slices.DeleteFunc(slices.Clone(w.fleet.members), func(u string) bool { return u == old.url }))
		w.fleet.await(all)
		took := time.Since(begin)
		slowest = max(slowest, took)
		w.history.note(fmt.Sprintf("%v has gone, %v after SIGTERM", old, took.Round(time.Millisecond)))
	}
	total, written := 0, 0
	for path, n := range w.origin.loadsOf(w.paths) {
		total += n - since.loads[path]
	}
	for path, n := range w.history.writesOf(w.paths) {
		written += n - since.writes[path]
	}
	t.Logf("%d loads of %d objects, which were written %d times, while all instances were replaced", total, objectCount, written)
	tell := t.Errorf
	if slowest > time.Second { // five times what it takes else: then peeks, which are given 250 ms, fail too
		tell = t.Logf
	}
	if total > written+objectCount/2 {
		tell("%d loads for %d writes; the slowest of them took %v to leave", total, written, slowest)
	}
	w.heals("all are replaced", all, nil)
	w.stable(500 * time.Millisecond)
	w.calm()
}
