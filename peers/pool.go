package peers

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/cache"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/wire"
)

// A Pool is an instance's place in the fleet: it knows the members, asks them, and answers them.
// It implements cache.Peers and http.Handler. Its methods may be called concurrently.
type Pool struct {
	cfg        Config // with defaults
	self       string // cfg.Self
	instance   instanceID
	log        *slog.Logger
	client     *http.Client
	ownClient  bool
	signer     *signer      // of the Secret; nil if there is none
	accepted   []*signer    // of the Secrets that others may use
	upgrader   *http.Client // for connections that are to be upgraded
	features   wire.Features
	creditTime time.Duration
	tlsOnly    bool // certificates are the only credential
	challenger *challenger
	started    time.Time

	view     atomic.Pointer[view]
	attached atomic.Pointer[map[string]*attachment] // by the caches' names; immutable
	closed   atomic.Bool
	draining atomic.Bool
	traffic  traffic
	followed followed
	handover handover

	monitor *monitor
	ctx     context.Context // ends with the Pool
	stop    context.CancelFunc
	stopped chan struct{} // closed when the monitor has ended

	setMu sync.Mutex // makes changes of the view one after the other, and Attaches
	// setMu guards the field below.

	registry  map[string]*peer         // all that the view knows, or knew not long ago
	listed    []Member                 // by the last Set, with normalised URLs
	announced map[string]instanceID    // that said that they leave, by URL
	standIns  map[string]time.Duration // said that they took over for this instance, by URL: until when they are asked
	leaves    bool                     // this instance is on its way out

	viewWindow time.Duration

	sessionMu sync.Mutex
	// sessionMu guards the fields below. It is taken alone.

	sessions []*session            // in the order in which they came
	servers  map[*http.Server]bool // that tell when they shut down; true: they have
}

type attachment struct{ r cache.Responder }

var (
	_ cache.Peers  = (*Pool)(nil)
	_ http.Handler = (*Pool)(nil)
)

// New returns a Pool whose only member is this instance. Mount it at the path of Config.Self,
// DefaultPath in general, and tell it the members by Set or Follow. It needs no network before that. The
// error names every field of the Config that is wrong, and how to mend it.
func New(cfg Config) (*Pool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pool{
		cfg:        cfg,
		self:       cfg.Self,
		instance:   newInstanceID(),
		log:        cfg.Logger,
		tlsOnly:    cfg.tlsOnly(),
		challenger: newChallenger(),
		started:    time.Now(),
		monitor:    newMonitor(cfg.PingTimeout),
		stopped:    make(chan struct{}),
		features:   wire.AllFeatures,
		creditTime: creditTime,
		servers:    make(map[*http.Server]bool),
		registry:   make(map[string]*peer),
		announced:  make(map[string]instanceID),
		standIns:   make(map[string]time.Duration),
		viewWindow: viewWindow,
	}
	p.attached.Store(new(map[string]*attachment))
	if len(cfg.Secret) > 0 {
		p.signer = newSigner(cfg.Secret)
		p.accepted = append(p.accepted, p.signer)
		if len(cfg.AcceptSecret) > 0 {
			p.accepted = append(p.accepted, newSigner(cfg.AcceptSecret))
		}
	}
	p.cfg.Secret, p.cfg.AcceptSecret = nil, nil // which nobody needs any more
	p.client, p.ownClient = cfg.client()
	p.upgrader = upgrader(p.client)
	if err := p.Set(); err != nil {
		return nil, err
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	go func() {
		defer close(p.stopped)
		p.monitor.run(p.ctx)
	}()
	return p, nil
}

// Close ends the Pool: calls to peers that are under way and all later ones fail with ErrClosed, and requests
// of other instances are answered so that they stop asking. Requests that are being served
// run on, and their connections are closed after the last one. It closes the idle connections of the Pool's own Client, and waits a second at most, for pings to
// end. Closing again does nothing. The error is nil.
func (p *Pool) Close() error {
	p.sessionMu.Lock()
	p.closed.Store(true)
	p.sessionMu.Unlock()
	p.stop()
	for _, s := range p.allSessions() {
		s.goAway(true)
	}
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-p.stopped:
	case <-timer.C: // a Transport of the caller's that does not heed its context
	}
	for end := time.Now().Add(closeLinger); p.saysGoodbye() && time.Now().Before(end); {
		time.Sleep(drainTick)
	}
	if p.ownClient {
		p.client.CloseIdleConnections()
	}
	if p.upgrader != p.client { // it is a copy
		p.upgrader.CloseIdleConnections()
	}
	return nil
}

// closeLinger is how long Close waits for answers to be written that are there.
const closeLinger = 200 * time.Millisecond

// saysGoodbye reports whether there are sessions that have nothing left to do but to write.
func (p *Pool) saysGoodbye() bool {
	for _, s := range p.allSessions() {
		s.mu.Lock()
		writes := len(s.calls) == 0
		s.mu.Unlock()
		if writes {
			return true
		}
	}
	return false
}

// Attach implements cache.Peers: r answers what other instances ask of the cache called name, until
// detach is called. It fails if the name is taken or the Pool is closed.
func (p *Pool) Attach(name string, r cache.Responder) (detach func(), err error) {
	switch {
	case p.closed.Load():
		return nil, fmt.Errorf("peers: cache %q cannot be attached: %w", name, ErrClosed)
	case len(name) > wire.MaxName:
		return nil, fmt.Errorf("peers: the cache's name has %d bytes: use at most %d", len(name), wire.MaxName)
	}
	p.setMu.Lock()
	defer p.setMu.Unlock()
	a := &attachment{r}
	if p.attachment(name) != nil {
		return nil, fmt.Errorf("peers: a cache called %q is attached already: give each cache a Name of its own, or close the other one first", name)
	}
	attached := maps.Clone(*p.attached.Load())
	if attached == nil {
		attached = make(map[string]*attachment)
	}
	attached[name] = a
	p.attached.Store(&attached)
	return func() { p.detach(name, a) }, nil
}

func (p *Pool) detach(name string, a *attachment) {
	p.setMu.Lock()
	defer p.setMu.Unlock()
	if p.attachment(name) != a {
		return
	}
	attached := maps.Clone(*p.attached.Load())
	delete(attached, name)
	p.attached.Store(&attached)
}

// attachment returns what answers for the cache called name, nil if there is none. It does not keep name.
func (p *Pool) attachment(name string) *attachment { return (*p.attached.Load())[name] }

// Self implements cache.Peers: it returns this instance's URL, in the one spelling by which the fleet knows it.
func (p *Pool) Self() string { return p.self }

func (p *Pool) credentialFor(to *peer) credential {
	return credential{to: to.url, from: p.self, instance: p.instance}
}

// minRequestBytes is how long a request may be at least, so that a small
// MaxValueBytes leaves room for many keys.
const minRequestBytes = 4 << 20

// maxRequest is how long a request may be: a value and what stands before it, or a list of keys.
func (p *Pool) maxRequest() int {
	return max(p.cfg.MaxValueBytes+cache.MaxKeyBytes+4<<10, minRequestBytes)
}

func (p *Pool) now() time.Duration { return time.Since(p.started) }
