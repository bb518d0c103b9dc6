package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// paths are those of the kinds in the manifests, behind the namespace.
var paths = map[string][2]string{
	"ServiceAccount":      {"/api/v1", "serviceaccounts"},
	"Service":             {"/api/v1", "services"},
	"Role":                {"/apis/rbac.authorization.k8s.io/v1", "roles"},
	"RoleBinding":         {"/apis/rbac.authorization.k8s.io/v1", "rolebindings"},
	"Deployment":          {"/apis/apps/v1", "deployments"},
	"PodDisruptionBudget": {"/apis/policy/v1", "poddisruptionbudgets"},
}

var kindLine = regexp.MustCompile(`(?m)^kind: (\w+)$`)

// apply creates what the manifests of the example say, or, if there are kinds, what they say of those.
func (c *cluster) apply(namespace string, kinds ...string) {
	c.t.Helper()
	files, err := filepath.Glob("../../../example/webcache/deploy/*.yaml")
	if err != nil || len(files) == 0 {
		c.t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			c.t.Fatal(err)
		}
		for doc := range bytes.SplitSeq(content, []byte("\n---\n")) {
			kind := kindLine.FindSubmatch(doc)
			if kind == nil || paths[string(kind[1])][0] == "" {
				c.t.Fatalf("%s: a kind that is not known here:\n%s", file, doc)
			}
			if len(kinds) == 0 || slices.Contains(kinds, string(kind[1])) {
				p := paths[string(kind[1])]
				c.post(p[0]+"/namespaces/"+namespace+"/"+p[1], doc)
			}
		}
	}
}
