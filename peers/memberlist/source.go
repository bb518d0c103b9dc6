package memberlist

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"slices"
	"sync"
	"time"

	gossip "github.com/hashicorp/memberlist"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/source"
)

const (
	// settles is how long a Source waits after one change for others, which mostly come together.
	settles = 100 * time.Millisecond

	// announceTime bounds how long it may take to tell others something, and leaveTime what Close takes for it.
	announceTime = 5 * time.Second
	leaveTime    = 3 * time.Second
)

// ErrClosed is the error of what is asked of a Source that is closed.
var ErrClosed = errors.New("memberlist: closed")

// A Source is an instance's place in the gossip. It is a discover.Source and a discover.Leaver. Its methods may be called
// concurrently. It must be closed, or its goroutines stay.
type Source struct {
	setup *setup
	list  *gossip.Memberlist
	state *state

	ctx    context.Context // ends with the Source
	stop   context.CancelFunc
	looped chan struct{} // closed when the goroutine that joins has ended

	lookup   lookupFunc
	announce chan struct{} // has room for the one who tells the others something
	keysMu   sync.Mutex    // makes SetKeys one after the other
	close    func() error  // once
}

var (
	_ discover.Source = (*Source)(nil)
	_ discover.Leaver = (*Source)(nil)
)

// New listens for gossip and starts to join the seeds, in the background: that none of them can be reached is no error of New's, for they may start
// later. The error names every field of the Config that is wrong, or says why it cannot listen.
func New(cfg Config) (*Source, error) { return newSource(cfg, lookupHost) }

