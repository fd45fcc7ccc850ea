package compose

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var sharedID = idOf(configMapKind, "team-a", "shared")

// contribute lets the website contribute a key to an object of somebody else, by a definition of an
// installation.
func (r *orphanRig) contribute(t *testing.T, by, of string) {
	t.Helper()
	r.do(func(c *cluster) {
		c.edit(sharedID, "owner", func(tree map[string]any) { object(tree, "data")["own"] = "1" })
		tree := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{by: "x"}, "metadata": map[string]any{
			"name": "shared", "namespace": "team-a", "labels": map[string]any{PatchedLabel(of): PatchedValue},
		}}
		if _, err := c.apply(configMapKind, sharedID, PatchManager(by, r.parent.UID), tree, false); err != nil {
			t.Fatal(err)
		}
	})
}

// newPatchOrphanRig has a website that contributes to an object, of a definition that patches.
func newPatchOrphanRig(t *testing.T) *orphanRig {
	t.Helper()
	r := newOrphanRig(t)
	scope := websiteScope
	scope.Patches = []OwnedRecord{{APIVersion: "v1", Kind: "ConfigMap", Namespaces: []string{"team-a"}}}
	r.search.Records[definition], r.search.Claims[0].Patches = Record{Scope: scope}, scope.Patches
	r.contribute(t, definition, installation)
	return r
}

func TestOrphanedPatches(t *testing.T) {
	const (
		ours     = "ConfigMap team-a/shared of Website team-a/web by websites, proven: "
		unknown  = "ConfigMap team-a/shared of  by websites, proven: "
		unmarked = "the label i0123456789abcdef.kooperd.dev/patched was taken off"
	)
	for name, tc := range map[string]struct {
		change func(t *testing.T, r *orphanRig)
		want   []string
	}{
		"a patch": {},
		"a definition that is gone": {
			change: func(_ *testing.T, r *orphanRig) { r.search.Claims = nil },
			want:   []string{ours + `[NoDefinition]: no definition has the id "websites"`},
		},
		"a definition that has another id now": {
			change: func(_ *testing.T, r *orphanRig) { r.search.Claims[0].IDs = []string{"sites", definition} },
		},
		"a kind that is not patched": {
			change: func(_ *testing.T, r *orphanRig) { r.search.Claims[0].Patches = nil },
			want:   []string{ours + "[KindNotPatched]: definition websites does not patch kind ConfigMap"},
		},
		"a parent that is gone": {
			change: func(_ *testing.T, r *orphanRig) { r.removeParent() },
			want:   []string{unknown + "[NoParent]: its parent is gone"},
		},
		"a parent that is gone, and was of an unknown kind": {
			change: func(_ *testing.T, r *orphanRig) {
				r.removeParent()
				record := r.search.Records[definition]
				record.Since = time.Now()
				r.search.Records[definition] = record
			},
		},
		"parents that cannot be looked at": {
			change: func(_ *testing.T, r *orphanRig) { r.removeParent(); r.refuse(websitesPath + "websites") },
		},
		"another installation": {
			change: func(t *testing.T, r *orphanRig) {
				r.edit(sharedID, func(tree map[string]any) {
					delete(object(object(tree, "metadata"), "labels"), PatchedLabel(installation))
				})
				r.contribute(t, definition, "ifedcba9876543210")
				r.search.Claims[0].Patches = nil
			},
		},
		"a label that was taken off": {
			change: func(_ *testing.T, r *orphanRig) {
				r.edit(sharedID, func(tree map[string]any) {
					delete(object(object(tree, "metadata"), "labels"), PatchedLabel(installation))
				})
			},
			want: []string{strings.Replace(ours, "proven", "unproven", 1) + "[Unmarked]: " + unmarked},
		},
		"a label that was taken off, of a definition that nobody knows": {
			change: func(t *testing.T, r *orphanRig) {
				r.contribute(t, "somebody", installation)
				r.contribute(t, definition, installation)
				r.edit(sharedID, func(tree map[string]any) {
					delete(object(object(tree, "metadata"), "labels"), PatchedLabel(installation))
				})
			},
			want: []string{strings.Replace(ours, "proven", "unproven", 1) + "[Unmarked]: " + unmarked},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPatchOrphanRig(t)
			if tc.change != nil {
				tc.change(t, r)
			}
			found, err := r.search.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			patches := slices.DeleteFunc(found.Found, func(o Orphan) bool { return !o.Patch })
			if diff := cmp.Diff(append([]string{}, tc.want...), orphanWords(patches)); diff != "" {
				t.Errorf("orphans (-want +got):\n%s", diff)
			}
		})
	}
}

