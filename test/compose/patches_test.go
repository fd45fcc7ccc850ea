package compose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kooperd.dev/kooperd/test/compose/parts"
)

// patchOf contributes to the ConfigMap of that name: a key with the text of the parent, which
// {name} makes its own, and a label. Parents with the text "none" contribute nothing.
func patchOf(target, key string) parts.Patch {
	return parts.Patch{
		When: []string{"x", "y"},
		Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": target, "labels": map[string]any{"patched": "yes"}},
			"data":     map[string]any{key: "{text}"},
		},
	}
}

// patching is a definition that contributes, and makes nothing.
func patching(patches ...parts.Patch) definition {
	return definition{Config: parts.Config{
		NoOwns: true, Patched: []parts.Patched{{APIVersion: "v1", Kind: "ConfigMap"}}, Patches: patches,
	}}
}

// target makes a ConfigMap of somebody else.
func (r *rig) target(t testing.TB, name string) *unstructured.Unstructured {
	t.Helper()
	return r.create(t, configMaps, fmt.Sprintf(`{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": %q}, "data": {"own": "1"}}`, name))
}

// patchManagers are the field managers of parents that contribute to an object, sorted.
func patchManagers(o *unstructured.Unstructured) (managers []string) {
	if o == nil {
		return nil
	}
	for _, entry := range o.GetManagedFields() {
		if strings.HasPrefix(entry.Manager, "kooperd/") {
			managers = append(managers, entry.Manager)
		}
	}
	slices.Sort(managers)
	return managers
}

// contentOf is the data of a ConfigMap, with its labels but for the mark of what is patched.
func contentOf(o *unstructured.Unstructured) (data map[string]string, labels []string, marked bool) {
	if o == nil {
		return nil, nil, false
	}
	data, _, _ = unstructured.NestedStringMap(o.Object, "data")
	for label := range o.GetLabels() {
		if strings.HasSuffix(label, ".kooperd.dev/patched") {
			marked = true
		} else {
			labels = append(labels, label)
		}
	}
	return data, labels, marked
}

// awaitPatched waits until a ConfigMap has this data.
func (r *rig) awaitPatched(t testing.TB, name string, want map[string]string) *unstructured.Unstructured {
	t.Helper()
	return r.await(t, configMaps, fmt.Sprintf("%s with %v", name, want), func(o objects) bool {
		data, _, _ := contentOf(o[name])
		return o[name] != nil && gocmp.Equal(want, data)
	})[name]
}

// clean fails the test if something is left of a patch.
func (r *rig) clean(t testing.TB, name string) {
	t.Helper()
	o := r.awaitPatched(t, name, map[string]string{"own": "1"})
	_, labels, marked := contentOf(o)
	if left := patchManagers(o); len(labels) > 0 || marked || len(left) > 0 {
		t.Errorf("%s has the labels %v, the mark: %t, and the managers %v", name, labels, marked, left)
	}
}

// TestPatches lets two parents contribute to one object, something else, and nothing any more.
func TestPatches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	r.defineAll(t, map[string]definition{definitionName: patching(patchOf("shared", "{name}"))})
	p := r.start(t)
	one, two := r.thing(t, "p", "x"), r.thing(t, "q", "x")
	r.ready(t, "p")
	r.ready(t, "q")
	o := r.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "x", "q": "x"})
	want := []string{"kooperd/things/" + string(one.GetUID()), "kooperd/things/" + string(two.GetUID())}
	slices.Sort(want)
	if diff := gocmp.Diff(want, patchManagers(o)); diff != "" {
		t.Errorf("field managers (-want +got):\n%s", diff)
	}
	if _, _, marked := contentOf(o); !marked {
		t.Errorf("labels %v: there is no mark", o.GetLabels())
	}
	p.settle(t, "p")
	r.untouched(t, configMaps, o)

	r.patch(t, things, "p", `{"spec": {"text": "y"}}`)
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "y", "q": "x"})
	r.patch(t, things, "q", `{"spec": {"text": "none"}}`)
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "y"})
	r.remove(t, things, "p")
	r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	r.clean(t, "shared")
	p.settle(t, "q")
	if r.get(t, configMaps, "shared").GetUID() != o.GetUID() {
		t.Error("it is another object")
	}
}

