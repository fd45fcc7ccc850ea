package chart

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

// everything switches on all that the chart can render.
var everything = []string{
	"--set", "metrics.authenticate=true,metrics.tlsSecret=metrics-tls,metrics.serviceMonitor.enabled=true",
	"--set", "metrics.serviceMonitor.interval=30s,metrics.serviceMonitor.labels.prometheus=main",
	"--set", "metrics.serviceMonitor.endpoint.tlsConfig.insecureSkipVerify=true",
	"--set", "metrics.prometheusRule.enabled=true,metrics.prometheusRule.labels.prometheus=main,metrics.dashboard.enabled=true",
	"--set", "flowSchema.enabled=true,fence.enabled=true,profiling=true,podAntiAffinity=required",
	"--set", "leaderElection.leaseDuration=20s,leaderElection.onLost=standby,leaderElection.lock=lease",
	"--set", "imagePullPolicy=Always,imagePullSecrets[0].name=pull,priorityClassName=system-cluster-critical,commonLabels.team=platform",
	"--set", "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
	"--set", "networkPolicy.egress[0].ports[0].port=443",
	"--set", "env[0].name=LANG,env[0].value=C,extraArgs[0]=--v=1,nodeSelector.disk=ssd",
	"--set", "volumes[0].name=tmp,volumes[0].emptyDir.medium=Memory,volumeMounts[0].name=tmp,volumeMounts[0].mountPath=/tmp",
	"--set", "podAnnotations.a=b,podLabels.c=d,serviceAccount.annotations.e=f,metrics.service.annotations.g=h",
	"--set", "tolerations[0].operator=Exists,podDisruptionBudget.maxUnavailable=50%",
}

func TestLint(t *testing.T) {
	forEachHelm(t, func(t *testing.T, version string) {
		for name, file := range examples(t) {
			out := helm(t, version, "lint", "--strict", chartDir, "--values", file)
			if strings.Contains(out, "[WARNING]") || strings.Contains(out, "[ERROR]") {
				t.Errorf("%s: %s", name, out)
			}
		}
	})
}

// Both versions make the same objects of the chart.
func TestVersionsAgree(t *testing.T) {
	for name, file := range examples(t) {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"--values", file}, everything...)
			wantSame(t, "what Helm 4 renders", byName(render(t, "helm4", "demo", args...)), byName(render(t, "helm3", "demo", args...)))
		})
	}
}

func byName(all manifests) map[string]any {
	objects := map[string]any{}
	for _, object := range all {
		objects[fmt.Sprintf("%s %s/%s", object.GetKind(), object.GetNamespace(), object.GetName())] = object.Object
	}
	return objects
}

// variants are the ways to render the chart that the checks of manifests go through.
func variants(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for name, file := range examples(t) {
		all[name] = []string{"--values", file}
		all[name+", everything"] = append([]string{"--values", file}, everything...)
	}
	all["without a lease"] = []string{
		"--values", examples(t)["one-namespace"], "--set", "leaderElection.enabled=false,replicas=1,metrics.enabled=false",
	}
	all["names of digits"] = []string{
		"--values", examples(t)["one-namespace"], "--set-string", "leaderElection.name=123,fullnameOverride=456,nameOverride=789",
		"--set", "serviceAccount.name=default",
	}
	all["composers"] = []string{"--values", examples(t)["one-namespace"], "--set", "rbac.composers=true"}
	all["lock of Kooper"] = []string{"--values", examples(t)["one-namespace"], "--set", "leaderElection.lock=configMap"}
	all["reload"] = append([]string{"--values", examples(t)["one-namespace"], "--set", "reload=true"}, everything...)
	all["reload of an existing ConfigMap"] = []string{"--set", "image=a,existingConfigMap=controllers,serviceAccount.create=false,reload=true"}
	all["existing ConfigMap"] = []string{"--set", "image=a,existingConfigMap=controllers,serviceAccount.create=false,rbac.create=false"}
	return all
}

// What is rendered is what the API server knows, by its schemas and by its own strict decoding.
func TestManifests(t *testing.T) {
	shared.Apply(t, readFile(t, "testdata/crds.yaml"))
	namespace := shared.Namespace(t)
	payments(t)
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "demo-kooperd"}} // Pods are refused without it.
	if _, err := shared.Client().CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	schemas := writeSchemas(t)
	for name, args := range variants(t) {
		t.Run(name, func(t *testing.T) {
			text := helm(t, "helm4", append([]string{"template", "demo", chartDir, "--namespace", namespace}, args...)...)
			kubeconform(t, schemas, text)
			for _, object := range parse(t, text) {
				dryRun(t, object)
			}
		})
	}
}

