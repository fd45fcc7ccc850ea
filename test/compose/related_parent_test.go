package compose_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/test/daemon"
)

// relatedConfig has a definition whose parents say what they read: a Secret by its name, and
// ConfigMaps by a label. %[1]s is the namespace.
const relatedConfig = `
apiVersion: kooperd.dev/v1alpha1
leaderElection: {name: related, namespace: %[1]s}
controllers:
  related:
    watch: {apiVersion: demo.kooperd.dev/v1, kind: Thing, namespaces: [%[1]s]}
    handler:
      apply:
        related:
          mine: {apiVersion: v1, kind: Secret, name: "${object.spec.text}", namespace: "${object.metadata.namespace}"}
          labelled: {apiVersion: v1, kind: ConfigMap, labelSelector: "of in (${object.metadata.name}, all)", sameNamespace: true}
        children:
          copy:
            template:
              apiVersion: v1
              kind: Secret
              metadata: {name: "${object.metadata.name}-copy"}
              data:
                value: ${related.mine.data.value}
          labelled:
            template:
              apiVersion: v1
              kind: ConfigMap
              metadata: {name: "${object.metadata.name}-labelled"}
              data: {names: "${related.labelled.map(c, c.metadata.name).join(' ')}"}
`

// relating is an installation with that config.
type relating struct {
	*rig
	*daemon.Process
}

// calls is how often a parent was handled.
func (r relating) calls(parent string) int {
	return len(r.Lines("handled object", "object", r.namespace+"/"+parent))
}

// pass touches a parent, and waits for the end of a call that has it as it is then.
func (r relating) pass(t *testing.T, parent string) {
	t.Helper()
	r.touches++
	touched := r.patch(t, things, parent, fmt.Sprintf(`{"metadata": {"annotations": {"touch": "%d"}}}`, r.touches))
	r.Await(t, "a call for "+parent, func() bool {
		for _, begin := range r.Lines("handling object", "object", r.namespace+"/"+parent) {
			seen, err := strconv.Atoi(begin.Field("resourceVersion"))
			wanted, _ := strconv.Atoi(touched.GetResourceVersion())
			if err == nil && seen >= wanted && len(r.Lines("handled object", "call", begin.Field("call"))) > 0 {
				return true
			}
		}
		return false
	})
}

// has reports whether a child is there with one text in its data.
func (r relating) has(child *unstructured.Unstructured, text string) bool {
	return child != nil && slices.Equal(slices.Collect(maps.Values(dataOf(child))), []string{text})
}

// value is the data of a Secret with a value, in base64 as the API server has it.
func value(text string) string { return fmt.Sprintf(`{"data": {"value": %q}}`, text) }

// startRelating starts kooperd with the rights that it says it needs.
func startRelating(t *testing.T) (r relating) {
	t.Helper()
	declareThings.Do(func() { shared.Apply(t, thingsDefinition) })
	r.rig = &rig{namespace: shared.Namespace(t)}
	r.path = filepath.Join(t.TempDir(), "controllers.yaml")
	if err := os.WriteFile(r.path, fmt.Appendf(nil, relatedConfig, r.namespace), 0o600); err != nil {
		t.Fatal(err)
	}
	kubeconfig := shared.ServiceAccountKubeconfig(t, r.namespace, "related")
	roles, stderr, status := command(t, shared.AdminKubeconfig(), "rbac", r.path, "--live", "--name", r.namespace, "--service-account", r.namespace+"/related")
	if status != 0 || strings.Contains(roles, "*") {
		t.Fatalf("exit status is %d\n%s%s", status, roles, stderr)
	}
	shared.Apply(t, roles)
	for name, text := range map[string]string{"first": "MQ==", "second": "Mg==", "third": "Mw=="} {
		r.create(t, secrets, fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": %q}, "data": {"value": %q}}`, name, text))
	}
	r.thing(t, "a", "first")
	r.thing(t, "b", "second")
	r.Process = daemon.Start(t, daemon.Options{Binary: composed, Config: r.path, Args: []string{"-v=1"}, Kubeconfig: kubeconfig})
	return r
}

// TestRelatedByParent changes objects that parents have named, and others: the parents that have
// named an object follow it at once, and no others are called.
func TestRelatedByParent(t *testing.T) {
	t.Parallel()
	r := startRelating(t)
	copies := func(a, b string) {
		t.Helper()
		r.await(t, secrets, "the copies "+a+" and "+b, func(o objects) bool {
			return r.has(o["a-copy"], a) && r.has(o["b-copy"], b)
		})
	}
	copies("MQ==", "Mg==")
	r.ready(t, "a")
	r.ready(t, "b")
	r.pass(t, "a")
	r.pass(t, "b")

	before := map[string]int{"a": r.calls("a"), "b": r.calls("b")}
	r.patch(t, secrets, "third", value("NA==")) // Nobody has named it.
	r.patch(t, secrets, "first", value("NQ=="))
	copies("NQ==", "Mg==")
	r.pass(t, "a")
	r.pass(t, "b")
	if n := r.calls("a") - before["a"]; n != 2 {
		t.Errorf("a was called %d times, want once for its Secret and once for itself", n)
	}
	if n := r.calls("b") - before["b"]; n != 1 {
		t.Errorf("b was called %d times, want once for itself", n)
	}

	r.patch(t, things, "b", `{"spec": {"text": "third"}}`)
	copies("NQ==", "NA==")
	r.patch(t, secrets, "third", value("Ng=="))
	copies("NQ==", "Ng==")

	labelled := func(a, b string) {
		t.Helper()
		r.await(t, configMaps, "the names "+a+" and "+b, func(o objects) bool {
			return r.has(o["a-labelled"], a) && r.has(o["b-labelled"], b)
		})
	}
	r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "for-b", "labels": {"of": "b"}}}`)
	labelled("", "for-b")
	r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "for-all", "labels": {"of": "all"}}}`)
	labelled("for-all", "for-all for-b")
	r.patch(t, configMaps, "for-b", `{"metadata": {"labels": {"of": "a"}}}`)
	labelled("for-all for-b", "for-all")

	stdout, stderr, status := command(t, shared.AdminKubeconfig(), "try", r.path, "--live", "--object", "things/"+r.namespace+"/a", "-o", "json")
	if status != 0 || strings.Count(stdout, `"action": "unchanged"`) != 2 {
		t.Errorf("try exits with %d and prints\n%s%s", status, stdout, stderr)
	}
	if got := r.Stop(t); got != 0 {
		t.Errorf("exit status is %d, want 0", got)
	}
}
