package e2e_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// finalizerLog is a file with a line for each call of the programs of a definition with a
// finalizer.
type finalizerLog struct{ path string }

// config returns a config whose Handle and Finalize write a line. With kill, it is under a lease,
// and the first Finalize ends its kooperd after that, which has then not removed the finalizer.
func (l finalizerLog) config(namespace string, kill bool) string {
	election := `"disabled"`
	finalize := `echo "finalize $KOOPERD_NAME" >>"$CALLS"`
	if kill {
		election = fmt.Sprintf(`{name: "finalizer", namespace: %q, leaseDuration: "3s", renewDeadline: "2s", retryPeriod: "500ms"}`, namespace)
		finalize += `; if mkdir "$CALLS.killed"; then kill -9 $PPID; sleep 60; fi`
	}
	return fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: %[5]s
controllers: d: {
	watch: {apiVersion: "v1", kind: "ConfigMap", namespaces: [%[1]q], labelSelector: "e2e"}
	finalizer: "example.com/e2e"
	handler: exec: {
		command: ["sh", "-c", %[2]q]
		finalize: command: ["sh", "-c", %[3]q]
		env: CALLS: %[4]q
	}
}`, namespace, `echo "handle $KOOPERD_NAME" >>"$CALLS"`, finalize, l.path, election)
}

// count returns how often a line was written.
func (l finalizerLog) count(t *testing.T, line string) int {
	t.Helper()
	text, err := os.ReadFile(l.path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return strings.Count(string(text), line+"\n")
}

func gone(t *testing.T, namespace, name string) bool {
	t.Helper()
	_, err := shared.Client().CoreV1().ConfigMaps(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err != nil
}

func deleteConfigMap(t *testing.T, namespace, name string) {
	t.Helper()
	if err := shared.Client().CoreV1().ConfigMaps(namespace).Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestFinalizerSurvives kills the leader between Finalize and the removal of the finalizer, so that
// the other replica finalizes again; then it deletes an object while none of them runs.
func TestFinalizerSurvives(t *testing.T) {
	ns, calls := shared.Namespace(t), finalizerLog{filepath.Join(t.TempDir(), "calls")}
	start := func() *daemon.Process {
		return daemon.Start(t, daemon.Options{Config: calls.config(ns, true), Kubeconfig: shared.AdminKubeconfig()})
	}
	createConfigMap(t, ns, "first")
	createConfigMap(t, ns, "second")
	leader := start()
	leader.AwaitLog(t, "became leader")
	standby := start()
	standby.AwaitReady(t)
	leader.Await(t, "the first calls", func() bool { return calls.count(t, "handle first") > 0 && calls.count(t, "handle second") > 0 })

	deleteConfigMap(t, ns, "first")
	leader.AwaitExit(t)
	if gone(t, ns, "first") && calls.count(t, "finalize first") < 2 { // The standby may have led already.
		t.Error("the object is gone, although nothing has removed its finalizer")
	}
	standby.Await(t, "the end of the object", func() bool { return gone(t, ns, "first") })
	if n := calls.count(t, "finalize first"); n != 2 {
		t.Errorf("the first object was finalized %d times, want by both replicas", n)
	}
	if code := standby.Stop(t); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}

	handled := calls.count(t, "handle second")
	deleteConfigMap(t, ns, "second")
	if gone(t, ns, "second") {
		t.Error("the second object is gone, although no kooperd runs")
	}
	last := start()
	last.Await(t, "the end of the second object", func() bool { return gone(t, ns, "second") })
	if n := calls.count(t, "finalize second"); n != 1 {
		t.Errorf("the second object was finalized %d times, want once", n)
	}
	if n := calls.count(t, "handle second"); n != handled {
		t.Errorf("the second object was handled %d times more after its deletion", n-handled)
	}
	if code := last.Stop(t); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}

// TestFinalizerInANamespaceThatGoes has the rights that `kooperd rbac` prints, by a Role in the
// namespace with the objects. They suffice, but with the namespace goes the Role. A ClusterRole
// lets kooperd go on.
func TestFinalizerInANamespaceThatGoes(t *testing.T) {
	home, ns, calls := shared.Namespace(t), shared.Namespace(t), finalizerLog{filepath.Join(t.TempDir(), "calls")}
	kubeconfig := shared.ServiceAccountKubeconfig(t, home, "kooperd",
		cluster.InNamespace(ns, cluster.Allow("list,watch,patch", "", "configmaps")))
	config := calls.config(ns, false)
	file := filepath.Join(t.TempDir(), "controllers.cue")
	write(t, file, config)
	roles, _, status := kooperd(t, nil, "rbac", file)
	if status != 0 || !strings.Contains(roles, "patch") || strings.Contains(roles, "kind: ClusterRole") {
		t.Errorf("kooperd rbac: status %d, roles:\n%s", status, roles)
	}
	p := daemon.Start(t, daemon.Options{Config: config, Kubeconfig: kubeconfig})
	createConfigMap(t, ns, "one")
	p.Await(t, "the first call", func() bool { return calls.count(t, "handle one") > 0 })
	deleteConfigMap(t, ns, "one")
	p.Await(t, "the end of the object", func() bool { return gone(t, ns, "one") })

	createConfigMap(t, ns, "two")
	p.Await(t, "the first call", func() bool { return calls.count(t, "handle two") > 0 })
	if err := shared.Client().CoreV1().Namespaces().Delete(t.Context(), ns, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.Await(t, "the call of Finalize", func() bool { return calls.count(t, "finalize two") > 0 })
	shared.Grant(t, home, "kooperd", cluster.ClusterWide(cluster.Allow("list,watch,patch", "", "configmaps")))
	p.Await(t, "the end of the namespace", func() bool {
		_, err := shared.Client().CoreV1().Namespaces().Get(context.WithoutCancel(t.Context()), ns, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if code := p.Stop(t); code != 0 {
		t.Errorf("exit status %d, want 0", code)
	}
}
