// Package kubernetes finds the fleet among the pods behind a Service. A Source watches the Service's EndpointSlices, which
// Kubernetes keeps up to date by the pods' readiness, and yields the list of members whenever it changes:
//
//	source, err := kubernetes.New(kubernetes.Config{Service: "users", Port: "8080"})
//	...
//	for members, err := range source.Members(ctx) { ... }
//
// It is a module of its own, so that client-go is no dependency of those who do without.
//
// # Who is a member
//
// A pod that is ready is a member. One that terminates is a member that is Leaving for as long as it is still serving: it owns
// no keys, and may be asked for what it holds. Others are none. So a program should fail its readiness probe when it
// cannot answer, not because something that it needs is down: a fleet that is not ready as a whole is no fleet.
//
// # Self
//
// The pods' URLs are made of the Config's Scheme, the address, Port and Path, and an instance must give its Pool the same one.
// Its address comes by the downward API:
//
//	env:
//	- name: POD_IP
//	  valueFrom: {fieldRef: {fieldPath: status.podIP}}
//
//	peers.Config{Self: "http://" + net.JoinHostPort(os.Getenv("POD_IP"), "8080"), ...}
//
// On a cluster of both families status.podIP is one of the cluster's first family, which Config.Family must be. With Hostnames, Self
// is the pod's name: http://users-0.users.default.svc.cluster.local:8080.
//
// # What it may do
//
// The pods' ServiceAccount needs the verbs list and watch on endpointslices, in the API group discovery.k8s.io, in the
// Service's namespace; example/webcache/deploy has the Role. Whoever may write EndpointSlices there can list an
// instance of his own, and is kept out by the fleet's credential.
//
// # Caveats
//
//   - A Service with publishNotReadyAddresses says of all its pods that they are ready. It is of use with Hostnames, since the
//     names of pods that terminate resolve only then; those that are starting are members that are down.
//   - Another instance learns of a change when its API server does, by a watch: fractions of a second in general.
package kubernetes
