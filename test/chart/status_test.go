package chart

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/rest"

	"kooperd.dev/kooperd/pkg/statusz"
	"kooperd.dev/kooperd/test/cluster"
)

// askRelease runs a command of kooperd that asks a pod of a release, as a user.
func (r *release) askRelease(t *testing.T, user *rest.Config, args ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	args = append(args, "--namespace", r.namespace, "--kubeconfig", cluster.WriteKubeconfig(t, user, r.namespace))
	cmd := exec.CommandContext(t.Context(), binary("kooperd"), args...)
	cmd.Env = append(os.Environ(), "POD_NAMESPACE=")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	return out.String(), errs.String(), err == nil
}

// TestStatusOfARelease asks the pods of a release through the API server, as users who may do a
// little more from one to the next. The pods want a token.
func TestStatusOfARelease(t *testing.T) {
	r := install(t, "helm4", "--values", examples(t)["one-namespace"], "--set", "metrics.authenticate=true,shutdownDelaySeconds=0")
	works["one-namespace"](t, r)
	r.leader(t)
	holder := r.holder(t)
	pod, _, _ := strings.Cut(holder, "_")
	account := "person"
	user := shared.ServiceAccount(t, r.namespace, account)
	status := []string{"status", "--lease", objectName}
	refused := func(want string, args ...string) {
		t.Helper()
		if stdout, stderr, ok := r.askRelease(t, user, args...); ok || !strings.Contains(stderr, want) {
			t.Errorf("%q prints %q and %q, want a failure with %q", args, stdout, stderr, want)
		}
	}
	grant := func(rights cluster.RBAC) { shared.Grant(t, r.namespace, account, rights) }

	refused(`forbidden to get leases `+objectName+` in namespace `+r.namespace+`; a Role of namespace `+r.namespace+` with this rule is missing`, status...)
	grant(cluster.InNamespace(r.namespace, cluster.Allow("get", "coordination.k8s.io", "leases")))
	refused("there is no lease "+r.namespace+"/kooperd: name that of kooperd with --namespace and --lease", "status")
	refused("forbidden to create pods/portforward in namespace "+r.namespace, status...)
	grant(cluster.InNamespace(r.namespace, cluster.Allow("create", "", "pods/portforward")))
	refused("pod "+r.namespace+"/"+pod+" asks for a bearer token: --authenticate sends that of the kubeconfig's user", status...)
	refused("port 9999 of pod "+r.namespace+"/"+pod+" cannot be reached: error forwarding port 9999: nothing listens on port 9999",
		append(status, "--port", "9999")...)
	grant(cluster.ClusterWide(rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: []string{"/statusz"}}))
	status = append(status, "--authenticate")
	if stdout, stderr, ok := r.askRelease(t, user, status...); !ok || !strings.Contains(stdout, "this replica, for ") {
		t.Errorf("status over SPDY prints %q and %q, want the leader", stdout, stderr)
	}

	// Over a WebSocket, and with the port that the pod names.
	grant(cluster.InNamespace(r.namespace, cluster.Allow("get", "", "pods,pods/portforward")))
	stdout, stderr, ok := r.askRelease(t, user, append(status, "-o", "json")...)
	report := statusz.Report{}
	if err := json.Unmarshal([]byte(stdout), &report); !ok || err != nil || report.Process.Name != holder || !report.Leadership.Leading {
		t.Errorf("status -o json prints %q and %q, %v; want the report of %s", stdout, stderr, err, holder)
	}
	for name := range r.daemons(t) {
		want := "this replica, for "
		if name != pod {
			want = holder + ", for "
		}
		if stdout, stderr, ok := r.askRelease(t, user, "status", "--authenticate", "--pod", name); !ok || !strings.Contains(stdout, want) {
			t.Errorf("status of pod %s prints %q and %q, want %q", name, stdout, stderr, want)
		}
	}
	stdout, stderr, ok = r.askRelease(t, user, "explain", "cm/payments/a-"+r.namespace, "--lease", objectName, "--authenticate")
	for _, want := range []string{"ConfigMap payments/a-" + r.namespace + " (v1)\n", "It handles the object.\n", "   change   ", "   done\n"} {
		if !ok || !strings.Contains(stdout, want) {
			t.Errorf("explain prints %q and %q, want %q", stdout, stderr, want)
		}
	}
	refused("no definition watches Node x, and it is nobody's child", "explain", "node/x", "--lease", objectName, "--authenticate")
	user = shared.ServiceAccount(t, r.namespace, "stranger", cluster.InNamespace(r.namespace, cluster.Allow("create", "", "pods/portforward")))
	refused("may not get /statusz", "status", "--pod", pod, "--authenticate")
	shared.Grant(t, r.namespace, "stranger", cluster.InNamespace(r.namespace, cluster.Allow("get", "", "pods")))
	refused("there is no pod "+r.namespace+"/gone", "status", "--pod", "gone")
}
