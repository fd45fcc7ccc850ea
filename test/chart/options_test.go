package chart

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestLeaseOptions has the API server say which FlowSchema the requests of a release get, and
// refuse a standby's write by the fence, which outlives the release.
func TestLeaseOptions(t *testing.T) {
	r := install(t, "helm4", "--values", examples(t)["custom-resource"],
		"--set", "fence.enabled=true,flowSchema.enabled=true,shutdownDelaySeconds=0")
	schema, err := shared.Client().FlowcontrolV1().FlowSchemas().Get(t.Context(), objectName+"."+r.namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	leader := r.leader(t)
	standby := r.standby(t, leader)
	createWidget(t, "a-"+r.namespace)
	eventually(t, "the widget is greeted", func() bool { return greeted(t, getWidget(t, "a-"+r.namespace)) })

	leases := "/apis/coordination.k8s.io/v1/namespaces/" + r.namespace + "/leases/" + objectName
	if got := flowSchemaOf(t, standby, leases); got != string(schema.UID) {
		t.Errorf("the lease is asked for with FlowSchema %q, want that of the release, %s", got, schema.UID)
	}
	if got := flowSchemaOf(t, standby, "/api/v1/namespaces?limit=1"); got == "" || got == string(schema.UID) {
		t.Errorf("namespaces are asked for with FlowSchema %q, want another than that of the release, %s", got, schema.UID)
	}

	client, err := dynamic.NewForConfig(standby)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the fence is in force, and refuses a write of the standby with the name of the holder", func() bool {
		_, err := client.Resource(widgets).Namespace("payments").Patch(t.Context(), "a-"+r.namespace, types.MergePatchType,
			[]byte(`{"status":{"by":"a standby"}}`), metav1.PatchOptions{}, "status")
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "is held by "+r.holder(t))
	})
	fence := "kooperd-fence." + r.namespace + "." + objectName
	bindings := shared.Client().AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	installed, err := bindings.Get(t.Context(), fence, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][]string{
		r.command("upgrade", "--set", "fence.enabled=false"),
		{"uninstall", releaseName, "--namespace", r.namespace},
		r.command("install"), // It takes over the one that is there.
		r.command("upgrade", "--set", "fence.validationActions={Audit}"),
	} {
		helm(t, "helm4", change...)
		binding, err := bindings.Get(t.Context(), fence, metav1.GetOptions{})
		if err != nil {
			t.Fatalf("the fence after helm %s: %v", change[0], err)
		}
		wantSame(t, "the fence after helm "+change[0], binding.UID, installed.UID)
		lifted := binding.Spec.ValidationActions[0] == admissionregistrationv1.Audit
		wantSame(t, "whether the fence is lifted after helm "+change[0], lifted, slices.Contains(change, "fence.validationActions={Audit}"))
	}
}

// standby returns the credentials of a pod that does not lead.
func (r *release) standby(t *testing.T, leader *daemon.Process) *rest.Config {
	t.Helper()
	for name, p := range r.daemons(t) {
		if p == leader {
			continue
		}
		kubeconfigs, err := filepath.Glob(filepath.Join(r.kubelet.run(name).dir, "kubeconfig-*"))
		if err != nil || len(kubeconfigs) == 0 {
			t.Fatalf("looking for the credentials of %s: %v", name, err)
		}
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfigs[0])
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	t.Fatal("there is no standby")
	return nil
}

// flowSchemaOf asks the API server for something and returns the UID of the FlowSchema that the
// request got.
func flowSchemaOf(t *testing.T, config *rest.Config, path string) string {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	_, header, _ := get(t, client, config.Host+path, "")
	return header.Get("X-Kubernetes-PF-FlowSchema-UID")
}

