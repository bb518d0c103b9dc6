// Cluster is webcache, the example service, with two more ways for its instances to find each other: by gossip, and in Kubernetes. It is a module
// of its own, so that webcache goes without the modules that these need.
//
//	webcache -listen :8080 -origin http://10.0.0.9 -self http://10.0.0.1:8080 -secret-file secret \
//		-peers-memberlist-seeds cache.internal -peers-memberlist-key-file key
//
// In a pod, by a Service whose pods are the instances, as in the folder deploy:
//
//	webcache -listen :8080 -origin http://10.0.0.9 -self http://$(POD_IP):8080 -secret-file secret \
//		-peers-kubernetes-service webcache-fleet
package main

import (
	"os"

	"github.com/seed-0f2aaebe/fleetcache/example/webcache/internal/app"
)

func main() {
	os.Exit(app.Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, gossip, pods))
}
