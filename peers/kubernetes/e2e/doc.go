// Package e2e tests package kubernetes against a real API server: the released kube-apiserver and etcd, built from their modules.
//
//	GOWORK=off go run -C peers/kubernetes/e2e ./build      # once per machine and version: about 10 CPU-minutes
//	GOWORK=off go test -C peers/kubernetes/e2e
//
// There are no nodes and no controllers: the tests write the EndpointSlices that Kubernetes would.
//
// It is a module of its own, and not one of the workspace: what Kubernetes requires would decide the versions of
// everything else.
package e2e
