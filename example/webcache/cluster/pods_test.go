package main

import (
	"net/url"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/seed-0f2aaebe/fleetcache/example/webcache/internal/app"
	"github.com/seed-0f2aaebe/fleetcache/peers/kubernetes"
)

// What EndpointSlices do not say of an instance is as in -self.
func TestPodsOfFlags(t *testing.T) {
	for _, tt := range []struct {
		service, self string
		want          kubernetes.Config
	}{
		{"web", "http://10.0.0.1:8080", kubernetes.Config{Service: "web", Scheme: "http", Family: discoveryv1.AddressTypeIPv4}},
		{"web:http", "https://[fd00::1]/x", kubernetes.Config{Service: "web", Port: "http", Scheme: "https", Path: "/x", Family: discoveryv1.AddressTypeIPv6}},
		{"web", "http://a-0.web.ns.svc.cluster.local:1", kubernetes.Config{Service: "web", Scheme: "http", Hostnames: true, ClusterDomain: "cluster.local"}},
		{"web", "http://a-0.web.ns.svc.example.org:1", kubernetes.Config{Service: "web", Scheme: "http", Hostnames: true, ClusterDomain: "example.org"}},
	} {
		self, err := url.Parse(tt.self)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := podsConfig(tt.service, app.Instance{Self: self}); err != nil || got != tt.want {
			t.Errorf("%s, %s: %+v, %v; want %+v", tt.service, tt.self, got, err, tt.want)
		}
	}
}
