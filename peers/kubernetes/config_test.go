package kubernetes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestNewNamesEveryBadField(t *testing.T) {
	bad := Config{
		Service: "Web,app", Namespace: "a/b", Scheme: "ftp", Port: "70000", Path: "x?y", Family: "FQDN", ClusterDomain: "local",
		REST: &rest.Config{Timeout: time.Second},
	}
	_, err := New(bad)
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Service", "Namespace", "Scheme", "Port", "Path", "Family", "ClusterDomain", "REST.Timeout"} {
		if !strings.Contains(err.Error(), "kubernetes: Config."+field+" ") {
			t.Errorf("%s is not named in: %v", field, err)
		}
	}
}

func TestConfig(t *testing.T) {
	api := newFakeAPI()
	for name, tt := range map[string]struct {
		cfg  Config
		want string // of the error; "": none
	}{
		"least":                   {Config{Service: "web", Namespace: "a", Client: api}, ""},
		"all":                     {Config{Service: "web", Namespace: "a", Scheme: "https", Port: "cache", Path: "/c/", Family: "IPv6", Hostnames: true, ClusterDomain: "k.example", Client: api}, ""},
		"a server":                {Config{Service: "web", Namespace: "a", REST: &rest.Config{Host: "https://127.0.0.1:1"}}, ""},
		"no service":              {Config{Namespace: "a", Client: api}, "Service is empty"},
		"two servers":             {Config{Service: "web", Namespace: "a", Client: api, REST: &rest.Config{}}, "REST is set together with Client"},
		"no server":               {Config{Service: "web", Namespace: "a"}, "REST is nil, and so is Client"},
		"a server that is none":   {Config{Service: "web", Namespace: "a", REST: &rest.Config{Host: "http://a b"}}, "REST: "},
		"no namespace":            {Config{Service: "web", Client: api}, "Namespace is empty"},
		"port 0":                  {Config{Service: "web", Namespace: "a", Port: "0", Client: api}, "Port is 0"},
		"port with a sign":        {Config{Service: "web", Namespace: "a", Port: "+80", Client: api}, "Port is +80"},
		"port that is no name":    {Config{Service: "web", Namespace: "a", Port: "a b", Client: api}, `Port is "a b"`},
		"path with a fragment":    {Config{Service: "web", Namespace: "a", Path: "/a#b", Client: api}, `Path is "/a#b"`},
		"domain of no names":      {Config{Service: "web", Namespace: "a", ClusterDomain: "a", Client: api}, "ClusterDomain is set, and Hostnames is not"},
		"domain that is none":     {Config{Service: "web", Namespace: "a", ClusterDomain: "a_b", Hostnames: true, Client: api}, `ClusterDomain is "a_b"`},
		"service of many letters": {Config{Service: strings.Repeat("a", 64), Namespace: "a", Client: api}, "Service is"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(tt.cfg)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), "kubernetes: Config."+tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestNamespaceOfThePod(t *testing.T) {
	defer func(was string) { namespaceFile = was }(namespaceFile)
	namespaceFile = filepath.Join(t.TempDir(), "namespace")
	if err := os.WriteFile(namespaceFile, []byte("fleet\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := New(Config{Service: "web", Client: newFakeAPI()})
	if err != nil {
		t.Fatal(err)
	}
	if source.cfg.Namespace != "fleet" {
		t.Errorf("namespace %q", source.cfg.Namespace)
	}
}