// get returns the answer to a request with a bearer token, unless that is empty.
func get(t *testing.T, client *http.Client, url, token string) (status int, header http.Header, body string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// TestMetrics asks a release for its metrics, which needs the right to them.
func TestMetrics(t *testing.T) {
	mark := shared.AuditMark(t)
	r := install(t, "helm3", "--values", examples(t)["one-namespace"], "--set", "metrics.authenticate=true,profiling=true,shutdownDelaySeconds=0")
	granted := r.manifests(t).grants(t)
	works["one-namespace"](t, r)
	prometheus := shared.ServiceAccount(t, r.namespace, "prometheus",
		cluster.ClusterWide(rbacv1.PolicyRule{NonResourceURLs: []string{"/metrics"}, Verbs: []string{"get"}})).BearerToken
	stranger := shared.ServiceAccount(t, r.namespace, "stranger").BearerToken
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	for _, p := range r.daemons(t) {
		url := "https://" + p.AwaitLog(t, "serving", "server", "metrics").Field("address")
		for token, want := range map[string]int{prometheus: http.StatusOK, stranger: http.StatusForbidden, "": http.StatusUnauthorized} {
			if status, _, body := get(t, client, url+"/metrics", token); status != want {
				t.Errorf("/metrics answers %d, want %d: %.300s", status, want, body)
			}
		}
		if status, _, _ := get(t, client, url+"/debug/pprof/", prometheus); status != http.StatusForbidden {
			t.Errorf("/debug/pprof/ answers %d to who may get the metrics alone, want %d", status, http.StatusForbidden)
		}
	}
	r.stop(t)
	cluster.CheckGrants(t, r.user(), granted, false, func() []cluster.AuditEvent { return shared.AuditSince(t, mark, r.user()) })
}

// TestConfigMapLock runs a release with the lock of Kooper's operators, and judges its rights.
func TestConfigMapLock(t *testing.T) {
	mark := shared.AuditMark(t)
	r := install(t, "helm4", "--values", examples(t)["one-namespace"], "--set", "leaderElection.lock=configMap,shutdownDelaySeconds=0")
	granted := r.manifests(t).grants(t)
	eventually(t, "one of the pods leads", func() bool {
		for _, p := range r.daemons(t) {
			if len(p.Lines("became leader")) > 0 {
				return true
			}
		}
		return false
	})
	if said, ok := r.helmTest(t); !ok {
		t.Errorf("helm test: kooperd says:\n%s", said)
	}
	eventually(t, "the lock is an annotation of a ConfigMap", func() bool {
		lock, err := shared.Client().CoreV1().ConfigMaps(r.namespace).Get(t.Context(), objectName, metav1.GetOptions{})
		return err == nil && lock.Annotations["control-plane.alpha.kubernetes.io/leader"] != ""
	})
	r.stop(t)
	cluster.CheckGrants(t, r.user(), granted, false, r.ofDaemons(t, mark))
}

// TestExistingConfigMap runs a config of another owner, and a changed one after the next
// upgrade.
func TestExistingConfigMap(t *testing.T) {
	forEachHelm(t, func(t *testing.T, version string) {
		namespace := shared.Namespace(t)
		config := `
apiVersion: v1
kind: ConfigMap
metadata: {name: mine, namespace: %s}
data:
  controllers.yaml: |
    apiVersion: kooperd.dev/v1alpha1
    controllers:
      a: {watch: {apiVersion: v1, kind: %s}, handler: {log: {}}}
`
		checksum := func(verb string) string {
			helm(t, version, verb, releaseName, chartDir, "--namespace", namespace, "--set", "image=a,existingConfigMap=mine")
			deployment, err := shared.Client().AppsV1().Deployments(namespace).Get(t.Context(), objectName, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return deployment.Spec.Template.Annotations["kooperd.dev/config-checksum"]
		}
		shared.Apply(t, fmt.Sprintf(config, namespace, "Pod"))
		before := checksum("install")
		if got := checksum("upgrade"); got != before {
			t.Errorf("the checksum of the same config was %s and is %s", before, got)
		}
		shared.Apply(t, fmt.Sprintf(config, namespace, "Service"))
		if got := checksum("upgrade"); got == before {
			t.Errorf("the checksum of another config is the same, %s", got)
		}
	})
}

// TestLeaseConflict has kooperd refuse a file that names another lease than the values do, with
// both places.
func TestLeaseConflict(t *testing.T) {
	file := filepath.Join(t.TempDir(), "values.yaml")
	writeFile(t, file, `
image: a
configFiles:
  controllers.cue: |
    apiVersion: "kooperd.dev/v1alpha1"
    leaderElection: name: "mine"
    controllers: a: {watch: {apiVersion: "v1", kind: "Pod"}, handler: log: {}}
`)
	paths := render(t, "helm4", "demo", "--values", file).writeConfig(t)
	cmd := exec.CommandContext(t.Context(), binary("kooperd"), append([]string{"validate"}, paths...)...)
	out, err := cmd.CombinedOutput()
	for _, want := range []string{"controllers.cue:2:23: leaderElection.name: ", `"mine"`, "leader-election.yaml:2:9"} {
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("kooperd validate says, with error %v:\n%s\nwant %q", err, out, want)
		}
	}
}

// TestDisruptions has the API server evict one pod, and not the other at the same time.
func TestDisruptions(t *testing.T) {
	r := install(t, "helm4", "--values", examples(t)["one-namespace"], "--set", "shutdownDelaySeconds=2")
	eventually(t, "one pod may be evicted", func() bool {
		budget, err := shared.Client().PolicyV1().PodDisruptionBudgets(r.namespace).Get(t.Context(), objectName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return budget.Status.DisruptionsAllowed == 1
	})
	evict := func(pod string) error {
		return shared.Client().PolicyV1().Evictions(r.namespace).Evict(t.Context(), &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: r.namespace}})
	}
	pods := r.pods(t)
	if err := evict(pods[0].Name); err != nil {
		t.Errorf("evicting the first pod: %v", err)
	}
	if err := evict(pods[1].Name); !apierrors.IsTooManyRequests(err) {
		t.Errorf("evicting the second pod: %v, want it refused for now", err)
	}
}
