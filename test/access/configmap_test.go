package access_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/daemon"
)

// TestConfigMapSource grants what kooperd rbac prints for a config in a ConfigMap, and nothing
// else. Two replicas run with that, take a changed config and store it: none of their requests is
// refused, and they need everything that they may do.
func TestConfigMapSource(t *testing.T) {
	t.Parallel()
	for name, paged := range map[string]bool{"streamed lists": false, "paged lists": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := shared.Namespace(t)
			config := func(message string) string {
				return fmt.Sprintf(`apiVersion: kooperd.dev/v1alpha1
leaderElection: {name: lease, namespace: %[1]s}
controllers:
  pods: {watch: {apiVersion: v1, kind: Pod, namespaces: [%[1]s]}, handler: {log: {message: %[2]s}}}
`, namespace, message)
			}
			source := setConfigMap(t, namespace, config("one"))
			account := shared.ServiceAccountKubeconfig(t, namespace, "kooperd")
			granted := grantPrinted(t, namespace, source)
			mark := shared.AuditMark(t)
			opts := daemon.Options{Config: "configmap:" + source, Kubeconfig: account}
			if paged {
				opts.Env = []string{"KUBE_FEATURE_WatchListClient=false"}
			}
			leader := daemon.Start(t, opts)
			leader.AwaitLog(t, "became leader")
			standby := daemon.Start(t, opts)
			standby.AwaitReady(t)

			setConfigMap(t, namespace, config("two"))
			hash := leader.AwaitLog(t, "config changed").Field("hash")
			standby.AwaitLog(t, "config changed", "hash", hash)
			if status := leader.Stop(t); status != 0 {
				t.Errorf("exit status of the first leader is %d, want 0", status)
			}
			standby.AwaitLog(t, "became leader")
			if status := standby.Stop(t); status != 0 {
				t.Errorf("exit status of the second leader is %d, want 0", status)
			}
			accepted, err := shared.Client().CoreV1().ConfigMaps(namespace).Get(t.Context(), "controllers-accepted", metav1.GetOptions{})
			if err != nil || accepted.Data["hash"] != hash {
				t.Errorf("the accepted config is %q, %v; want %q", accepted.Data["hash"], err, hash)
			}
			user := "system:serviceaccount:" + namespace + ":kooperd"
			cluster.CheckGrants(t, user, granted, paged, func() []cluster.AuditEvent { return shared.AuditSince(t, mark, user) })
		})
	}
}

// setConfigMap makes the ConfigMap of a config, or changes it, and returns its name for kooperd.
func setConfigMap(t *testing.T, namespace, text string) string {
	t.Helper()
	shared.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: controllers, namespace: %s}\ndata: {controllers.yaml: %q}\n", namespace, text))
	return namespace + "/controllers"
}

// grantPrinted grants the service account kooperd of a namespace what kooperd rbac prints for the
// config in a ConfigMap there, and returns that. Before it is granted, validate --live names all
// that concerns the ConfigMap.
func grantPrinted(t *testing.T, namespace, source string) []cluster.Grant {
	t.Helper()
	file := writeYAML(t, namespace)
	validate := []string{
		"validate", "--live", "--kubeconfig", shared.AdminKubeconfig(), "--as", "system:serviceaccount:" + namespace + ":kooperd",
		"--configmap", source, file,
	}
	output, status := kooperd(t, validate...)
	for _, rule := range []string{
		`resourceNames: ["controllers"], verbs: ["get", "list", "watch"]}`,
		`resourceNames: ["controllers-accepted"], verbs: ["get", "update"]}`, `resources: ["configmaps"], verbs: ["create"]}`,
	} {
		line := slices.IndexFunc(strings.Split(output, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "configmap:"+source) && strings.HasSuffix(line, rule)
		})
		if status != 1 || line < 0 {
			t.Errorf("validate --live ends with status %d and does not name %s:\n%s", status, rule, output)
		}
	}

	roles, status := kooperd(t, "rbac", file, "--configmap", source, "--service-account", namespace+"/kooperd")
	if status != 0 {
		t.Fatalf("kooperd rbac: exit status %d:\n%s", status, roles)
	}
	shared.Apply(t, roles)
	granted := grantsIn(t, roles)
	for { // The authorizer learns of new roles a moment later.
		output, status = kooperd(t, validate...)
		if status == 0 {
			return granted
		}
		if t.Context().Err() != nil {
			t.Fatalf("validate --live: exit status %d:\n%s", status, output)
		}
	}
}

// grantsIn returns what the Roles in a text of YAML documents allow.
func grantsIn(t *testing.T, text string) []cluster.Grant {
	t.Helper()
	var granted []cluster.Grant
	for document := range strings.SplitSeq(text, "---\n") {
		var role rbacv1.Role
		if err := yaml.Unmarshal([]byte(document), &role); err != nil {
			t.Fatalf("reading a role: %v\n%s", err, document)
		}
		for _, rule := range role.Rules { // A binding has none.
			granted = append(granted, cluster.GrantsOf(role.Namespace, rule)...)
		}
	}
	return granted
}

// writeYAML writes the config in a namespace's ConfigMap to a file and returns its path.
func writeYAML(t *testing.T, namespace string) string {
	t.Helper()
	object, err := shared.Client().CoreV1().ConfigMaps(namespace).Get(t.Context(), "controllers", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "controllers.yaml")
	if err := os.WriteFile(path, []byte(object.Data["controllers.yaml"]), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
