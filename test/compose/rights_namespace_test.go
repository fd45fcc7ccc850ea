package compose_test

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestNamespaceDeletedWithItsRoles deletes a namespace in which are the parents and the Role by
// which kooperd may handle them: it goes, also where the parents have a finalizer.
func TestNamespaceDeletedWithItsRoles(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		shape string
		down  bool // no process runs while the rights go
	}{
		"no finalizer":                 {shape: "one namespace"},
		"finalizer":                    {shape: "children elsewhere, by a Role"},
		"finalizer, in between a stop": {shape: "children elsewhere, by a Role", down: true},
	} {
		if tc.down && !conformance {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newBoundRig(t)
			s := shapes(r, shared.Namespace(t))[tc.shape]
			r.shape(t, s, "a", "b")
			r.grant(t, r.printed(t)...)
			p := r.start(t)
			r.parent(t, s)
			r.awaitChildren(t, s, "a", "b")
			mark := shared.AuditMark(t)
			if tc.down {
				p.kill9(t)
			}
			r.deleteNamespace(t)
			if tc.down {
				r.await(t, roleBindings, "the rights to go", func(o objects) bool { return len(o) == 0 })
				p = r.start(t)
			}
			p.Await(t, "the namespace to go", func() bool {
				_, err := shared.Client().CoreV1().Namespaces().Get(t.Context(), r.namespace, metav1.GetOptions{})
				return apierrors.IsNotFound(err)
			})
			if !s.kinds[0].inParents {
				r.awaitChildren(t, s)
			}
			if writes := r.writes(t, mark); len(writes) > 20 {
				t.Errorf("%d writes while the namespace went, want a few: %v", len(writes), writes[:20])
			}
		})
	}
}

// TestNamespaceOfPatchesDeletedWithItsRoles deletes a namespace in which are parents, the Role by
// which kooperd may change what they patch, and that: it goes.
func TestNamespaceOfPatchesDeletedWithItsRoles(t *testing.T) {
	t.Parallel()
	r := newBoundRig(t)
	r.defineAll(t, map[string]definition{definitionName: patching(patchOf("shared", "{name}"))})
	r.grant(t, r.printed(t)...)
	r.target(t, "shared")
	p := r.start(t)
	r.thing(t, "p", "x")
	r.ready(t, "p")
	mark := shared.AuditMark(t)
	r.deleteNamespace(t)
	p.Await(t, "the namespace to go", func() bool {
		_, err := shared.Client().CoreV1().Namespaces().Get(t.Context(), r.namespace, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
	if writes := r.writes(t, mark); len(writes) > 20 {
		t.Errorf("%d writes while the namespace went, want a few: %v", len(writes), writes[:20])
	}
}

func (r *rig) deleteNamespace(t *testing.T) {
	t.Helper()
	if err := shared.Client().CoreV1().Namespaces().Delete(t.Context(), r.namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}
