package compose

import (
	"fmt"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestRemovalWaitsForKinds has children of a kind that is not served at the moment.
func TestRemovalWaitsForKinds(t *testing.T) {
	for onRemove, want := range map[string]struct {
		waits bool
		left  int
	}{"": {left: 1}, onRemoveDelete: {waits: true}} {
		t.Run(onRemove, func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys})
			r.newWebsite("web", map[string]any{"children": names(1)})
			r.mustPass(t, "web")
			client, err := dynamic.NewForConfig(r.server.config())
			if err != nil {
				t.Fatal(err)
			}
			removal := &Removal{
				Installation: installation, Definition: definition, Client: r.server.client(t), Dynamic: client, Logger: logr.Discard(),
				Scope: Scope{
					APIVersion: websiteKind.GroupVersion().String(), Kind: websiteKind.Kind, OnRemove: onRemove,
					Owns: []OwnedRecord{{APIVersion: "example.com/v1", Kind: "Passing"}, {APIVersion: "v1", Kind: "ConfigMap"}},
				},
			}
			found, err := removal.Run(t.Context())
			if err != nil || len(found.Unserved) != 1 || found.Unserved[0].Kind != "Passing" {
				t.Fatalf("found %+v, %v", found, err)
			}
			if removal.Waits(found) != want.waits || r.childrenOf("web") != want.left {
				t.Errorf("it waits: %t, and %d children are left", removal.Waits(found), r.childrenOf("web"))
			}
		})
	}
}

// TestRemovalOfMovingChildren has children that were made under a former id. They are deleted, but
// for those that another definition may take over.
func TestRemovalOfMovingChildren(t *testing.T) {
	for _, claimed := range []bool{true, false} {
		t.Run(fmt.Sprintf("claimed %t", claimed), func(t *testing.T) {
			r := newRig(t, rigOptions{composer: keys})
			r.newWebsite("web", map[string]any{"children": names(1)})
			r.mustPass(t, "web")
			client, err := dynamic.NewForConfig(r.server.config())
			if err != nil {
				t.Fatal(err)
			}
			removal := &Removal{
				Installation: installation, Definition: "sites", Formerly: []string{definition}, Moves: NewMoves(),
				Client: r.server.client(t), Dynamic: client, Logger: logr.Discard(),
				Scope: Scope{
					APIVersion: websiteKind.GroupVersion().String(), Kind: websiteKind.Kind, OnRemove: onRemoveDelete,
					Owns: []OwnedRecord{{APIVersion: "v1", Kind: "ConfigMap"}},
				},
			}
			if claimed {
				donor := Party{Identity: Identity{Definition: "sites"}, Selection: r.Selection}
				heir := Party{
					Identity: Identity{Definition: "network"}, Selection: r.Selection, Donors: []string{"sites"},
					Owns: []schema.GroupKind{configMapKind.GroupKind()},
				}
				removal.Moves.Set([]Party{donor, heir})
			}
			found, err := removal.Run(t.Context())
			if left := r.childrenOf("web"); err != nil || found.Going != 1 || (found.Claimed == 1) != claimed || (left == 1) != claimed {
				t.Errorf("found %+v, %v, and %d children are left", found, err, left)
			}
		})
	}
}

// TestRemovalKeepsNamespacesOfMovingChildren has a child that another definition takes over, in the
// namespace of another parent.
func TestRemovalKeepsNamespacesOfMovingChildren(t *testing.T) {
	m := newMovesRig(t, []schema.GroupVersionKind{configMapKind, namespaceKind},
		handlers.Child{Name: "inside", Object: untyped(configMapKind, "space", "inside", nil)})
	m.keeps = pages(handlers.Child{Name: "space", Object: untyped(namespaceKind, "", "space", nil), Policy: handlers.ChildPolicy{Prune: true}})
	m.donor.newWebsite("shop", nil)
	m.donor.mustPass(t, "shop")
	m.change(nil, nil)
	m.begin(m.heir)
	m.heir.sync()
	m.moves.report("sites", m.heir.parent("shop").UID(), passReport{digest: "1", known: true})
	m.moves.report("sites", m.heir.parent("web").UID(), passReport{digest: "1", known: true, wants: map[ChildID]bool{
		idOf(configMapKind, "space", "inside"): true,
	}})
	removal := removalOf(t, m.donor, onRemoveDelete, configMapKind, namespaceKind)
	removal.Moves = m.moves
	found, err := removal.Run(t.Context())
	if err != nil || found.Claimed != 1 || found.Stay != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
	if deleted := m.deleted(); len(deleted) > 0 {
		t.Errorf("there are deletions: %v", deleted)
	}
}

