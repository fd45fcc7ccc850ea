package compose_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/compose/parts"
)

// The labels of a child.
const (
	installationLabel = "kooperd.dev/installation"
	definitionLabel   = "kooperd.dev/definition"
	parentLabel       = "kooperd.dev/parent-uid"
)

// TestMarks looks at what a child says of itself, and at how children are watched.
func TestMarks(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	one := definition{Config: parts.Config{Children: []parts.Child{configMap("a")}}}
	two := definition{Config: parts.Config{Children: []parts.Child{configMap("b")}}}
	two.settings = map[string]any{"watch": map[string]any{
		"apiVersion": "v1", "kind": "Secret", "namespaces": []string{r.namespace}, "labelSelector": "parent",
	}}
	delete(two.Children[0].Object, "data")
	r.defineAll(t, map[string]definition{"first": one, "second": two})
	mark := shared.AuditMark(t)
	p := r.start(t)
	thing := r.thing(t, "p", "x")
	r.create(t, secrets, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"parent": ""}}}`)
	all := r.await(t, configMaps, "both children", func(o objects) bool { return o["p-a"] != nil && o["s-b"] != nil })
	sources := p.sourcesOf(t, "ConfigMap")
	p.Stop(t)

	child := all["p-a"]
	installation := child.GetLabels()[installationLabel]
	if installation == "" || all["s-b"].GetLabels()[installationLabel] != installation {
		t.Errorf("the children carry the installations %q and %q, want the same", installation, all["s-b"].GetLabels()[installationLabel])
	}
	labels := map[string]string{
		installationLabel: installation, definitionLabel: "first", parentLabel: string(thing.GetUID()),
	}
	if diff := gocmp.Diff(labels, child.GetLabels()); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	annotations := child.GetAnnotations()
	if annotations["kooperd.dev/applied"] == "" {
		t.Errorf("annotations %v: there is no hash", annotations)
	}
	delete(annotations, "kooperd.dev/applied")
	if diff := gocmp.Diff(map[string]string{"kooperd.dev/parent": r.namespace + "/p", "kooperd.dev/child": "a"}, annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	yes, no := true, false
	references := []metav1.OwnerReference{{
		APIVersion: "demo.kooperd.dev/v1", Kind: "Thing", Name: "p", UID: thing.GetUID(), Controller: &yes, BlockOwnerDeletion: &no,
	}}
	if diff := gocmp.Diff(references, child.GetOwnerReferences()); diff != "" {
		t.Errorf("owner references (-want +got):\n%s", diff)
	}
	if id := all["s-b"].GetLabels()[definitionLabel]; id != "second" {
		t.Errorf("the label of the definition is %q, want its name", id)
	}

	watches := p.endedWatches(t, mark, "things", "secrets", "configmaps")["configmaps"]
	if len(sources) != 1 || len(watches) != 1 || !strings.Contains(watches[0], installation) {
		t.Errorf("ConfigMaps were watched by %q, for %q; want one watch for both definitions, with the mark of the installation", watches, sources)
	}
}

// sourcesOf are the metrics of the sources of a kind.
func (p *replica) sourcesOf(t *testing.T, kind string) []string {
	t.Helper()
	return slices.DeleteFunc(p.seriesWith(t, fmt.Sprintf("kind=%q", kind)), func(series string) bool {
		return !strings.HasPrefix(series, "kooperd_source_lists_total{")
	})
}

// TestForeignObject has an object where a child should be.
func TestForeignObject(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), configMap("b"))
	foreign := r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-a"}, "data": {"mine": "yes"}}`)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.awaitCondition(t, "p", "p-a")
	r.await(t, configMaps, "the other child", func(o objects) bool { return o["p-b"] != nil })
	p.settle(t, "p")
	r.untouched(t, configMaps, foreign)

	// Without the parent it stays, and without it the child comes.
	r.remove(t, configMaps, "p-a")
	r.ready(t, "p")
	if child := r.list(t, configMaps)["p-a"]; child == nil || child.GetUID() == foreign.GetUID() {
		t.Error("the child was not made after the other object was gone")
	}
}

