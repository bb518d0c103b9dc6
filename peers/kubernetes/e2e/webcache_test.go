package e2e

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/seed-0f2aaebe/fleetcache/internal/processtest"
)

// The example service, as the manifests run it but for the pods: three processes that find each other by the EndpointSlices, as the
// ServiceAccount. Each is at an address of this machine, with a port of its own, and so in a slice of its own. One is run with a kubeconfig, the others
// find what pods find, where that can be arranged.
func testWebcache(t *testing.T, c *cluster) {
	host := addressOfMachine(t)
	program := buildWebcache(t)
	credentials := c.namespace("webcache")
	config := kubeconfig(t, credentials, "webcache")
	pod := podProgram(t, program, credentials, "webcache")
	slices := c.slices("webcache")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	const count = 60
	objects := processtest.ServeObjects(t, count)
	var fleet []*processtest.Webcache
	is := func(i int, state string) { slices.setAt(fmt.Sprint("slice-", i), fleet[i].URL, state) }
	for i := range 3 { // as pods start: one after the other, each not ready at first
		w := processtest.NewWebcache(t, host)
		fleet = append(fleet, w)
		is(i, "!")
		args := []string{"-origin", objects.URL, "-secret-file", secret, "-peers-kubernetes-service", "webcache-fleet"}
		if pod == "" || i == 0 {
			w.Start(t, program, append(args, "-peers-kubernetes-config", config)...)
		} else {
			w.Start(t, pod, args...)
		}
		w.AwaitMembers(t, fleet[:i]...)
		is(i, "")
	}
	for _, w := range fleet {
		w.AwaitMembers(t, processtest.Others(fleet, w)...)
	}
	get := func(all ...*processtest.Webcache) {
		t.Helper()
		if n := objects.Get(t, all...); n != count {
			t.Errorf("%d loads of %d objects", n, count)
		}
	}
	get(fleet...)

	// As a pod is deleted: it terminates while it serves, gets SIGTERM, and is in no slice any more.
	leaver, stay := fleet[2], fleet[:2]
	is(2, "-")
	for _, w := range stay {
		w.AwaitMembers(t, processtest.Others(stay, w)...)
	}
	get(fleet...)
	leaver.Cmd.Process.Signal(syscall.SIGTERM)
	if err := leaver.Cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, leaver.Stderr)
	}
	slices.remove("slice-2")
	get(stay...)

	// As a node is lost: its pod is not ready any more.
	stay[1].Cmd.Process.Kill()
	is(1, "!")
	stay[0].AwaitMembers(t)
}

// buildWebcache builds the program that the image of the manifests has.
func buildWebcache(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "webcache")
	cmd := GoCommand(t.Context(), "build", "-o", program, ".")
	cmd.Dir = "../../../example/webcache/cluster"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	return program
}

// podProgram returns a script that runs a program with what a pod of the ServiceAccount has; "" if that takes what this process may not do.
func podProgram(t *testing.T, program string, cfg *rest.Config, namespace string) string {
	t.Helper()
	const mount = "mount -t tmpfs tmpfs /var/run"
	if out, err := exec.CommandContext(t.Context(), "unshare", "-m", "--", "sh", "-c", mount).CombinedOutput(); err != nil {
		t.Logf("no process is run as in a pod, for want of a mount of its own: %v: %s", err, out)
		return ""
	}
	dir := t.TempDir()
	api, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf(`#!/bin/sh
export KUBERNETES_SERVICE_HOST=%s KUBERNETES_SERVICE_PORT=%s
exec unshare -m -- sh -e -c '
%s
mkdir -p /var/run/secrets/kubernetes.io/serviceaccount
cp %s/token %s/ca.crt %s/namespace /var/run/secrets/kubernetes.io/serviceaccount
exec "$0" "$@"' %s "$@"
`, api.Hostname(), api.Port(), mount, dir, dir, dir, program)
	for name, text := range map[string]string{"token": cfg.BearerToken, "ca.crt": string(cfg.CAData), "namespace": namespace, "pod": script} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "pod")
}

// addressOfMachine returns one that an EndpointSlice may have: an API server refuses those of loopback.
func addressOfMachine(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr().String()
		}
	}
	t.Skip("this machine has no IPv4 address but those of loopback, which an EndpointSlice must not have")
	return ""
}

// kubeconfig writes credentials to a file.
func kubeconfig(t *testing.T, cfg *rest.Config, namespace string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: e2e
clusters: [{name: e2e, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: webcache, user: {token: %s}}]
contexts: [{name: e2e, context: {cluster: e2e, user: webcache, namespace: %s}}]
`, cfg.Host, base64.StdEncoding.EncodeToString(cfg.CAData), cfg.BearerToken, namespace)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
