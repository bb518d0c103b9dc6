package e2e

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/kubernetes"
)

// newsTime is how long news may take: a watch is told at once, and an attempt is made within a minute.
const newsTime = 90 * time.Second

// One cluster for all, which takes a while to start. Each test has a namespace.
func TestSourceOnARealCluster(t *testing.T) {
	c := newCluster(t)
	for name, test := range map[string]func(*testing.T, *cluster){
		"members come and go":    testMembers,
		"both families":          testFamilies,
		"role":                   testRole,
		"restart of the server":  testRestart,
		"watch that has expired": testExpired,
		"webcache":               testWebcache,
	} {
		t.Run(name, func(t *testing.T) {
			inner := *c
			inner.t = t
			test(t, &inner)
			c.api = inner.api
		})
	}
}

func testMembers(t *testing.T, c *cluster) {
	credentials := c.namespace("fleet") // with all manifests, which the API server checks
	slices := c.slices("fleet")
	slices.set("a", "IPv4", "10.0.0.1 10.0.0.2!")
	f := c.follow(kubernetes.Config{Namespace: "fleet", REST: credentials})
	f.wants("10.0.0.1")
	slices.set("a", "IPv4", "10.0.0.1 10.0.0.2")
	f.wants("10.0.0.1 10.0.0.2")
	slices.set("b", "IPv4", "10.0.0.3")
	f.wants("10.0.0.1 10.0.0.2 10.0.0.3")
	slices.set("a", "IPv4", "10.0.0.1- 10.0.0.2")
	f.wants("10.0.0.1- 10.0.0.2 10.0.0.3")
	slices.set("a", "IPv4", "10.0.0.2")
	f.wants("10.0.0.2 10.0.0.3")
	slices.remove("b")
	f.wants("10.0.0.2")
	slices.set("a", "IPv4", "10.0.0.2!")
	f.wants("! none of its 1 endpoints is ready")
	slices.set("a", "IPv4", "10.0.0.4")
	f.wants("10.0.0.4")
}

func testFamilies(t *testing.T, c *cluster) {
	credentials := c.namespace("families", "ServiceAccount", "Role", "RoleBinding")
	slices := c.slices("families")
	slices.set("four", "IPv4", "10.0.0.1 10.0.0.2-")
	slices.set("six", "IPv6", "fd00::1 fd00::2-")
	for family, want := range map[discoveryv1.AddressType]string{"": "10.0.0.1 10.0.0.2-", "IPv4": "10.0.0.1 10.0.0.2-", "IPv6": "[fd00::1] [fd00::2]-"} {
		c.follow(kubernetes.Config{Namespace: "families", Family: family, REST: credentials}).wants(want)
	}
}

// Without a RoleBinding a ServiceAccount sees nothing, and with it only its own namespace. The error says what is missing.
func testRole(t *testing.T, c *cluster) {
	const missing = "! it needs the verbs list and watch on the resource endpointslices of the API group discovery.k8s.io in the namespace "
	credentials := c.namespace("unbound", "ServiceAccount", "Role")
	c.slices("unbound").set("a", "IPv4", "10.0.0.1")
	f := c.follow(kubernetes.Config{Namespace: "unbound", REST: credentials})
	if err := f.wants(missing + "unbound"); !apierrors.IsForbidden(err) {
		t.Errorf("%v is not the API server's", err)
	}
	c.apply("unbound", "RoleBinding")
	f.wants("10.0.0.1")
	c.follow(kubernetes.Config{Namespace: "default", REST: credentials}).wants(missing + "default")

	stranger := rest.CopyConfig(credentials)
	stranger.BearerToken = "nonsense"
	c.follow(kubernetes.Config{Namespace: "unbound", REST: stranger}).wants("! the ServiceAccount's token is wrong, or has expired")
}

func testRestart(t *testing.T, c *cluster) {
	credentials := c.namespace("restart", "ServiceAccount", "Role", "RoleBinding")
	slices := c.slices("restart")
	slices.set("a", "IPv4", "10.0.0.1")
	f := c.follow(kubernetes.Config{Namespace: "restart", REST: credentials})
	f.wants("10.0.0.1")
	c.killAPI()
	f.wants("! its EndpointSlices cannot be watched")
	c.startAPI()
	f.wantsInTheEnd("10.0.0.1") // still; before it is ready, an API server refuses what it will allow
	slices.set("a", "IPv4", "10.0.0.1 10.0.0.2")
	f.wants("10.0.0.1 10.0.0.2")
}

// A watch that is cut while etcd is compacted and the API server, which remembers more than etcd, begins anew.
func testExpired(t *testing.T, c *cluster) {
	credentials := c.namespace("expired", "ServiceAccount", "Role", "RoleBinding")
	slices := c.slices("expired")
	slices.set("a", "IPv4", "10.0.0.1")
	slices.set("b", "IPv4", "10.0.0.2")
	g := new(gate)
	g.put(credentials)
	f := c.follow(kubernetes.Config{Namespace: "expired", REST: credentials})
	f.wants("10.0.0.1 10.0.0.2")

	time.AfterFunc(2*time.Second, g.hold) // when it watches; it takes what comes meanwhile
	slices.set("a", "IPv4", "10.0.0.1 10.0.0.3")
	f.wants("10.0.0.1 10.0.0.2 10.0.0.3")
	time.Sleep(3 * time.Second)
	lists, _ := g.seen()
	slices.remove("b")
	slices.set("a", "IPv4", "10.0.0.1- 10.0.0.3")
	c.compact()
	c.killAPI()
	c.startAPI()
	g.open()
	f.wants("10.0.0.1- 10.0.0.3") // without an error
	if again, expiries := g.seen(); expiries == 0 || again != lists+1 {
		t.Errorf("%d watches have expired, and it was listed %d times", expiries, again-lists)
	}
}

