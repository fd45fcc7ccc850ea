package hook_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/hook"
)

// composerOf is the composer of rolling updates of a definition.
func composerOf(t *testing.T, definition string) handlers.Composer {
	t.Helper()
	c, err := hook.New(hook.Options{
		Definition: definition, Watched: schema.GroupVersionKind{Group: "demo.kooperd.dev", Version: "v1", Kind: "Website"},
		Config: rolling(), Hooks: hook.Hooks{Finalize: true}, Caller: &servers{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// revisionsIn are the names of the revisions in an answer to a request.
func revisionsIn(t *testing.T, c handlers.Composer, req handlers.ComposeRequest) (names []string) {
	t.Helper()
	composition, err := c.Compose(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range composition.Children {
		if u := child.Object.(*unstructured.Unstructured); u.GetKind() == "ControllerRevision" {
			names = append(names, u.GetName())
		}
	}
	return names
}

// Two definitions with rolling updates may have the same parent, and one may be renamed.
func TestRevisionsBelongToADefinition(t *testing.T) {
	w := newWorld(t, rolling())
	w.composer, w.parent = composerOf(t, "a"), `{image: one, replicas: 1}`
	first := revisionsIn(t, w.composer, w.request())
	other := revisionsIn(t, composerOf(t, "b"), w.request())
	if len(first) != 1 || len(other) != 1 || first[0] == other[0] {
		t.Errorf("the revisions of two definitions are %q and %q, want one each", first, other)
	}
	w.step()
	if renamed := revisionsIn(t, composerOf(t, "b"), w.request()); strings.Join(renamed, " ") != first[0] {
		t.Errorf("after a rename the revisions are %q, want %q", renamed, first)
	}
}

// Where nothing is made by the latest revision, the end of a parent needs none: it might not be
// possible to make one any more.
func TestFinalizingMakesNoRevision(t *testing.T) {
	w := newWorld(t, rolling())
	w.parent = `{image: one, replicas: 0}`
	req := w.request()
	if made := revisionsIn(t, w.composer, req); len(made) != 1 {
		t.Errorf("there are the revisions %q, want one", made)
	}
	req.Finalizing = true
	if made := revisionsIn(t, w.composer, req); len(made) != 0 {
		t.Errorf("for a parent that is being deleted there are the revisions %q", made)
	}
}
