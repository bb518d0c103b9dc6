package kubernetes

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/seed-0f2aaebe/fleetcache/peers/internal/source"
)

// A request is what an authorizer sees of it.
type request struct{ verb, group, namespace, resource string }

// apiServer speaks HTTP, and says of the EndpointSlices of any Service that there is one, with a pod.
type apiServer struct {
	*httptest.Server

	mu       sync.Mutex
	refuses  *apierrors.StatusError // every request
	expires  bool                   // the next watch
	requests []request
	selector string // of the last one
}

func newAPIServer(t *testing.T) *apiServer {
	a := &apiServer{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/apis/"), "/") // discovery.k8s.io/v1/namespaces/default/endpointslices
	q := request{verb: "list"}
	switch {
	case r.Method != http.MethodGet:
		q.verb = r.Method
	case r.FormValue("watch") != "":
		q.verb = "watch"
	case len(parts) > 5:
		q.verb = "get"
	}
	if len(parts) >= 5 {
		q.group, q.namespace, q.resource = parts[0], parts[3], parts[4]
	}
	a.requests, a.selector = append(a.requests, q), r.FormValue("labelSelector")
	refused, expires := a.refuses, a.expires && q.verb == "watch"
	a.expires = a.expires && !expires
	a.mu.Unlock()

	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	switch {
	case refused != nil:
		w.WriteHeader(int(refused.ErrStatus.Code))
		e.Encode(refused.ErrStatus)
	case expires:
		status := expired().ErrStatus
		status.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}
		e.Encode(map[string]any{"type": "ERROR", "object": status})
	case q.verb == "watch":
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	default:
		e.Encode(discoveryv1.EndpointSliceList{
			TypeMeta: metav1.TypeMeta{APIVersion: "discovery.k8s.io/v1", Kind: "EndpointSliceList"},
			ListMeta: metav1.ListMeta{ResourceVersion: "100"},
			Items:    []discoveryv1.EndpointSlice{*slice("a", pods("1")...)},
		})
	}
}

// all returns the different requests so far, and whether one of them was repeated.
func (a *apiServer) all() (_ []request, again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var different []request
	for _, q := range a.requests {
		if !slices.Contains(different, q) {
			different = append(different, q)
		} else {
			again = true
		}
	}
	return different, again
}

// requestsOf returns what a Source asks for, and how it asks anew when a watch has expired.
func requestsOf(t *testing.T, namespace string) []request {
	t.Helper()
	a := newAPIServer(t)
	a.expires = true
	watched, err := New(Config{Service: "web", Namespace: namespace, REST: &rest.Config{Host: a.URL}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for members, err := range watched.Members(ctx) {
		if err != nil || describeMembers(members) != one {
			t.Fatalf("%s, %v", describeMembers(members), err)
		}
		for all, again := a.all(); len(all) < 2 || !again; all, again = a.all() {
			if !source.Wait(ctx, settleTime/10) {
				t.Fatalf("requests: %v; none of them again", all)
			}
		}
		break
	}
	all, _ := a.all()
	a.mu.Lock() // a request that was given up may just be arriving
	defer a.mu.Unlock()
	if a.selector != "kubernetes.io/service-name=web" {
		t.Errorf("label selector %q", a.selector)
	}
	return all
}

func TestRequests(t *testing.T) {
	for _, namespace := range []string{"default", "fleet"} {
		want := []request{{"list", "discovery.k8s.io", namespace, "endpointslices"}, {"watch", "discovery.k8s.io", namespace, "endpointslices"}}
		if got := requestsOf(t, namespace); !slices.Equal(got, want) {
			t.Errorf("requests: %v; want %v", got, want)
		}
	}
}

func TestForbiddenOverHTTP(t *testing.T) {
	a := newAPIServer(t)
	forbidden := apierrors.NewForbidden(discoveryv1.Resource("endpointslices"), "", nil)
	a.refuses = forbidden
	f := follow(t, Config{REST: &rest.Config{Host: a.URL}})
	if err := f.wants("! it needs the verbs list and watch on the resource endpointslices"); !apierrors.IsForbidden(err) {
		t.Errorf("%v is not the API server's", err)
	}
	a.mu.Lock()
	a.refuses = nil
	a.mu.Unlock()
	f.wants(one)
}

// A connection that is refused, and a server that is not one of Kubernetes.
func TestServersThatAreNone(t *testing.T) {
	a := newAPIServer(t)
	a.Close()
	follow(t, Config{REST: &rest.Config{Host: a.URL}}).wants("! cannot be watched")

	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	follow(t, Config{REST: &rest.Config{Host: web.URL}}).wants("! cannot be watched")
}