// TestForeignObjectOutlivesParent deletes the parent of a child that another object stands in for.
func TestForeignObjectOutlivesParent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	foreign := r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-a"}}`)
	p := r.start(t)
	r.thing(t, "p", "x")
	r.thing(t, "q", "x")
	r.awaitCondition(t, "p", "p-a")
	r.remove(t, things, "p")
	p.settle(t, "q")
	p.Stop(t)
	p = r.start(t)
	p.settle(t, "q")
	r.untouched(t, configMaps, foreign)
}

// marked returns a copy of the marks of an object for another one, as somebody makes who copies it.
func marked(from *unstructured.Unstructured, name string) *unstructured.Unstructured {
	copied := from.DeepCopy()
	copied.Object["metadata"] = map[string]any{"name": name, "labels": toAny(from.GetLabels()), "annotations": toAny(from.GetAnnotations())}
	return copied
}

func toAny(texts map[string]string) map[string]any {
	values := map[string]any{}
	for key, text := range texts {
		values[key] = text
	}
	return values
}

// TestBystanders has objects whose marks were copied from a child, all of them or some, or were
// edited. They are not ours.
func TestBystanders(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), configMap("gone"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.thing(t, "q", "x")
	r.ready(t, "p")
	r.ready(t, "q")
	child := r.get(t, configMaps, "p-a")

	copies := map[string]*unstructured.Unstructured{}
	for name, change := range map[string]func(labels map[string]string){
		"all":                func(map[string]string) {},
		"without-definition": func(labels map[string]string) { delete(labels, definitionLabel) },
		"without-parent":     func(labels map[string]string) { delete(labels, parentLabel) },
		"unknown-parent":     func(labels map[string]string) { labels[parentLabel] = "unknown" },
		"unknown-definition": func(labels map[string]string) { labels[definitionLabel] = "unknown" },
		"other-parent": func(labels map[string]string) {
			labels[parentLabel] = string(r.get(t, things, "q").GetUID())
		},
	} {
		copied := marked(child, "copy-"+name)
		labels := maps.Clone(child.GetLabels())
		change(labels)
		copied.SetLabels(labels)
		copies[name] = r.createObject(t, configMaps, copied)
	}
	byKubectl := copies["all"].GetName() + "-by-kubectl"
	r.kubectlCopy(t, child, byKubectl)
	copies["kubectl"] = r.get(t, configMaps, byKubectl)

	unchanged := func(when string) {
		t.Helper()
		for name, copied := range copies {
			t.Run(name+" "+when, func(t *testing.T) { r.untouched(t, configMaps, copied) })
		}
	}
	p.settle(t, "p")
	p.settle(t, "q")
	unchanged("with all children")
	r.define(t, configMap("a"))
	p.reload(t)
	r.await(t, configMaps, "the dropped child to go", func(o objects) bool { return o["p-gone"] == nil && o["q-gone"] == nil })
	unchanged("after a child was pruned")
	p.Stop(t)
	r.define(t)
	p = r.start(t)
	r.await(t, configMaps, "all children to go", func(o objects) bool { return o["p-a"] == nil && o["q-a"] == nil })
	p.settle(t, "p")
	unchanged("after a restart without children")
	r.remove(t, things, "p")
	p.settle(t, "q")
	unchanged("without the parent")
}

// TestMarkedStranger has an object with copied marks where a child is going to be.
func TestMarkedStranger(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	stranger := marked(r.get(t, configMaps, "p-a"), "p-late")
	stranger.Object["data"] = map[string]any{"mine": "yes"}
	stranger = r.createObject(t, configMaps, stranger)
	p.settle(t, "p")
	r.untouched(t, configMaps, stranger)
	r.define(t, configMap("a"), configMap("late"))
	p.reload(t)
	r.awaitCondition(t, "p", "p-late")
	p.settle(t, "p")
	r.untouched(t, configMaps, stranger)
	p.kill9(t)
	p = r.start(t)
	p.settle(t, "p")
	r.untouched(t, configMaps, stranger)
}

