package kubernetes

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestMembersOfSlices(t *testing.T) {
	with := func(s *discoveryv1.EndpointSlice, f func(*discoveryv1.EndpointSlice)) *discoveryv1.EndpointSlice {
		f(s)
		return s
	}
	ipv6 := func(name, addr string) *discoveryv1.EndpointSlice {
		return with(slice(name, pods("1")...), func(s *discoveryv1.EndpointSlice) {
			s.AddressType, s.Endpoints[0].Addresses = discoveryv1.AddressTypeIPv6, []string{addr}
		})
	}
	ports := func(s *discoveryv1.EndpointSlice, ports ...discoveryv1.EndpointPort) *discoveryv1.EndpointSlice {
		s.Ports = ports
		return s
	}
	replaced := func(name, what string) *discoveryv1.EndpointSlice { // by another pod with the same address
		return with(slice(name, pods(what)...), func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].TargetRef.UID = types.UID("another-" + name) })
	}
	both := []*discoveryv1.EndpointSlice{slice("a", pods("1")...), ipv6("b", "fd00::1")}

	for name, tt := range map[string]struct {
		cfg    Config
		slices []*discoveryv1.EndpointSlice
		want   string // of describeMembers, and after " ! " a part of the error
	}{
		"by condition": {Config{}, []*discoveryv1.EndpointSlice{slice("a", pods("1 2- 3! 4x 5?")...)}, "10.0.0.1:8080 10.0.0.2:8080- 10.0.0.5:8080"},
		"in order":     {Config{}, []*discoveryv1.EndpointSlice{slice("a", pods("3 2")...), slice("b", pods("1")...)}, "10.0.0.1:8080 10.0.0.2:8080 10.0.0.3:8080"},

		"twice":                   {Config{}, []*discoveryv1.EndpointSlice{slice("a", pods("1")...), slice("b", pods("1")...)}, "10.0.0.1:8080"},
		"twice, later leaving":    {Config{}, []*discoveryv1.EndpointSlice{slice("a", pods("1")...), slice("b", pods("1-")...)}, "10.0.0.1:8080-"},
		"twice, earlier leaving":  {Config{}, []*discoveryv1.EndpointSlice{slice("a", pods("1-")...), slice("b", pods("1")...)}, "10.0.0.1:8080-"},
		"twice, one gone":         {Config{}, []*discoveryv1.EndpointSlice{slice("a", pods("1!")...), slice("b", pods("1")...)}, "10.0.0.1:8080"},
		"replaced, later leaving": {Config{}, []*discoveryv1.EndpointSlice{slice("a", pods("1")...), replaced("b", "1-")}, "10.0.0.1:8080"},
		"replaced, first leaving": {Config{}, []*discoveryv1.EndpointSlice{slice("a", pods("1-")...), replaced("b", "1")}, "10.0.0.1:8080"},

		"IPv4 of both":      {Config{}, both, "10.0.0.1:8080"},
		"IPv6 of both":      {Config{Family: discoveryv1.AddressTypeIPv6}, both, "[fd00::1]:8080"},
		"names of both":     {Config{Hostnames: true}, both, "web-1.web.default.svc.cluster.local:8080"},
		"IPv6 in one form":  {Config{Family: discoveryv1.AddressTypeIPv6}, []*discoveryv1.EndpointSlice{ipv6("a", "FD00:0:0::0001")}, "[fd00::1]:8080"},
		"no IPv4":           {Config{}, []*discoveryv1.EndpointSlice{ipv6("a", "fd00::1")}, " ! none of its 1 endpoints has an IPv4 address: set Config.Family"},
		"names of names":    {Config{Hostnames: true}, []*discoveryv1.EndpointSlice{with(slice("a", pods("1")...), func(s *discoveryv1.EndpointSlice) { s.AddressType = "FQDN" })}, " ! has an IP address"},
		"a second address":  {Config{}, []*discoveryv1.EndpointSlice{with(slice("a", pods("1")...), func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = []string{"10.0.0.8", "10.0.0.9"} })}, "10.0.0.8:8080"},
		"an address is bad": {Config{}, []*discoveryv1.EndpointSlice{with(slice("a", pods("1 2")...), func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = []string{"nonsense"} })}, "10.0.0.2:8080 ! endpoints left out: 1 (the address is none"},
		"an address lacks":  {Config{}, []*discoveryv1.EndpointSlice{with(slice("a", pods("1 2")...), func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Addresses = nil })}, "10.0.0.2:8080 ! no address"},

		"other domain":   {Config{Hostnames: true, ClusterDomain: "example.org"}, both[:1], "web-1.web.default.svc.example.org:8080"},
		"no name":        {Config{Hostnames: true}, []*discoveryv1.EndpointSlice{with(slice("a", pods("1 2")...), func(s *discoveryv1.EndpointSlice) { s.Endpoints[1].Hostname = nil })}, "web-1.web.default.svc.cluster.local:8080 ! endpoints left out: 1 (no hostname"},
		"no name at all": {Config{Hostnames: true}, []*discoveryv1.EndpointSlice{with(slice("a", pods("1")...), func(s *discoveryv1.EndpointSlice) { s.Endpoints[0].Hostname = new("") })}, " ! endpoints left out: 1 (no hostname: are the pods a StatefulSet's, whose serviceName is web?)"},

		"port by number":      {Config{Port: "9999"}, both[:1], "10.0.0.1:9999"},
		"port by name":        {Config{Port: "cache"}, []*discoveryv1.EndpointSlice{ports(slice("a", pods("1")...), port("http", 80), port("cache", 8081))}, "10.0.0.1:8081"},
		"a number per slice":  {Config{Port: "http"}, []*discoveryv1.EndpointSlice{slice("a", pods("1")...), ports(slice("b", pods("2")...), port("http", 80))}, "10.0.0.1:8080 10.0.0.2:80"},
		"port without a name": {Config{}, []*discoveryv1.EndpointSlice{ports(slice("a", pods("1")...), discoveryv1.EndpointPort{Port: new(int32(8082))})}, "10.0.0.1:8082"},
		"only port for TCP": {Config{}, []*discoveryv1.EndpointSlice{ports(slice("a", pods("1")...), port("http", 80),
			discoveryv1.EndpointPort{Name: new("dns"), Port: new(int32(53)), Protocol: new(corev1.ProtocolUDP)})}, "10.0.0.1:80"},
		"several ports":      {Config{}, []*discoveryv1.EndpointSlice{ports(slice("a", pods("1")...), port("http", 80), port("admin", 90))}, ` ! the Service has the ports "admin", "http": say which by Config.Port`},
		"no port":            {Config{}, []*discoveryv1.EndpointSlice{ports(slice("a", pods("1 2")...))}, " ! endpoints left out: 2 (the Service has no port for TCP: set Config.Port to a number)"},
		"port of all":        {Config{Port: "http"}, []*discoveryv1.EndpointSlice{ports(slice("a", pods("1")...), discoveryv1.EndpointPort{})}, " ! no port for TCP"},
		"unknown port":       {Config{Port: "cache"}, both[:1], ` ! the Service has no port "cache", only "http"`},
		"unknown, not ready": {Config{Port: "cache"}, []*discoveryv1.EndpointSlice{slice("a", pods("1!")...)}, " ! none of its 1 endpoints is ready"},

		"scheme and path": {Config{Scheme: "https", Path: "/cache/"}, both[:1], "https://10.0.0.1:8080/cache/"},
	} {
		t.Run(name, func(t *testing.T) {
			tt.cfg.Client = newFakeAPI()
			members, err := newSource(t, tt.cfg).cfg.members(tt.slices)
			want, part, isErr := strings.Cut(tt.want, " ! ")
			if got := describeMembers(members); got != want {
				t.Errorf("%s, want %s", got, want)
			}
			if isErr != (err != nil) || isErr && !strings.Contains(err.Error(), part) {
				t.Errorf("error %v, want %q", err, part)
			}
		})
	}
}
