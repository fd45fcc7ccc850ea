package access_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestOneAnswer gives the same configs to all commands: what no cluster has is a mistake in the
// file for each of them, and what this cluster lacks is named alike by those that ask it.
func TestOneAnswer(t *testing.T) {
	t.Parallel()
	const exec = `{watch: {apiVersion: "v1", kind: "Pod"}, handler: exec: {command: ["true"], rules: [%s]}}`
	tests := map[string]struct {
		definition    string
		offline, live string // what validate and rbac, and the two with --live, print of it
	}{
		"ComponentStatus": {
			definition: `{watch: {apiVersion: "v1", kind: "ComponentStatus"}, handler: log: {}}`,
			offline:    "kind ComponentStatus of v1 can be listed but not watched",
		},
		"TokenReview": {
			definition: `{watch: {apiVersion: "authentication.k8s.io/v1", kind: "TokenReview"}, handler: log: {}}`,
			offline:    "kind TokenReview of authentication.k8s.io/v1 can neither be listed nor watched",
		},
		"no such kind": {
			definition: `{watch: {apiVersion: "v1", kind: "Foo"}, handler: log: {}}`,
			offline:    "Kubernetes has no kind Foo of v1",
		},
		"namespaces of a cluster-scoped kind": {
			definition: `{watch: {apiVersion: "v1", kind: "Node", namespaces: ["default"]}, handler: log: {}}`,
			offline:    "kind Node is cluster-scoped; remove watch.namespaces",
		},
		"singular resource": {
			definition: fmt.Sprintf(exec, `{apiGroups: [""], resources: ["pod"], verbs: ["get"]}`),
			offline:    `Kubernetes has no resource pod in the core group; did you mean "pods"?`,
		},
		"kind of no CRD": {
			definition: `{watch: {apiVersion: "none.example.com/v1", kind: "Gadget"}, handler: log: {}}`,
			live:       "the API server does not serve kind Gadget of none.example.com/v1",
		},
		"resource of no CRD": {
			definition: fmt.Sprintf(exec, `{apiGroups: ["none.example.com"], resources: ["gadgets"], verbs: ["get"]}`),
			live:       "a rule of the exec handler: the API server does not serve resource gadgets in group none.example.com",
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := write(t, `leaderElection: "disabled"`+"\ncontrollers: a: "+tc.definition)
			for _, command := range []string{"validate", "rbac"} {
				output, status := kooperd(t, command, config)
				if tc.offline != "" && (status != 2 || !strings.Contains(output, tc.offline)) {
					t.Errorf("%s: exit status %d, want 2 with %q:\n%s", command, status, tc.offline, output)
				}
				want := tc.offline + tc.live
				output, status = kooperd(t, command, config, "--live", "--kubeconfig", shared.AdminKubeconfig())
				if status == 0 || !strings.Contains(output, want) {
					t.Errorf("%s --live: exit status %d, want %q:\n%s", command, status, want, output)
				}
			}
		})
	}
}

func TestNamespacesThatDoNotExist(t *testing.T) {
	t.Parallel()
	config := write(t, `leaderElection: namespace: "no-lease"
controllers: a: {watch: {apiVersion: "v1", kind: "Pod", namespaces: ["no-pods"]}, handler: log: {}}`)
	output, status := kooperd(t, "validate", "--live", "--kubeconfig", shared.AdminKubeconfig(), config)
	want := "a: namespace no-pods does not exist\nleaderElection: namespace no-lease does not exist\n"
	if output != want || status != 1 {
		t.Errorf("exit status %d, want 1; output:\n%s\nwant:\n%s", status, output, want)
	}
}
