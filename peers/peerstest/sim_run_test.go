package peerstest_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// run lets things happen, heals all, and checks what is left.
func (w *world) run() {
	const length = 15 * time.Second
	w.end = time.Now().Add(length)
	var wg sync.WaitGroup
	if w.kind.calm {
		for _, i := range w.members {
			for w.nodes[i].cache.Load().Stats().Joining {
				time.Sleep(10 * time.Millisecond)
			}
		}
	} else {
		wg.Go(w.events)
	}
	for caller := range 3 * len(w.nodes) {
		rng := rand.New(rand.NewPCG(w.seed, uint64(caller+100)))
		wg.Go(func() {
			for time.Now().Before(w.end) {
				time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
				if n := w.nodes[rng.IntN(len(w.nodes))]; n.cache.Load() != nil {
					w.call(rng, n)
				}
			}
		})
	}
	wg.Wait()
	w.checkCalm()
	w.fleet.Heal()
	w.healed()
	for _, n := range w.nodes {
		if n.cache.Load() != nil {
			w.stop(n)
		}
	}
	time.Sleep(time.Minute) // whatever is still on its way arrives
}

// events changes who is there, and who reaches whom.
func (w *world) events() {
	rng := rand.New(rand.NewPCG(w.seed, 7))
	var wg sync.WaitGroup
	defer wg.Wait()
	for time.Now().Before(w.end) {
		time.Sleep(time.Duration(rng.IntN(1500)) * time.Millisecond)
		own := rand.New(rand.NewPCG(rng.Uint64(), 0))
		switch x := rng.IntN(200); {
		case x < w.kind.joins:
			wg.Go(func() { w.join(own) })
		case x < w.kind.joins+w.kind.changes:
			wg.Go(func() { w.lose(own) })
		case x < w.kind.joins+w.kind.changes+w.kind.parts:
			w.part(own)
		case x < w.kind.joins+w.kind.changes+w.kind.parts+w.kind.deaf:
			wg.Go(func() { w.deafen(own) })
		}
	}
}

// join starts an instance that does not run.
func (w *world) join(rng *rand.Rand) {
	w.mu.Lock()
	var idle []*node
	for _, n := range w.nodes {
		if n.cache.Load() == nil && !slices.Contains(w.members, n.index) {
			idle = append(idle, n)
		}
	}
	if len(idle) == 0 {
		w.mu.Unlock()
		return
	}
	n := idle[rng.IntN(len(idle))]
	w.members = append(w.members, n.index) // so that nobody else takes it
	slices.Sort(w.members)
	w.mu.Unlock()
	w.change(rng, func(members []int) []int { return members })
	w.fleet.Restart(n.index)
	w.see(n)
	w.start(n)
}

// lose takes a member away: it is killed, restarted, or leaves in good order.
func (w *world) lose(rng *rand.Rand) {
	w.mu.Lock()
	var up []*node
	for _, i := range w.members {
		if n := w.nodes[i]; n.cache.Load() != nil && n.listed.Load() {
			up = append(up, n)
		}
	}
	if len(up) < 3 {
		w.mu.Unlock()
		return
	}
	n := up[rng.IntN(len(up))]
	n.listed.Store(false)
	w.mu.Unlock()
	switch rng.IntN(4) {
	case 0:
		w.stop(n)
		time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
		w.change(rng, func(members []int) []int { return without(members, n.index) })
	case 1:
		w.stop(n)
		w.fleet.Restart(n.index)
		w.see(n)
		w.start(n)
	case 2:
		w.logf("%d leaves for a while", n.index)
		w.change(rng, func(members []int) []int { return without(members, n.index) })
		time.Sleep(time.Duration(rng.IntN(10000)) * time.Millisecond)
		w.logf("%d comes back", n.index)
		w.change(rng, func(members []int) []int { return append(members, n.index) })
		time.Sleep(w.kind.lag + returns)
		n.listed.Store(true)
	default:
		w.logf("%d leaves", n.index)
		w.change(rng, func(members []int) []int { return without(members, n.index) })
		time.Sleep(time.Duration(rng.IntN(10000)) * time.Millisecond)
		w.stop(n)
	}
}

// returns is how long it takes one that comes back into all views to hear what it missed.
const returns = 3 * time.Second

// part cuts the fleet in two for a while.
func (w *world) part(rng *rand.Rand) {
	var group []int
	for i := range w.nodes {
		if rng.IntN(2) == 0 {
			group = append(group, i)
		}
	}
	if w.kind.alone {
		group = []int{rng.IntN(w.kind.members)}
	}
	w.logf("%v are cut off from the others", group)
	w.mu.Lock()
	w.cuts++
	w.fleet.Partition(group)
	w.mu.Unlock()
	time.Sleep(time.Duration(rng.IntN(6000)) * time.Millisecond)
	w.mu.Lock()
	w.cuts--
	w.healedAt = time.Now()
	w.fleet.Heal()
	w.mu.Unlock()
	w.logf("healed")
}

// deafen has the requests on some links be lost for a while, in one direction.
func (w *world) deafen(rng *rand.Rand) {
	to, from := rng.IntN(len(w.nodes)), rng.IntN(len(w.nodes))
	var links [][2]int
	for a := range w.nodes {
		for b := range w.nodes {
			if a != b && (w.kind.deafTo && b == to || !w.kind.deafTo && (a == from || b == to) && rng.IntN(3) > 0) {
				links = append(links, [2]int{a, b})
			}
		}
	}
	w.logf("deaf: %v", links)
	w.mu.Lock()
	w.cuts++
	for _, link := range links {
		f := w.links[link]
		f.DropRequests = true
		w.fleet.SetFaults(link[0], link[1], f)
	}
	w.mu.Unlock()
	most := 5000
	if w.kind.deafTo {
		most = 1000
	}
	time.Sleep(time.Duration(rng.IntN(most)) * time.Millisecond)
	w.mu.Lock()
	w.cuts--
	w.healedAt = time.Now()
	for _, link := range links {
		w.fleet.SetFaults(link[0], link[1], w.links[link])
	}
	w.mu.Unlock()
	w.logf("not deaf: %v", links)
}

// healed waits until everybody has had time to hear of everything, and then sees to it that all have.
func (w *world) healed() {
	if w.kind.lostHello {
		return // nobody hears
	}
	for _, n := range w.nodes {
		if n.cache.Load() != nil {
			w.see(n)
		}
	}
	time.Sleep(40 * time.Second)
	for _, n := range w.nodes {
		c := n.cache.Load()
		if c == nil || !n.listed.Load() {
			continue
		}
		for key, p := range w.keys {
			o := w.observe(n, key)
			o.floor = p.everybodys() // strangers, too
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			v, err := c.Get(cache.WithTrace(ctx, &o.trace), key)
			w.check(ctx, o, v, err)
			cancel()
		}
	}
}
