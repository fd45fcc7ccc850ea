package compose_test

import (
	"maps"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/test/compose/parts"
)

// lastApplied is what kubectl notes when it applies on its own side.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// createBy makes an object as a field manager does, by Create.
func (r *rig) createBy(t testing.TB, manager string, resource schema.GroupVersionResource, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{Object: object(t, text)}
	created, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).Create(t.Context(), o, metav1.CreateOptions{FieldManager: manager})
	if err != nil {
		t.Fatalf("creating %s by %s: %v", o.GetName(), manager, err)
	}
	return created
}

// applyBy makes or changes an object as a field manager does, by server-side apply.
func (r *rig) applyBy(t testing.TB, manager string, resource schema.GroupVersionResource, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{Object: object(t, text)}
	applied, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).Apply(t.Context(), o.GetName(), o, metav1.ApplyOptions{FieldManager: manager})
	if err != nil {
		t.Fatalf("applying %s by %s: %v", o.GetName(), manager, err)
	}
	return applied
}

// updateBy changes an object as a field manager does, by Update.
func (r *rig) updateBy(t testing.TB, manager string, resource schema.GroupVersionResource, name string, change func(*unstructured.Unstructured)) {
	t.Helper()
	o := r.get(t, resource, name)
	change(o)
	if _, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).Update(t.Context(), o, metav1.UpdateOptions{FieldManager: manager}); err != nil {
		t.Fatalf("updating %s by %s: %v", name, manager, err)
	}
}

// data is the data of a ConfigMap, and its labels but the marks.
func dataOf(o *unstructured.Unstructured) map[string]string {
	data, _, _ := unstructured.NestedStringMap(o.Object, "data")
	all := maps.Clone(data)
	for name, value := range o.GetLabels() {
		if !slices.Contains([]string{installationLabel, definitionLabel, parentLabel}, name) {
			all["label "+name] = value
		}
	}
	if _, ok := o.GetAnnotations()[lastApplied]; ok {
		all["annotation"] = lastApplied
	}
	return all
}

// TestAdoptFrom takes children over from whoever made them before, and then drops a field of
// each: it goes.
func TestAdoptFrom(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const theirs = `"data": {"text": "x", "child": "CHILD", "dropped": "yes", "left": "over"}`
	thing := r.thing(t, "p", "x")
	before := map[string]*unstructured.Unstructured{
		"clientside": r.createBy(t, "kubectl-client-side-apply", configMaps, `{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": {"name": "p-clientside", "annotations": {"`+lastApplied+`": "{}"}}, `+theirs+`}`),
		"serverside": r.applyBy(t, "kubectl", configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-serverside"}, `+theirs+`}`),
		"helm":       r.createBy(t, "helm", configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-helm"}, `+theirs+`}`),
		"operator":   r.createBy(t, "operator", configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-operator"}, `+theirs+`}`),
	}
	yes := true
	r.updateBy(t, "operator", configMaps, "p-operator", func(o *unstructured.Unstructured) {
		o.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: "demo.kooperd.dev/v1", Kind: "Thing", Name: "p", UID: thing.GetUID(), Controller: &yes, BlockOwnerDeletion: &yes,
		}})
	})
	// What somebody else has set stays.
	r.updateBy(t, other, configMaps, "p-helm", func(o *unstructured.Unstructured) { o.SetLabels(map[string]string{"others": "stay"}) })

	shape := func(dropped bool) (children []parts.Child) {
		for _, name := range slices.Sorted(maps.Keys(before)) {
			child := configMap(name)
			child.AdoptFrom = []string{"kubectl-client-side-apply", "kubectl", "helm", "operator"}
			data := map[string]any{"text": "{text}", "child": name}
			if !dropped {
				data["dropped"] = "yes"
			}
			child.Object["data"] = data
			children = append(children, child)
		}
		return children
	}
	r.define(t, shape(false)...)
	mark := shared.AuditMark(t)
	p := r.start(t)
	r.ready(t, "p")
	p.Await(t, "an event about each child", func() bool {
		events, err := shared.Client().EventsV1().Events(r.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=Adopted"})
		if err != nil {
			t.Fatal(err)
		}
		return len(events.Items) == len(before)
	})
	check := func(dropped bool) {
		t.Helper()
		all := r.list(t, configMaps)
		for name, old := range before {
			want := map[string]string{"text": "x", "child": name}
			if !dropped {
				want["dropped"] = "yes"
			}
			if name == "helm" {
				want["label others"] = "stay"
			}
			if diff := gocmp.Diff(want, dataOf(all["p-"+name])); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if all["p-"+name].GetUID() != old.GetUID() {
				t.Errorf("%s is another object", name)
			}
		}
	}
	check(false)
	p.settle(t, "p")
	for name := range before {
		if n := len(slices.DeleteFunc(r.writes(t, mark), func(s sent) bool { return s.name != "p-"+name || s.code >= 300 })); n != 2 {
			t.Errorf("%s has taken %d writes that were carried out, want one of managedFields and one apply", name, n)
		}
	}
	r.define(t, shape(true)...)
	p.reload(t)
	r.await(t, configMaps, "the fields gone", func(o objects) bool {
		return !slices.ContainsFunc(slices.Collect(maps.Keys(before)), func(name string) bool { return o.text("p-"+name, "data", "dropped") != "" })
	})
	check(true)
	p.Stop(t)

	mark = shared.AuditMark(t)
	p = r.start(t)
	p.settle(t, "p")
	r.noWrites(t, mark, "after a restart")
}

// TestAdoptRestored has a parent and a child that a backup has brought back: the parent has another
// UID, and the child has labels and annotations, and no owner.
func TestAdoptRestored(t *testing.T) {
	t.Parallel()
	for name, manager := range map[string]string{"by another": "velero", "by kooperd's own entry": "kooperd"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			child := configMap("a")
			child.Adopt = handlers.AdoptRestored
			child.Object["data"] = map[string]any{"text": "{text}", "dropped": "yes"}
			r.define(t, child)
			p := r.start(t)
			old := r.thing(t, "p", "x")
			r.ready(t, "p")
			backup := r.get(t, configMaps, "p-a")
			p.Stop(t)

			r.remove(t, things, "p")
			r.await(t, things, "the parent gone", func(o objects) bool { return o["p"] == nil })
			r.await(t, configMaps, "the child gone", func(o objects) bool { return o["p-a"] == nil })
			restore := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": backup.Object["data"]}}
			restore.SetName("p-a")
			restore.SetLabels(backup.GetLabels())
			restore.SetAnnotations(backup.GetAnnotations())
			data, err := restore.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			var restored *unstructured.Unstructured
			if manager == "kooperd" {
				restored = r.applyBy(t, manager, configMaps, string(data))
			} else {
				restored = r.createBy(t, manager, configMaps, string(data))
			}
			now := r.thing(t, "p", "x")
			if now.GetUID() == old.GetUID() {
				t.Fatal("the parent has its old UID")
			}
			delete(child.Object["data"].(map[string]any), "dropped")
			r.define(t, child)
			r.start(t)
			r.ready(t, "p")
			got := r.get(t, configMaps, "p-a")
			if got.GetUID() != restored.GetUID() || got.GetLabels()[parentLabel] != string(now.GetUID()) || len(got.GetOwnerReferences()) != 1 {
				t.Errorf("the child is %v, want the restored one as a child of %s", got, now.GetUID())
			}
			if diff := gocmp.Diff(map[string]string{"text": "x"}, dataOf(got)); diff != "" {
				t.Errorf("data (-want +got):\n%s", diff)
			}
			// It is a child as it was: what somebody changes is set right.
			r.patch(t, configMaps, "p-a", `{"data": {"text": "changed"}}`)
			r.await(t, configMaps, "the child as it should be", func(o objects) bool { return o.text("p-a", "data", "text") == "x" })
		})
	}
}

