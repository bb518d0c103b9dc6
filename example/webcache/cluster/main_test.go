package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-0f2aaebe/fleetcache/example/webcache/internal/app"
)

// TestMain runs the tests; or, in a process that a test starts, the program.
func TestMain(m *testing.M) {
	if os.Getenv("WEBCACHE_TEST_MAIN") == "1" {
		main()
	}
	os.Setenv("WEBCACHE_TEST_MAIN", "1")
	goleak.VerifyTestMain(m)
}

func TestBadFlags(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	secret, key := file("secret", "0123456789abcdef"), file("key", strings.Repeat("0a", 32))
	notKey, noKey := file("short", "\n"+strings.Repeat("0a", 32)+"\nsesame\n"), file("empty", "")
	fleet := "-origin http://127.0.0.1:1 -listen 127.0.0.1:0 -self http://127.0.0.1:1 -secret-file " + secret + " "
	seeds := fleet + "-peers-memberlist-seeds 127.0.0.1:1 "
	for _, tt := range []struct{ args, want string }{
		{"-origin http://127.0.0.1:1 -self http://a", "-self is given without -peers, -peers-file, -peers-dns, -peers-memberlist-seeds or -peers-kubernetes-service: say how"},
		{"-origin http://127.0.0.1:1 -peers-memberlist-bind 127.0.0.1", "-peers-memberlist-bind is given without -peers, "},
		{fleet + "-peers http://a -peers-memberlist-key-file " + key, "-peers-memberlist-key-file is for -peers-memberlist-seeds: leave it out"},
		{fleet + "-peers http://a -peers-interval 1s", "-peers-interval is for -peers-file, -peers-dns and -peers-memberlist-seeds: leave it out"},
		{fleet + "-peers-kubernetes-service a -peers-interval 1s", "-peers-interval is for -peers-file, -peers-dns and -peers-memberlist-seeds: leave it out"},
		{fleet + "-peers-memberlist-seeds ,", "-peers-memberlist-seeds is empty: name some instances"},
		{seeds + "-peers-dns x", "-peers-memberlist-seeds is given together with -peers-dns: leave one of them out"},
		{seeds + "-peers-kubernetes-service x", "-peers-kubernetes-service is given together with -peers-memberlist-seeds: leave one of them out"},
		{seeds, "-peers-memberlist-key-file is missing: with -peers-memberlist-seeds, give a file with a key"},
		{seeds + "-peers-memberlist-key-file " + dir + "/none", "-peers-memberlist-key-file: open " + dir + "/none: no such file"},
		{seeds + "-peers-memberlist-key-file " + notKey, "-peers-memberlist-key-file: " + notKey + ": line 2 is no key of 64 hexadecimal digits: use such as from: openssl"},
		{seeds + "-peers-memberlist-key-file " + noKey, "-peers-memberlist-key-file: " + noKey + ": line 1 is no key"},
		{seeds + "-peers-memberlist-key-file " + key + " -peers-memberlist-bind here", `-peers-memberlist-bind: "here" has no IP address: use one such as 10.0.0.1`},
		{"-origin http://127.0.0.1:1 -self http://a -insecure -peers-memberlist-seeds a -peers-memberlist-bind :: ", "-self has a name for a host, and -peers-memberlist-bind is ::"},
		{"-origin http://127.0.0.1:1 -self http://a -insecure -peers-memberlist-seeds a -peers-memberlist-key-file " + key, "-insecure is given together with -peers-memberlist-key-file: leave one"},
		{seeds + "-peers-memberlist-seeds a/b -peers-memberlist-key-file " + key, `-peers-memberlist-seeds: "a/b" is no host and port`},
		{fleet + "-peers-kubernetes-service=", "-peers-kubernetes-service is empty: give the name of the Service"},
		{fleet + "-peers-kubernetes-service a", "-peers-kubernetes-service: this is no pod with a ServiceAccount's token: give -peers-kubernetes-config"},
		{fleet + "-peers-kubernetes-service A_ -peers-kubernetes-config " + file("config", kubeconfig), `-peers-kubernetes-service: the Service is "A_": use the name of a Service`},
		{fleet + "-peers-kubernetes-service a -peers-kubernetes-config " + dir + "/none", "-peers-kubernetes-config: stat " + dir + "/none: no such file"},
		{"-origin http://127.0.0.1:1 -self http://a -insecure -peers-kubernetes-service web", `-self: "http://a" has a host that no EndpointSlice has: with -peers-kubernetes-service, give the pod's IP address`},
	} {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := app.Run(strings.Fields(tt.args), nil, &stdout, &stderr, gossip, pods)
			if told := stderr.String(); code != 2 || stdout.Len() > 0 || strings.Count(told, "\n") != 1 || !strings.HasPrefix(told, "webcache: ") || !strings.Contains(told, tt.want) {
				t.Errorf("exit %d, stdout %q, stderr %q; want 2 and one line with %q", code, &stdout, &stderr, tt.want)
			}
			for _, not := range []string{"Config.", "sesame"} {
				if strings.Contains(stderr.String(), not) {
					t.Errorf("%q is told: %s", not, &stderr)
				}
			}
		})
	}
}

// kubeconfig is that of a cluster that is not there.
const kubeconfig = `{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
contexts: [{name: c, context: {cluster: c, namespace: fleet}}]}`