// A release may have a name of 53 characters with dots in it. Of the names made of it, those that
// have to be labels of DNS are, and "helm template --no-hooks" leaves the pod of the test out.
func TestNames(t *testing.T) {
	forEachHelm(t, func(t *testing.T, version string) {
		for _, name := range []string{"my.app", strings.Repeat("a", 43) + "-b.kooperd", strings.Repeat("a", 50) + "--b"} {
			args := []string{"template", name, chartDir, "--values", examples(t)["one-namespace"]}
			all := parse(t, helm(t, version, args...))
			for _, object := range slices.Concat(all.of("Service"), all.of("Pod"), all.of("Deployment")) {
				if problems := validation.IsDNS1035Label(object.GetName()); len(problems) > 0 {
					t.Errorf("release %s: the %s has the name %s: %v", name, object.GetKind(), object.GetName(), problems)
				}
			}
			for _, object := range parse(t, helm(t, version, append(args, "--no-hooks")...)) {
				if object.GetKind() == "Pod" {
					t.Errorf("release %s: --no-hooks leaves the pod %s", name, object.GetName())
				}
			}
		}
	})
}

// payments makes the namespace that the examples are about.
func payments(t *testing.T) {
	t.Helper()
	_, err := shared.Client().CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "payments"}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

func kubeconform(t *testing.T, schemas, text string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary("kubeconform"), "-strict", "-summary", "-output", "json",
		"-schema-location", filepath.Join(schemas, "{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json"))
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubeconform: %v\n%s", err, out)
	}
	var report struct {
		Summary struct{ Valid, Invalid, Errors, Skipped int }
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("reading the report of kubeconform: %v\n%s", err, out)
	}
	if want := len(parse(t, text)); report.Summary.Valid != want || report.Summary.Skipped != 0 {
		t.Errorf("kubeconform found %+v, want %d valid objects", report.Summary, want)
	}
}

// kubeconform has to find mistakes, or TestManifests would show nothing.
func TestKubeconformFindsMistakes(t *testing.T) {
	schemas := writeSchemas(t)
	good := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {b: c}\n"
	kubeconform(t, schemas, good)
	for _, bad := range []string{strings.Replace(good, "data", "dota", 1), strings.Replace(good, "b: c", "b: 1", 1)} {
		cmd := exec.CommandContext(t.Context(), binary("kubeconform"), "-strict",
			"-schema-location", filepath.Join(schemas, "{{.ResourceKind}}_{{.Group}}_{{.ResourceAPIVersion}}.json"))
		cmd.Stdin = strings.NewReader(bad)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("kubeconform takes this for good:\n%s%s", bad, out)
		}
	}
}

// dryRun has the API server decode, default, validate and admit an object, and store nothing.
func dryRun(t *testing.T, object *unstructured.Unstructured) {
	t.Helper()
	gvk := object.GroupVersionKind()
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(shared.Client().Discovery()))
	mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
	body, err := object.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	_, err = shared.Dynamic().Resource(mapping.Resource).Namespace(object.GetNamespace()).Patch(t.Context(), object.GetName(),
		types.ApplyPatchType, body, metav1.PatchOptions{
			DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict, FieldManager: "chart-test", Force: new(true),
		})
	if err != nil {
		t.Errorf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

// TestPodSecurity has the pods of the Deployment and of the chart's test admitted where
// "restricted" is enforced.
func TestPodSecurity(t *testing.T) {
	namespace := restrictedNamespace(t)
	refused := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "any", Namespace: namespace},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "any", Image: "any"}}},
	}
	if _, err := shared.Client().CoreV1().Pods(namespace).Create(t.Context(), refused, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("a pod without a security context: %v, want it refused", err)
	}
	for name, args := range variants(t) {
		t.Run(name, func(t *testing.T) {
			all := render(t, "helm4", namespace, append(args, "--set", "serviceAccount.create=false,serviceAccount.name=default,"+
				"fence.enabled=false,priorityClassName=")...)
			pod := all.get(t, "Pod")
			dryRun(t, pod)
			pod.Object["spec"] = field(t, all.get(t, "Deployment"), "spec", "template", "spec")
			dryRun(t, pod)
		})
	}
}

