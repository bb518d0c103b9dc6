package peers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

const (
	// drainTick is how often Drain looks, and Close.
	drainTick = 5 * time.Millisecond

	// drainLinger is how long Drain waits for clients that do not close their connections though nothing is under way.
	drainLinger = time.Second

	// announceTimeout bounds what another instance may take to hear that this one leaves.
	announceTimeout = 2 * time.Second

	// progressEvery is how often Drain logs how far it is.
	progressEvery = 5 * time.Second
)

// handover is who still has to take over what this instance holds.
type handover struct {
	// mu guards what follows. It is a leaf.
	mu    sync.Mutex
	due   map[string]map[string]bool // caches by the URLs of those who pull them
	done  map[string]map[string]bool // what those who were told, or are being told, have pulled since
	total int                        // of due, at first
}

// Drain takes this instance out of service in good order, without making the origin pay for it. It tells all others that
// this instance leaves (if the Source that was followed last is a discover.Leaver it calls its Leave before that, and goes on when
// that has failed, which is its error in the end): from then on they own its keys, and ask it for what they miss. They take over what its caches hold, the
// hottest first, while it serves on. When all have done so, or after Config.DrainTime, it tells the clients of all upgraded connections to begin no more calls
// here, upgrades no more connections, and waits until what was asked has been answered. If ctx ends before that, Drain returns its
// error; it leaves a quarter of the time that ctx has, 2 s at most, for the end. Requests are served on, and this instance's own calls go on; Close ends both.
//
// The http.Server must serve during Drain; shut it down after that. Then close the caches, and then the Pool. The progress is logged, and told by Stats.
func (p *Pool) Drain(ctx context.Context) error {
	left := p.leave(ctx)
	if err := p.handOver(ctx); err != nil {
		return err
	}
	p.sessionMu.Lock()
	p.draining.Store(true)
	p.sessionMu.Unlock()
	for _, s := range p.allSessions() {
		s.goAway(false)
	}
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	// A client closes its connection once it has read the go-away, and the last answer. What it sent before that is on its way.
	for told := time.Now(); p.traffic.inFlight.Load() > 0 || len(p.allSessions()) > 0 && time.Since(told) < drainLinger; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return left
}

// handOver tells the others that this instance leaves, and waits until they have taken over what it holds, or there is no more time
// for that.
func (p *Pool) handOver(ctx context.Context) error {
	until := time.Now().Add(p.cfg.DrainTime)
	if d, ok := ctx.Deadline(); ok {
		if reserved := d.Add(-min(2*time.Second, time.Until(d)/4)); reserved.Before(until) {
			until = reserved
		}
	}
	p.handover.begin()
	if err := p.change(func() { p.leaves = true }); err != nil {
		return err
	}
	unsure := p.announce(ctx)
	tick := time.NewTicker(drainTick)
	defer tick.Stop()
	logged := time.Now()
	for {
		left, total := p.handover.progress()
		now := time.Now()
		switch over := left == 0 && !unsure || !now.Before(until); {
		case ctx.Err() != nil:
			return ctx.Err()
		case over || now.Sub(logged) >= progressEvery:
			logged = now
			if total > 0 {
				p.log.Info("peers: handing over", "instances", total, "to be done", left, "over", over)
			}
			if over {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// announce tells all others that this instance leaves, and notes what they pull. It returns true if some of the members may not know it.
func (p *Pool) announce(ctx context.Context) (unsure bool) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	v := p.current()
	errs := make([]error, len(v.others))
	var wg sync.WaitGroup
	for i, o := range v.others {
		wg.Go(func() {
			pr := o.(*peer)
			p.handover.tell(pr.url)
			errs[i] = pr.told(ctx, &wire.Request{Verb: wire.Leave}, func(b []byte) error {
				names, err := wire.DecodeNames(b)
				if err == nil {
					p.handover.expect(pr.url, names)
				}
				return err
			})
			// One that is down pulls nothing, and asks this one for nothing.
			if errs[i] != nil && v.peers[pr.url] != nil && !errors.Is(errs[i], ErrPeerDown) && !errors.Is(errs[i], ErrUnreachable) {
				errs[i] = fmt.Errorf("peers: %s was not told that this instance leaves: %w", pr.url, errs[i])
				return
			}
			errs[i] = nil
		})
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err != nil {
		p.log.Warn("peers: not all others know that this instance leaves", "error", err)
	}
	return err != nil
}

func (h *handover) begin() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.due, h.done, h.total = make(map[string]map[string]bool), make(map[string]map[string]bool), 0
}

// tell notes that an instance is about to be told. It may have pulled everything before its answer is read.
func (h *handover) tell(url string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.done[url] = make(map[string]bool)
}

// expect notes that an instance, which was told, pulls caches.
func (h *handover) expect(url string, caches []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(caches) == 0 {
		return
	}
	h.total++
	for _, name := range caches {
		if h.done[url][name] {
			continue
		}
		if h.due[url] == nil {
			h.due[url] = make(map[string]bool, len(caches))
		}
		h.due[url][name] = true
	}
}

// pulled notes that an instance has pulled a cache.
func (h *handover) pulled(url, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if done := h.done[url]; done != nil {
		done[name] = true
	}
	delete(h.due[url], name)
	if len(h.due[url]) == 0 {
		delete(h.due, url)
	}
}

// progress returns how many instances have not pulled all, and how many were to.
func (h *handover) progress() (left, total int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.due), h.total
}

// heardLeave notes that another instance leaves, and returns the names of the caches that this one will pull from it.
func (p *Pool) heardLeave(from string, instance instanceID) []string {
	pr := p.view.Load().peers[from]
	if pr == nil {
		return nil
	}
	if err := p.change(func() { p.announced[from] = instance }); err != nil {
		return nil
	}
	p.log.Info("peers: peer leaves", "peer", from)
	if p.current().gained()[pr] == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(*p.attached.Load()))
}

// comesBack notes that an instance that left is another one now.
func (p *Pool) comesBack(url string, left instanceID) {
	_ = p.change(func() {
		if p.announced[url] == left {
			delete(p.announced, url)
		}
	})
}

// List implements cache.Peer.
func (p *peer) List(ctx context.Context, req *cache.ListRequest) (*cache.ListReply, error) {
	var r *cache.ListReply
	err := p.told(ctx, &wire.Request{Verb: wire.List, List: req}, func(b []byte) (err error) {
		r, err = wire.DecodeList(b)
		return err
	})
	if err == nil && r == nil {
		err = p.fault(ErrProtocol, "did not answer a list", nil)
	}
	return r, err
}
