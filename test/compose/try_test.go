package compose_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/cluster"
	"kooperd.dev/kooperd/test/compose/parts"
)

// tryLive runs kooperd try --live for a thing, and returns what would be done with each child.
func (r *rig) tryLive(t testing.TB, kubeconfig, object string, status int) (actions map[string]string, stdout string) {
	t.Helper()
	stdout, stderr, got := command(t, kubeconfig, "try", r.path, "--live", "--object", object, "-o", "json")
	if got != status {
		t.Fatalf("exit status is %d, want %d\n%s%s", got, status, stdout, stderr)
	}
	var report struct {
		Tried []struct {
			Children []struct{ ObjectName, Action string }
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Tried) != 1 {
		t.Fatalf("reading %s: %v", stdout, err)
	}
	actions = map[string]string{}
	for _, child := range report.Tried[0].Children {
		actions[child.ObjectName] = child.Action
	}
	return actions, stdout
}

// TestTryShowsLabels tries a parent that would get a label, and lose one.
func TestTryShowsLabels(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Labels: map[string]string{"example.com/text": "{text}", "same": "x"}, Removes: []string{"gone", "absent"},
	}}})
	thing := writeTemp(t, []byte(`{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing",
		"metadata": {"name": "p", "namespace": "`+r.namespace+`", "labels": {"gone": "1", "same": "x"}, "annotations": {"keep": "1"}}, "spec": {"text": "x"}}`))
	try := func(flags ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), composed, append([]string{"try", r.path, "--object", thing}, flags...)...).Output()
		if err != nil {
			t.Fatalf("trying the thing: %v\n%s", err, out)
		}
		return string(out)
	}
	stdout := try("-o", "json")
	var report struct {
		Tried []struct {
			Metadata map[string]any
		}
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.Tried) != 1 {
		t.Fatalf("reading %s: %v", stdout, err)
	}
	want := map[string]any{"labels": map[string]any{"example.com/text": "x", "gone": nil}}
	if diff := gocmp.Diff(want, report.Tried[0].Metadata); diff != "" {
		t.Errorf("metadata (-want +got):\n%s", diff)
	}
	if printed := try(); !strings.Contains(printed, "METADATA\nlabels:\n  example.com/text: x\n  gone: null\n") {
		t.Errorf("printed is:\n%s", printed)
	}
}

