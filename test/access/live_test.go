package access_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/test/cluster"
)

const watchPods = `watch: {apiVersion: "v1", kind: "Pod", namespaces: ["%[1]s"]}`

// everything has one definition for each thing that can be wrong; %[1]s is the namespace.
const everything = `
leaderElection: {name: "lease", namespace: "%[1]s"}
controllers: {
	good: {` + watchPods + `, handler: log: {}}
	fields: {watch: {apiVersion: "v1", kind: "Pod", namespaces: ["%[1]s"], fieldSelector: "spec.color=red"}, handler: log: {}}
	late: {watch: {apiVersion: "example.com/v1", kind: "Widget"}, handler: log: {}}
	nodes: {watch: {apiVersion: "v1", kind: "Node"}, handler: log: {}}
	paused: {watch: {apiVersion: "v1", kind: "Secret"}, paused: true, handler: log: {}}
	program: {` + watchPods + `, handler: exec: {command: ["true"], rules: [
		{apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"]},
		{apiGroups: [""], resources: ["nodes/status"], verbs: ["patch"]},
	]}}
}
`

func TestValidateLive(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	kubeconfig := shared.ServiceAccountKubeconfig(t, namespace, "partly", cluster.InNamespace(namespace,
		cluster.Allow("list,watch", "", "pods"),
		cluster.Allow("get", "", "configmaps"),
		cluster.Allow("get,update,create", "coordination.k8s.io", "leases"),
	))
	want := fmt.Sprintf(`fields: listing pods as the definition does: field label not supported: spec.color
late: the API server does not serve kind Widget of example.com/v1
nodes: forbidden to list and watch nodes in all namespaces; a ClusterRole with this rule is missing: {apiGroups: [""], resources: ["nodes"], verbs: ["list", "watch"]}
program: forbidden to patch configmaps in namespace %[1]s; a Role of namespace %[1]s with this rule is missing: {apiGroups: [""], resources: ["configmaps"], verbs: ["patch"]}
program: forbidden to patch nodes/status in all namespaces; a ClusterRole with this rule is missing: {apiGroups: [""], resources: ["nodes/status"], verbs: ["patch"]}
leaderElection: forbidden to watch leases lease in namespace %[1]s; a Role of namespace %[1]s with this rule is missing: {apiGroups: ["coordination.k8s.io"], resources: ["leases"], resourceNames: ["lease"], verbs: ["watch"]} (it works without, but worse)
leaderElection: forbidden to create events in namespace %[1]s; a Role of namespace %[1]s with this rule is missing: {apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"]} (it works without, but worse)
`, namespace)
	unknown := fmt.Sprintf("leaderElection: cannot tell whether these namespaces exist, for lack of the right to get them: %s\n", namespace)
	config := write(t, fmt.Sprintf(everything, namespace))
	output, status := kooperd(t, "validate", "--live", "--kubeconfig", kubeconfig, config)
	if diff := cmp.Diff(want+unknown, output); diff != "" || status != 1 {
		t.Errorf("exit status %d, want 1; output (-want +got):\n%s", status, diff)
	}
	t.Run("for another user", func(t *testing.T) {
		output, status := kooperd(t, "validate", "--live", "--kubeconfig", shared.AdminKubeconfig(),
			"--as", "system:serviceaccount:"+namespace+":partly", config)
		if diff := cmp.Diff(want, output); diff != "" || status != 1 {
			t.Errorf("exit status %d, want 1; output (-want +got):\n%s", status, diff)
		}
	})
	t.Run("as JSON", func(t *testing.T) {
		output, status := kooperd(t, "validate", "--live", "--json", "--kubeconfig", kubeconfig, config)
		lines := strings.Split(strings.TrimSpace(output), "\n")
		if len(lines) != strings.Count(want+unknown, "\n") || status != 1 {
			t.Fatalf("exit status %d, want 1; output:\n%s", status, output)
		}
		var found struct {
			Definition, Message, Namespace string
			Rule                           struct{ APIGroups, Resources, Verbs []string }
		}
		if err := json.Unmarshal([]byte(lines[3]), &found); err != nil {
			t.Fatal(err)
		}
		if found.Definition != "program" || found.Namespace != namespace || fmt.Sprint(found.Rule) != "{[] [configmaps] [patch]}" {
			t.Errorf("line 4 is %s", lines[3])
		}
	})
}

// TestGrantedByRBAC grants what kooperd rbac prints, and nothing else, and lets validate --live
// judge it.
func TestGrantedByRBAC(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	shared.Apply(t, strings.ReplaceAll(widgetCRD, "example.com", "rbac.example.com"))
	config := write(t, strings.ReplaceAll(strings.ReplaceAll(fmt.Sprintf(everything, namespace), "example.com", "rbac.example.com"), "spec.color=red", "spec.nodeName=a"))

	output, status := kooperd(t, "rbac", config, "--service-account", namespace+"/whole")
	if status != 2 || !strings.Contains(output, "late: which resource is kind Widget of rbac.example.com/v1? Give its CustomResourceDefinition with --crds, or ask the cluster with --live") {
		t.Errorf("exit status %d, want 2; output:\n%s", status, output)
	}
	roles, status := kooperd(t, "rbac", config, "--name", namespace, "--service-account", namespace+"/whole", "--live", "--kubeconfig", shared.AdminKubeconfig())
	if status != 0 {
		t.Fatalf("exit status %d:\n%s", status, roles)
	}
	if strings.Contains(roles, "*") || strings.Contains(roles, "secrets") {
		t.Errorf("roles:\n%s", roles)
	}
	shared.Apply(t, roles)
	kubeconfig := shared.ServiceAccountKubeconfig(t, namespace, "whole", cluster.InNamespace(namespace, cluster.Allow("list", "", "pods")))
	for {
		output, status = kooperd(t, "validate", "--live", "--kubeconfig", kubeconfig, config)
		if status == 0 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatalf("exit status %d:\n%s", status, output) // the authorizer learns of new roles a moment later
		}
	}
	unknown := fmt.Sprintf("leaderElection: cannot tell whether these namespaces exist, for lack of the right to get them: %s\n", namespace)
	if want := unknown + "ok: 6 definitions in 1 file; the cluster serves every kind, accepts the selectors and grants 11 rules\n"; output != want {
		t.Errorf("output %q, want %q", output, want)
	}
}

const widgetCRD = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets, singular: widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

func TestValidateLiveCannotAsk(t *testing.T) {
	t.Parallel()
	config := write(t, `controllers: a: {watch: {apiVersion: "v1", kind: "Pod"}, handler: log: {}}`)
	proxy := shared.Proxy(t)
	proxy.Refuse()
	output, status := kooperd(t, "validate", "--live", "--kubeconfig", proxy.Kubeconfig(t, shared.AdminConfig(), ""), config)
	if status != 1 || !strings.HasPrefix(output, "kooperd: asking the cluster: ") || strings.Count(output, "\n") != 1 {
		t.Errorf("exit status %d, want 1; output:\n%s", status, output)
	}
	output, status = kooperd(t, "validate", "--as", "somebody", config)
	if want := "kooperd: --as is for --live\n"; status != 2 || output != want {
		t.Errorf("exit status %d, want 2; output %q, want %q", status, output, want)
	}
}
