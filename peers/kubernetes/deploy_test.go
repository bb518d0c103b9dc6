package kubernetes

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

const deploy = "../../example/webcache/deploy"

// manifests is what is in the folder deploy.
type manifests struct {
	account     corev1.ServiceAccount
	role        rbacv1.Role
	binding     rbacv1.RoleBinding
	services    map[string]*corev1.Service
	deployment  appsv1.Deployment
	disruptions policyv1.PodDisruptionBudget
}

// readManifests fails if a field of a manifest is unknown or there twice.
func readManifests(t *testing.T) *manifests {
	t.Helper()
	m := &manifests{services: make(map[string]*corev1.Service)}
	kinds := map[string]any{
		"v1 ServiceAccount":                        &m.account,
		"rbac.authorization.k8s.io/v1 Role":        &m.role,
		"rbac.authorization.k8s.io/v1 RoleBinding": &m.binding,
		"apps/v1 Deployment":                       &m.deployment,
		"policy/v1 PodDisruptionBudget":            &m.disruptions,
	}
	files, err := filepath.Glob(deploy + "/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	for _, file := range files {
		for _, doc := range documents(t, file) {
			var is metav1.TypeMeta
			if err := strict.Unmarshal(doc, &is); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			kind := is.APIVersion + " " + is.Kind
			into := kinds[kind]
			if kind == "v1 Service" {
				into = new(corev1.Service)
			} else {
				delete(kinds, kind)
			}
			if into == nil {
				t.Fatalf("%s: a %s, which is not expected here, or not again", file, kind)
			}
			if err := strict.UnmarshalStrict(doc, into); err != nil {
				t.Fatalf("%s: %s: %v", file, kind, err)
			}
			if s, ok := into.(*corev1.Service); ok {
				m.services[s.Name] = s
			}
		}
	}
	if len(kinds) > 0 {
		t.Fatalf("missing: %v", slices.Sorted(maps.Keys(kinds)))
	}
	return m
}

func documents(t *testing.T, file string) (all [][]byte) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for r := yaml.NewYAMLReader(bufio.NewReader(f)); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, doc)
	}
}

// The Role allows what a Source asks for, and nothing else.
func TestRoleIsWhatASourceNeeds(t *testing.T) {
	m := readManifests(t)
	allowed := make(map[request]bool)
	for _, rule := range m.role.Rules {
		if len(rule.ResourceNames)+len(rule.NonResourceURLs) > 0 {
			t.Errorf("a rule with names or URLs: %v", rule)
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					allowed[request{verb, group, "default", resource}] = true
				}
			}
		}
	}
	needed := make(map[request]bool)
	for _, q := range requestsOf(t, "default") {
		needed[q] = true
	}
	if !maps.Equal(allowed, needed) {
		t.Errorf("the Role allows %v; a Source asks for %v", allowed, needed)
	}
	ref, subjects := m.binding.RoleRef, m.binding.Subjects
	if ref.APIGroup != rbacv1.GroupName || ref.Kind != "Role" || ref.Name != m.role.Name {
		t.Errorf("the RoleBinding is of %v", ref)
	}
	if len(subjects) != 1 || subjects[0].Kind != "ServiceAccount" || subjects[0].Name != m.account.Name {
		t.Errorf("the RoleBinding is for %v", subjects)
	}
	if name := m.deployment.Spec.Template.Spec.ServiceAccountName; name != m.account.Name {
		t.Errorf("the pods run as %q", name)
	}
}

func TestManifestsFitTogether(t *testing.T) {
	m := readManifests(t)
	template := &m.deployment.Spec.Template
	container := &template.Spec.Containers[0]
	ports := make(map[string]int32)
	for _, p := range container.Ports {
		ports[p.Name] = p.ContainerPort
	}
	selectors := map[string]map[string]string{
		"Deployment":          m.deployment.Spec.Selector.MatchLabels,
		"PodDisruptionBudget": m.disruptions.Spec.Selector.MatchLabels,
	}
	for name, s := range m.services {
		selectors["Service "+name] = s.Spec.Selector
		for _, p := range s.Spec.Ports {
			if p.TargetPort.Type != intstr.String || ports[p.TargetPort.StrVal] == 0 {
				t.Errorf("Service %s: port %s is for %v of the pods, which have %v", name, p.Name, &p.TargetPort, ports)
			}
		}
	}
	for what, selector := range selectors {
		if !maps.Equal(selector, template.Labels) {
			t.Errorf("%s selects %v, the pods have %v", what, selector, template.Labels)
		}
	}
	fleet := m.services["webcache-fleet"]
	if fleet == nil || fleet.Spec.ClusterIP != corev1.ClusterIPNone || fleet.Spec.PublishNotReadyAddresses || len(m.services) != 2 {
		t.Fatalf("Services: %v", m.services)
	}
	if by := flagsOf(*container)["peers-kubernetes-service"]; by != fleet.Name || len(fleet.Spec.Ports) != 1 {
		t.Errorf("the instances are those of the Service %q, which has the ports %v", by, fleet.Spec.Ports)
	}
	for name, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil || ports[probe.HTTPGet.Port.StrVal] != 9090 {
			t.Errorf("%s probe: %v", name, probe)
		}
	}
	if e := container.Env[0]; e.Name != "POD_IP" || e.ValueFrom.FieldRef.FieldPath != "status.podIP" {
		t.Errorf("environment: %v", container.Env)
	}
	volume, mount := template.Spec.Volumes[0], container.VolumeMounts[0]
	if volume.Secret == nil || volume.Name != mount.Name || *volume.Secret.DefaultMode != 0o440 || template.Spec.SecurityContext.FSGroup == nil {
		t.Errorf("the secret is the volume %v, mounted as %v", volume, mount)
	}
}

// An instance that terminates has 20 s to hand over what it holds: nothing ends it before, and it stays ready.
func TestManifestsLeaveTimeToDrain(t *testing.T) {
	const drain = 20 * time.Second
	spec := readManifests(t).deployment.Spec.Template.Spec
	container := spec.Containers[0]
	shutdown, err := time.ParseDuration(flagsOf(container)["shutdown-timeout"])
	if err != nil {
		t.Fatal(err)
	}
	before := time.Duration(container.Lifecycle.PreStop.Sleep.Seconds) * time.Second
	grace := time.Duration(*spec.TerminationGracePeriodSeconds) * time.Second
	probes := time.Duration(container.ReadinessProbe.FailureThreshold-1) * time.Duration(container.ReadinessProbe.PeriodSeconds) * time.Second
	if shutdown < drain+5*time.Second || grace < before+shutdown+5*time.Second || probes < drain+5*time.Second {
		t.Errorf("preStop %v, -shutdown-timeout %v, terminationGracePeriodSeconds %v, unready after %v", before, shutdown, grace, probes)
	}
}

func flagsOf(c corev1.Container) map[string]string {
	flags := make(map[string]string)
	for _, arg := range c.Args {
		name, value, _ := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		flags[name] = value
	}
	return flags
}

// The program has the flags that the Deployment gives it.
func TestManifestsFlagsExist(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "run", ".", "-h")
	cmd.Dir = "../../example/webcache/cluster" // a module of its own
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	for name := range flagsOf(readManifests(t).deployment.Spec.Template.Spec.Containers[0]) {
		if !strings.Contains(string(out), "\n  -"+name+" ") {
			t.Errorf("there is no flag -%s", name)
		}
	}
}
