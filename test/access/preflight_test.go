package access_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestPreflight runs a definition whose program lacks a right, beside one that lacks nothing, and
// grants it then.
func TestPreflight(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	account := shared.ServiceAccountKubeconfig(t, namespace, "kooperd", cluster.InNamespace(namespace,
		cluster.Allow("list,watch", "", "pods"),
		cluster.Allow("get", "", "configmaps"),
		cluster.Allow("create,get,update,watch", "coordination.k8s.io", "leases"),
	))
	p := daemon.Start(t, daemon.Options{Kubeconfig: account, Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "lease", namespace: %[1]q}
controllers: {
	good: {watch: {apiVersion: "v1", kind: "Pod", namespaces: [%[1]q]}, handler: log: {}}
	program: {
		watch: {apiVersion: "v1", kind: "Pod", namespaces: [%[1]q]}
		handler: exec: {command: ["true"], rules: [{apiGroups: [""], resources: ["configmaps"], verbs: ["get", "patch"]}]}
	}
}`, namespace)})
	reason := fmt.Sprintf(`forbidden to patch configmaps in namespace %[1]s; a Role of namespace %[1]s with this rule is missing: {apiGroups: [""], resources: ["configmaps"], verbs: ["patch"]}`, namespace)
	p.AwaitLog(t, "definition changed state", "controller", "program", "state", "Degraded", "reason", reason)
	p.AwaitLog(t, "definition changed state", "controller", "good", "state", "Running")
	p.AwaitReady(t)
	_, verbose := p.Get(t, "health", "/readyz?verbose")
	if !strings.Contains(verbose, "[+] good: Running") || !strings.Contains(verbose, "[-] program: Degraded") || !strings.Contains(verbose, reason) {
		t.Errorf("readyz:\n%s", verbose)
	}
	p.AwaitLog(t, "a right to the lease is missing", "optional", "true", "reason", fmt.Sprintf(
		`forbidden to create events in namespace %[1]s; a Role of namespace %[1]s with this rule is missing: {apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"]}`, namespace))

	shared.Grant(t, namespace, "kooperd", cluster.InNamespace(namespace, cluster.Allow("patch", "", "configmaps")))
	p.AwaitLog(t, "definition changed state", "controller", "program", "state", "Running")
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
}

// TestLeaseNamespaceIsMissing starts kooperd before the namespace of its lease exists.
func TestLeaseNamespaceIsMissing(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t) + "-lease"
	p := daemon.Start(t, daemon.Options{Kubeconfig: shared.AdminKubeconfig(), Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {name: "lease", namespace: %q}
controllers: pods: {watch: {apiVersion: "v1", kind: "Pod", namespaces: ["default"]}, handler: log: {}}`, namespace)})
	missing := []string{"the namespace of the lease does not exist", "level", "ERROR", "namespace", namespace}
	p.AwaitLog(t, missing[0], missing[1:]...)
	p.AwaitLog(t, "lease request failed", "level", "ERROR")
	namespaces := shared.Client().CoreV1().Namespaces()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if _, err := namespaces.Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := namespaces.Delete(context.WithoutCancel(t.Context()), namespace, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	p.AwaitLog(t, "became leader")
	if n := len(p.Lines(missing[0], missing[1:]...)); n != 1 {
		t.Errorf("that the namespace is missing is logged %d times, want once", n)
	}
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status %d, want 0", got)
	}
}

// TestStopWithoutAnAnswer stops kooperd while it waits for an answer to where a right is needed.
func TestStopWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	namespace := shared.Namespace(t)
	proxy := shared.Proxy(t)
	proxy.Blackhole()
	p := daemon.Start(t, daemon.Options{Kubeconfig: proxy.Kubeconfig(t, shared.AdminConfig(), namespace), Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: "disabled"
for name in ["a", "b", "c"] {
	controllers: (name): {
		watch: {apiVersion: "v1", kind: "Pod", namespaces: [%q]}
		handler: exec: {command: ["true"], rules: [{apiGroups: ["example.com"], resources: ["widgets"], verbs: ["get"]}]}
	}
}`, namespace)})
	p.AwaitLog(t, "serving", "server", "health")
	p.Await(t, "a connection", func() bool { return proxy.Connections() > 0 })
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status %d, want 0:\n%s", got, p.Tail(10))
	}
}