// What is withdrawn leaves the object, and what others have set there.
func TestOrphanedPatchIsWithdrawn(t *testing.T) {
	leads := func(context.Context, string) (string, error) { return "somebody leads", nil }
	const patched, clean = "map[own:1 websites:x]", "map[own:1]"
	for name, tc := range map[string]struct {
		before  func(r *orphanRig, d *OrphanDeletion) // the search
		after   func(t *testing.T, r *orphanRig)      // before the deletion
		outcome OrphanOutcome
		message string
		want    string
	}{
		"a definition that is gone": {outcome: OrphanWithdrawn, want: clean},
		"and a leader has it": {
			before:  func(_ *orphanRig, d *OrphanDeletion) { d.Claimed = leads },
			outcome: OrphanRefused, message: "somebody leads", want: patched,
		},
		"a parent that is gone": {
			before:  func(r *orphanRig, d *OrphanDeletion) { r.removeParent(); d.Claimed = leads },
			outcome: OrphanWithdrawn, want: clean,
		},
		"a label that was taken off": {
			before: func(r *orphanRig, _ *OrphanDeletion) {
				r.edit(sharedID, func(tree map[string]any) {
					delete(object(object(tree, "metadata"), "labels"), PatchedLabel(installation))
				})
			},
			outcome: OrphanKept, message: "without the label, nothing says that it is of this installation", want: patched,
		},
		"the same, since it was found": {
			after: func(_ *testing.T, r *orphanRig) {
				r.edit(sharedID, func(tree map[string]any) {
					delete(object(object(tree, "metadata"), "labels"), PatchedLabel(installation))
				})
			},
			outcome: OrphanKept, message: "it is not provably of this installation any more", want: patched,
		},
		"somebody has withdrawn it": {
			after:   func(_ *testing.T, r *orphanRig) { r.do(func(c *cluster) { c.wipe(sharedID) }) },
			outcome: OrphanWithdrawn, message: "nothing is contributed any more", want: patched,
		},
		"its object is gone": {
			after:   func(_ *testing.T, r *orphanRig) { r.do(func(c *cluster) { delete(c.objects, sharedID) }) },
			outcome: OrphanWithdrawn, message: "the object is gone already",
		},
		"another object has its name": {
			after: func(t *testing.T, r *orphanRig) {
				r.do(func(c *cluster) { delete(c.objects, sharedID) })
				r.contribute(t, definition, installation)
			},
			outcome: OrphanKept, message: "another object has its name by now", want: patched,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newPatchOrphanRig(t)
			r.search.Claims = nil
			deletion := &OrphanDeletion{Client: r.search.Client, Claimed: func(context.Context, string) (string, error) { return "", nil }}
			if tc.before != nil {
				tc.before(r, deletion)
			}
			var err error
			if deletion.Orphans, err = r.search.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if tc.after != nil {
				tc.after(t, r)
			}
			for _, o := range deletion.InOrder() {
				if !o.Patch {
					continue
				}
				if outcome, message := deletion.Delete(t.Context(), o); outcome != tc.outcome || message != tc.message {
					t.Errorf("%s: %s, want %s: %s", outcome, message, tc.outcome, tc.message)
				}
			}
			data := ""
			r.do(func(c *cluster) {
				if o := c.objects[sharedID]; o != nil {
					data = textOfData(o.tree)
				}
			})
			if data != tc.want {
				t.Errorf("the object has %s, want %s", data, tc.want)
			}
		})
	}
}

// What a member of a family contributes stands below it, of whatever installation.
func TestFamilyHasPatches(t *testing.T) {
	r := newFamilyRig(t)
	r.edit(siteID, func(tree map[string]any) {
		object(tree, "metadata")["finalizers"] = []any{FinalizerOf(installation, definition), FinalizerOf("ifedcba9876543210", "others")}
	})
	r.contribute(t, definition, installation)
	r.contribute(t, "others", "ifedcba9876543210")
	_, m, err := r.family(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Patches) != 2 {
		t.Fatalf("there are %d patches, want 2", len(m.Patches))
	}
	other := OtherManager{Manager: PatchManager("others", r.parent.UID), Fields: []string{"data.others", "metadata.labels.ifedcba9876543210.kooperd.dev/patched"}}
	want := &MemberPatch{
		ObjectRef: ObjectRef{APIVersion: "v1", Kind: "ConfigMap", Namespace: "team-a", Name: "shared", UID: m.Patches[1].UID},
		State:     HealthReady, Definition: definition, Installation: installation, Fields: []string{"data.websites"},
		Managers: []OtherManager{other, {Manager: "owner", Fields: []string{"data.own"}}},
	}
	if diff := cmp.Diff(want, m.Patches[1]); diff != "" {
		t.Errorf("the patch (-want +got):\n%s", diff)
	}
	if second := m.Patches[0]; second.Definition != "others" || second.Installation != "ifedcba9876543210" {
		t.Errorf("the other patch is %+v", second)
	}
}

func textOfData(tree map[string]any) string {
	var texts []string
	for key, value := range object(tree, "data") {
		text, _ := value.(string)
		texts = append(texts, key+":"+text)
	}
	slices.Sort(texts)
	return "map[" + strings.Join(texts, " ") + "]"
}
