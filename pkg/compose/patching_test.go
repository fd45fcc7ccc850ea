package compose

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// contributor contributes, for each name in spec.patches, a key with the value there to the
// ConfigMap of that name, and a label. The key is that of spec.key, or the name of the parent.
var contributor = handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	var site struct {
		Spec struct {
			Patches map[string]string `json:"patches"`
			Key     string            `json:"key"`
			Child   string            `json:"child"`
			Fail    bool              `json:"fail"`
			Pending bool              `json:"pending"`
		} `json:"spec"`
	}
	if err := req.Object.Into(&site); err != nil {
		return handlers.Composition{}, err
	}
	if site.Spec.Fail {
		return handlers.Composition{}, errors.New("the spec says that it fails")
	}
	var c handlers.Composition
	if site.Spec.Pending {
		c.Pending = []handlers.Pending{{On: "the test"}}
	}
	if site.Spec.Child != "" {
		c.Children = handlers.ChildrenOf(untyped(configMapKind, "", site.Spec.Child, nil))
	}
	key := req.Object.Name()
	if site.Spec.Key != "" {
		key = site.Spec.Key
	}
	for _, name := range slices.Sorted(maps.Keys(site.Spec.Patches)) {
		patch := untyped(configMapKind, "", name, map[string]any{"data": map[string]any{key: site.Spec.Patches[name]}})
		patch.SetLabels(map[string]string{"by-" + req.Object.Name(): "yes"})
		c.Patches = append(c.Patches, handlers.Patch{Object: patch})
	}
	return c, nil
})

// newContributor returns a rig whose parents patch ConfigMaps.
func newContributor(t *testing.T) *rig {
	t.Helper()
	return newRig(t, rigOptions{composer: contributor, patches: []schema.GroupVersionKind{configMapKind}})
}

// patches are the spec of a parent that contributes values to ConfigMaps.
func patchesOf(values ...string) map[string]any {
	patches := map[string]any{}
	for i := 0; i < len(values); i += 2 {
		patches[values[i]] = values[i+1]
	}
	return map[string]any{"patches": patches}
}

// target makes a ConfigMap of somebody else.
func (r *rig) target(name string) ChildID {
	id := idOf(configMapKind, "team-a", name)
	r.server.do(func(c *cluster) {
		c.edit(id, "owner", func(tree map[string]any) { tree["data"] = map[string]any{"own": "1"} })
	})
	return id
}

// object is an object as text: its labels and data, and the managers of its fields.
func (r *rig) object(id ChildID) (text string) {
	r.server.do(func(c *cluster) {
		s := c.objects[id]
		if s == nil {
			text = "none"
			return
		}
		labels := maps.Clone(object(object(s.tree, "metadata"), "labels"))
		text = fmt.Sprint(labels, s.tree["data"], slices.Sorted(maps.Keys(s.managers)))
	})
	return text
}

// settled lets the events of all writes come, and makes a pass for all parents that they call. It
// fails if that makes requests.
func (r *rig) settled(t *testing.T, parents ...string) {
	t.Helper()
	r.sync()
	r.server.take()
	for _, parent := range parents {
		r.mustPass(t, parent)
	}
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("requests where nothing has changed: %v", asked)
	}
}

func mark() string { return PatchedLabel(installation) + ":" + PatchedValue }