// TestPatchesNeedNothing starts another process, and one after a failover: it sends nothing about
// what is patched.
func TestPatchesNeedNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	r.defineAll(t, map[string]definition{definitionName: patching(patchOf("shared", "{name}"))})
	p := r.start(t)
	for _, name := range []string{"p", "q"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	p.settle(t, "p")
	before := r.get(t, configMaps, "shared")
	for _, killed := range []bool{false, true} {
		if killed {
			p.kill9(t)
		} else if status := p.Stop(t); status != 0 {
			t.Errorf("exit status is %d, want 0", status)
		}
		mark := shared.AuditMark(t)
		p = r.start(t)
		p.settle(t, "p")
		p.settle(t, "q")
		r.noWrites(t, mark, "after a restart")
		for _, s := range r.sent(t, mark) {
			if s.resource == "configmaps" && s.verb == "get" && s.name == "shared" {
				t.Errorf("after a restart there is %v", s)
			}
		}
	}
	r.untouched(t, configMaps, before)
}

// TestPatchConflict contributes what another field manager owns, and what it takes: neither is
// forced.
func TestPatchConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.target(t, "shared")
	r.defineAll(t, map[string]definition{definitionName: patching(patchOf("shared", "own"), patchOf("free", "{name}"))})
	r.target(t, "free")
	p := r.start(t)
	r.thing(t, "p", "x")
	r.awaitPatched(t, "free", map[string]string{"own": "1", "p": "x"})
	if reason := r.awaitCondition(t, "p", "ConfigMap "+r.namespace+"/shared", other, ".data.own"); reason != "Conflict" {
		t.Errorf("the reason is %s, want Conflict", reason)
	}
	r.awaitPatchEvent(t, p, "Conflict", "shared", other)
	p.Await(t, "one refused patch in the metrics", func() bool {
		refused, _ := p.Metric(t, `kooperd_compose_patches{controller="things",state="refused"}`)
		return refused == "1"
	})
	if data, _, _ := contentOf(r.get(t, configMaps, "shared")); data["own"] != "1" {
		t.Errorf("the value is %q, want that of the other", data["own"])
	}
	r.patch(t, configMaps, "shared", `{"data": {"own": null}}`)
	r.awaitPatched(t, "shared", map[string]string{"own": "x"})
	r.ready(t, "p")
	r.awaitPatchEvent(t, p, "Recovered", "shared", "Conflict")

	r.patch(t, configMaps, "free", `{"data": {"p": "taken"}}`)
	r.awaitCondition(t, "p", "ConfigMap "+r.namespace+"/free", other, ".data.p")
	if data, _, _ := contentOf(r.get(t, configMaps, "free")); data["p"] != "taken" {
		t.Errorf("the value is %q, want that of the other", data["p"])
	}
	// A parent that goes leaves what is not its own.
	r.remove(t, things, "p")
	r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	if data, _, marked := contentOf(r.get(t, configMaps, "free")); data["p"] != "taken" || marked {
		t.Errorf("the value is %q, the mark: %t", data["p"], marked)
	}
}

// awaitPatchEvent waits for an event about a patched object.
func (r *rig) awaitPatchEvent(t *testing.T, p *replica, reason, name, text string) {
	t.Helper()
	p.Await(t, "an event "+reason, func() bool {
		list, err := shared.Client().EventsV1().Events(r.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list.Items, func(e eventsv1.Event) bool {
			return e.Related != nil && e.Related.Name == name && strings.Contains(e.Note, text)
		})
	})
}

