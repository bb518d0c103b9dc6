package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	client "k8s.io/client-go/kubernetes/typed/discovery/v1"
	"k8s.io/client-go/rest"
)

// Config describes a Source. Service is required. Every zero field has the default that stands beside it.
type Config struct {
	// Service is the name of the Service whose pods are the fleet. Required. It should be headless, so that nobody is
	// sent to an instance at random by its name.
	Service string

	// Namespace is the Service's. "": that of this process's pod.
	Namespace string

	// Scheme of the members' URLs: http or https. "": http.
	Scheme string

	// Port of the members' URLs: a number, which is taken as it is, or the name of one of the Service's ports, which stands for
	// the number of the port of the pods behind it. "": the Service's only port for TCP.
	Port string

	// Path of the members' URLs. "": peers.DefaultPath.
	Path string

	// Family is that of the addresses which the members' URLs have: discoveryv1.AddressTypeIPv4 or
	// discoveryv1.AddressTypeIPv6. A Service of both families lists each pod under two addresses, and the fleet must
	// know it by one. "": IPv4; with Hostnames, both.
	Family discoveryv1.AddressType

	// Hostnames puts the pods' stable names in the URLs, not their addresses. For the pods of a
	// StatefulSet whose serviceName is the Service: an instance that is replaced keeps its name, and so its keys.
	Hostnames bool

	// ClusterDomain ends the names. "": cluster.local.
	ClusterDomain string

	// Client is asked for the EndpointSlices: DiscoveryV1() of a kubernetes.Interface, for example.
	// nil: one that is made of REST.
	Client client.EndpointSlicesGetter

	// REST says where the API server is, and who asks. It must not have a Timeout, which would cut watches. nil: the API server of the cluster that this
	// process runs in, as the ServiceAccount of its pod.
	REST *rest.Config
}

// namespaceFile is where a pod finds its namespace.
var namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// withDefaults returns c with every zero field set to its default, but for Port and Path, or an error that names every field
// that is wrong. c is a copy: the caller's is not changed.
func (c Config) withDefaults() (Config, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("kubernetes: Config."+format, args...))
	}
	if c.Namespace == "" {
		read, err := os.ReadFile(namespaceFile)
		if err != nil {
			bad("Namespace is empty, and this is no pod with a ServiceAccount's token: set it (%w)", err)
		}
		c.Namespace = strings.TrimSpace(string(read))
	}
	switch {
	case c.Service == "":
		bad("Service is empty: give the name of the Service whose pods are the fleet")
	case validation.IsDNS1123Label(c.Service) != nil:
		bad("Service is %q: use the name of a Service", c.Service)
	}
	if c.Namespace != "" && validation.IsDNS1123Label(c.Namespace) != nil {
		bad("Namespace is %q: use the name of a namespace", c.Namespace)
	}
	c.checkURL(bad)
	if c.Family == "" && !c.Hostnames {
		c.Family = discoveryv1.AddressTypeIPv4
	}
	c.checkClient(bad)
	return c, errors.Join(errs...)
}

func (c *Config) checkURL(bad func(format string, args ...any)) {
	if c.Scheme = cmp.Or(c.Scheme, "http"); c.Scheme != "http" && c.Scheme != "https" {
		bad("Scheme is %q: use http or https", c.Scheme)
	}
	if n, err := strconv.Atoi(c.Port); err == nil {
		if n < 1 || n > 65535 || strconv.Itoa(n) != c.Port {
			bad("Port is %s: use 1 to 65535, or the name of a port", c.Port)
		}
	} else if c.Port != "" && validation.IsDNS1123Label(c.Port) != nil {
		bad("Port is %q: use a number, or the name of one of the Service's ports", c.Port)
	}
	if u, err := url.Parse("http://host" + c.Path); c.Path != "" && (c.Path[0] != '/' || err != nil || u.RawQuery != "" || strings.ContainsAny(c.Path, "?#")) {
		bad("Path is %q: use a path such as /_fleetcache/", c.Path)
	}
	switch c.Family {
	case "", discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
	default:
		bad("Family is %q: use IPv4 or IPv6", c.Family)
	}
	switch {
	case c.ClusterDomain != "" && !c.Hostnames:
		bad("ClusterDomain is set, and Hostnames is not: set Hostnames as well")
	case c.ClusterDomain != "" && validation.IsDNS1123Subdomain(c.ClusterDomain) != nil:
		bad("ClusterDomain is %q: use a domain such as cluster.local", c.ClusterDomain)
	}
	c.ClusterDomain = cmp.Or(c.ClusterDomain, "cluster.local")
}

// checkClient sets Client, if it can be had.
func (c *Config) checkClient(bad func(format string, args ...any)) {
	if c.Client != nil {
		if c.REST != nil {
			bad("REST is set together with Client: leave one of them out")
		}
		return
	}
	if c.REST == nil {
		in, err := rest.InClusterConfig()
		if err != nil {
			bad("REST is nil, and so is Client, and this is no pod with a ServiceAccount's token: set one of them (%w)", err)
			return
		}
		c.REST = in
	}
	if c.REST.Timeout != 0 {
		bad("REST.Timeout is %v, and would cut watches: leave it out; lists are bounded all the same", c.REST.Timeout)
		return
	}
	made, err := client.NewForConfig(c.REST)
	if err != nil {
		bad("REST: %w", err)
		return
	}
	c.Client = made
}
