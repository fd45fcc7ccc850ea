package compose

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// patchRemoval is a Removal of the rig's definition, with onRemove "delete".
func (r *rig) patchRemoval(t *testing.T) *Removal {
	t.Helper()
	client, err := dynamic.NewForConfig(r.server.config())
	if err != nil {
		t.Fatal(err)
	}
	return &Removal{
		Installation: installation, Definition: definition, Client: r.server.client(t), Dynamic: client, Logger: logr.Discard(),
		Scope: Scope{
			APIVersion: websiteKind.GroupVersion().String(), Kind: websiteKind.Kind, OnRemove: onRemoveDelete, Finalizer: FinalizerOf(installation, definition),
			Patches: []OwnedRecord{{APIVersion: "v1", Kind: "ConfigMap"}},
		},
	}
}

// What a definition handles is looked at last: a parent that comes in between is not among what it
// has left behind.
func TestRemovalListsPatchedObjectsFirst(t *testing.T) {
	r := newContributor(t)
	r.target("shared")
	r.newWebsite("web", patchesOf("shared", "x"))
	removal := r.patchRemoval(t)
	removal.Now = &r.Selection
	r.server.take()
	if _, err := removal.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked := lists(r.server.take()); len(asked) < 2 || !strings.HasSuffix(asked[0], "/configmaps") || !strings.HasSuffix(asked[1], "/websites") {
		t.Errorf("it lists %v, want the patched objects first", asked)
	}
}

// One object that cannot be changed, and one kind that cannot be listed, keep nothing else.
func TestRemovalGoesOnAfterAnError(t *testing.T) {
	r := newContributor(t)
	for _, name := range []string{"a", "b", "c"} {
		r.target(name)
	}
	r.newWebsite("web", patchesOf("a", "x", "b", "x", "c", "x"))
	r.mustPass(t, "web")
	forbidden := func(what string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: what}, "", errDamaged)
	}
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		switch {
		case asked.method == http.MethodPatch && strings.HasSuffix(asked.path, "/a"):
			sendError(w, forbidden("configmaps"))
		case strings.HasSuffix(asked.path, "/deployments"):
			sendError(w, forbidden("deployments"))
		default:
			return false
		}
		return true
	}
	removal := r.patchRemoval(t)
	removal.Scope.Patches = slices.Insert(removal.Scope.Patches, 0, OwnedRecord{APIVersion: "apps/v1", Kind: "Deployment"})
	found, err := removal.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "ConfigMap team-a/a") || !strings.Contains(err.Error(), "listing Deployment") {
		t.Errorf("error %v, want one about the object and one about the kind", err)
	}
	for name, want := range map[string]bool{"a": true, "b": false, "c": false} {
		if got := r.object(idOf(configMapKind, "team-a", name)); strings.Contains(got, "web:x") != want {
			t.Errorf("%s is %s; patched: want %t", name, got, want)
		}
	}
	if found.Finalizers != 1 {
		t.Errorf("%d finalizers were removed, want 1", found.Finalizers)
	}
}

// Where a kind is not served at the moment, something may be left.
func TestRemovalRemembersUnservedPatchedKinds(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	r.newWebsite("web", patchesOf("shared", "x"))
	r.mustPass(t, "web")
	removal := r.patchRemoval(t)
	removal.Scope.Patches = slices.Insert(removal.Scope.Patches, 0, OwnedRecord{APIVersion: "example.com/v1", Kind: "Passing"})
	if err := removal.WithdrawPatches(t.Context()); err == nil || err.Error() != "example.com/v1 Passing is not served" {
		t.Errorf("error %v, want one about the kind", err)
	}
	if got := r.object(id); strings.Contains(got, "web:x") {
		t.Errorf("the object is %s, want nothing contributed", got)
	}
	found, err := removal.Run(t.Context())
	if err != nil || len(found.Unserved) != 1 || found.Unserved[0].Kind != "Passing" || !removal.Waits(found) {
		t.Errorf("found %+v, %v, want the kind", found, err)
	}
}

