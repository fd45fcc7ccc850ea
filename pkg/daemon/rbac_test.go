package daemon_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/daemon"
	"kooperd.dev/kooperd/pkg/handlers/builtin"
)

const rbacConfig = `apiVersion: kooperd.dev/v1alpha1
controllers:
  nodes: {watch: {apiVersion: v1, kind: Node}, handler: {log: {}}}
  pods: {watch: {apiVersion: v1, kind: Pod, namespaces: [payments]}, handler: {log: {}}}
`

const disabledConfig = "apiVersion: kooperd.dev/v1alpha1\nleaderElection: disabled\ncontrollers: {}\n"

// runRBAC runs the command with a config file of the given text. DIR stands for its folder in what
// is returned.
func runRBAC(t *testing.T, config string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "controllers.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	status = daemon.Run(t.Context(), daemon.Options{
		Args: append([]string{"rbac", path}, args...), Stdout: &out, Stderr: &errs, Plugins: builtin.Plugins(),
	})
	return out.String(), strings.ReplaceAll(errs.String(), dir, "DIR"), status
}

func TestRBAC(t *testing.T) {
	cases := map[string]struct {
		config string
		args   []string
		golden string
	}{
		"roles with bindings":             {config: rbacConfig, args: []string{"--service-account", "kooper-system/kooperd"}, golden: "bound.yaml"},
		"roles alone":                     {config: rbacConfig, args: []string{"--namespace", "kooper-system", "--name", "engine"}, golden: "roles.yaml"},
		"JSON":                            {config: rbacConfig, args: []string{"--namespace", "kooper-system", "-o", "json"}, golden: "roles.json"},
		"a config in a ConfigMap":         {config: rbacConfig, args: []string{"--service-account", "kooper-system/kooperd", "--configmap", "kooper-system/controllers"}, golden: "configmap.yaml"},
		"two, as in --config":             {config: disabledConfig, args: []string{"--configmap", "configmap:a/one", "--configmap", "b/two"}, golden: "configmaps.yaml"},
		"values of the chart":             {config: rbacConfig, args: []string{"--format", "helm-values"}, golden: "values.yaml"},
		"no lease but on paper":           {config: strings.ReplaceAll(rbacConfig, "handler:", "leaderElection: disabled, handler:"), golden: "every-replica.yaml"},
		"nothing":                         {config: disabledConfig, golden: "nothing.yaml"},
		"values of the chart for nothing": {config: "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {}\n", args: []string{"--format", "helm-values"}, golden: "no-values.yaml"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runRBAC(t, tc.config, tc.args...)
			if status != daemon.ExitOK || stderr != "" {
				t.Fatalf("exit status is %d and standard error %q, want 0 and none", status, stderr)
			}
			compareGolden(t, filepath.Join("testdata", "rbac", tc.golden), stdout)
		})
	}
}

func TestRBACQuestions(t *testing.T) {
	custom := strings.ReplaceAll(rbacConfig, "apiVersion: v1, kind: Node", "apiVersion: example.com/v1, kind: Widget")
	cases := map[string]struct {
		config string
		args   []string
		want   string
	}{
		"no namespace for the lease": {
			config: rbacConfig,
			want:   "kooperd: the config does not say where the lease is: use --namespace or --service-account, or set leaderElection.namespace\n",
		},
		"unknown kinds": {
			config: custom, args: []string{"-n", "a"},
			want: "kooperd: the rights of some definitions are not known:\n" +
				"  nodes: which resource is kind Widget of example.com/v1? Give its CustomResourceDefinition with --crds, or ask the cluster with --live\n",
		},
		"cluster-scoped with namespaces": {
			config: strings.ReplaceAll(rbacConfig, "kind: Node", "kind: Node, namespaces: [a]"), args: []string{"-n", "a"},
			want: "DIR/controllers.yaml:3:59: controllers.nodes.watch.namespaces: kind Node is cluster-scoped; remove watch.namespaces\n",
		},
		"no service account can have the name": {
			config: rbacConfig, args: []string{"--service-account", "Bad_NS/x"},
			want: "kooperd: service account \"Bad_NS/x\": the namespace is not valid: a lowercase RFC 1123 label must consist of lower case alphanumeric " +
				"characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is " +
				"'[a-z0-9]([-a-z0-9]*[a-z0-9])?')\n",
		},
		"two answers": {
			config: rbacConfig, args: []string{"--crds", ".", "--live"},
			want: "kooperd: --crds and --live are two ways to the same answer: use one of them\n",
		},
		"a cluster that is not asked": {
			config: rbacConfig, args: []string{"-n", "a", "--kubeconfig", "config"},
			want: "kooperd: --kubeconfig is for --live\n",
		},
		"a name that no role can have": {
			config: rbacConfig, args: []string{"-n", "a", "--name", "a/b"},
			want: "kooperd: --name \"a/b\" may not contain '/'\n",
		},
		"no name of a ConfigMap": {
			config: rbacConfig, args: []string{"-n", "a", "--configmap", "controllers"},
			want: "kooperd: --configmap \"controllers\": want NAMESPACE/NAME\n",
		},
		"rights that the chart grants": {
			config: rbacConfig, args: []string{"-o", "helm-values", "--configmap", "a/b"},
			want: "kooperd: --configmap is not for --format helm-values: the chart grants these rights when its value reload is true\n",
		},
		"no such folder": {
			config: rbacConfig, args: []string{"-n", "a", "--crds", "nowhere"},
			want: "kooperd: reading CustomResourceDefinitions: lstat nowhere: no such file or directory\n",
		},
		"format":          {config: rbacConfig, args: []string{"-o", "toml"}, want: "kooperd: unknown format \"toml\", want one of: yaml, json, helm-values\n"},
		"service account": {config: rbacConfig, args: []string{"--service-account", "a"}, want: "kooperd: service account \"a\": want NAMESPACE/NAME\n"},
		"bad config": {
			config: "apiVersion: kooperd.dev/v1alpha1\ncontrollers: {a: {}}\n", args: []string{"-n", "a"},
			want: "DIR/controllers.yaml:2:15: controllers.a.handler: required field is missing; name one of the plugins: apply, exec, log or webhook\n" +
				"DIR/controllers.yaml:2:15: controllers.a.watch: required field is missing\n",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, status := runRBAC(t, tc.config, tc.args...)
			if status != daemon.ExitUsage || stdout != "" {
				t.Errorf("exit status is %d and standard output %q, want 2 and none", status, stdout)
			}
			if diff := cmp.Diff(tc.want, stderr); diff != "" {
				t.Errorf("standard error (-want +got):\n%s", diff)
			}
		})
	}
}