func TestPatchIsAppliedAndWithdrawn(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	r.newWebsite("web", patchesOf("shared", "x"))
	r.newWebsite("shop", patchesOf("shared", "y"))
	r.mustPass(t, "web")
	r.sync()
	r.mustPass(t, "shop")
	uids := map[string]string{"web": string(r.parent("web").UID()), "shop": string(r.parent("shop").UID())}
	managers := []string{PatchManager(definition, r.parent("web").UID()), PatchManager(definition, r.parent("shop").UID()), "owner"}
	slices.Sort(managers)
	want := fmt.Sprintf("map[by-shop:yes by-web:yes %s] map[own:1 shop:y web:x] %v", mark(), managers)
	if got := r.object(id); got != want {
		t.Errorf("the object is %s, want %s (parents %v)", got, want, uids)
	}
	if called := r.sync(); len(called) > 0 {
		t.Errorf("our own writes call %v", called)
	}
	r.settled(t, "web", "shop")

	// One contributes something else, and the other nothing.
	r.newWebsite("web", patchesOf("shared", "z"))
	r.mustPass(t, "web")
	r.newWebsite("shop", nil)
	r.mustPass(t, "shop")
	want = fmt.Sprintf("map[by-web:yes %s] map[own:1 web:z] [%s owner]", mark(), PatchManager(definition, r.parent("web").UID()))
	if got := r.object(id); got != want {
		t.Errorf("the object is %s, want %s", got, want)
	}
	r.settled(t, "web", "shop")

	// The last one is deleted: what is left is what was there before.
	r.server.do(func(c *cluster) {
		if err := c.delete(idOf(websiteKind, "team-a", "web"), "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.sync()
	r.mustPass(t, "web")
	if got := r.object(id); got != "map[] map[own:1] [owner]" {
		t.Errorf("the object is %s, want what was there before", got)
	}
	if left := r.left(); slices.Contains(left, "web") {
		t.Errorf("there are %v, want no web", left)
	}
	if called := r.sync(); len(called) > 0 {
		t.Errorf("our own writes call %v", called)
	}
}

// A new process has no memory: what is there tells that nothing has to be done.
func TestPatchNeedsNoMemory(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	r.newWebsite("web", patchesOf("shared", "x"))
	r.mustPass(t, "web")
	r.sync()
	r.Memory.clear()
	r.settled(t, "web")

	// A value that was changed meanwhile, a field that is not desired any more, and a patch.
	r.target("other")
	for _, next := range []struct {
		spec map[string]any
		want string
	}{
		{spec: patchesOf("shared", "y"), want: "map[own:1 web:y]"},
		{spec: map[string]any{"key": "renamed", "patches": map[string]any{"shared": "y"}}, want: "map[own:1 renamed:y]"},
		{spec: patchesOf("other", "y"), want: "map[own:1]"},
	} {
		r.newWebsite("web", next.spec)
		r.Memory.clear()
		r.mustPass(t, "web")
		if got := r.object(id); !strings.Contains(got, next.want) {
			t.Errorf("after %v the object is %s, want %s", next.spec, got, next.want)
		}
		r.settled(t, "web")
	}
}

func TestPatchIsNeverForced(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	r.newWebsite("web", map[string]any{"key": "own", "patches": map[string]any{"shared": "2"}})
	_, err := r.pass(t, "web")
	if err == nil || !strings.Contains(err.Error(), `another field manager owns what the patch sets: .data.own: conflict with "owner"`) {
		t.Errorf("error %v, want one that names manager and field", err)
	}
	if got := r.object(id); got != "map[] map[own:1] [owner]" {
		t.Errorf("the object is %s, want it untouched", got)
	}
	if conditions := r.text("status", "conditions"); !strings.Contains(conditions, `conflict with "owner"`) || !strings.Contains(conditions, "reason:Conflict status:True type:Degraded") {
		t.Errorf("conditions %s", conditions)
	}
	if event := <-r.events.Events; !strings.Contains(event, "Conflict") || !strings.Contains(event, `"owner"`) {
		t.Errorf("event %q", event)
	}

	// It is not tried again at once, whatever calls the parent, and then it is.
	now := time.Now()
	r.now = func() time.Time { return now }
	r.sync()
	_, err = r.pass(t, "web")
	r.asked()
	for range 3 {
		r.sync()
		if _, again := r.pass(t, "web"); again == nil || again.Error() != err.Error() {
			t.Errorf("error %v, want %v", again, err)
		}
		if asked := r.asked(); len(asked) > 0 {
			t.Errorf("it is tried again at once: %v", asked)
		}
	}
	r.server.do(func(c *cluster) {
		c.edit(id, "owner", func(tree map[string]any) { delete(object(tree, "data"), "own") })
	})
	now = now.Add(lastSlowRetry)
	r.mustPass(t, "web")
	if got := r.object(id); !strings.Contains(got, "map[own:2]") {
		t.Errorf("the object is %s, want it patched", got)
	}
}

func TestPatchThatIsTakenAwayIsNotTakenBack(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	r.newWebsite("web", patchesOf("shared", "x"))
	r.mustPass(t, "web")
	r.sync()
	r.server.do(func(c *cluster) {
		c.edit(id, "rival", func(tree map[string]any) { object(tree, "data")["web"] = "rival" })
	})
	if called := r.sync(); len(called) != 1 {
		t.Errorf("the change calls %v, want the parent", called)
	}
	if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), `conflict with "rival"`) {
		t.Errorf("error %v, want the conflict", err)
	}
	if got := r.object(id); !strings.Contains(got, "web:rival") || !strings.Contains(got, "by-web:yes") {
		t.Errorf("the object is %s, want the value of the rival", got)
	}
}

// What another party removes is set back, less and less often.
func TestPatchThatIsRemovedAgainAndAgain(t *testing.T) {
	removeLabel := func(tree map[string]any) {
		delete(object(object(tree, "metadata"), "labels"), PatchedLabel(installation))
	}
	for name, tc := range map[string]struct {
		remove     func(tree map[string]any)
		back, lost string
	}{
		"a value":   {remove: func(tree map[string]any) { delete(object(tree, "data"), "web") }, back: "web:x", lost: "data.web"},
		"the label": {remove: removeLabel, back: mark(), lost: "metadata.labels." + PatchedLabel(installation)},
		"both": {back: "web:x", lost: "data.web", remove: func(tree map[string]any) {
			removeLabel(tree)
			delete(object(tree, "data"), "web")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newContributor(t)
			id := r.target("shared")
			r.newWebsite("web", patchesOf("shared", "x"))
			r.mustPass(t, "web")
			now := time.Now()
			r.now = func() time.Time { return now }
			back := 0
			for range 20 {
				r.sync()
				r.server.do(func(c *cluster) { c.edit(id, "rival", tc.remove) })
				r.sync()
				r.mustPass(t, "web")
				if strings.Contains(r.object(id), tc.back) {
					back++
				}
			}
			if back != freePatches {
				t.Errorf("it was set back %d times, want %d", back, freePatches)
			}
			if conditions := r.text("status", "conditions"); !strings.Contains(conditions, tc.lost+" of ConfigMap team-a/shared again and again") {
				t.Errorf("conditions %s", conditions)
			}
			result := r.mustPass(t, "web")
			now = now.Add(result.RequeueAfter)
			if r.mustPass(t, "web"); !strings.Contains(r.object(id), tc.back) {
				t.Errorf("after %s the object is %s, want it set back", result.RequeueAfter, r.object(id))
			}
		})
	}
}

func TestPatchWaitsForItsObject(t *testing.T) {
	r := newContributor(t)
	r.newWebsite("web", patchesOf("shared", "x"))
	now := time.Now()
	r.now = func() time.Time { return now }
	for want := time.Second; want <= 8*time.Second; want *= 2 {
		result := r.mustPass(t, "web")
		if result.RequeueAfter != want {
			t.Errorf("it is looked for again after %s, want %s", result.RequeueAfter, want)
		}
		r.sync()
		now = now.Add(result.RequeueAfter)
	}
	if conditions := r.text("status", "conditions"); !strings.Contains(conditions, "ConfigMap team-a/shared does not exist") {
		t.Errorf("conditions %s", conditions)
	}
	id := r.target("shared")
	now = now.Add(time.Minute)
	if r.mustPass(t, "web"); !strings.Contains(r.object(id), "web:x") {
		t.Errorf("the object is %s, want it patched", r.object(id))
	}

	// Another object of its name is patched, too.
	r.sync()
	r.server.do(func(c *cluster) {
		if err := c.delete(id, "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.target("shared")
	if called := r.sync(); len(called) != 1 {
		t.Errorf("the deletion calls %v, want the parent", called)
	}
	if r.mustPass(t, "web"); !strings.Contains(r.object(id), "web:x") {
		t.Errorf("the new object is %s, want it patched", r.object(id))
	}
	r.settled(t, "web")
}

// The object is replaced, and the cache does not know.
func TestPatchOfAnObjectThatWasReplaced(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	r.newWebsite("web", patchesOf("shared", "x"))
	r.mustPass(t, "web")
	r.sync()
	r.server.do(func(c *cluster) {
		if err := c.delete(id, "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", func(tree map[string]any) { tree["spec"] = patchesOf("shared", "y") })
		r.parents.sync(c, websiteKind.GroupKind(), "", false, nil)
	})
	r.mustPass(t, "web")
	if got := r.object(id); got != "none" {
		t.Errorf("the object is %s, want it not to be made", got)
	}
	r.target("shared")
	r.newWebsite("web", patchesOf("shared", "z"))
	if r.mustPass(t, "web"); !strings.Contains(r.object(id), "web:z") {
		t.Errorf("the object is %s, want it patched", r.object(id))
	}
}

// An error never looks like something that is not desired.
func TestPatchIsKeptInTrouble(t *testing.T) {
	for name, spec := range map[string]map[string]any{
		"the composer fails":       {"fail": true},
		"something is pending":     {"pending": true},
		"a patch is refused":       {"key": "own", "patches": map[string]any{"other": "x"}},
		"a child is refused":       {"child": "other"},
		"a patch is of an own one": {"child": "new", "patches": map[string]any{"new": "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newContributor(t)
			id := r.target("shared")
			r.target("other")
			r.newWebsite("web", patchesOf("shared", "x"))
			r.mustPass(t, "web")
			r.newWebsite("web", spec)
			_, err := r.pass(t, "web")
			if (err == nil) != (spec["pending"] != nil) {
				t.Errorf("error %v", err)
			}
			if got := r.object(id); !strings.Contains(got, "web:x") {
				t.Errorf("the object is %s, want it patched still", got)
			}
		})
	}
}

// A definition with another id contributes under its new name, and nothing goes in between.
func TestPatchUnderAnotherID(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	r.newWebsite("web", patchesOf("shared", "x"))
	r.mustPass(t, "web")
	r.sync()
	r.Memory.clear()
	r.Identity = Identity{Installation: installation, Definition: "sites", Formerly: []string{definition}}
	r.asked()
	r.mustPass(t, "web")
	want := []string{"PATCH " + websitePath, "PATCH /api/v1/namespaces/team-a/configmaps/shared", "PATCH /api/v1/namespaces/team-a/configmaps/shared"}
	if asked := slices.DeleteFunc(r.asked(), func(text string) bool { return strings.HasSuffix(text, "/status") }); len(asked) != len(want) {
		t.Errorf("requests %v, want %v", asked, want)
	}
	if got := r.object(id); !strings.Contains(got, fmt.Sprintf("web:x] [%s owner]", PatchManager("sites", r.parent("web").UID()))) {
		t.Errorf("the object is %s, want the new manager alone", got)
	}
	r.settled(t, "web")
}

// Another installation with a definition of the same id contributes for the same parent.
func TestPatchOfAnotherInstallation(t *testing.T) {
	r := newContributor(t)
	id := r.target("shared")
	parent := r.newWebsite("web", patchesOf("shared", "x"))
	r.server.do(func(c *cluster) {
		tree := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"web": "theirs"}, "metadata": map[string]any{
			"name": "shared", "namespace": "team-a", "labels": map[string]any{PatchedLabel("ifedcba9876543210"): PatchedValue},
		}}
		if _, err := c.apply(configMapKind, id, PatchManager(definition, parent.UID()), tree, false); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), "installation ifedcba9876543210 of kooperd contributes") {
		t.Errorf("error %v", err)
	}
	if got := r.object(id); !strings.Contains(got, "web:theirs") {
		t.Errorf("the object is %s", got)
	}
}