// What parents contribute that exist and are not handled stays, and what those contribute that are
// paused stays until they are not.
func TestWithdrawPatchesLeavesOutParents(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	edit := func(name string, change func(metadata map[string]any)) {
		r.server.do(func(c *cluster) {
			c.edit(idOf(websiteKind, "team-a", name), "kubectl", func(tree map[string]any) { change(object(tree, "metadata")) })
		})
	}
	for _, name := range []string{"web", "left", "paused", "gone"} {
		r.newWebsite(name, patchesOf("shared", "x"))
		r.mustPass(t, name)
		r.sync()
		if name != "left" {
			edit(name, func(metadata map[string]any) { metadata["labels"] = map[string]any{"app": "web"} })
		}
	}
	edit("paused", func(metadata map[string]any) { metadata["annotations"] = map[string]any{PausedAnnotation: "true"} })
	r.server.do(func(c *cluster) { delete(c.objects, idOf(websiteKind, "team-a", "gone")) })
	removal := r.patchRemoval(t)
	removal.Now = &Selection{Kind: websiteKind, Labels: labels.SelectorFromSet(labels.Set{"app": "web"})}
	check := func(want string) {
		t.Helper()
		var data map[string]any
		r.server.do(func(c *cluster) { data = object(c.objects[id].tree, "data") })
		if got := fmt.Sprint(data); got != want {
			t.Errorf("the object has %s, want %s", got, want)
		}
	}
	if err := removal.WithdrawPatches(t.Context()); err == nil || err.Error() != errPaused.Error() {
		t.Errorf("error %v, want %v", err, errPaused)
	}
	check("map[left:x own:1 paused:x]")
	edit("paused", func(metadata map[string]any) { delete(metadata, "annotations") })
	if err := removal.WithdrawPatches(t.Context()); err != nil {
		t.Error(err)
	}
	check("map[left:x own:1]")
}

// What was left behind by an earlier change of the file stays as that change has said: its parents
// may be where the definition does not look any more.
func TestWithdrawPatchesLeavesOutWhatIsRetained(t *testing.T) {
	records := func(kind schema.GroupVersionKind) []OwnedRecord {
		return []OwnedRecord{{APIVersion: kind.GroupVersion().String(), Kind: kind.Kind, AnyNamespace: true}}
	}
	web := Scope{APIVersion: websiteKind.GroupVersion().String(), Kind: websiteKind.Kind, Patches: records(configMapKind), Done: true}
	other := web
	other.Kind = widgetKind.Kind
	otherPatches := web
	otherPatches.Patches = records(secretKind)
	within := web
	within.Namespaces = []string{"team-a"}
	for name, tc := range map[string]struct {
		left []Scope
		name string // the only parent that the definition looks at
		want string
	}{
		"nothing is left":                 {want: "map[own:1]"},
		"in other namespaces":             {left: []Scope{web}, want: "map[far:x own:1]"},
		"in the same namespaces":          {left: []Scope{within}, want: "map[own:1]"},
		"of another kind":                 {left: []Scope{other}, want: "map[far:x own:1]"},
		"of other patches":                {left: []Scope{otherPatches}, want: "map[own:1]"},
		"in the same, but for one parent": {left: []Scope{within}, name: "web", want: "map[far:x own:1]"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newContributor(t)
			id := r.target("shared")
			for _, parent := range []string{"web", "far"} {
				r.newWebsite(parent, patchesOf("shared", "x"))
				r.mustPass(t, parent)
				r.sync()
			}
			r.server.do(func(c *cluster) { delete(c.objects, idOf(websiteKind, "team-a", "far")) }) // No list shows it.
			removal := r.patchRemoval(t)
			removal.Scope.Patches = records(configMapKind)
			removal.Now, removal.Left = &Selection{Kind: websiteKind, Namespaces: []string{"team-a"}}, tc.left
			if tc.name != "" {
				removal.Now.Fields = fields.OneTermEqualSelector("metadata.name", tc.name)
			}
			if err := removal.WithdrawPatches(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.server.do(func(c *cluster) {
				if got := fmt.Sprint(object(c.objects[id].tree, "data")); got != tc.want {
					t.Errorf("the object has %s, want %s", got, tc.want)
				}
			})
		})
	}
}