// TestTryLive tries a parent before its children are made, when they are there, when another party
// has changed one, and with a file that is refused. Nothing of that is written.
func TestTryLive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := parts.Child{Name: "s", Object: object(t, `{
		"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "{name}-s"}, "stringData": {"password": "hunter2hunter2"}
	}`)}
	define := func(children ...parts.Child) {
		t.Helper()
		owns := []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "Secret"}}
		r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{Children: children, Owns: owns}}})
	}
	define(configMap("a"), configMap("b"), secret)
	everything := rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}
	kubeconfig := cluster.WriteKubeconfig(t, shared.ServiceAccount(t, r.leases, "person", cluster.ClusterWide(everything)), r.leases)
	check := func(object string, status int, want map[string]string) string {
		t.Helper()
		actions, stdout := r.tryLive(t, kubeconfig, object, status)
		if diff := gocmp.Diff(want, actions); diff != "" {
			t.Errorf("would be done (-want +got):\n%s", diff)
		}
		if strings.Contains(stdout, "hunter2") {
			t.Error("it shows a secret")
		}
		return stdout
	}
	name := "thing/" + r.namespace + "/p"
	r.thing(t, "p", "x")
	mark := shared.AuditMark(t)
	check(name, 0, map[string]string{"p-a": "create", "p-b": "create", "p-s": "create"})
	if made := shared.Kubectl(t, "-n", r.namespace, "get", "configmaps,secrets", "-o", "name"); strings.Contains(made, "p-") {
		t.Errorf("it has made %s", made)
	}

	p := r.start(t)
	r.ready(t, "p")
	p.settle(t, "p")
	p.Stop(t)
	before := r.get(t, things, "p")
	check(name, 0, map[string]string{"p-a": "unchanged", "p-b": "unchanged", "p-s": "unchanged"})
	r.patch(t, configMaps, "p-a", `{"data": {"text": "theirs"}}`)
	version := r.get(t, configMaps, "p-a").GetResourceVersion()
	define(configMap("a"), secret)
	stdout := check(name, 0, map[string]string{"p-a": "change", "p-b": "delete", "p-s": "unchanged"})
	if !strings.Contains(stdout, `"text": "theirs"`) {
		t.Errorf("what was there before is not in it:\n%s", stdout)
	}
	if now := r.get(t, configMaps, "p-a").GetResourceVersion(); now != version {
		t.Error("it has changed the child")
	}
	r.get(t, configMaps, "p-b")
	if after := r.get(t, things, "p"); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Error("it has changed the parent")
	}

	invalid := configMap("a")
	invalid.Object["data"] = map[string]any{"no key": "{text}"}
	define(invalid, configMap("b"), secret)
	file := writeTemp(t, []byte(`{"apiVersion": "demo.kooperd.dev/v1", "kind": "Thing", "metadata": {"name": "p", "namespace": "`+r.namespace+`"}, "spec": {"text": "y"}}`))
	stdout = check(file, 1, map[string]string{"p-a": "refuse", "p-b": "change", "p-s": "unchanged"})
	if !strings.Contains(stdout, "no key") {
		t.Errorf("what the API server says is not in it:\n%s", stdout)
	}
	r.onlyDryRuns(t, mark, "person", "delete configmaps p-b", "patch configmaps p-a", "patch things/status p")
}

