package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	client "k8s.io/client-go/kubernetes/typed/discovery/v1"

	"go.uber.org/goleak"

	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type event struct {
	rv int
	watch.Event
}

// fakeAPI is an API server without a network, for one watch at a time.
type fakeAPI struct {
	client.EndpointSliceInterface

	mu       sync.Mutex
	rv       int
	slices   map[string]*discoveryv1.EndpointSlice
	listErr  error // what List returns
	watchErr error // what Watch returns
	hangs    bool  // List does not answer
	short    bool  // watches end at once
	watcher  *watch.RaceFreeFakeWatcher
	history  []event
	calls    []string    // verb and resource version
	times    []time.Time // of lists
}

func newFakeAPI(all ...*discoveryv1.EndpointSlice) *fakeAPI {
	api := &fakeAPI{rv: 100, slices: make(map[string]*discoveryv1.EndpointSlice)}
	for _, s := range all {
		api.slices[s.Name] = s
	}
	return api
}

func (a *fakeAPI) EndpointSlices(string) client.EndpointSliceInterface { return a }

func (a *fakeAPI) List(ctx context.Context, o metav1.ListOptions) (*discoveryv1.EndpointSliceList, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls, a.times = append(a.calls, "list "+o.ResourceVersion), append(a.times, time.Now())
	if a.hangs {
		a.mu.Unlock()
		<-ctx.Done()
		a.mu.Lock()
		return nil, ctx.Err()
	}
	if a.listErr != nil {
		return nil, a.listErr
	}
	list := &discoveryv1.EndpointSliceList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(a.rv)}}
	for _, s := range a.slices {
		list.Items = append(list.Items, *s)
	}
	return list, nil
}

func (a *fakeAPI) Watch(_ context.Context, o metav1.ListOptions) (watch.Interface, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, "watch "+o.ResourceVersion)
	if o.TimeoutSeconds == nil || !o.AllowWatchBookmarks {
		return nil, errors.New("a watch without an end, or without bookmarks")
	}
	if a.watchErr != nil {
		return nil, a.watchErr
	}
	from, err := strconv.Atoi(o.ResourceVersion)
	if err != nil {
		return nil, err
	}
	a.watcher = watch.NewRaceFreeFake()
	if a.short {
		a.watcher.Stop()
		return a.watcher, nil
	}
	for _, e := range a.history {
		if e.rv > from {
			a.watcher.Action(e.Type, e.Object)
		}
	}
	return a.watcher, nil
}

// set makes the slices what they are from now on, one after the other.
func (a *fakeAPI) set(all ...*discoveryv1.EndpointSlice) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range all {
		_, known := a.slices[s.Name]
		a.slices[s.Name] = s
		if known {
			a.happensLocked(watch.Modified, s)
		} else {
			a.happensLocked(watch.Added, s)
		}
	}
}

func (a *fakeAPI) remove(name string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.slices[name].DeepCopy()
	delete(a.slices, name)
	a.happensLocked(watch.Deleted, s)
}

func (a *fakeAPI) happensLocked(what watch.EventType, s *discoveryv1.EndpointSlice) {
	a.rv++
	s.ResourceVersion = strconv.Itoa(a.rv)
	a.history = append(a.history, event{a.rv, watch.Event{Type: what, Object: s}})
	if a.watcher != nil && !a.watcher.IsStopped() {
		a.watcher.Action(what, s)
	}
}

// cut ends the watch, with an error if there is one.
func (a *fakeAPI) cut(err *apierrors.StatusError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.watcher.Error(&err.ErrStatus)
	}
	a.watcher.Stop()
}

// fail makes the API server fail from now on: lists, and watches that are begun.
func (a *fakeAPI) fail(list, watch error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listErr, a.watchErr = list, watch
}

// called returns the calls since it was last called.
func (a *fakeAPI) called() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	calls := strings.Join(a.calls, ", ")
	a.calls = nil
	return calls
}

// A follower is the other end of a Source.
type follower struct {
	t    *testing.T
	next func() ([]discover.Member, error, bool)
}

func follow(t *testing.T, cfg Config) *follower {
	t.Helper()
	source := newSource(t, cfg)
	next, stop := iter.Pull2(source.Members(t.Context()))
	t.Cleanup(stop)
	return &follower{t, next}
}

func newSource(t *testing.T, cfg Config) *Source {
	t.Helper()
	cfg.Service, cfg.Namespace = "web", "default"
	source, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// wants takes what comes next: a list, as describeMembers has it, or an error with that in it.
func (f *follower) wants(want string) error {
	f.t.Helper()
	members, err, ok := f.next()
	part, isErr := strings.CutPrefix(want, "! ")
	switch {
	case !ok:
		f.t.Fatalf("it has ended; want %s", want)
	case isErr && (err == nil || !strings.Contains(err.Error(), part) || members != nil):
		f.t.Fatalf("%s, %v; want the error %q", describeMembers(members), err, part)
	case !isErr && (err != nil || describeMembers(members) != want):
		f.t.Fatalf("%s, %v; want %s", describeMembers(members), err, want)
	}
	return err
}

// describeMembers returns the members' URLs without their scheme, with a - behind those that are leaving.
func describeMembers(members []discover.Member) string {
	var all []string
	for _, m := range members {
		u := strings.TrimPrefix(m.URL, "http://")
		if m.Leaving {
			u += "-"
		}
		all = append(all, u)
	}
	return strings.Join(all, " ")
}

// slice returns an EndpointSlice with a port 8080 called http, and the endpoints that e describes.
func slice(name string, e ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Name: name, Namespace: "default", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{port("http", 8080)},
		Endpoints:   e,
	}
}

func port(name string, number int32) discoveryv1.EndpointPort {
	return discoveryv1.EndpointPort{Name: &name, Port: &number, Protocol: new(corev1.ProtocolTCP)}
}

// pods returns endpoints: 1 is 10.0.0.1 and ready, 1- terminates and is serving, 1! is neither ready nor serving, 1x terminates and is not
// serving, 1? has no conditions.
func pods(what string) []discoveryv1.Endpoint {
	var all []discoveryv1.Endpoint
	for _, p := range strings.Fields(what) {
		number := strings.TrimRight(p, "-!x?")
		e := discoveryv1.Endpoint{
			Addresses: []string{"10.0.0." + number},
			Hostname:  new("web-" + number),
			TargetRef: &corev1.ObjectReference{Kind: "Pod", UID: types.UID("pod-" + number)},
		}
		if suffix := p[len(number):]; suffix != "?" {
			terminating := slices.Contains([]string{"-", "x"}, suffix)
			serving := slices.Contains([]string{"", "-"}, suffix)
			e.Conditions = discoveryv1.EndpointConditions{Ready: new(serving && !terminating), Serving: &serving, Terminating: &terminating}
		}
		all = append(all, e)
	}
	return all
}

func forbidden() error {
	return apierrors.NewForbidden(discoveryv1.Resource("endpointslices"), "", fmt.Errorf("no RBAC policy matched"))
}

func expired() *apierrors.StatusError {
	return apierrors.NewResourceExpired("too old resource version: 1 (100)")
}