// A follower is the other end of a Source.
type follower struct {
	t    *testing.T
	next func() ([]discover.Member, error, bool)
}

// follow follows the Service of the manifests.
func (c *cluster) follow(cfg kubernetes.Config) *follower {
	c.t.Helper()
	cfg.Service, cfg.Port = "webcache-fleet", "http"
	source, err := kubernetes.New(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	next, stop := iter.Pull2(source.Members(ctx))
	c.t.Cleanup(func() {
		cancel()
		stop()
	})
	return &follower{c.t, func() ([]discover.Member, error, bool) {
		timer := time.AfterFunc(newsTime, func() {
			var stacks strings.Builder
			pprof.Lookup("goroutine").WriteTo(&stacks, 1)
			c.t.Logf("no news within %v:\n%s", newsTime, &stacks)
			cancel()
		})
		defer timer.Stop()
		return next()
	}}
}

// wantsInTheEnd is wants, after any number of errors.
func (f *follower) wantsInTheEnd(want string) {
	f.t.Helper()
	next := f.next
	defer func() { f.next = next }()
	f.next = func() ([]discover.Member, error, bool) {
		for {
			members, err, ok := next()
			if err == nil {
				return members, nil, ok
			}
			f.t.Logf("passed over: %v", err)
		}
	}
	f.wants(want)
}

// wants takes what comes next: a list of addresses, with a - behind those that are leaving, or an error with what follows "! " in it.
func (f *follower) wants(want string) error {
	f.t.Helper()
	members, err, ok := f.next()
	if !ok {
		f.t.Fatalf("it has ended; want %s", want)
	}
	var got []string
	for _, m := range members {
		leaving := ""
		if m.Leaving {
			leaving = "-"
		}
		got = append(got, strings.TrimSuffix(strings.TrimPrefix(m.URL, "http://"), ":8080")+leaving)
	}
	part, isErr := strings.CutPrefix(want, "! ")
	switch {
	case isErr && (err == nil || !strings.Contains(err.Error(), part)):
		f.t.Fatalf("%v, %v; want the error %q", got, err, part)
	case !isErr && (err != nil || strings.Join(got, " ") != want):
		f.t.Fatalf("%v, %v; want %s", got, err, want)
	}
	return err
}

// endpointSlices are those of the Service of the manifests, which its controller would write.
type endpointSlices struct {
	t    *testing.T
	api  client.EndpointSliceInterface
	made map[string]bool
}

func (c *cluster) slices(namespace string) *endpointSlices {
	c.t.Helper()
	api, err := client.NewForConfig(c.admin)
	if err != nil {
		c.t.Fatal(err)
	}
	return &endpointSlices{c.t, api.EndpointSlices(namespace), make(map[string]bool)}
}

// set makes a slice, or changes it. An address alone is of a pod that is ready, with - behind it of one that terminates and is
// serving, with ! of one that is not ready.
func (s *endpointSlices) set(name string, family discoveryv1.AddressType, pods string) {
	s.t.Helper()
	s.write(name, family, 8080, pods)
}

// setAt is set for one pod, which is at a URL of an IPv4 address and a port. What stands behind an address in set is its state.
func (s *endpointSlices) setAt(name, url, state string) {
	s.t.Helper()
	at, err := netip.ParseAddrPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(name, "IPv4", int32(at.Port()), at.Addr().String()+state)
}

func (s *endpointSlices) write(name string, family discoveryv1.AddressType, port int32, pods string) {
	s.t.Helper()
	slice := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: "webcache-fleet"}},
		AddressType: family,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(port)}},
	}
	for _, pod := range strings.Fields(pods) {
		addr := strings.TrimRight(pod, "-!")
		slice.Endpoints = append(slice.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{addr},
			Conditions: discoveryv1.EndpointConditions{
				Ready: new(pod == addr), Serving: new(!strings.HasSuffix(pod, "!")), Terminating: new(strings.HasSuffix(pod, "-")),
			},
		})
	}
	var err error
	if s.made[name] {
		_, err = s.api.Update(s.t.Context(), slice, metav1.UpdateOptions{})
	} else {
		_, err = s.api.Create(s.t.Context(), slice, metav1.CreateOptions{})
	}
	if err != nil {
		s.t.Fatal(fmt.Errorf("EndpointSlice %s: %w", name, err))
	}
	s.made[name] = true
}

func (s *endpointSlices) remove(name string) {
	s.t.Helper()
	if err := s.api.Delete(s.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		s.t.Fatal(err)
	}
}
