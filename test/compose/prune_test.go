package compose_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/test/compose/parts"
)

// TestPrune drops a child of three from the definition, while a process runs and while none does.
func TestPrune(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.define(t, configMap("a"), configMap("b"), configMap("c"))
	p := r.start(t)
	r.thing(t, "p", "x")
	r.thing(t, "q", "x")
	r.ready(t, "p")
	r.ready(t, "q")
	unmarked := r.create(t, configMaps, `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p-d"}}`)
	are := func(names ...string) func(objects) bool {
		want := append([]string{"kube-root-ca.crt", "p-d"}, names...)
		slices.Sort(want)
		return func(o objects) bool {
			names := o.names()
			if !slices.Contains(names, "kube-root-ca.crt") { // The controller manager makes it when it likes.
				names = append(names, "kube-root-ca.crt")
				slices.Sort(names)
			}
			return slices.Equal(want, names)
		}
	}
	r.define(t, configMap("a"), configMap("b"))
	p.reload(t)
	r.await(t, configMaps, "one child to go", are("p-a", "p-b", "q-a", "q-b"))
	p.kill9(t)
	r.define(t, configMap("a"))
	p = r.start(t)
	r.await(t, configMaps, "another child to go", are("p-a", "q-a"))
	p.kill9(t)
	r.define(t)
	r.start(t)
	r.await(t, configMaps, "all children to go", are())
	r.ready(t, "p")
	r.untouched(t, configMaps, unmarked)
}

// TestNothingIsPrunedInDoubt drops a child in a revision that cannot tell everything.
func TestNothingIsPrunedInDoubt(t *testing.T) {
	t.Parallel()
	kept, invalid := configMap("kept"), configMap("invalid")
	invalid.Object["data"] = map[string]any{"not a key": "x"}
	related := configMap("related")
	related.Object["data"] = map[string]any{"all": "{child unknown metadata.name}"}
	for name, doubt := range map[string]parts.Config{
		"error":   {Children: []parts.Child{kept}, Fail: "unknown"},
		"pending": {Children: []parts.Child{kept}, Pending: []string{"later"}},
		"absent":  {Children: []parts.Child{kept, related}},
		"invalid": {Children: []parts.Child{kept, invalid}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.define(t, kept, configMap("dropped"))
			p := r.start(t)
			r.thing(t, "p", "x")
			r.ready(t, "p")
			before := r.get(t, configMaps, "p-dropped")
			r.defineAll(t, map[string]definition{definitionName: {Config: doubt}})
			p.reload(t)
			r.await(t, things, "a parent that is not ready", func(o objects) bool {
				status, _, _ := o.condition("p", "Ready")
				return status != "True"
			})
			p.settle(t, "p")
			r.untouched(t, configMaps, before)
			p.kill9(t)
			p = r.start(t)
			p.settle(t, "p")
			r.untouched(t, configMaps, before)

			r.define(t, kept)
			p.reload(t)
			r.await(t, configMaps, "the dropped child to go", func(o objects) bool { return o["p-dropped"] == nil })
			r.ready(t, "p")
		})
	}
}

// TestKindNoLongerOwned drops a child and its kind while no process runs.
func TestKindNoLongerOwned(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	secret := parts.Child{Name: "s", Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "metadata": map[string]any{"name": "{name}-s"}, "data": map[string]any{"key": "YQ=="},
	}}
	both := parts.Config{
		Owns:     []parts.Owns{{APIVersion: "v1", Kind: "ConfigMap"}, {APIVersion: "v1", Kind: "Secret"}},
		Children: []parts.Child{configMap("a"), secret},
	}
	r.defineAll(t, map[string]definition{definitionName: {Config: both}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	p.kill9(t)
	r.define(t, configMap("a"))
	r.start(t)
	r.await(t, secrets, "the child of the former kind to go", func(o objects) bool { return o["p-s"] == nil })
	r.ready(t, "p")
}

var claims = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}

// TestProtectedKinds drops children of a kind that holds data.
func TestProtectedKinds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	claim := func(name string, prune bool) parts.Child {
		return parts.Child{Name: name, Prune: prune, ReadyBy: "ready", Object: map[string]any{
			"apiVersion": "v1", "kind": "PersistentVolumeClaim",
			"metadata": map[string]any{"name": "{name}-" + name, "annotations": map[string]any{"ready": ""}},
			"spec": map[string]any{
				"accessModes": []any{"ReadWriteOnce"}, "storageClassName": "",
				"resources": map[string]any{"requests": map[string]any{"storage": "1Gi"}},
			},
		}}
	}
	owns := []parts.Owns{{APIVersion: "v1", Kind: "PersistentVolumeClaim"}}
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{
		Owns: owns, Children: []parts.Child{claim("kept", false), claim("pruned", true)},
	}}})
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	kept := r.get(t, claims, "p-kept")
	r.defineAll(t, map[string]definition{definitionName: {Config: parts.Config{Owns: owns}}})
	p.reload(t)
	r.await(t, claims, "the claim that may be pruned to go", func(o objects) bool {
		// Without the controller that removes its finalizer, it stays.
		return o["p-pruned"] == nil || o["p-pruned"].GetDeletionTimestamp() != nil
	})
	p.settle(t, "p")
	r.untouched(t, claims, kept)
}
