package compose_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// applyAs applies a ConfigMap by a field manager, without force.
func (r *rig) applyAs(t testing.TB, manager, name string, uid types.UID, more map[string]any) (*unstructured.Unstructured, error) {
	t.Helper()
	tree := map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}
	maps.Copy(tree, more)
	metadata, _ := tree["metadata"].(map[string]any)
	if metadata == nil {
		metadata = map[string]any{}
	}
	metadata["name"], metadata["uid"] = name, string(uid)
	tree["metadata"] = metadata
	body, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	return shared.Dynamic().Resource(configMaps).Namespace(r.namespace).Patch(t.Context(), name, types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: manager, Force: &no})
}

// TestPatchFacts shows what patches stand on: two managers own a label together, an apply of
// nothing removes what its manager alone has, and one with a UID never makes an object.
func TestPatchFacts(t *testing.T) {
	t.Parallel()
	r := &rig{namespace: shared.Namespace(t)}
	target := r.target(t, "target")
	mark := func(key string) map[string]any {
		return map[string]any{"metadata": map[string]any{"labels": map[string]any{"mark": "true"}}, "data": map[string]any{key: "x"}}
	}
	for _, manager := range []string{"kooperd/d/one", "kooperd/d/two"} {
		if _, err := r.applyAs(t, manager, "target", target.GetUID(), mark(manager[len("kooperd/d/"):])); err != nil {
			t.Fatal(err)
		}
	}
	for i, manager := range []string{"kooperd/d/one", "kooperd/d/two"} {
		o, err := r.applyAs(t, manager, "target", target.GetUID(), nil)
		if err != nil {
			t.Fatal(err)
		}
		data, labels, _ := contentOf(o)
		if len(data) != 2-i || slices.Contains(labels, "mark") != (i == 0) {
			t.Errorf("after %s has withdrawn there is %v with the labels %v", manager, data, labels)
		}
		if left := patchManagers(o); len(left) != 1-i {
			t.Errorf("after %s has withdrawn there are the managers %v", manager, left)
		}
	}
	r.remove(t, configMaps, "target")
	if _, err := r.applyAs(t, "kooperd/d/one", "target", target.GetUID(), mark("one")); !apierrors.IsConflict(err) {
		t.Errorf("an apply to what is gone: %v, want a conflict", err)
	}
	again := r.target(t, "target")
	if _, err := r.applyAs(t, "kooperd/d/one", "target", target.GetUID(), mark("one")); !apierrors.IsInvalid(err) {
		t.Errorf("an apply to another object: %v, want it invalid", err)
	}
	r.untouched(t, configMaps, again)
}
