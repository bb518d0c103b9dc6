package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// startTime is how long a server may take to start, on a machine that has other things to do.
const startTime = 2 * time.Minute

// A cluster is an etcd and an API server, and nothing that acts by itself.
type cluster struct {
	t      *testing.T // that is running
	owner  *testing.T // with which the cluster ends
	dir    string     // of the servers
	keys   *keys
	logs   string
	etcd   string // URL
	port   string // of the API server
	api    *exec.Cmd
	admin  *rest.Config
	client *http.Client // admin's
}

// newCluster starts a cluster that ends with the test. Without the servers the test is skipped, and fails in CI.
func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir, servers, err := Servers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if missing := Missing(dir, servers); len(missing) > 0 {
		skip := t.Skipf
		if os.Getenv("CI") != "" {
			skip = t.Fatalf
		}
		skip("%s is not in %s: build the servers once, for about 10 minutes, in the repository's root:\n\t%s", missing[0].Name, dir, BuildCommand)
	}
	c := &cluster{t: t, owner: t, dir: dir, keys: newKeys(t), logs: t.TempDir(), port: freePort(t)}
	t.Cleanup(c.showLogs)
	c.startEtcd()
	c.startAPI()
	return c
}

func (c *cluster) startEtcd() {
	peer := "http://127.0.0.1:" + freePort(c.t)
	c.etcd = "http://127.0.0.1:" + freePort(c.t)
	c.start("etcd", "--name=e2e", "--data-dir="+c.t.TempDir(), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+c.etcd, "--advertise-client-urls="+c.etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=e2e="+peer)
	c.wait("etcd", http.DefaultClient, c.etcd+"/health")
}

// startAPI starts the API server, or starts it anew.
func (c *cluster) startAPI() {
	url := "https://127.0.0.1:" + c.port
	c.api = c.start("kube-apiserver", "--etcd-servers="+c.etcd, "--etcd-compaction-interval=0",
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+c.port, "--endpoint-reconciler-type=none",
		"--tls-cert-file="+c.keys.file("server.crt"), "--tls-private-key-file="+c.keys.file("server.key"),
		"--client-ca-file="+c.keys.file("ca.crt"), "--anonymous-auth=false", "--authorization-mode=RBAC",
		"--service-account-issuer="+url, "--service-account-key-file="+c.keys.file("tokens.key"), "--service-account-signing-key-file="+c.keys.file("tokens.key"),
		"--service-cluster-ip-range=10.0.0.0/24")
	if c.admin == nil {
		c.admin = &rest.Config{Host: url, TLSClientConfig: rest.TLSClientConfig{CAData: c.keys.ca, CertData: c.keys.adminCert, KeyData: c.keys.adminKey}}
		client, err := rest.HTTPClientFor(c.admin)
		if err != nil {
			c.t.Fatal(err)
		}
		c.client = client
	}
	c.wait("kube-apiserver", c.client, url+"/readyz")
}

// killAPI ends the API server without a warning.
func (c *cluster) killAPI() {
	c.api.Process.Kill()
	c.api.Wait()
}

func (c *cluster) start(name string, args ...string) *exec.Cmd {
	c.t.Helper()
	log, err := os.OpenFile(filepath.Join(c.logs, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(c.dir, name), args...)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = log, log, endsWithUs()
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.owner.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}

func (c *cluster) wait(name string, client *http.Client, url string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), startTime)
	defer cancel()
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		status, _, err := send(ctx, client, http.MethodGet, url, "", nil)
		if err == nil && status == http.StatusOK {
			c.t.Logf("%s is ready after %v", name, time.Since(start).Round(time.Millisecond))
			return
		}
		if ctx.Err() != nil {
			c.t.Fatalf("%s is not ready after %v: %d, %v", name, startTime, status, err)
		}
	}
}

// post creates what the YAML or JSON says. The API server refuses fields that it does not know.
func (c *cluster) post(path string, body []byte) []byte {
	c.t.Helper()
	status, answer, err := send(c.t.Context(), c.client, http.MethodPost, c.admin.Host+path+"?fieldValidation=Strict", "application/yaml", body)
	if err != nil || status != http.StatusCreated {
		c.t.Fatalf("POST %s: %d, %v\n%s", path, status, err, answer)
	}
	return answer
}

// namespace creates a namespace and what the manifests say, or what they say of those kinds if there are any. It returns the credentials of
// the ServiceAccount webcache, which may do what it may.
func (c *cluster) namespace(name string, kinds ...string) *rest.Config {
	c.t.Helper()
	c.post("/api/v1/namespaces", fmt.Appendf(nil, `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": %q}}`, name))
	c.apply(name, kinds...)
	var request struct{ Status struct{ Token string } }
	answer := c.post("/api/v1/namespaces/"+name+"/serviceaccounts/webcache/token", []byte(`{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}`))
	if err := json.Unmarshal(answer, &request); err != nil || request.Status.Token == "" {
		c.t.Fatalf("no token: %v\n%s", err, answer)
	}
	cfg := &rest.Config{Host: c.admin.Host, BearerToken: request.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: c.keys.ca}}
	if len(kinds) == 0 || slices.Contains(kinds, "RoleBinding") { // of which the API server hears in its own time
		client, err := rest.HTTPClientFor(cfg)
		if err != nil {
			c.t.Fatal(err)
		}
		defer client.CloseIdleConnections()
		c.wait("the ServiceAccount of "+name, client, cfg.Host+"/apis/discovery.k8s.io/v1/namespaces/"+name+"/endpointslices")
	}
	return cfg
}

// compact makes etcd forget all that was.
func (c *cluster) compact() {
	c.t.Helper()
	etcd := func(method, body string) []byte {
		status, answer, err := send(c.t.Context(), http.DefaultClient, http.MethodPost, c.etcd+"/v3/kv/"+method, "application/json", []byte(body))
		if err != nil || status != http.StatusOK {
			c.t.Fatalf("etcd: %s: %d, %v\n%s", method, status, err, answer)
		}
		return answer
	}
	var now struct{ Header struct{ Revision string } }
	if err := json.Unmarshal(etcd("range", `{"key": "AA=="}`), &now); err != nil {
		c.t.Fatal(err)
	}
	etcd("compaction", fmt.Sprintf(`{"revision": %q, "physical": true}`, now.Header.Revision))
}

func send(ctx context.Context, client *http.Client, method, url, contentType string, body []byte) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// showLogs shows the ends of the servers' logs if the test has failed.
func (c *cluster) showLogs() {
	if !c.t.Failed() {
		return
	}
	for _, name := range []string{"etcd", "kube-apiserver"} {
		log, _ := os.ReadFile(filepath.Join(c.logs, name))
		lines := strings.SplitAfter(string(log), "\n")
		c.t.Logf("%s:\n%s", name, strings.Join(lines[max(0, len(lines)-40):], ""))
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