// kubectlCopy makes a copy as people do: kubectl get, another name, kubectl create.
func (r *rig) kubectlCopy(t *testing.T, from *unstructured.Unstructured, name string) {
	t.Helper()
	copied := marked(from, name)
	data, err := copied.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	shared.Kubectl(t, "-n", r.namespace, "create", "-f", writeTemp(t, data))
}

// TestTwoParentsOneObject has two parents, and two children of one, that want the same object.
func TestTwoParentsOneObject(t *testing.T) {
	t.Parallel()
	t.Run("parents", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		child := configMap("a")
		child.Object["metadata"] = map[string]any{"name": "the-one"}
		r.define(t, child)
		p := r.start(t)
		r.thing(t, "first", "1")
		r.ready(t, "first")
		before := r.get(t, configMaps, "the-one")
		r.thing(t, "second", "2")
		r.awaitCondition(t, "second", "the-one", r.namespace+"/first")
		p.settle(t, "first")
		p.settle(t, "second")
		r.untouched(t, configMaps, before)

		r.remove(t, things, "first")
		r.await(t, configMaps, "the object of the second", func(o objects) bool { return o.text("the-one", "data", "text") == "2" })
		r.ready(t, "second")
	})
	t.Run("children", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		a, b := configMap("a"), configMap("b")
		b.Object["metadata"] = a.Object["metadata"]
		r.define(t, a, b)
		p := r.start(t)
		r.thing(t, "p", "1")
		r.awaitCondition(t, "p", "b", "a")
		mark := shared.AuditMark(t)
		p.settle(t, "p")
		r.noWrites(t, mark, "for two children that are one object, the second time,")
	})
}

// TestMarksRemoved takes marks off a child, while a process runs and while none does. What is left
// proves that it is ours.
func TestMarksRemoved(t *testing.T) {
	t.Parallel()
	strip := func(key string) string { return fmt.Sprintf(`{"metadata": {"labels": {%q: null}}}`, key) }
	for name, patch := range map[string]string{
		"installation":        strip(installationLabel),
		"definition":          strip(definitionLabel),
		"parent uid":          strip(parentLabel),
		"all labels":          `{"metadata": {"labels": null}}`,
		"owner references":    `{"metadata": {"ownerReferences": null}}`,
		"annotations":         `{"metadata": {"annotations": null}}`,
		"edited parent uid":   fmt.Sprintf(`{"metadata": {"labels": {%q: "another"}}}`, parentLabel),
		"edited installation": fmt.Sprintf(`{"metadata": {"labels": {%q: "another"}}}`, installationLabel),
		"edited definition":   fmt.Sprintf(`{"metadata": {"labels": {%q: "another"}}}`, definitionLabel),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.define(t, configMap("a"))
			p := r.start(t)
			r.thing(t, "p", "x")
			r.ready(t, "p")
			before := r.get(t, configMaps, "p-a")
			restored := func(o objects) bool {
				now := o["p-a"]
				return now != nil && now.GetUID() == before.GetUID() && gocmp.Equal(before.GetLabels(), now.GetLabels()) &&
					gocmp.Equal(before.GetAnnotations(), now.GetAnnotations()) && gocmp.Equal(before.GetOwnerReferences(), now.GetOwnerReferences())
			}
			r.patch(t, configMaps, "p-a", patch)
			r.await(t, configMaps, "the marks while it runs", restored)
			p.kill9(t)
			r.patch(t, configMaps, "p-a", patch)
			r.start(t)
			r.await(t, configMaps, "the marks after a restart", restored)
		})
	}
}

