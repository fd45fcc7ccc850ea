package compose

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// newRemovalRig is a rig with websites whose children are made, and which have the finalizer.
func newRemovalRig(t *testing.T, children map[string]int) *rig {
	t.Helper()
	r := newRig(t, rigOptions{composer: keys})
	for website, n := range children {
		r.newWebsite(website, map[string]any{"children": names(n)})
		r.mustPass(t, website)
		r.finalized(website)
	}
	r.sync()
	return r
}

// finalized gives a website the finalizer of the definition.
func (r *rig) finalized(website string) {
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", website), "kubectl", func(tree map[string]any) {
			object(tree, "metadata")["finalizers"] = []any{FinalizerOf(installation, definition)}
		})
	})
}

// withFinalizer are the websites that have a finalizer.
func (r *rig) withFinalizer() (names []string) {
	r.server.do(func(c *cluster) {
		for id, o := range c.objects {
			if of, _ := object(o.tree, "metadata")["finalizers"].([]any); id.Kind == websiteKind.GroupKind() && len(of) > 0 {
				names = append(names, id.Name)
			}
		}
	})
	slices.Sort(names)
	return names
}

// marked is how many objects carry the mark of the installation.
func (r *rig) marked() (n int) {
	r.server.do(func(c *cluster) {
		for _, o := range c.objects {
			if object(object(o.tree, "metadata"), "labels")[InstallationLabel] != nil {
				n++
			}
		}
	})
	return n
}

// refuseFirst makes the server answer the first request of which is returns true with an error,
// and all later ones for the same object.
func (r *rig) refuseFirst(err error, is func(request) bool) (path *string) {
	path = new(string)
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if *path == "" && is(asked) {
			*path = asked.path
		}
		if asked.path != *path || !is(asked) {
			return false
		}
		sendError(w, err)
		return true
	}
	return path
}

func ofMethod(method, part string) func(request) bool {
	return func(asked request) bool { return asked.method == method && strings.Contains(asked.path, part) }
}

var errRefused = apierrors.NewForbidden(schema.GroupResource{Resource: "things"}, "x", errDamaged)

// A child that cannot be deleted keeps no other child, and the finalizer of its own parent alone.
func TestRemovalGoesOnAfterAChildThatIsRefused(t *testing.T) {
	for onRemove, method := range map[string]string{onRemoveDelete: http.MethodDelete, onRemoveOrphan: http.MethodPatch} {
		t.Run(onRemove, func(t *testing.T) {
			r := newRemovalRig(t, map[string]int{"web": 3, "shop": 3})
			path := r.refuseFirst(errRefused, ofMethod(method, "/configmaps/"))
			removal := removalOf(t, r, onRemove, configMapKind)
			for range 2 { // A child is gone when it is not seen any more.
				found, err := removal.Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), (*path)[strings.LastIndex(*path, "/")+1:]) {
					t.Fatalf("found %+v, and the error %v does not name %s", found, err, *path)
				}
			}
			website := "web"
			if strings.Contains(*path, "/shop-") {
				website = "shop"
			}
			if left := r.withFinalizer(); r.marked() != 1 || !slices.Equal(left, []string{website}) {
				t.Errorf("%d children are left, and %v have the finalizer", r.marked(), left)
			}
			r.server.answer = nil
			for range 2 {
				if _, err := removal.Run(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if left := r.withFinalizer(); r.marked() != 0 || len(left) > 0 {
				t.Errorf("when it is refused no more, %d children are left, and %v have the finalizer", r.marked(), left)
			}
		})
	}
}

// A child that is written at the same time is no trouble: it is looked at again.
func TestRemovalOfAChildThatChanges(t *testing.T) {
	r := newRemovalRig(t, map[string]int{"web": 2, "shop": 1})
	r.refuseFirst(apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "x", errDamaged), ofMethod(http.MethodPatch, "/configmaps/"))
	removal := removalOf(t, r, onRemoveOrphan, configMapKind)
	if found, err := removal.Run(t.Context()); err != nil || found.Going != 1 || r.marked() != 1 || len(r.withFinalizer()) != 1 {
		t.Errorf("found %+v, %v; %d children have the marks, and %v the finalizer", found, err, r.marked(), r.withFinalizer())
	}
	r.server.answer = nil
	if found, err := removal.Run(t.Context()); err != nil || found.Going != 0 || r.marked() != 0 || len(r.withFinalizer()) > 0 {
		t.Errorf("found %+v, %v; %d children have the marks, and %v the finalizer", found, err, r.marked(), r.withFinalizer())
	}
}

// A parent whose finalizer cannot be removed keeps that of no other one.
func TestRemovalGoesOnAfterAFinalizerThatIsRefused(t *testing.T) {
	r := newRemovalRig(t, map[string]int{"a": 0, "b": 0, "c": 0})
	path := r.refuseFirst(errRefused, ofMethod(http.MethodPatch, "/websites/"))
	found, err := removalOf(t, r, "", configMapKind).Run(t.Context())
	if left := r.withFinalizer(); err == nil || found.Finalizers != 2 || len(left) != 1 || !strings.HasSuffix(*path, "/"+left[0]) {
		t.Errorf("found %+v, %v, and %v have the finalizer", found, err, left)
	}
}

