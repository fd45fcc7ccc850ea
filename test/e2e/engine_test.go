package e2e_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestManyObjects handles 2000 objects in each of five definitions.
func TestManyObjects(t *testing.T) {
	const count = 2000
	ns := shared.Namespace(t)
	var creating errgroup.Group
	creating.SetLimit(16)
	for i := range count {
		creating.Go(func() error {
			_, err := shared.Client().CoreV1().ConfigMaps(ns).Create(t.Context(),
				&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("object-%04d", i)}}, metav1.CreateOptions{})
			return err
		})
	}
	if err := creating.Wait(); err != nil {
		t.Fatalf("creating objects: %v", err)
	}
	p := daemon.Start(t, daemon.Options{Kubeconfig: shared.AdminKubeconfig(), Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: "disabled"
for i in [1, 2, 3, 4, 5] {
	controllers: "many-\(i)": {
		watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], fieldSelector: "metadata.name!=kube-root-ca.crt"}
		mode: "concurrent", workers: i
		handler: log: {}
	}
}`, ns)})
	for i := 1; i <= 5; i++ {
		name := fmt.Sprintf("many-%d", i)
		series := fmt.Sprintf(`kooper_controller_processed_event_duration_seconds_count{controller=%q,success="true"}`, name)
		var got string
		p.Await(t, name+" handling every object", func() bool {
			got, _ = p.Metric(t, series)
			handled, _ := strconv.Atoi(got)
			return handled >= count
		})
		if got != strconv.Itoa(count) { // Each object once: nothing has changed meanwhile.
			t.Errorf("%s is %s, want %d", series, got, count)
		}
	}
	got, _ := p.Metric(t, fmt.Sprintf(`kooperd_source_lists_total{api_version="v1",content="metadata",kind="ConfigMap",namespace=%q,selector=";metadata.name!=kube-root-ca.crt"}`, ns))
	if lists, err := strconv.Atoi(got); err != nil || lists < 1 || lists >= 5 { // A list that fails is made again.
		t.Errorf("the five definitions have made %s lists, want one shared list", got)
	}
}

// TestModes runs a sequential and a concurrent definition on the same objects. The concurrent calls
// do not end before there are four.
func TestModes(t *testing.T) {
	ns, calls := shared.Namespace(t), newCallLog(t)
	for i := range 8 {
		createConfigMap(t, ns, fmt.Sprintf("object-%d", i))
	}
	p := daemon.Start(t, daemon.Options{Kubeconfig: shared.AdminKubeconfig(), Env: []string{"REPLICA=only"}, Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: "disabled"
_watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q], labelSelector: "e2e"}
controllers: sequential: {watch: _watch, handler: %s}
controllers: concurrent: {watch: _watch, mode: "concurrent", workers: 4, handler: %s}
`, ns, calls.handler("0.5"), calls.program(`until [ "$(grep -c "^begin [a-z]* concurrent " "$CALL_LOG")" -ge 4 ]; do sleep 0.1; done; sleep 0.5`))})
	p.Await(t, "all calls", func() bool {
		spans := calls.spans(t)
		return len(spans) == 16 && !slices.ContainsFunc(spans, func(s span) bool { return s.end == 0 })
	})
	spans := calls.spans(t)
	assertNoOverlap(t, spans, 0)
	if got := maxConcurrent(spans, "sequential"); got != 1 {
		t.Errorf("sequential has had %d objects at once, want 1", got)
	}
	if got := maxConcurrent(spans, "concurrent"); got != 4 {
		t.Errorf("concurrent has had %d objects at once, want 4", got)
	}
}

// TestRights runs with a ServiceAccount that may watch in one namespace only, by a Role. A
// definition for that namespace works; one for another is degraded and names the missing rule; that
// one works too when the rule is granted.
func TestRights(t *testing.T) {
	mine, other := shared.Namespace(t), shared.Namespace(t)
	createConfigMap(t, mine, "mine")
	createConfigMap(t, other, "other")
	kubeconfig := shared.ServiceAccountKubeconfig(t, mine, "kooperd",
		cluster.InNamespace(mine, cluster.Allow("list,watch", "", "configmaps")),
		cluster.InNamespace(mine, cluster.Allow("get,create,update,watch", "coordination.k8s.io", "leases")))
	p := daemon.Start(t, daemon.Options{Kubeconfig: kubeconfig, Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: namespace: %q
for name, ns in {allowed: %q, forbidden: %q} {
	controllers: (name): {
		watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [ns], labelSelector: "e2e"}
		handler: log: {}
	}
}`, mine, mine, other)})
	p.AwaitLog(t, "object seen", "controller", "allowed", "name", "mine")
	rule := fmt.Sprintf(`a Role of namespace %s with this rule is missing: {apiGroups: [""], resources: ["configmaps"], verbs: ["list", "watch"]}`, other)
	line := p.AwaitLog(t, "definition changed state", "controller", "forbidden", "state", "Degraded")
	if got := line.Field("reason"); !strings.Contains(got, rule) {
		t.Errorf("reason in the log is %q, want %q in it", got, rule)
	}
	p.AwaitReady(t)
	p.Await(t, "the states in /readyz?verbose", func() bool {
		_, body := p.Get(t, "health", "/readyz?verbose")
		return strings.Contains(body, "[-] forbidden: Degraded") && strings.Contains(body, rule) && strings.Contains(body, "[+] allowed: Running")
	})
	for series, want := range map[string]string{
		`kooperd_controller_state{controller="forbidden",state="Degraded"}`: "1",
		`kooperd_controller_state{controller="allowed",state="Running"}`:    "1",
	} {
		if got, _ := p.Metric(t, series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
	shared.Grant(t, mine, "kooperd", cluster.InNamespace(other, cluster.Allow("list,watch", "", "configmaps")))
	p.AwaitLog(t, "object seen", "controller", "forbidden", "name", "other")
}

const widgets = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.%[1]s}
spec:
  group: %[1]s
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// TestLateKind installs the CustomResourceDefinition when the definition waits for it.
func TestLateKind(t *testing.T) {
	const group = "late.example.com"
	ns := shared.Namespace(t)
	createConfigMap(t, ns, "meanwhile")
	p := daemon.Start(t, daemon.Options{Kubeconfig: shared.AdminKubeconfig(), Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: "disabled"
controllers: late: {watch: {apiVersion: "%s/v1", kind: "Widget"}, handler: log: fields: size: ".spec.size"}
controllers: other: {watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%q]}, handler: log: {}}
`, group, ns)})
	line := p.AwaitLog(t, "definition changed state", "controller", "late", "state", "Waiting")
	if want := "the API server does not serve kind Widget of late.example.com/v1"; line.Field("reason") != want {
		t.Errorf("reason is %q, want %q", line.Field("reason"), want)
	}
	p.AwaitLog(t, "object seen", "controller", "other", "name", "meanwhile")
	p.AwaitReady(t)

	shared.Apply(t, fmt.Sprintf(widgets, group))
	p.AwaitLog(t, "definition changed state", "controller", "late", "state", "Running")
	shared.Apply(t, fmt.Sprintf("apiVersion: %s/v1\nkind: Widget\nmetadata: {name: w, namespace: %s}\nspec: {size: 3}\n", group, ns))
	p.AwaitLog(t, "object seen", "controller", "late", "name", "w", "size", "3")
}