// TestAdoptRefuses has an object that belongs to somebody else, and one with a conflict.
func TestAdoptRefuses(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a, b, c := configMap("a"), configMap("b"), configMap("c")
	a.Adopt, b.Adopt, c.Adopt = handlers.AdoptIfUnowned, handlers.AdoptIfUnowned, handlers.AdoptIfUnowned
	r.define(t, a, b, c)
	owner := r.create(t, secrets, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "owner"}}`)
	yes := true
	controlled := &unstructured.Unstructured{Object: object(t, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-a"}}`)}
	controlled.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "Secret", Name: "owner", UID: owner.GetUID(), Controller: &yes}})
	controlled = r.createObject(t, configMaps, controlled)
	conflict := r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-b"}, "data": {"text": "theirs"}}`)
	free := r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-c"}, "data": {"text": "x", "more": "yes"}}`)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.awaitCondition(t, "p", "ConfigMap "+r.namespace+"/p-a", "Secret owner controls it")
	r.await(t, configMaps, "the free one adopted", func(o objects) bool { return o["p-c"].GetLabels()[parentLabel] != "" })
	p.settle(t, "p")
	r.untouched(t, configMaps, controlled)
	r.untouched(t, configMaps, conflict)
	now := r.get(t, configMaps, "p-c")
	if diff := gocmp.Diff(map[string]string{"text": "x", "child": "c", "more": "yes"}, dataOf(now)); diff != "" || now.GetUID() != free.GetUID() {
		t.Errorf("the adopted object is %s, want %s with (-want +got):\n%s", now.GetUID(), free.GetUID(), diff)
	}

	// When nobody controls it any more, it is adopted, and the conflict is named.
	r.remove(t, configMaps, "p-a")
	r.awaitCondition(t, "p", "ConfigMap "+r.namespace+"/p-b", `conflict with "`+other+`"`, ".data.text")
	b.Conflicts = handlers.ConflictsForce
	r.define(t, a, b, c)
	p.reload(t)
	r.ready(t, "p")
	if got := r.get(t, configMaps, "p-b"); got.GetUID() != conflict.GetUID() || dataOf(got)["text"] != "x" {
		t.Errorf("the object with the conflict is %v, want it adopted by force", got)
	}
}