// Of a kind that cannot be listed, there may be children of each parent, and in each namespace. All
// else is done, and where no child is to go before, the parents are let go, too.
func TestRemovalGoesOnAfterAListThatIsRefused(t *testing.T) {
	for onRemove, want := range map[string]struct{ left, finalizers int }{"": {left: 3}, onRemoveDelete: {left: 1, finalizers: 1}} {
		t.Run(onRemove, func(t *testing.T) {
			r := newRig(t, rigOptions{
				owns: []schema.GroupVersionKind{configMapKind, namespaceKind}, composer: always(
					handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil), Policy: handlers.ChildPolicy{Prune: true}},
					handlers.Child{Name: "inside", Object: untyped(configMapKind, "space", "inside", nil)},
					configMap("near", nil),
				),
			})
			r.newWebsite("web", nil)
			r.mustPass(t, "web")
			r.finalized("web")
			r.refuseFirst(errRefused, ofMethod(http.MethodGet, "/secrets"))
			removal := removalOf(t, r, onRemove, secretKind, configMapKind, namespaceKind)
			for range 2 {
				found, err := removal.Run(t.Context())
				if err == nil || !strings.Contains(err.Error(), "listing Secret") {
					t.Errorf("found %+v, and the error is %v", found, err)
				}
			}
			if left := r.withFinalizer(); r.marked() != want.left || len(left) != want.finalizers {
				t.Errorf("%d children are left, and %v have the finalizer; want %+v", r.marked(), left, want)
			}
			r.server.answer = nil
			for range 2 {
				if _, err := removal.Run(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if left := r.withFinalizer(); len(left) > 0 || onRemove == onRemoveDelete && r.marked() > 0 {
				t.Errorf("in the end %d children are left, and %v have the finalizer", r.marked(), left)
			}
		})
	}
}

// A namespace stays while a child in it cannot be deleted: whoever refuses that may want to keep
// it.
func TestRemovalKeepsNamespacesOfChildrenThatAreRefused(t *testing.T) {
	for name, refusal := range map[string]error{
		"forbidden": errRefused, "changed": apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "inside", errDamaged),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigOptions{
				owns: []schema.GroupVersionKind{configMapKind, namespaceKind}, composer: always(
					handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil), Policy: handlers.ChildPolicy{Prune: true}},
					handlers.Child{Name: "inside", Object: untyped(configMapKind, "space", "inside", nil)},
				),
			})
			r.newWebsite("web", nil)
			r.mustPass(t, "web")
			r.refuseFirst(refusal, ofMethod(http.MethodDelete, "/configmaps/"))
			removal := removalOf(t, r, onRemoveDelete, namespaceKind, configMapKind)
			if found, err := removal.Run(t.Context()); r.marked() != 2 || found.Going != 1 {
				t.Errorf("found %+v, %v, and %d children are left", found, err, r.marked())
			}
			r.server.answer = nil
			if found, err := removal.Run(t.Context()); err != nil || r.marked() != 0 {
				t.Errorf("found %+v, %v, and %d children are left", found, err, r.marked())
			}
		})
	}
}

// Many that fail are not all named.
func TestRemovalSaysHowManyFail(t *testing.T) {
	r := newRemovalRig(t, map[string]int{"web": maxMistakes + 3})
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if asked.method != http.MethodDelete {
			return false
		}
		sendError(w, errRefused)
		return true
	}
	found, err := removalOf(t, r, onRemoveDelete, configMapKind).Run(t.Context())
	if want := "and 3 more children"; err == nil || !strings.Contains(err.Error(), want) || found.Going != maxMistakes+3 {
		t.Errorf("found %+v, and the error %v, which does not say %q", found, err, want)
	}
	if n := strings.Count(fmt.Sprint(err), "deleting ConfigMap"); n != maxMistakes {
		t.Errorf("it names %d children, want %d", n, maxMistakes)
	}
}

// What one parent has contributed to an object keeps nothing that another one has contributed to
// it.
func TestRemovalGoesOnAfterAPatchThatIsRefused(t *testing.T) {
	r := newContributor(t)
	shared := r.target("shared")
	for _, website := range []string{"shop", "web"} {
		r.newWebsite(website, patchesOf("shared", "x"))
		r.mustPass(t, website)
	}
	r.sync()
	first := min(r.parent("shop").UID(), r.parent("web").UID())
	r.refuseFirst(errRefused, func(asked request) bool {
		return asked.method == http.MethodPatch && strings.Contains(asked.query, string(first)) && strings.HasSuffix(asked.path, "/shared")
	})
	_, err := r.patchRemoval(t).Run(t.Context())
	left := r.object(shared)
	if n := strings.Count(left, "shop:x") + strings.Count(left, "web:x"); err == nil || n != 1 {
		t.Errorf("the error is %v, and the object is %s", err, left)
	}
}

// always is a composer that wants the same children of each parent.
func always(children ...handlers.Child) handlers.Composer {
	return handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
		return handlers.Composition{Children: children}, nil
	})
}
