package kubernetes

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

// A found is what the slices say of a URL.
type found struct {
	pod     types.UID // "": not known
	leaving bool
}

// members returns the members that are in the slices, ordered by URL, and an error that says which endpoints are left out though they are ready,
// or why there are no members at all.
func (c *Config) members(all []*discoveryv1.EndpointSlice) ([]discover.Member, error) {
	byURL := make(map[string]found)
	wrong := make(map[string]int) // what is wrong, and with how many endpoints
	endpoints, otherFamily := 0, 0
	for _, slice := range all {
		if slice.AddressType == discoveryv1.AddressTypeFQDN || c.Family != "" && slice.AddressType != c.Family {
			otherFamily += len(slice.Endpoints)
			continue
		}
		endpoints += len(slice.Endpoints)
		port, portErr := c.port(slice.Ports)
		for i := range slice.Endpoints {
			e := &slice.Endpoints[i]
			member, leaving := state(e.Conditions)
			if !member {
				continue
			}
			host, err := c.host(e)
			if err = cmp.Or(portErr, err); err != nil {
				wrong[err.Error()]++
				continue
			}
			is := found{leaving: leaving}
			if e.TargetRef != nil {
				is.pod = e.TargetRef.UID
			}
			u := c.Scheme + "://" + net.JoinHostPort(host, port) + c.Path
			if other, ok := byURL[u]; ok {
				is = other.and(is)
			}
			byURL[u] = is
		}
	}
	members := make([]discover.Member, 0, len(byURL))
	for _, u := range slices.Sorted(maps.Keys(byURL)) {
		members = append(members, discover.Member{URL: u, Leaving: byURL[u].leaving})
	}
	switch {
	case len(wrong) > 0:
		return members, c.errorf("%s", describe(wrong))
	case len(members) > 0:
		return members, nil
	case len(all) == 0:
		return nil, c.errorf("it has no EndpointSlices: is there a Service of this name, with a selector?")
	case endpoints == 0 && otherFamily > 0:
		return nil, c.errorf("none of its %d endpoints has an %s address: set Config.Family", otherFamily, cmp.Or(c.Family, "IP"))
	case endpoints == 0:
		return nil, c.errorf("it has no endpoints: no pod matches its selector")
	}
	return nil, c.errorf("none of its %d endpoints is ready", endpoints)
}

// and joins what two slices say of a URL, which happens while Kubernetes moves a pod from one to another: of
// the same pod the later state, and nothing comes after leaving; of two pods, the one that is not leaving.
func (f found) and(g found) found {
	if f.pod == g.pod {
		f.leaving = f.leaving || g.leaving
		return f
	}
	if f.leaving {
		return g
	}
	return f
}

// state returns whether an endpoint in this condition is a member, and whether it is leaving. nil means true, true and false.
func state(c discoveryv1.EndpointConditions) (member, leaving bool) {
	ready, serving := c.Ready == nil || *c.Ready, c.Serving == nil || *c.Serving
	if c.Terminating != nil && *c.Terminating {
		return serving, serving
	}
	return ready, false
}

// port returns the number of the port that Config.Port means, given those of a slice.
func (c *Config) port(ports []discoveryv1.EndpointPort) (string, error) {
	if _, err := strconv.Atoi(c.Port); err == nil {
		return c.Port, nil
	}
	var names []string
	number := ""
	for _, p := range ports {
		if p.Port == nil || p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
			continue
		}
		name := ""
		if p.Name != nil {
			name = *p.Name
		}
		names = append(names, strconv.Quote(name))
		if c.Port == "" || c.Port == name {
			number = strconv.Itoa(int(*p.Port))
		}
	}
	slices.Sort(names)
	switch {
	case len(names) == 0:
		return "", fmt.Errorf("the Service has no port for TCP: set Config.Port to a number")
	case c.Port == "" && len(names) > 1:
		return "", fmt.Errorf("the Service has the ports %s: say which by Config.Port", strings.Join(names, ", "))
	case number == "":
		return "", fmt.Errorf("the Service has no port %q, only %s", c.Port, strings.Join(names, ", "))
	}
	return number, nil
}

// host returns the host of an endpoint's URL. Only the first of its addresses has a meaning.
func (c *Config) host(e *discoveryv1.Endpoint) (string, error) {
	if c.Hostnames {
		if e.Hostname == nil || *e.Hostname == "" {
			return "", fmt.Errorf("no hostname: are the pods a StatefulSet's, whose serviceName is %s?", c.Service)
		}
		return fmt.Sprintf("%s.%s.%s.svc.%s", *e.Hostname, c.Service, c.Namespace, c.ClusterDomain), nil
	}
	if len(e.Addresses) == 0 {
		return "", fmt.Errorf("no address")
	}
	addr, err := netip.ParseAddr(e.Addresses[0])
	if err != nil {
		return "", fmt.Errorf("the address is none: %w", err)
	}
	return addr.String(), nil
}

// describe returns what is wrong, in one line.
func describe(wrong map[string]int) string {
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(wrong)) {
		parts = append(parts, fmt.Sprintf("endpoints left out: %d (%s)", wrong[what], what))
	}
	return strings.Join(parts, "; ")
}

func (c *Config) errorf(format string, args ...any) error {
	return fmt.Errorf("kubernetes: Service %s/%s: "+format, append([]any{c.Namespace, c.Service}, args...)...)
}
