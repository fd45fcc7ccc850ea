package compose_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// TestOrphanedPatches lists what parents contribute that are gone, or whose definition is, and
// withdraws it. kooperd tree shows it while it is in its place.
func TestOrphanedPatches(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, name := range []string{"shared", "stripped", "kept"} {
		r.target(t, name)
	}
	old := patching(patchOf("shared", "{name}"), patchOf("stripped", "{name}"))
	old.settings = map[string]any{"status": "none"}
	kept := patching(patchOf("kept", "{name}"))
	r.defineAll(t, map[string]definition{"kept": kept, "old": old})
	p := r.start(t)
	thing := r.thing(t, "p", "x")
	r.ready(t, "p")
	for _, name := range []string{"shared", "stripped", "kept"} {
		r.awaitPatched(t, name, map[string]string{"own": "1", "p": "x"})
	}
	patched := tree(t, r.kubeconfig, "thing/"+r.namespace+"/p").Patches
	if len(patched) != 3 {
		t.Fatalf("the tree has %d patches, want 3: %+v", len(patched), patched)
	}
	first := patched[0]
	ofOwner := slices.ContainsFunc(first.Managers, func(m struct {
		Manager, Subresource string
		Fields               []string
		More                 int
	}) bool {
		return slices.Contains(m.Fields, "data.own")
	})
	if first.Name != "kept" || first.Definition != "kept" || first.State != "Ready" || !strings.HasPrefix(first.Installation, "i") ||
		fmt.Sprint(first.Fields) != "[data.p metadata.labels.patched]" || !ofOwner {
		t.Errorf("the first patch is %+v", first)
	}

	less := r.without(t, map[string]definition{"kept": kept})
	if found, _ := r.orphans(t, r.path, 0); len(found) > 0 {
		t.Errorf("with everything in its place, there are %v", found)
	}
	const gone = "patch old NoDefinition"
	if found, _ := r.orphans(t, less, 1, "--delete"); found["shared"] != gone+" proven Refused" || found["kept"] != "" {
		t.Errorf("with a leader, there are %v", found)
	}
	p.Stop(t)
	label := ""
	for name := range r.get(t, configMaps, "stripped").GetLabels() {
		if strings.HasSuffix(name, "/patched") {
			label = name
		}
	}
	r.patch(t, configMaps, "stripped", fmt.Sprintf(`{"metadata": {"labels": {%q: null}}}`, label))
	want := map[string]string{"shared": gone + " proven Withdrawn", "stripped": gone + " Unmarked Kept"}
	found, stderr := r.orphans(t, less, 0, "--delete")
	if diff := gocmp.Diff(want, found); diff != "" || !strings.Contains(stderr, "nobody holds the lease") {
		t.Errorf("without a leader (-want +got):\n%s%s", diff, stderr)
	}
	r.clean(t, "shared")

	// A parent that loses its finalizer by force takes nothing with it.
	r.patch(t, things, "p", `{"metadata": {"finalizers": null}}`)
	r.remove(t, things, "p")
	r.await(t, things, "the parent to go", func(o objects) bool { return o["p"] == nil })
	found, _ = r.orphans(t, r.path, 0, "--delete")
	want = map[string]string{"kept": "patch kept NoParent proven Withdrawn", "stripped": "patch old NoParent Unmarked Kept"}
	if diff := gocmp.Diff(want, found); diff != "" {
		t.Errorf("without the parent of UID %s (-want +got):\n%s", thing.GetUID(), diff)
	}
	r.clean(t, "kept")
}
