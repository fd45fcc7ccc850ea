package e2e_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/portforward/portforwardtest"
	"kooperd.dev/kooperd/pkg/statusz"
	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestStatusByTheConfigMapLock asks the leader whom a ConfigMap names, as somebody who may not read
// that at first, and beside a lease of the same name that nobody holds.
func TestStatusByTheConfigMapLock(t *testing.T) {
	const lock, podName = "my-controller", "kooperd-0"
	ns := shared.Namespace(t)
	node := "node-of-" + ns
	pod, err := shared.Client().CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: podName},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name: "kooperd", Image: "kooperd", Ports: []corev1.ContainerPort{{Name: "health", ContainerPort: 7777}},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	p := daemon.Start(t, daemon.Options{
		Kubeconfig: shared.AdminKubeconfig(), Env: []string{"POD_NAME=" + podName, "POD_UID=" + string(pod.UID)}, Config: fmt.Sprintf(`
apiVersion: "kooperd.dev/v1alpha1"
leaderElection: {lock: "configMap", name: %q, namespace: %q}
controllers: accounts: {watch: {apiVersion: "v1", kind: "ServiceAccount", namespaces: [%q]}, handler: log: {}}
`, lock, ns, ns)})
	p.AwaitLog(t, "became leader")
	address := p.AwaitLog(t, "serving", "server", "health").Field("address")
	kubelet := http.NewServeMux()
	kubelet.HandleFunc("/portForward/{namespace}/{pod}", func(w http.ResponseWriter, r *http.Request) {
		portforwardtest.Serve(w, r, func(port int) (net.Conn, error) {
			if r.PathValue("namespace") != ns || r.PathValue("pod") != podName || port != 7777 {
				return nil, fmt.Errorf("nothing listens on port %d", port)
			}
			return new(net.Dialer).DialContext(r.Context(), "tcp", address)
		})
	})
	shared.ServeNode(t, node, kubelet)

	person := shared.ServiceAccountKubeconfig(t, ns, "person",
		cluster.InNamespace(ns, cluster.Allow("get", "coordination.k8s.io", "leases")),
		cluster.InNamespace(ns, cluster.Allow("get,create", "", "pods/portforward")),
		cluster.InNamespace(ns, cluster.Allow("get", "", "pods")))
	kubeconfig := person
	ask := func(args ...string) (stdout, stderr string, status int) {
		t.Helper()
		return kooperd(t, nil, append([]string{"status", "--kubeconfig", kubeconfig, "--namespace", ns, "--lease", lock}, args...)...)
	}
	_, stderr, status := ask()
	for _, want := range []string{
		"there is no lease " + ns + "/" + lock + ": name that of kooperd", `With lock: "configMap", a ConfigMap is read in its place`, "forbidden",
	} {
		if status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("without the right to read it, status ends with %d and %q, want 1 and %q", status, stderr, want)
		}
	}
	shared.Grant(t, ns, "person", cluster.InNamespace(ns, cluster.Allow("get", "", "configmaps")))
	works := func(what string) {
		t.Helper()
		stdout, stderr, status := ask("-o", "json")
		var report statusz.Report
		if err := json.Unmarshal([]byte(stdout), &report); err != nil || status != 0 || !report.Leadership.Leading ||
			report.Leadership.Lease != ns+"/"+lock || report.Process.Name != podName+"_"+string(pod.UID) {
			t.Errorf("%s, status ends with %d and %q, %v, and prints %s", what, status, stderr, err, stdout)
		}
	}
	works("with the ConfigMap alone")
	_, err = shared.Client().CoordinationV1().Leases(ns).Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: lock}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	works("beside a lease that nobody holds")
	kubeconfig = shared.ServiceAccountKubeconfig(t, ns, "another", cluster.InNamespace(ns, cluster.Allow("get", "coordination.k8s.io", "leases")))
	_, stderr, status = ask()
	for _, want := range []string{"nobody holds the lease " + ns + "/" + lock + `, and with lock: "configMap" another may lead`, "forbidden"} {
		if status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("beside a lease that nobody holds, without the right, status ends with %d and %q, want 1 and %q", status, stderr, want)
		}
	}
	kubeconfig = person
	if got := p.Stop(t); got != 0 {
		t.Errorf("exit status is %d", got)
	}
	if _, stderr, status := ask(); status != 1 || !strings.Contains(stderr, "nobody holds the lease "+ns+"/"+lock) {
		t.Errorf("after the end, status ends with %d and %q", status, stderr)
	}
}