// TestPatchOfWhatIsAbsent contributes to an object that comes, goes, and comes again. Where the
// composer reads it, that is seen at once.
func TestPatchOfWhatIsAbsent(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := patching(patchOf("late", "{name}"))
	d.Reads = []parts.Reads{{Name: "all", APIVersion: "v1", Kind: "ConfigMap", SameNamespace: true}}
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	r.thing(t, "p", "x")
	if reason := r.awaitCondition(t, "p", "ConfigMap "+r.namespace+"/late does not exist"); reason != "TargetAbsent" {
		t.Errorf("the reason is %s, want TargetAbsent", reason)
	}
	r.target(t, "late")
	r.awaitPatched(t, "late", map[string]string{"own": "1", "p": "x"})
	r.ready(t, "p")
	r.remove(t, configMaps, "late")
	r.awaitCondition(t, "p", "ConfigMap "+r.namespace+"/late does not exist")
	r.target(t, "late")
	r.awaitPatched(t, "late", map[string]string{"own": "1", "p": "x"})
	p.settle(t, "p")
	r.remove(t, things, "p")
	r.clean(t, "late")
}

// TestPatchWhileDown changes parents while no process runs: what they do not contribute any more
// goes, also of a kind that is not patched any more.
func TestPatchWhileDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := parts.Patch{When: []string{"x", "y"}, Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "secret", "annotations": map[string]any{"by-{name}": "yes"}},
	}}
	for _, name := range []string{"shared", "other"} {
		r.target(t, name)
	}
	r.create(t, secrets, `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "secret"}}`)
	d := patching(patchOf("shared", "{name}"), patchOf("other", "{name}"), secret)
	d.Patched = append(d.Patched, parts.Patched{APIVersion: "v1", Kind: "Secret", MetadataOnly: true})
	r.defineAll(t, map[string]definition{definitionName: d})
	p := r.start(t)
	for _, name := range []string{"p", "q", "deleted"} {
		r.thing(t, name, "x")
		r.ready(t, name)
	}
	if noted := r.get(t, secrets, "secret").GetAnnotations(); len(noted) != 3 {
		t.Errorf("annotations %v, want those of all parents", noted)
	}
	p.kill9(t)
	r.patch(t, things, "q", `{"spec": {"text": "none"}}`)
	r.remove(t, things, "deleted")
	r.defineAll(t, map[string]definition{definitionName: patching(patchOf("shared", "{name}"))})
	p = r.start(t)
	r.awaitPatched(t, "shared", map[string]string{"own": "1", "p": "x"})
	r.clean(t, "other")
	r.await(t, things, "the parent to go", func(o objects) bool { return o["deleted"] == nil })
	r.await(t, secrets, "nothing contributed to the secret", func(o objects) bool {
		return o["secret"] != nil && len(o["secret"].GetAnnotations())+len(o["secret"].GetLabels()) == 0
	})
	p.AwaitLog(t, "nothing is contributed any more to objects of a kind that the definition does not patch any more")
}

// TestPatchOfOwnChild contributes to a child of another parent of the same definition, which is
// refused, and to that of another definition, which is not.
func TestPatchOfOwnChild(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	own := definition{Config: parts.Config{
		Children: []parts.Child{configMap("a")}, Patched: []parts.Patched{{APIVersion: "v1", Kind: "ConfigMap"}},
		Patches: []parts.Patch{{When: []string{"y"}, Object: patchOf("p-a", "{name}").Object}},
	}}
	second := patching(patchOf("p-a", "second"))
	second.settings = map[string]any{"status": "none"}
	r.defineAll(t, map[string]definition{definitionName: own, "second": second})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.awaitPatched(t, "p-a", map[string]string{"text": "x", "child": "a", "second": "x"})
	r.thing(t, "q", "y")
	if reason := r.awaitCondition(t, "q", "p-a", "made by the same definition"); reason != "OwnChild" {
		t.Errorf("the reason is %s, want OwnChild", reason)
	}
	p.settle(t, "p")
	if data, _, _ := contentOf(r.get(t, configMaps, "p-a")); data["q"] != "" {
		t.Errorf("the child has %v", data)
	}
}
