package compose

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"kooperd.dev/kooperd/pkg/handlers"
)

// echo is a composer that makes a Widget, and returns it as it is observed from then on.
type echo struct {
	change func(tree map[string]any) // of what is returned; nil for nothing
	policy handlers.ChildPolicy
}

const echoed = `{"apiVersion": "demo.kooperd.dev/v1", "kind": "Widget", "metadata": {"name": "web", "labels": {"app": "web"}},
	"spec": {"size": "1000m", "args": ["a"], "empty": {}, "nested": {"one": 1, "two": {"three": 3}}}}`

func (e *echo) Compose(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	tree, err := decodeTree([]byte(echoed))
	if err != nil {
		return handlers.Composition{}, err
	}
	u := &unstructured.Unstructured{Object: tree}
	if observed, ok := req.Children.Get("web"); ok {
		if err := observed.Into(u); err != nil {
			return handlers.Composition{}, err
		}
		if e.change != nil {
			e.change(u.Object)
		}
	}
	e.policy.KeepEqual = true
	return handlers.Composition{Children: []handlers.Child{{Name: "web", Object: u, Policy: e.policy}}}, nil
}

var widgetID = idOf(widgetKind, "team-a", "web")

// echoRig is a rig with a Widget to which another party has added something of each kind.
func echoRig(t *testing.T, e *echo) *rig {
	t.Helper()
	r := newRig(t, rigOptions{composer: e, owns: []schema.GroupVersionKind{widgetKind}})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.editWidget(func(tree map[string]any) {
		labelled("theirs", "x")(tree)
		annotated("note", "x")(tree)
		spec := object(tree, "spec")
		spec["size"], spec["more"] = "1", map[string]any{"a": int64(1), "list": []any{map[string]any{"name": "a"}}, "empty": map[string]any{}}
		object(spec, "nested")["four"] = map[string]any{"five": int64(5)}
		tree["status"] = map[string]any{"ready": true}
		metadata := object(tree, "metadata")
		references, _ := metadata["ownerReferences"].([]any)
		metadata["ownerReferences"] = append(references, map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": "u-other"})
	})
	r.sync()
	r.server.take()
	return r
}

func (r *rig) editWidget(change func(map[string]any)) {
	r.server.do(func(c *cluster) { c.edit(widgetID, "kubectl", change) })
}

// widget is the Widget as it is, without the metadata of the API server.
func (r *rig) widget(t *testing.T) map[string]any {
	t.Helper()
	var tree map[string]any
	r.server.do(func(c *cluster) { tree = runtime.DeepCopyJSON(c.objects[widgetID].tree) })
	return tree
}

func TestAnObservedChildIsReturned(t *testing.T) {
	e := &echo{}
	r := echoRig(t, e)
	before := r.widget(t)
	for range 2 {
		r.mustPass(t, "web")
		r.sync()
	}
	if diff := cmp.Diff([]string{}, r.asked()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	r.Pause() // As after a restart.
	r.mustPass(t, "web")
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("requests after a restart: %v", asked)
	}
	if diff := cmp.Diff(before, r.widget(t)); diff != "" {
		t.Errorf("the object has changed (-before +after):\n%s", diff)
	}
}

// TestAnObservedChildIsReturnedWithAChange looks at what becomes kooperd's by a change, and what
// does not.
func TestAnObservedChildIsReturnedWithAChange(t *testing.T) {
	tests := map[string]struct {
		change func(tree map[string]any)
		field  string // in spec
		want   any
	}{
		"a field of ours": {func(tree map[string]any) { object(tree, "spec")["args"] = []any{"b"} }, "args", []any{"b"}},
		"a field of ours that goes": {
			func(tree map[string]any) { delete(object(object(tree, "spec"), "nested"), "one") }, "nested",
			map[string]any{"two": map[string]any{"three": int64(3)}, "four": map[string]any{"five": int64(5)}},
		},
		"a new field": {func(tree map[string]any) { object(tree, "spec")["new"] = "x" }, "new", "x"},
		"a field of others": {
			func(tree map[string]any) { object(object(tree, "spec"), "more")["a"] = int64(2) }, "more",
			map[string]any{"a": int64(2), "list": []any{map[string]any{"name": "a"}}, "empty": map[string]any{}},
		},
		"a field of others that goes, and stays": {
			func(tree map[string]any) { delete(object(tree, "spec"), "more") }, "more",
			map[string]any{"a": int64(1), "list": []any{map[string]any{"name": "a"}}, "empty": map[string]any{}},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			e := &echo{}
			r := echoRig(t, e)
			e.change = tc.change
			for range 3 {
				r.mustPass(t, "web")
				r.sync()
			}
			if diff := cmp.Diff(tc.want, object(r.widget(t), "spec")[tc.field]); diff != "" {
				t.Errorf("spec.%s (-want +got):\n%s", tc.field, diff)
			}
			r.server.take()
			r.mustPass(t, "web")
			if asked := r.asked(); len(asked) > 0 {
				t.Errorf("there is no end of requests: %v", asked)
			}
			if o, err := r.live(widgetID); err != nil || len(observe(o, false).OwnedReferences) != 1 {
				t.Errorf("of the owner references, %v are kooperd's, want that to the parent (%v)", observe(o, false).OwnedReferences, err)
			}
			// What has not changed belongs to others as before, and goes with them.
			r.editWidget(func(tree map[string]any) {
				delete(object(object(tree, "spec"), "nested"), "four")
				delete(object(object(tree, "metadata"), "labels"), "theirs")
			})
			r.sync()
			r.server.take()
			r.mustPass(t, "web")
			if asked := r.asked(); len(asked) > 0 {
				t.Errorf("what others remove is set back: %v", asked)
			}
		})
	}
}

