package compose

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"kooperd.dev/kooperd/pkg/handlers"
)

// What was made under a former id is one's own.
func TestPlanAfterARename(t *testing.T) {
	renamed := func(in *Input) { in.Formerly = []string{in.Definition}; in.Definition = "sites" }
	other := configMap("other", map[string]any{"a": "1"})
	index := handlers.Child{Name: "index", Formerly: []string{"page"}, Object: configMap("index", nil).Object}
	runPlans(t, map[string]planCase{
		"what is not desired goes": {
			made: pages(page, other), desired: pages(page), input: func(in *Input) {
				renamed(in)
				in.Desired = desireAs(t, in.Definition, page)
			},
			want: []string{"apply Changed ConfigMap team-a/page", "delete NotDesired ConfigMap team-a/other"},
		},
		"not under another id": {
			made: pages(page), input: func(in *Input) { renamed(in); in.Formerly = []string{"shops"} },
			want: []string{},
		},
		"a renamed child replaces the old one": {
			made: pages(page), desired: pages(index),
			want: []string{"create Absent ConfigMap team-a/index", "wait Replaced ConfigMap team-a/page: ConfigMap team-a/index, which replaces it, is not ready"},
		},
		"a child of the old name is not replaced by it": {
			made: pages(page), desired: pages(index, handlers.Child{Name: "page", Object: other.Object}),
			want: []string{
				"create Absent ConfigMap team-a/index", "create Absent ConfigMap team-a/other",
				"wait Replaced ConfigMap team-a/page: ConfigMap team-a/other, which replaces it, is not ready",
			},
		},
	})
}

// desireAs makes children of the website by a definition.
func desireAs(tb testing.TB, id string, children ...handlers.Child) []*Desired {
	tb.Helper()
	m := makerFor(website)
	m.definition = id
	var all []*Desired
	for _, child := range children {
		d, err := m.make(child)
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, d)
	}
	return all
}

// A pass under a new id applies each child once, and puts the finalizer of now in the place of the
// one of before.
func TestPassAfterARename(t *testing.T) {
	composer := handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		if req.Finalizing {
			return handlers.Composition{Finalized: true}, nil
		}
		return handlers.Composition{Children: pages(page)}, nil
	})
	r := newRig(t, rigOptions{composer: composer, finalizes: true})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.sync()
	uid := r.server.uidOf(pageID)
	r.asked()

	r.Definition, r.Formerly, r.Memory = "sites", []string{definition, "older"}, NewMemory()
	r.mustPass(t, "web")
	const path, parent = "PATCH /api/v1/namespaces/team-a/configmaps/page", "PATCH /apis/demo.kooperd.dev/v1/namespaces/team-a/websites/web"
	got := r.asked()
	if diff := cmp.Diff([]string{path}, children(got)); diff != "" {
		t.Errorf("requests about children (-want +got):\n%s", diff)
	}
	if !slices.Contains(got, parent) {
		t.Errorf("requests %v, want one of the parent's finalizers", got)
	}
	r.sync()
	if diff := cmp.Diff([]string{FinalizerOf(installation, "sites")}, r.parent("web").Metadata().Finalizers); diff != "" {
		t.Errorf("finalizers (-want +got):\n%s", diff)
	}
	if now := r.server.uidOf(pageID); now != uid {
		t.Errorf("the child is %s, want %s", now, uid)
	}
	r.mustPass(t, "web")
	if got := children(r.asked()); len(got) > 0 {
		t.Errorf("when all is as it should be, there are requests: %v", got)
	}
}

// A parent that was deleted before the rename was seen is let go.
func TestDeletedBeforeARename(t *testing.T) {
	composer := handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
		return handlers.Composition{Finalized: true}, nil
	})
	r := newRig(t, rigOptions{composer: composer, finalizes: true})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	id := idOf(websiteKind, "team-a", "web")
	r.server.do(func(c *cluster) {
		if err := c.delete(id, "", ""); err != nil {
			t.Error(err)
		}
	})
	r.sync()
	r.Definition, r.Formerly, r.Memory = "sites", []string{definition}, NewMemory()
	r.mustPass(t, "web")
	r.sync()
	if r.parent("web") != nil {
		t.Error("the parent is still there")
	}
}

// uidOf returns the UID of an object.
func (s *server) uidOf(id ChildID) (uid string) {
	s.do(func(c *cluster) { uid = string(c.objects[id].uid) })
	return uid
}

// The record of a former id becomes part of the one of now.
func TestStateAfterARename(t *testing.T) {
	client := fake.NewClientset().CoreV1().ConfigMaps("kooper-system")
	before := NewState(client, "kooper-system", "records")
	if _, err := before.Activate(t.Context(), "websites", scopeOf("Secret")); err != nil {
		t.Fatal(err)
	}
	state := NewState(client, "kooper-system", "records")
	if err := state.Learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	scope := scopeOf("ConfigMap")
	scope.Formerly = []string{"websites", "never"}
	if state.Expects("sites", scope) {
		t.Error("a record that is to be merged is expected to be there")
	}
	found, err := state.Activate(t.Context(), "sites", scope)
	if err != nil {
		t.Fatal(err)
	}
	if len(found.Former) != 1 || found.Former[0].Kind != "Secret" {
		t.Errorf("the former kinds are %v, want those of the former id", found.Former)
	}
	read := NewState(client, "kooper-system", "records")
	if err := read.Learn(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, left := read.last["websites"]; left || len(read.last["sites"].Owns) != 2 {
		t.Errorf("recorded is %v, want one record with both kinds", read.last)
	}
	found, err = state.Activate(t.Context(), "sites", scope)
	if err != nil || len(found.Former) != 1 {
		t.Errorf("the former kinds are %v, and then %v", found.Former, err)
	}

	// What it does not handle any more was made under the former id.
	if _, err := before.Activate(t.Context(), "shops", scopeOf("Secret")); err != nil {
		t.Fatal(err)
	}
	scope = scopeOf("Secret")
	scope.Formerly, scope.LabelSelector = []string{"shops"}, "a=b"
	state.Begin()
	if found, err = state.Activate(t.Context(), "stores", scope); err != nil {
		t.Fatal(err)
	}
	if len(found.Left) != 1 || found.Left[0].ID != "shops" {
		t.Errorf("what is left is %v, want that of the former id", found.Left)
	}
}

// What has finished is not run again after a rename: the hash is the same, and the note is that of
// before until another one is written.
func TestFinishedBeforeARename(t *testing.T) {
	now, before := desireAs(t, "sites", pod("a"))[0], desireAs(t, definition, pod("a"))[0]
	if now.hash != before.hash {
		t.Errorf("the hash is %s, and was %s before the rename", now.hash, before.hash)
	}
	m := &metav1.ObjectMeta{Annotations: map[string]string{
		DoneAnnotation(installation, "websites"): `{"run": "v1-a", "old": "v1-b"}`, DoneAnnotation(installation, "sites"): `{"run": "v1-c"}`,
		DoneAnnotation(installation, "shops"): `{"other": "v1-d"}`,
	}}
	c := &current{meta: m, Reconciler: &Reconciler{Options: Options{
		Identity: Identity{Installation: installation, Definition: "sites", Formerly: []string{"websites", "older"}},
	}}}
	if diff := cmp.Diff(map[string]string{"run": "v1-c", "old": "v1-b"}, c.doneBefore()); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{DoneAnnotation(installation, "websites")}, formerNotes(c)); diff != "" {
		t.Errorf("former notes (-want +got):\n%s", diff)
	}
}