// restrictedNamespace makes a namespace for this test that enforces the Pod Security Standard
// "restricted".
func restrictedNamespace(t *testing.T) string {
	t.Helper()
	namespace := shared.Namespace(t)
	shared.Kubectl(t, "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	return namespace
}

// What selects pods selects those of the Deployment, all of them and not the pod of the test, by
// ports that they have.
func TestSelectors(t *testing.T) {
	all := render(t, "helm4", "demo", append([]string{"--values", examples(t)["one-namespace"]}, everything...)...)
	deployment, probe := all.get(t, "Deployment"), all.get(t, "Pod")
	template := stringMap(t, deployment, "spec", "template", "metadata", "labels")
	selectors := map[string]map[string]string{
		"Deployment":          stringMap(t, deployment, "spec", "selector", "matchLabels"),
		"Service":             stringMap(t, all.get(t, "Service"), "spec", "selector"),
		"PodDisruptionBudget": stringMap(t, all.get(t, "PodDisruptionBudget"), "spec", "selector", "matchLabels"),
		"NetworkPolicy":       stringMap(t, all.get(t, "NetworkPolicy"), "spec", "podSelector", "matchLabels"),
	}
	spec := podOf(t, deployment, "spec", "template", "spec")
	selectors["anti-affinity"] = spec.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution[0].LabelSelector.MatchLabels
	selectors["spread"] = spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels
	for what, selector := range selectors {
		if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(labels.Set(template)) {
			t.Errorf("the selector of the %s, %v, does not select the pods", what, selector)
		}
		if labels.SelectorFromSet(selector).Matches(labels.Set(probe.GetLabels())) {
			t.Errorf("the selector of the %s, %v, selects the pod of the test", what, selector)
		}
	}
	monitor := stringMap(t, all.get(t, "ServiceMonitor"), "spec", "selector", "matchLabels")
	if len(monitor) == 0 || !labels.SelectorFromSet(monitor).Matches(labels.Set(all.get(t, "Service").GetLabels())) {
		t.Errorf("the ServiceMonitor, %v, does not select the Service", monitor)
	}
	var ports []string
	for _, port := range spec.Containers[0].Ports {
		ports = append(ports, port.Name)
	}
	wantSame(t, "the ports", ports, []string{"health", "metrics"})
	wantSame(t, "the port of the liveness probe", spec.Containers[0].LivenessProbe.HTTPGet.Port.String(), "health")
	wantSame(t, "the port of the readiness probe", spec.Containers[0].ReadinessProbe.HTTPGet.Port.String(), "health")
}

// stringMap returns the object of texts at a path of an object.
func stringMap(t *testing.T, object *unstructured.Unstructured, path ...string) map[string]string {
	t.Helper()
	found, _, err := unstructured.NestedStringMap(object.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// The rights in the values of each example are those that its config needs.
func TestExamplesHaveTheirRights(t *testing.T) {
	shared.Apply(t, readFile(t, "testdata/crds.yaml"))
	for name, file := range examples(t) {
		t.Run(name, func(t *testing.T) {
			var values struct {
				RBAC struct{ Rules rules } `json:"rbac"`
			}
			if err := yaml.Unmarshal([]byte(readFile(t, file)), &values); err != nil {
				t.Fatal(err)
			}
			wantSame(t, "rbac.rules", values.RBAC.Rules, neededRules(t, render(t, "helm4", "demo", "--values", file)))
		})
	}
}

// rules are rbac.rules of the values.
type rules struct {
	Cluster    []rbacv1.PolicyRule            `json:"cluster,omitempty"`
	Namespaces map[string][]rbacv1.PolicyRule `json:"namespaces,omitempty"`
}

// neededRules has kooperd print the rights for the config of a release.
func neededRules(t *testing.T, release manifests) rules {
	t.Helper()
	args := append([]string{"rbac", "--format", "helm-values", "--crds", "testdata/crds.yaml"}, release.writeConfig(t)...)
	var needed struct {
		RBAC struct{ Rules rules } `json:"rbac"`
	}
	if err := yaml.UnmarshalStrict([]byte(kooperd(t, args...)), &needed); err != nil {
		t.Fatalf("reading what kooperd rbac prints: %v", err)
	}
	return needed.RBAC.Rules
}

// description is the annotation that says what an object is for.
const description = "kubernetes.io/description"

// The fence of the chart is the one that kooperd prints for the release.
func TestFence(t *testing.T) {
	all := render(t, "helm4", "platform", "--values", examples(t)["one-namespace"], "--set", "fence.enabled=true")
	args := []string{"fence", "--service-account", "platform/demo-kooperd"}
	for _, path := range all.writeConfig(t) {
		args = append(args, "--config", path)
	}
	printed := parse(t, kooperd(t, args...))
	for _, kind := range []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} {
		have, want := all.get(t, kind), printed.get(t, kind)
		wantSame(t, "the name of the "+kind, have.GetName(), want.GetName())
		wantSame(t, "the spec of the "+kind, have.Object["spec"], want.Object["spec"])
		wantSame(t, "the description of the "+kind, have.GetAnnotations()[description], want.GetAnnotations()[description])
		wantSame(t, "the resource policy of the "+kind, have.GetAnnotations()["helm.sh/resource-policy"], "keep")
	}
}

// The fence has nothing to refuse of a definition on every replica that only logs.
func TestFenceOfLog(t *testing.T) {
	config := onEveryReplica(`"handler": {"log": {}}`)
	for name, value := range map[string]string{"config": config, "configFiles": fmt.Sprintf(`{"c.yaml": %q}`, config)} {
		forEachHelm(t, func(t *testing.T, version string) {
			all := render(t, version, "platform", "--set", "image=a,fence.enabled=true", "--set-json", name+"="+value)
			all.get(t, "ValidatingAdmissionPolicy")
		})
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