// TestMarksAndWhatIsWipedAreNotLeftOut has a child whose marks another party has set to what they
// were, and whose managedFields are gone.
func TestMarksAndWhatIsWipedAreNotLeftOut(t *testing.T) {
	r := echoRig(t, &echo{})
	r.editWidget(annotated(ChildAnnotation, "x"))
	r.editWidget(annotated(ChildAnnotation, "web"))
	r.sync()
	r.mustPass(t, "web")
	r.sync()
	o, err := r.live(widgetID)
	if err != nil {
		t.Fatal(err)
	}
	child := observe(o, false)
	d := &Desired{ID: widgetID, tree: r.widget(t)}
	if err := d.keepEqual(child.Observed); err != nil {
		t.Fatal(err)
	}
	if got := annotations(d.tree)[ChildAnnotation]; got != "web" {
		t.Errorf("the mark is %v, want it kept", got)
	}
	r.server.do(func(c *cluster) { c.wipe(widgetID) })
	r.sync()
	r.mustPass(t, "web")
	if o, err = r.live(widgetID); err != nil {
		t.Fatal(err)
	}
	if leaves := uncoveredLeaves(map[string]any{"spec": r.widget(t)["spec"]}, observe(o, false).Owned); len(leaves) > 0 {
		t.Errorf("when managedFields were gone, these did not become kooperd's again: %v", describe(leaves))
	}
}

// TestWhatIsNotProvenIsNotLeftOut adopts an object, of which nothing is kooperd's yet.
func TestWhatIsNotProvenIsNotLeftOut(t *testing.T) {
	e := &echo{policy: handlers.ChildPolicy{AdoptFrom: []string{"kubectl"}}}
	r := newRig(t, rigOptions{composer: e, owns: []schema.GroupVersionKind{widgetKind}})
	want, err := decodeTree([]byte(echoed))
	if err != nil {
		t.Fatal(err)
	}
	r.editWidget(func(tree map[string]any) {
		tree["spec"] = runtime.DeepCopyJSON(want)["spec"]
		object(tree, "spec")["dropped"] = "x"
	})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	if diff := cmp.Diff(want["spec"], r.widget(t)["spec"]); diff != "" {
		t.Errorf("the adopted object (-want +got):\n%s", diff)
	}
}

// TestAMapThatMayBeAtomicIsReturnedWhole has a selector of another party, of which the composer
// changes a part: an apply of a part of it would be all of it.
func TestAMapThatMayBeAtomicIsReturnedWhole(t *testing.T) {
	e := &echo{}
	r := echoRig(t, e)
	r.editWidget(func(tree map[string]any) {
		object(tree, "spec")["selector"] = map[string]any{"app": "web", "track": "stable"}
	})
	r.sync()
	e.change = func(tree map[string]any) { object(object(tree, "spec"), "selector")["track"] = "canary" }
	r.mustPass(t, "web")
	if diff := cmp.Diff(map[string]any{"app": "web", "track": "canary"}, object(r.widget(t), "spec")["selector"]); diff != "" {
		t.Errorf("spec.selector (-want +got):\n%s", diff)
	}
	r.sync()
	r.server.take()
	r.mustPass(t, "web")
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("there is no end of requests: %v", asked)
	}
}

// TestAnItemThatMayBeOursStays has an item that leaves out a default of its key, so that it may be
// one of two that are ours: to leave it out would be to remove it.
func TestAnItemThatMayBeOursStays(t *testing.T) {
	const desired = `{"spec": {"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 80, "protocol": "UDP"}]}}`
	const live = `{"spec": {"ports": [{"name": "a", "port": 80, "protocol": "TCP"}, {"name": "b", "port": 80, "protocol": "UDP"}]}}`
	trees := map[string]map[string]any{}
	for _, text := range []string{desired, live} {
		tree, err := decodeTree([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		trees[text] = tree
	}
	var paths []fieldpath.Path
	for _, protocol := range []string{"TCP", "UDP"} {
		key := fieldpath.KeyByFields("port", int64(80), "protocol", protocol)
		paths = append(paths, fieldpath.MakePathOrDie("spec", "ports", key), fieldpath.MakePathOrDie("spec", "ports", key, "name"),
			fieldpath.MakePathOrDie("spec", "ports", key, "port"))
	}
	paths = append(paths, fieldpath.MakePathOrDie("spec", "ports", fieldpath.KeyByFields("port", int64(80), "protocol", "UDP"), "protocol"))
	d := &Desired{tree: trees[desired]}
	err := d.keepEqual(&Observed{Owned: fieldpath.NewSet(paths...), Whole: true, Tree: func() (map[string]any, error) { return trees[live], nil }})
	if err != nil {
		t.Fatal(err)
	}
	want, _ := decodeTree([]byte(desired)) // It was read above.
	if diff := cmp.Diff(want["spec"], d.tree["spec"]); diff != "" {
		t.Errorf("what is applied (-want +got):\n%s", diff)
	}
}