func newSource(cfg Config, lookup lookupFunc) (*Source, error) {
	setup, err := cfg.check()
	if err != nil {
		return nil, err
	}
	s := &Source{
		setup:    setup,
		state:    newState(setup),
		looped:   make(chan struct{}),
		lookup:   lookup,
		announce: make(chan struct{}, 1),
	}
	s.close = sync.OnceValue(s.end)
	g := setup.gossip
	g.Delegate, g.Events = (*delegate)(s.state), (*events)(s.state)
	g.Logger = log.New(&logWriter{to: setup.logger}, "", 0)
	g.LogOutput = nil
	if len(setup.keys) > 0 {
		if g.Keyring, err = gossip.NewKeyring(setup.keys, setup.keys[0]); err != nil {
			return nil, fmt.Errorf("memberlist: %w", err)
		}
	}
	if cfg.Tune != nil {
		cfg.Tune(g)
	}
	if s.list, err = gossip.Create(g); err != nil {
		return nil, fmt.Errorf("memberlist: cannot listen for gossip on %s port %d: %w", g.BindAddr, g.BindPort, err)
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	go func() {
		defer close(s.looped)
		s.keepJoined(s.ctx)
	}()
	return s, nil
}

// Addr returns the address and the port at which others reach this instance's gossip: a seed for them.
func (s *Source) Addr() string {
	for addr, own := range s.state.addrs() {
		if own {
			return addr.String()
		}
	}
	return "" // it has left
}

// Members implements discover.Source. The first list is yielded when another instance is known, or the seeds have been tried. Each list has this instance in it. A
// member is in it once, whatever the number of nodes that have its URL: for a while there are two after a restart. It is Leaving if all of them are.
//
// A node whose metadata make no sense is left out, and logged. An error is yielded when no seed can be reached by an instance that is alone,
// when the name of one cannot be looked up, and when the instance seems to be cut off. Members ends with the Source, too.
func (s *Source) Members(ctx context.Context) iter.Seq2[[]discover.Member, error] {
	return func(yield func([]discover.Member, error) bool) {
		changed := s.state.subscribe()
		defer s.state.unsubscribe(changed)
		told := source.Teller[discover.Member]{Yield: yield}
		for ctx.Err() == nil && s.ctx.Err() == nil {
			members, trouble := s.state.members()
			if s.ctx.Err() != nil {
				return // this may be why the list is shorter
			}
			if !told.Tell(members, trouble.kind, trouble.err) {
				return
			}
			select {
			case <-changed:
				source.Wait(ctx, settles)
			case <-ctx.Done():
			case <-s.ctx.Done():
			}
		}
	}
}

// Leave implements discover.Leaver: it tells the others that this instance is on its way out. It returns when that has been sent as often as
// gossip needs to reach about all of them, some of them by way of others and a little later.
func (s *Source) Leave(ctx context.Context) error {
	return s.change(ctx, func(self *discover.Member) { self.Leaving = true })
}

// SetWeight changes this instance's weight, 1 to ring.MaxWeight, and tells the others, as Leave does.
func (s *Source) SetWeight(ctx context.Context, weight int) error {
	if weight < 1 || weight > address.MaxWeight {
		return fmt.Errorf("memberlist: SetWeight: the weight is %d: use 1 to %d", weight, address.MaxWeight)
	}
	return s.change(ctx, func(self *discover.Member) { self.Weight = weight })
}

// change changes what this instance says of itself, and tells the others.
func (s *Source) change(ctx context.Context, edit func(self *discover.Member)) error {
	select {
	case s.announce <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return ErrClosed
	}
	if s.ctx.Err() != nil { // which select may overlook
		<-s.announce
		return ErrClosed
	}
	return s.tell(ctx, edit)
}

// tell is change when announce has been taken. It gives announce back, maybe after it has returned.
func (s *Source) tell(ctx context.Context, edit func(self *discover.Member)) error {
	s.state.edit(edit)
	timeout := announceTime
	if end, ok := ctx.Deadline(); ok {
		timeout = max(min(timeout, time.Until(end)), time.Millisecond) // 0 would be for ever
	}
	done := make(chan error, 1)
	go func() {
		err := s.list.UpdateNode(timeout)
		<-s.announce
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("memberlist: the others may not have been told: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SetKeys makes keys the ones that encrypt: the first is used from now on, any is understood. To replace a key without an
// interruption, call SetKeys(old, new) on every instance, then SetKeys(new, old), then SetKeys(new). It fails, and changes nothing, if a key has no
// valid length, or there is none, or the Source is Insecure.
func (s *Source) SetKeys(keys ...[]byte) error {
	if err := checkKeys(keys); err != nil {
		return fmt.Errorf("memberlist: SetKeys: %w", err)
	}
	ring := s.setup.gossip.Keyring
	if ring == nil {
		return errors.New("memberlist: SetKeys: the Source is Insecure, which cannot be changed")
	}
	s.keysMu.Lock()
	defer s.keysMu.Unlock()
	for _, k := range keys {
		if err := ring.AddKey(bytes.Clone(k)); err != nil {
			return fmt.Errorf("memberlist: SetKeys: %w", err)
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return fmt.Errorf("memberlist: SetKeys: %w", err)
	}
	if err := removeOthers(ring, keys); err != nil {
		return fmt.Errorf("memberlist: SetKeys: %w", err)
	}
	return nil
}

// removeOthers removes all but keys, which are on the ring, the first of them in use.
func removeOthers(ring *gossip.Keyring, keys [][]byte) error {
	isOther := func(key []byte) bool {
		return !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, key) })
	}
	if !slices.ContainsFunc(ring.GetKeys(), isOther) {
		return nil
	}
	// RemoveKey moves what comes after a key in a slice that others may be reading, so nothing must come after it: to use a key puts it first.
	for _, k := range slices.Backward(keys) {
		if err := ring.UseKey(k); err != nil {
			return err
		}
	}
	for _, k := range slices.Backward(ring.GetKeys()) {
		if !isOther(k) {
			break
		}
		if err := ring.RemoveKey(k); err != nil {
			return err
		}
	}
	return nil
}

// Close leaves: it tells the others that this instance is Leaving, if Leave has not, and then that it has left, for which it
// takes about a second in general, and ten at the most. Then it stops listening. An error says that others may not have been told, and will find out by themselves. Every
// iteration over Members ends. A connection that is being made is left to its time-out, of ten seconds. Closing again returns the same.
func (s *Source) Close() error { return s.close() }

func (s *Source) end() error {
	s.stop()
	<-s.looped
	s.announce <- struct{}{}
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	var errs []error
	if !s.state.leaving() {
		errs = append(errs, s.tell(ctx, func(self *discover.Member) { self.Leaving = true }))
	}
	if err := s.list.Leave(leaveTime); err != nil {
		errs = append(errs, fmt.Errorf("memberlist: the others may not have been told: %w", err))
	}
	if err := s.list.Shutdown(); err != nil {
		errs = append(errs, fmt.Errorf("memberlist: %w", err))
	}
	return errors.Join(errs...)
}
