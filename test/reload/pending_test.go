package reload_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/reload/probe"
)

// crd makes kind Gizmo served.
const crd = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gizmos.reload.kooperd.dev}
spec:
  group: reload.kooperd.dev
  names: {kind: Gizmo, plural: gizmos}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
`

// pendingConfig has five definitions. In revision 2, three of them lack something.
func (r *rig) pendingConfig(revision int, broken string) string {
	text := ""
	add := func(name, more, settings string) {
		text += r.definition(name, fmt.Sprintf(`revision: "%d"%s`, revision, more), settings)
	}
	add("good1", "", "")
	add("good2", "", "workers: 4")
	if revision == 1 {
		add("broken", "", "")
		add("forbidden", "", "")
		add("unserved", "", "")
		return r.configOf(text)
	}
	add("broken", broken, "")
	add("forbidden", ", needsSecrets: true", "")
	text += fmt.Sprintf("unserved: {watch: {apiVersion: \"reload.kooperd.dev/v1\", kind: \"Gizmo\", namespaces: [%q]}\n"+
		"\thandler: probe: revision: \"%d\"}\n", r.namespace, revision)
	return r.configOf(text)
}

// TestPending offers a revision that one definition's handler, one's rights and one's kind are not
// ready for. These go on as before and say why; the others are new. Each becomes new when it can.
func TestPending(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const account = "kooperd"
	opts := r.options("")
	opts.Kubeconfig = shared.ServiceAccountKubeconfig(t, r.namespace, account,
		cluster.InNamespace(r.namespace,
			cluster.Allow("get,list,watch,create,update,patch", "coordination.k8s.io", "leases"),
			cluster.Allow("get,list,watch,patch", "", "configmaps"),
			cluster.Allow("list,watch", "reload.kooperd.dev", "gizmos")),
		cluster.ClusterWide(cluster.Allow("get", "", "namespaces")))
	r.create(t, "a", "")
	path := filepath.Join(t.TempDir(), "controllers.cue")
	writeFile(t, path, r.pendingConfig(1, ""))
	opts.Config = path
	f := r.runWith(t, opts)
	all := []string{"broken", "forbidden", "good1", "good2", "unserved"}
	r.awaitRevision(t, f, 1, all...)

	replaceFile(t, path, r.pendingConfig(2, `, broken: "no such thing as the test wants"`))
	r.awaitRevision(t, f, 2, "good1", "good2")
	reasons := map[string]string{
		"broken":    "no such thing as the test wants",
		"forbidden": "secrets",
		"unserved":  "does not serve kind Gizmo",
	}
	for name, reason := range reasons {
		f.awaitStatus(t, name+": ReloadPending", reason)
		f.AwaitLog(t, "definition changed state", "controller", name, "state", "ReloadPending")
		if v := f.value(t, fmt.Sprintf(`kooperd_controller_state{controller=%q,state="ReloadPending"}`, name)); v != 1 {
			t.Errorf("the state of %s is not ReloadPending in the metrics", name)
		}
	}
	f.Await(t, "three pending definitions", func() bool { return f.value(t, "kooperd_config_pending_definitions") == 3 })
	for _, name := range []string{"good1", "good2"} {
		f.awaitStatus(t, name+": Running")
	}
	n := len(r.record.all(t))
	if _, err := r.change(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	f.Await(t, "a call of each definition", func() bool { return len(r.record.all(t)) == n+len(all) })
	for _, c := range r.record.all(t)[n:] {
		want := "2"
		if reasons[c.Definition] != "" {
			want = "1"
		}
		if c.Revision != want {
			t.Errorf("the change was handled by revision %s of %s, want %s", c.Revision, c.Definition, want)
		}
	}

	shared.Grant(t, r.namespace, account, cluster.InNamespace(r.namespace, cluster.Allow("get", "", "secrets")))
	r.awaitRevision(t, f, 2, "forbidden")
	f.awaitStatus(t, "forbidden: Running")
	shared.Apply(t, crd)
	t.Cleanup(func() {
		crds := shared.Dynamic().Resource(schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
		if err := crds.Delete(context.WithoutCancel(t.Context()), "gizmos.reload.kooperd.dev", metav1.DeleteOptions{}); err != nil {
			t.Errorf("removing kind Gizmo: %v", err)
		}
	})
	shared.Apply(t, fmt.Sprintf("{apiVersion: reload.kooperd.dev/v1, kind: Gizmo, metadata: {name: g, namespace: %s}}", r.namespace))
	r.awaitRevision(t, f, 2, "unserved")
	f.awaitStatus(t, "unserved: Running")
	f.awaitStatus(t, "broken: ReloadPending", reasons["broken"])
	replaceFile(t, path, r.pendingConfig(2, ""))
	r.awaitRevision(t, f, 2, "broken")
	f.Await(t, "no pending definition", func() bool { return f.value(t, "kooperd_config_pending_definitions") == 0 })
	for k, calls := range byKey(r.record.all(t)) {
		for _, complaint := range complaints(calls, 1) {
			t.Errorf("%s: %s", k.definition, complaint)
		}
	}
}

// awaitRevision waits for a call of a revision by each definition.
func (r *rig) awaitRevision(t testing.TB, f *follower, revision int, definitions ...string) {
	t.Helper()
	for _, name := range definitions {
		f.awaitCalls(t, r, fmt.Sprintf("a call of revision %d of %s", revision, name), func([]probe.Call) bool {
			return r.record.has(t, name, strconv.Itoa(revision))
		})
	}
}
