package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-0f2aaebe/fleetcache/example/webcache/internal/app"
	"github.com/seed-0f2aaebe/fleetcache/peers/discover"
	"github.com/seed-0f2aaebe/fleetcache/peers/kubernetes"
)

const (
	serviceFlag = "peers-kubernetes-service"
	configFlag  = "peers-kubernetes-config"
)

// pods finds instances that are pods behind a Service.
var pods = app.Finder{
	Flag:   serviceFlag,
	Wants:  "give the name of the Service whose pods are the instances",
	More:   []string{configFlag},
	Define: definePods,
}

func definePods(fs *flag.FlagSet) app.NewSource {
	service := fs.String(serviceFlag, "", "`name` of the Kubernetes Service, in this pod's namespace, whose pods are the instances, each at the Service's target port; if that has several, add which: name:port")
	file := fs.String(configFlag, "", "kubeconfig `file` that says where the API server is, who asks, and the namespace (default: as this pod's ServiceAccount)")
	return func(in app.Instance) (discover.Source, error) {
		cfg, err := podsConfig(*service, in)
		if err != nil {
			return nil, err
		}
		if *file != "" {
			if err := readConfig(*file, &cfg); err != nil {
				return nil, fmt.Errorf("-%s: %w", configFlag, err)
			}
		}
		source, err := kubernetes.New(cfg)
		if err != nil {
			return nil, errors.New(podsFlags.Replace(err.Error()))
		}
		return source, nil
	}
}

// podsFlags makes the flags' names of the fields that they become.
var podsFlags = strings.NewReplacer(
	"kubernetes: Config.Service", "-"+serviceFlag+": the Service", "kubernetes: Config.Port", "-"+serviceFlag+": the port", "kubernetes: Config.Namespace", "-"+configFlag+": the namespace",
	"kubernetes: Config.REST is nil, and so is Client, and", "-"+serviceFlag+":", "set one of them", "give -"+configFlag, "set it", "give -"+configFlag,
	"kubernetes: Config.REST", "-"+configFlag, "kubernetes: Config.", "-self: ")

// podsConfig returns how the pods are found. All that an EndpointSlice does not say of an instance is as in -self, so that this one recognises
// itself.
func podsConfig(service string, in app.Instance) (kubernetes.Config, error) {
	cfg := kubernetes.Config{Scheme: in.Self.Scheme, Path: in.Self.Path}
	cfg.Service, cfg.Port, _ = strings.Cut(service, ":")
	host := in.Self.Hostname()
	addr, err := netip.ParseAddr(host)
	switch _, domain, ok := strings.Cut(host, "."+cfg.Service+"."); {
	case err == nil && addr.Is6():
		cfg.Family = discoveryv1.AddressTypeIPv6
	case err == nil:
		cfg.Family = discoveryv1.AddressTypeIPv4
	case !ok:
		return cfg, fmt.Errorf("-self: %q has a host that no EndpointSlice has: with -%s, give the pod's IP address, or the name that a StatefulSet gives it, such as http://webcache-0.%s.default.svc.cluster.local:8080",
			in.Self, serviceFlag, cfg.Service)
	default:
		cfg.Hostnames = true
		_, cfg.ClusterDomain, _ = strings.Cut(domain, ".svc.")
	}
	return cfg, nil
}

// readConfig sets what a kubeconfig file says.
func readConfig(file string, cfg *kubernetes.Config) error {
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(&clientcmd.ClientConfigLoadingRules{ExplicitPath: file}, nil)
	var err error
	if cfg.REST, err = config.ClientConfig(); err != nil {
		return err
	}
	cfg.REST.Timeout = 0
	cfg.Namespace, _, err = config.Namespace()
	return err
}
