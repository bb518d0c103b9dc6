package discover

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/address"
	"github.com/seed-0f2aaebe/fleetcache/peers/internal/source"
)

// Members implements Source. It may be called concurrently.
func (d *DNS) Members(ctx context.Context) iter.Seq2[[]Member, error] {
	return func(yield func([]Member, error) bool) {
		told := source.Teller[Member]{Yield: yield}
		retry := min(dnsFirstRetry, d.cfg.Interval)
		for {
			members, err := d.lookup(ctx)
			if ctx.Err() != nil {
				return // which may be why it failed
			}
			kind := ""
			if err != nil {
				members, kind, err = nil, failureOf(err), fmt.Errorf("discover: %w", err)
			}
			more := told.Tell(members, kind, err)
			pause := d.cfg.Interval
			if !told.Known() {
				pause, retry = retry, min(2*retry, d.cfg.Interval)
			}
			if !more || !source.Wait(ctx, source.Jittered(pause)) {
				return
			}
		}
	}
}

// heeding returns a Resolver like r, nil being net.DefaultResolver, whose questions to servers end with their contexts. Those of r do so only by
// their time-outs.
func heeding(r *net.Resolver) *net.Resolver {
	if r == nil {
		r = net.DefaultResolver
	}
	dial := r.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return &net.Resolver{
		PreferGo: r.PreferGo, StrictErrors: r.StrictErrors,
		Dial: func(ctx context.Context, network, server string) (net.Conn, error) {
			conn, err := dial(ctx, network, server)
			if err == nil {
				context.AfterFunc(ctx, func() { conn.Close() }) // the context is this question's own
			}
			return conn, err
		},
	}
}

// failureOf returns what kind of failure err is. Its text would not do: it has the number of the port that was asked from.
func failureOf(err error) string {
	var dns *net.DNSError
	switch {
	case !errors.As(err, &dns):
		return err.Error()
	case dns.IsNotFound:
		return "not found"
	case dns.IsTimeout:
		return "timeout"
	}
	return "failure"
}

// lookup returns the members as the records have them now. There is at least one if there is no error.
func (d *DNS) lookup(ctx context.Context) ([]Member, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	if d.cfg.SRV {
		_, records, err := d.cfg.Resolver.LookupSRV(ctx, "", "", d.cfg.Name)
		if err != nil {
			return nil, err
		}
		return d.ofSRV(records)
	}
	networks := []string{d.cfg.Network}
	if d.cfg.Network == "ip" {
		// One after the other: asked for both, a Resolver that fails for one returns what it has of the other.
		networks = []string{"ip4", "ip6"}
	}
	var addrs []netip.Addr
	var none error
	for _, network := range networks {
		found, err := d.cfg.Resolver.LookupNetIP(ctx, network, d.cfg.Name)
		if isNone(err) {
			none = err
			continue
		}
		if err != nil {
			return nil, err
		}
		addrs = append(addrs, found...)
	}
	switch {
	case len(addrs) > 0:
		return d.ofAddrs(addrs), nil
	case none == nil:
		none = fmt.Errorf("lookup %s: there are no addresses", d.cfg.Name)
	}
	return nil, none
}

// isNone reports whether err says that there are no addresses of the kind that was asked for.
func isNone(err error) bool {
	var dns *net.DNSError
	var addr *net.AddrError // what is known of the name without DNS is of the other kind
	return errors.As(err, &dns) && dns.IsNotFound || errors.As(err, &addr)
}

// ofAddrs returns the members at addrs.
func (d *DNS) ofAddrs(addrs []netip.Addr) []Member {
	for i, a := range addrs {
		addrs[i] = a.Unmap().WithZone("")
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	var members []Member
	for _, a := range slices.Compact(addrs) {
		members = append(members, Member{URL: d.url(a.String(), uint16(d.cfg.Port))})
	}
	return members
}

func (d *DNS) url(host string, port uint16) string {
	return d.cfg.Scheme + "://" + net.JoinHostPort(host, strconv.Itoa(int(port))) + d.cfg.Path
}

// ofSRV returns the members in those records that have the lowest priority.
func (d *DNS) ofSRV(records []*net.SRV) ([]Member, error) {
	weights := make(map[string]int) // by URL
	lowest, greatest := uint16(0), address.MaxWeight
	for i, r := range records {
		if i == 0 || r.Priority < lowest {
			lowest = r.Priority
			clear(weights)
		}
		if r.Priority > lowest {
			continue
		}
		host := strings.ToLower(strings.TrimSuffix(r.Target, "."))
		if host == "" {
			continue // by RFC 2782: there is no such service
		}
		url := d.url(host, r.Port)
		if _, err := address.Normalize(url); err != nil || r.Port == 0 || strings.ContainsAny(host, "/@:") {
			return nil, fmt.Errorf("lookup %s: the SRV record with target %q and port %d makes no URL of a member", d.cfg.Name, r.Target, r.Port)
		}
		weights[url] = max(weights[url], int(r.Weight))
	}
	if len(weights) == 0 {
		return nil, fmt.Errorf("lookup %s: there is no SRV record with a target", d.cfg.Name)
	}
	for _, w := range weights {
		greatest = max(greatest, w)
	}
	var members []Member
	for url, w := range weights {
		members = append(members, Member{URL: url, Weight: max(1, w*address.MaxWeight/greatest)})
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.URL, b.URL) })
	return members, nil
}
