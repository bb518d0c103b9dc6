package deploy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/bench/internal/pause"
	"github.com/seed-0f2aaebe/fleetcache/bench/internal/process"
)

// A fleet is the processes. Its methods are not called concurrently.
type fleet struct {
	setup   Setup
	maxLag  time.Duration // of an instance that learns who the members are
	traffic *traffic
	members []*member
	counts  map[string]Count // of those that have left
	drains  []time.Duration  // how long they took
}

// A member is a process and where it is reached.
type member struct {
	process *process.Child
	url     string
}

// open starts the processes, and makes fleets of their instances.
func open(ctx context.Context, p Plan, origin string, t *traffic) (_ *fleet, err error) {
	f := &fleet{setup: Setup{TTL: p.TTL, Origin: origin}, maxLag: p.Lag, traffic: t, counts: make(map[string]Count)}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	for range p.Instances {
		m, err := f.start(ctx)
		if err != nil {
			return nil, err
		}
		f.members = append(f.members, m)
	}
	urls := f.urls()
	if err := f.each(func(m *member) error { return m.call(ctx, "join", urls, nil) }); err != nil {
		return nil, err
	}
	for _, url := range urls {
		t.add(url)
	}
	return f, nil
}

func (m *member) call(ctx context.Context, method string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return m.process.Call(ctx, method, in, out)
}

// start starts one more process, which knows who else is there. The others do not know it yet.
func (f *fleet) start(ctx context.Context) (*member, error) {
	c, err := process.Start(ctx, role)
	if err != nil {
		return nil, err
	}
	m, s := &member{process: c}, f.setup
	if f.traffic.serves() {
		s.Members = f.urls()
	}
	if err := m.call(ctx, "open", s, &m.url); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return m, nil
}

func (f *fleet) urls() []string {
	urls := make([]string, len(f.members))
	for i, m := range f.members {
		urls[i] = m.url
	}
	return urls
}

// replace replaces the member that has been there for longest by a new process at another address.
func (f *fleet) replace(ctx context.Context) error {
	old := f.members[0]
	begun := time.Now()
	if err := old.call(ctx, "drain", nil, nil); err != nil {
		return err
	}
	f.drains = append(f.drains, time.Since(begun))
	f.members = f.members[1:]
	if err := f.end(ctx, old); err != nil {
		return err
	}
	m, err := f.start(ctx)
	if err != nil {
		return err
	}
	f.members = append(f.members, m)
	if err := f.announce(ctx); err != nil {
		return err
	}
	f.traffic.add(m.url)
	return nil
}

// crash kills a member, and returns when the others have learnt of it, which takes the time that is given.
func (f *fleet) crash(ctx context.Context, learnt time.Duration) error {
	victim := f.members[0]
	f.members = f.members[1:]
	f.traffic.remove(victim.url)
	if err := victim.process.Kill(); err != nil {
		return err
	}
	if err := pause.For(ctx, learnt); err != nil {
		return err
	}
	return f.announce(ctx)
}

// announce has everyone learn who the members are, each a little later than others.
func (f *fleet) announce(ctx context.Context) error {
	urls := f.urls()
	return f.each(func(m *member) error {
		if err := pause.For(ctx, rand.N(f.maxLag+1)); err != nil {
			return err
		}
		return m.call(ctx, "join", slices.Clone(urls), nil)
	})
}

// end ends a member, to which no more callers come, in good order.
func (f *fleet) end(ctx context.Context, m *member) error {
	f.traffic.remove(m.url)
	if err := pause.For(ctx, 2*tick); err != nil { // callers may be on their way
		return errors.Join(err, m.process.Close())
	}
	var counts map[string]Count
	err := m.call(ctx, "leave", nil, &counts)
	for name, c := range counts {
		sum := f.counts[name]
		sum.add(c)
		f.counts[name] = sum
	}
	return errors.Join(err, m.process.Close())
}

// finish has all callers leave, and counts them.
func (f *fleet) finish(ctx context.Context) error {
	for len(f.members) > 0 {
		m := f.members[0]
		f.members = f.members[1:]
		if err := f.end(ctx, m); err != nil {
			return err
		}
	}
	for name, c := range f.counts {
		if c.Asked == 0 || c.Failed*20 > c.Asked {
			return fmt.Errorf("%s: %d of %d calls failed, one with %q", name, c.Failed, c.Asked, c.Error)
		}
	}
	return nil
}

func (f *fleet) close() error {
	return f.each(func(m *member) error { return m.process.Close() })
}

// each calls do for all members at the same time.
func (f *fleet) each(do func(m *member) error) error {
	return process.Each(f.members, func(_ int, m *member) error { return do(m) })
}
