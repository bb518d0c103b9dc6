package memberlist

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"time"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/source"
)

const (
	// firstRetry is how long an instance that is alone waits before it tries its seeds again. It waits twice as long after each
	// further time, up to Rejoin.
	firstRetry = time.Second

	// lookupTime bounds the look-up of one seed's name.
	lookupTime = 5 * time.Second

	// maxJoins is how many addresses are tried at a time, at random: one is enough to learn of all the others, and a name may have
	// many that are gone.
	maxJoins = 8
)

// A lookupFunc returns the addresses of a host.
type lookupFunc func(ctx context.Context, host string) ([]netip.Addr, error)

func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}

// keepJoined joins the seeds, again and again until ctx ends.
func (s *Source) keepJoined(ctx context.Context) {
	if len(s.setup.seeds) == 0 {
		return
	}
	for retry := firstRetry; ; {
		t := s.join(ctx)
		if ctx.Err() != nil {
			return
		}
		s.state.setJoining(t)
		pause := s.setup.rejoin
		if s.state.alone() {
			pause, retry = min(retry, pause), min(2*retry, pause)
		} else {
			retry = firstRetry
		}
		if !source.Wait(ctx, source.Jittered(pause)) {
			return
		}
	}
}

// join tries to join those seeds that are no members, and returns what is wrong.
func (s *Source) join(ctx context.Context) (wrong trouble) {
	members := s.state.addrs()
	var strangers []string
	seen := make(map[netip.AddrPort]bool)
	for _, seed := range s.setup.seeds {
		addrs, err := s.resolve(ctx, seed)
		if err != nil {
			wrong = trouble{"look up " + seed.host, fmt.Errorf("memberlist: the seed %s cannot be looked up: %w", seed.host, err)}
		}
		for _, a := range addrs {
			if _, member := members[a]; !member && !seen[a] {
				seen[a] = true
				strangers = append(strangers, a.String())
			}
		}
	}
	if len(strangers) == 0 {
		return wrong
	}
	rand.Shuffle(len(strangers), func(i, j int) { strangers[i], strangers[j] = strangers[j], strangers[i] })
	strangers = strangers[:min(len(strangers), maxJoins)]
	done := make(chan error, len(strangers))
	for _, a := range strangers {
		go func() { // which takes as long as its time-outs
			_, err := s.list.Join([]string{a})
			done <- err
		}()
	}
	var failed error
	for range strangers {
		select {
		case err := <-done:
			if err != nil {
				failed = err
			}
		case <-ctx.Done():
			return wrong
		}
	}
	if s.state.alone() && failed != nil {
		return trouble{"alone", fmt.Errorf("memberlist: no seed could be joined: %w", oneLine(failed))}
	}
	return wrong
}

// resolve returns the addresses of a seed.
func (s *Source) resolve(ctx context.Context, seed seed) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	if ip, err := netip.ParseAddr(seed.host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), seed.port)}, nil
	}
	ips, err := s.lookup(ctx, seed.host)
	var addrs []netip.AddrPort
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), seed.port))
	}
	return addrs, err
}

// oneLine returns the last of the errors that err consists of, which tell mostly the same.
func oneLine(err error) error {
	var many interface{ WrappedErrors() []error }
	if errors.As(err, &many) {
		if errs := many.WrappedErrors(); len(errs) > 0 {
			return errs[len(errs)-1]
		}
	}
	return err
}