// TestRemovalDoesNotHoldParents has one parent with a child that waits for another definition, and
// one with a child that does not. Only the first one keeps its finalizer, and only until it is
// deleted.
func TestRemovalDoesNotHoldParents(t *testing.T) {
	m := newMovesRig(t, nil, page)
	m.keeps = pages(configMap("other", nil))
	m.donor.newWebsite("shop", nil)
	m.donor.mustPass(t, "shop")
	webID, shopID := idOf(websiteKind, "team-a", "web"), idOf(websiteKind, "team-a", "shop")
	finalizer := FinalizerOf(installation, definition)
	m.donor.server.do(func(c *cluster) {
		for _, id := range []ChildID{webID, shopID} {
			c.edit(id, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{finalizer} })
		}
	})
	m.sync()
	m.change(nil, nil)
	m.begin(m.heir)
	m.moves.report("sites", m.heir.parent("shop").UID(), passReport{digest: "1", known: true})
	removal := removalOf(t, m.donor, onRemoveDelete, configMapKind)
	removal.Moves = m.moves
	var unfinalized []string
	removal.Tell = func(l Leftover) {
		if l.Action == Unfinalize {
			unfinalized = append(unfinalized, l.ID.String())
		}
	}
	finalizers := func(id ChildID) (n int) {
		m.donor.server.do(func(c *cluster) {
			if o := c.objects[id]; o != nil {
				n = len(object(o.tree, "metadata")["finalizers"].([]any))
			}
		})
		return n
	}
	for range 2 { // A child is gone when it is not seen any more.
		found, err := removal.Run(t.Context())
		if err != nil || found.Claimed != 1 || !strings.Contains(found.Claim, "definition sites") {
			t.Fatalf("found %+v, %v", found, err)
		}
	}
	if finalizers(webID) != 1 || finalizers(shopID) != 0 {
		t.Errorf("the parent whose child waits has %d finalizers, and the other one %d", finalizers(webID), finalizers(shopID))
	}
	if diff := cmp.Diff([]string{shopID.String()}, unfinalized); diff != "" {
		t.Errorf("it tells of other finalizers (-want +got):\n%s", diff)
	}
	m.donor.server.do(func(c *cluster) {
		if err := c.delete(webID, "", ""); err != nil {
			t.Error(err)
		}
	})
	if found, err := removal.Run(t.Context()); err != nil || found.Claimed != 0 || found.Going != 1 {
		t.Errorf("when its parent is being deleted, found %+v, %v", found, err)
	}
}

// TestRemovalOfAFormerID has what is left of an id that the definition has had before: its heirs
// know it by the id of now.
func TestRemovalOfAFormerID(t *testing.T) {
	m := newMovesRig(t, nil, page)
	now := m.donorAs
	now.Definition, now.Formerly = "webs", []string{definition}
	m.heirAs.Donors = []string{"webs"}
	m.moves.Set([]Party{now, m.heirAs})
	removal := removalOf(t, m.donor, onRemoveDelete, configMapKind)
	removal.Moves, removal.MovesAs = m.moves, "webs"
	if found, err := removal.Run(t.Context()); err != nil || found.Claimed != 1 {
		t.Errorf("found %+v, %v", found, err)
	}
	if deleted := m.deleted(); len(deleted) > 0 {
		t.Errorf("there are deletions: %v", deleted)
	}
}

// removalOf is the removal of the definition of a rig.
func removalOf(t *testing.T, r *rig, onRemove string, owns ...schema.GroupVersionKind) *Removal {
	t.Helper()
	scope := Scope{
		APIVersion: websiteKind.GroupVersion().String(), Kind: websiteKind.Kind, OnRemove: onRemove,
		Finalizer: FinalizerOf(installation, r.Definition),
	}
	for _, kind := range owns {
		apiVersion, name := kind.ToAPIVersionAndKind()
		scope.Owns = append(scope.Owns, OwnedRecord{APIVersion: apiVersion, Kind: name})
	}
	return &Removal{
		Installation: installation, Definition: r.Definition, Scope: scope, Client: r.server.client(t), Dynamic: r.Dynamic, Logger: logr.Discard(),
	}
}