// TestDroppedWhileStripped is a restore from a backup that has lost the owner references, while a
// child is dropped from the definition: the other gets its reference back, and the dropped one
// goes, as its label proves that it is ours.
func TestDroppedWhileStripped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("kept"), configMap("dropped"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	p.kill9(t)
	for _, name := range []string{"p-kept", "p-dropped"} {
		r.patch(t, configMaps, name, `{"metadata": {"ownerReferences": null}}`)
	}
	r.define(t, configMap("kept"))
	r.start(t)
	r.await(t, configMaps, "the reference, and the end of the dropped child", func(o objects) bool {
		return o["p-dropped"] == nil && o["p-kept"] != nil && len(o["p-kept"].GetOwnerReferences()) == 1
	})
}

// TestManagedFieldsWiped wipes managedFields of children. They may be applied, and are not deleted
// until that has proven again whose they are.
func TestManagedFieldsWiped(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("kept"), configMap("dropped"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	const wipe = `{"metadata": {"managedFields": [{}]}}`
	r.patch(t, configMaps, "p-kept", wipe)
	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.await(t, configMaps, "the change of the wiped child", func(o objects) bool { return o.text("p-kept", "data", "text") == "y" })
	r.ready(t, "p")

	p.kill9(t)
	wiped := r.patch(t, configMaps, "p-dropped", wipe)
	r.define(t, configMap("kept"))
	p = r.start(t)
	p.settle(t, "p")
	r.untouched(t, configMaps, wiped)

	// The definition wants it again, so it is ours again, and then may go.
	r.define(t, configMap("kept"), configMap("dropped"))
	p.reload(t)
	r.await(t, configMaps, "the proof", func(o objects) bool { return len(o["p-dropped"].GetManagedFields()) > 0 })
	r.ready(t, "p")
	r.define(t, configMap("kept"))
	p.reload(t)
	r.await(t, configMaps, "the end of the dropped child", func(o objects) bool { return o["p-dropped"] == nil })
}

// create makes an object of its JSON.
func (r *rig) create(t testing.TB, resource schema.GroupVersionResource, text string) *unstructured.Unstructured {
	t.Helper()
	return r.createObject(t, resource, &unstructured.Unstructured{Object: object(t, text)})
}

func (r *rig) createObject(t testing.TB, resource schema.GroupVersionResource, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	created, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).Create(t.Context(), o, metav1.CreateOptions{FieldManager: other})
	if err != nil {
		t.Fatalf("creating %s %s: %v", resource.Resource, o.GetName(), err)
	}
	return created
}

// untouched fails the test if an object is not as it was.
func (r *rig) untouched(t testing.TB, resource schema.GroupVersionResource, before *unstructured.Unstructured) {
	t.Helper()
	now, err := shared.Dynamic().Resource(resource).Namespace(r.namespace).Get(t.Context(), before.GetName(), metav1.GetOptions{})
	if err != nil {
		t.Errorf("%s is not as it was: %v", before.GetName(), err)
		return
	}
	if now.GetUID() != before.GetUID() || now.GetResourceVersion() != before.GetResourceVersion() || now.GetDeletionTimestamp() != nil {
		t.Errorf("%s is not as it was (-want +got):\n%s", before.GetName(), gocmp.Diff(before.Object, now.Object))
	}
}

// awaitCondition waits until a parent is not ready, and a message says so with all the texts.
func (r *rig) awaitCondition(t testing.TB, parent string, texts ...string) (reason string) {
	t.Helper()
	r.await(t, things, fmt.Sprintf("a message for %s with %q", parent, texts), func(o objects) bool {
		status, why, message := o.condition(parent, "Ready")
		for _, text := range texts {
			if !strings.Contains(message, text) {
				return false
			}
		}
		reason = why
		return status == "False"
	})
	return reason
}

// controlledBy is the name of the controller of an object, empty if there is none.
func controlledBy(o *unstructured.Unstructured) string {
	if owner := metav1.GetControllerOf(o); owner != nil {
		return owner.Name
	}
	return ""
}