// TestTryLiveChangesNothing tries what takes deletes, changes of managedFields and of finalizers: a
// child that is not desired any more, one that has to be made anew, fields that are left to others,
// an adoption, patches, a status, and a parent that is being deleted.
func TestTryLiveChangesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	define := func(children []parts.Child, patches ...parts.Patch) {
		t.Helper()
		d := patching(patches...)
		d.NoOwns, d.Owns = false, []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}}
		d.Children, d.Status = children, map[string]any{"text": "{text}"}
		r.defineAll(t, map[string]definition{definitionName: d})
	}
	ignoring, adopting := configMap("i"), configMap("h")
	define([]parts.Child{fixedConfigMap(handlers.UpdateRecreate), configMap("b"), ignoring}, patchOf("shared", "{name}"))
	p := r.start(t)
	for _, name := range []string{"p", "g"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	p.settle(t, "p")
	p.settle(t, "g")
	p.Stop(t)
	r.remove(t, things, "g")
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.thing(t, "n", "x")
	r.createBy(t, "helm", configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-h"}, "data": {"text": "theirs", "old": "yes"}}`)
	ignoring.Ignore, adopting.AdoptFrom = []string{"data.text"}, []string{"helm"}
	define([]parts.Child{fixedConfigMap(handlers.UpdateRecreate), ignoring, adopting}, patchOf("shared", "{name}"))

	everything := rbacv1.PolicyRule{Verbs: []string{"*"}, APIGroups: []string{"*"}, Resources: []string{"*"}}
	kubeconfig := cluster.WriteKubeconfig(t, shared.ServiceAccount(t, r.leases, "person", cluster.ClusterWide(everything)), r.leases)
	before, mark := r.versions(t), shared.AuditMark(t)
	for name, want := range map[string]map[string]string{
		"p": {"p-a": "recreate", "p-b": "delete", "p-i": "unchanged", "p-h": "adopt"},
		"n": {"n-a": "create", "n-i": "create", "n-h": "create"},
		"g": {}, // Its children are the garbage collector's.
	} {
		actions, stdout := r.tryLive(t, kubeconfig, "thing/"+r.namespace+"/"+name, 0)
		if diff := gocmp.Diff(want, actions); diff != "" {
			t.Errorf("would be done for %s (-want +got):\n%s\n%s", name, diff, stdout)
		}
	}
	define([]parts.Child{ignoring}, patchOf("shared", "no key"))
	if _, stdout := r.tryLive(t, kubeconfig, "thing/"+r.namespace+"/p", 1); !strings.Contains(stdout, `"failure"`) {
		t.Errorf("of a patch that the API server refuses, it prints\n%s", stdout)
	}
	r.onlyDryRuns(t, mark, "person",
		"delete configmaps p-a", "delete configmaps p-b", "patch configmaps p-h", "patch configmaps p-i", "patch configmaps shared",
		"patch configmaps n-i", "patch things/status p", "patch things n", "patch things g")
	if diff := gocmp.Diff(before, r.versions(t)); diff != "" {
		t.Errorf("it has changed objects (-before +after):\n%s", diff)
	}
}

// versions are the resourceVersions of what there is in the namespace.
func (r *rig) versions(t testing.TB) map[string]string {
	t.Helper()
	versions := map[string]string{}
	for _, resource := range []schema.GroupVersionResource{things, configMaps} {
		found, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range found.Items {
			if o.GetName() != "kube-root-ca.crt" {
				versions[resource.Resource+"/"+o.GetName()] = o.GetResourceVersion()
			}
		}
	}
	return versions
}

// onlyDryRuns fails the test if a user has sent a write since mark that is no dry run, or has not
// sent all of these. A DELETE has to say so in its body: the API server does not look at the query
// of one that has a body.
func (r *rig) onlyDryRuns(t testing.TB, mark cluster.AuditMark, account string, want ...string) {
	t.Helper()
	user := "system:serviceaccount:" + r.leases + ":" + account
	var sent []string
	for _, e := range shared.AuditSince(t, mark, user) {
		if !e.IsWrite() || e.User.Username != user || slices.Contains(notAboutChildren, e.ObjectRef.Resource) {
			continue
		}
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		sent = append(sent, e.Verb+" "+resource+" "+e.ObjectRef.Name)
		var options struct{ DryRun []string }
		if e.Verb == "delete" && len(e.RequestObject) > 0 {
			if err := json.Unmarshal(e.RequestObject, &options); err != nil || !slices.Equal(options.DryRun, []string{"All"}) {
				t.Errorf("%s %s is no dry run: %s", e.Verb, e.RequestURI, e.RequestObject)
			}
		}
		if !strings.Contains(e.RequestURI, "dryRun=All") {
			t.Errorf("%s %s is no dry run: %s", e.Verb, e.RequestURI, e.RequestObject)
		}
	}
	for _, one := range want {
		if !slices.Contains(sent, one) {
			t.Errorf("there is no %s, only %q", one, sent)
		}
	}
}

// TestTryLiveOfSomebody is what a person gets who may not read the children, or names what is not
// there.
func TestTryLiveOfSomebody(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	r.thing(t, "p", "x")
	somebody := cluster.WriteKubeconfig(t, shared.ServiceAccount(t, r.leases, "somebody",
		cluster.InNamespace(r.namespace, cluster.Allow("get", "demo.kooperd.dev", "things"))), r.leases)
	name := "thing/" + r.namespace + "/"
	for object, want := range map[string]string{
		name + "p":                           `cannot list resource "configmaps"`,
		name + "q":                           `"q" not found`,
		"gadget/" + r.namespace + "/p":       "the API server serves no such kind",
		"configmap/" + r.namespace + "/p":    "no definition fits ConfigMap p of v1",
		"thing/" + r.namespace + "/p/status": "want KIND/NAMESPACE/NAME",
	} {
		_, stderr, status := command(t, somebody, "try", r.path, "--live", "--object", object)
		if status == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit status is %d, and it says %q, want %q", object, status, stderr, want)
		}
	}
}
