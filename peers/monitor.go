package peers

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
)

// maxProbes bounds the pings to peers that are down that are under way at once.
const maxProbes = 32

// A monitor looks after the peers that somebody waits for, and those that are down: it pings them when
// health.tick says so. Its run is the Pool's one goroutine; each ping has another while it is
// under way, at most one for each peer, and each ends within pingTimeout.
type monitor struct {
	pingTimeout time.Duration
	wake        chan struct{} // holds one

	mu sync.Mutex
	// mu guards the fields below. It is taken alone.

	fresh  []*peer // handed over by watch, not yet seen by run
	closed bool
}

func newMonitor(pingTimeout time.Duration) *monitor {
	return &monitor{pingTimeout: pingTimeout, wake: make(chan struct{}, 1)}
}

// watch hands p to the monitor, until its health.tick says forget. After the monitor's end
// it returns false.
func (m *monitor) watch(p *peer) bool {
	m.mu.Lock()
	closed := m.closed
	if !closed {
		m.fresh = append(m.fresh, p)
	}
	m.mu.Unlock()
	m.poke()
	return !closed
}

// poke makes run look at every peer anew.
func (m *monitor) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *monitor) takeFresh(closed bool) []*peer {
	m.mu.Lock()
	defer m.mu.Unlock()
	fresh := m.fresh
	m.fresh, m.closed = nil, m.closed || closed
	return fresh
}

// run returns when ctx has ended and all pings with it. Then every call to a peer fails.
func (m *monitor) run(ctx context.Context) {
	var (
		watched []*peer
		pings   sync.WaitGroup
		probes  = make(chan struct{}, maxProbes) // one element for each probe under way
		timer   = time.NewTimer(0)
	)
	defer pings.Wait()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, p := range append(watched, m.takeFresh(true)...) {
				p.close()
			}
			return
		case <-m.wake:
		case <-timer.C:
		}
		watched = append(watched, m.takeFresh(false)...)
		now := time.Now()
		var next time.Time
		watched = slices.DeleteFunc(watched, func(p *peer) bool {
			linkDue, linked := p.tickLinks()
			task, down, due := p.health.tick(now, len(probes) < maxProbes, linked)
			if linkDue > 0 {
				sooner(&next, now.Add(linkDue))
			}
			switch task {
			case forget:
				// A link that was made a moment ago may have found the peer watched.
				return len(p.links()) == 0 || !p.health.watch()
			case wait:
				if !due.IsZero() {
					sooner(&next, due)
				}
			case ping:
				if down {
					probes <- struct{}{} // there is room: tick was told so, and only run adds
				}
				pings.Go(func() {
					m.ping(ctx, p)
					if down {
						<-probes
					}
					m.poke()
				})
			}
			return false
		})
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(next.Sub(now))
		}
	}
}

// sooner makes next no later than due. The zero time stands for never.
func sooner(next *time.Time, due time.Time) {
	if next.IsZero() || due.Before(*next) {
		*next = due
	}
}

func (m *monitor) ping(ctx context.Context, p *peer) {
	ctx, cancel := context.WithTimeout(ctx, m.pingTimeout)
	defer cancel()
	err := p.ping(ctx, m.pingTimeout)
	if err != nil && ctx.Err() != nil {
		// It may be the connection that is dead, and all others that were idle as long: the next ping makes one.
		p.pool.client.CloseIdleConnections()
	}
	up, down := p.health.pong(time.Now(), err)
	switch {
	case up:
		p.pool.log.Warn("peers: peer is up again", "peer", p.url)
		p.isBack()
		p.pool.tell(changes{came: []cache.Peer{p}})
	case down:
		p.wentDown(err)
	}
}
