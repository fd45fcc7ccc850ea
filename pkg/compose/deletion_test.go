package compose

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// twoNamespaces makes a ConfigMap beside the parent, and one in another namespace.
var twoNamespaces = handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
	return handlers.Composition{Children: []handlers.Child{
		{Name: "near", Object: untyped(configMapKind, "", "near", nil)},
		{Name: "far", Object: untyped(configMapKind, "team-b", "far", nil)},
	}}, nil
})

// newDeleted is a rig with a website that is being deleted, whose children are there.
func newDeleted(t *testing.T, finalizers ...any) *rig {
	t.Helper()
	r := newRig(t, rigOptions{composer: twoNamespaces})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	id := idOf(websiteKind, "team-a", "web")
	r.server.do(func(c *cluster) {
		c.edit(id, "kubectl", func(tree map[string]any) {
			metadata := object(tree, "metadata")
			have, _ := metadata["finalizers"].([]any)
			metadata["finalizers"] = append(slices.Clone(have), finalizers...)
		})
		if err := c.delete(id, "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.sync()
	r.asked()
	return r
}

// text is what a parent has at a place, for a test to look at.
func (r *rig) text(path ...string) (text string) {
	r.server.do(func(c *cluster) {
		if s := c.objects[idOf(websiteKind, "team-a", "web")]; s != nil {
			value, _, _ := unstructured.NestedFieldNoCopy(s.tree, path...)
			text = fmt.Sprint(value)
		}
	})
	return text
}

// left are the names of the objects that are left.
func (r *rig) left() (names []string) {
	r.server.do(func(c *cluster) {
		for id := range c.objects {
			names = append(names, id.Name)
		}
	})
	slices.Sort(names)
	return names
}

func TestDeletedParent(t *testing.T) {
	tests := map[string]struct {
		finalizers []any
		others     func(c *cluster)
		left       []string
	}{
		// The garbage collector does the rest.
		"in the background": {left: []string{"near"}},
		"what depends on it is to be kept": {
			finalizers: []any{metav1.FinalizerOrphanDependents}, left: []string{"far", "near", "web"},
		},
		"what depends on it is kept by now": {
			others: func(c *cluster) {
				c.edit(idOf(configMapKind, "team-a", "near"), "kube-controller-manager", func(tree map[string]any) {
					delete(object(tree, "metadata"), "ownerReferences")
				})
			},
			left: []string{"near"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			r := newDeleted(t, tc.finalizers...)
			if tc.others != nil {
				r.server.do(tc.others)
				r.sync()
			}
			r.mustPass(t, "web")
			if left := r.left(); !slices.Equal(left, tc.left) {
				t.Errorf("left are %v, want %v", left, tc.left)
			}
			if finalizers := r.text("metadata", "finalizers"); strings.Contains(finalizers, "kooperd") {
				t.Errorf("the parent has the finalizers %s", finalizers)
			}
		})
	}
}

func TestDeletedParentSaysWhyItStays(t *testing.T) {
	r := newDeleted(t)
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if asked.method != http.MethodDelete {
			return false
		}
		sendError(w, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "far", errors.New("as the test wants")))
		return true
	}
	if _, err := r.pass(t, "web"); err == nil {
		t.Error("no error")
	}
	conditions := r.text("status", "conditions")
	for _, want := range []string{"deleting ConfigMap team-b/far", "as the test wants", "reason:Forbidden status:True type:Degraded"} {
		if !strings.Contains(conditions, want) {
			t.Errorf("the conditions do not say %q: %s", want, conditions)
		}
	}
}
