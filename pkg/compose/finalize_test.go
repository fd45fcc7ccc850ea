package compose

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

const websitePath = "/apis/demo.kooperd.dev/v1/namespaces/team-a/websites/web"

// order are the requests in the order in which they came, but for those of the OpenAPI document.
func (r *rig) order() (texts []string) {
	for _, one := range r.server.take() {
		if !strings.HasPrefix(one.path, "/openapi") {
			texts = append(texts, one.String())
		}
	}
	return texts
}

func TestFinalizerComesFirst(t *testing.T) {
	r := newRig(t, rigOptions{composer: twoNamespaces})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	got := r.order()
	if len(got) < 3 || got[0] != "PATCH "+websitePath {
		t.Errorf("requests %v, want the finalizer first", got)
	}
	if want := "[" + FinalizerOf(installation, definition) + "]"; r.text("metadata", "finalizers") != want {
		t.Errorf("finalizers %s, want %s", r.text("metadata", "finalizers"), want)
	}
	if called := r.sync(); len(called) > 0 {
		t.Errorf("our own writes call %v", called)
	}
	r.mustPass(t, "web")
	if got := r.order(); len(got) > 0 {
		t.Errorf("the next pass makes requests: %v", got)
	}
}

func TestNoFinalizerWhereTheCollectorDoesIt(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.newWebsite("web", map[string]any{"children": names(1)})
	r.mustPass(t, "web")
	if slices.Contains(r.order(), "PATCH "+websitePath) {
		t.Error("the parent has a finalizer")
	}
}

func TestNothingIsMadeWithoutTheFinalizer(t *testing.T) {
	r := newRig(t, rigOptions{composer: twoNamespaces})
	r.newWebsite("web", nil)
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if asked.path != websitePath {
			return false
		}
		sendError(w, apierrors.NewForbidden(schema.GroupResource{Resource: "websites"}, "web", errDamaged))
		return true
	}
	if _, err := r.pass(t, "web"); err == nil || !strings.Contains(err.Error(), "adding finalizer") {
		t.Errorf("error %v", err)
	}
	if left := r.left(); !slices.Equal(left, []string{"web"}) {
		t.Errorf("there are %v", left)
	}
	if conditions := r.text("status", "conditions"); !strings.Contains(conditions, "reason:Forbidden status:True type:Degraded") {
		t.Errorf("conditions %s", conditions)
	}
}

func TestDeletedParentWaitsForItsChildren(t *testing.T) {
	far := idOf(configMapKind, "team-b", "far")
	r := newDeleted(t)
	r.server.do(func(c *cluster) {
		c.edit(far, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/guard"} })
	})
	r.sync()
	r.mustPass(t, "web")
	if want := "message:waiting until the children are gone: ConfigMap team-b/far and waits for finalizer example.com/guard"; !strings.Contains(r.text("status", "conditions"), want) {
		t.Errorf("the conditions do not say %s: %s", want, r.text("status", "conditions"))
	}
	r.sync()
	r.order()
	r.mustPass(t, "web")
	if got := r.order(); len(got) > 0 {
		t.Errorf("the next pass makes requests: %v", got)
	}
	r.server.do(func(c *cluster) { delete(c.objects, far); c.version++ })
	if called := r.sync(); len(called) != 1 {
		t.Errorf("the end of the child calls %v", called)
	}
	r.mustPass(t, "web")
	if left := r.left(); !slices.Equal(left, []string{"near"}) {
		t.Errorf("left are %v, want what the collector deletes", left)
	}
}

// TestCleanUpAsksNoComposer deletes by what is proven, whatever the composer would say.
func TestCleanUpAsksNoComposer(t *testing.T) {
	asked := 0
	counting := handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		asked++
		return twoNamespaces(ctx, req)
	})
	r := newDeleted(t)
	r.Composer = counting
	stranger := idOf(configMapKind, "team-b", "stranger")
	r.server.do(func(c *cluster) {
		c.edit(stranger, "kubectl", func(tree map[string]any) {
			labelled(ParentUIDLabel, string(r.parent("web").UID()))(tree)
			labelled(DefinitionLabel, definition)(tree)
			labelled(InstallationLabel, installation)(tree)
		})
	})
	r.sync()
	r.mustPass(t, "web")
	if asked != 0 {
		t.Errorf("the composer was asked %d times", asked)
	}
	if left := r.left(); !slices.Equal(left, []string{"near", "stranger"}) {
		t.Errorf("left are %v, want what the collector deletes and what has copied the marks", left)
	}
}

func TestAComposerThatFinalizes(t *testing.T) {
	var finalizing []bool
	finalized := false
	r := newRig(t, rigOptions{finalizes: true, composer: handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		finalizing = append(finalizing, req.Finalizing)
		c := handlers.Composition{Finalized: finalized}
		if !req.Finalizing {
			c.Children = []handlers.Child{page}
		}
		return c, nil
	})})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.sync()
	r.server.do(func(c *cluster) {
		if err := c.delete(idOf(websiteKind, "team-a", "web"), "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.sync()
	finalizing = nil
	r.mustPass(t, "web")
	if left := r.left(); !slices.Equal(left, []string{"web"}) {
		t.Errorf("while it finalizes, there are %v", left)
	}
	if len(finalizing) == 0 || slices.Contains(finalizing, false) {
		t.Errorf("the composer was called with Finalizing %v", finalizing)
	}
	r.sync()
	finalized = true
	r.mustPass(t, "web")
	if left := r.left(); len(left) > 0 {
		t.Errorf("left are %v", left)
	}
}

// deleteWeb deletes the website in the way of a finalizer of the API server.
func (r *rig) deleteWeb(t *testing.T, way string) {
	t.Helper()
	id := idOf(websiteKind, "team-a", "web")
	r.server.do(func(c *cluster) {
		c.edit(id, "kubectl", func(tree map[string]any) {
			finalizers, _ := object(tree, "metadata")["finalizers"].([]any)
			object(tree, "metadata")["finalizers"] = append(slices.Clip(finalizers), way)
		})
		if err := c.delete(id, "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.sync()
}

// TestFinalizingKeepsDependents has a parent whose children are to stay: a composer that finalizes
// does not see them any more, and what it says of them does not count.
func TestFinalizingKeepsDependents(t *testing.T) {
	seen := -1
	r := newRig(t, rigOptions{finalizes: true, composer: handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		if req.Finalizing {
			seen = len(req.Children)
			return handlers.Composition{Finalized: seen == 0}, nil
		}
		return handlers.Composition{Children: []handlers.Child{page}}, nil
	})})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.sync()
	before := r.left()
	r.deleteWeb(t, metav1.FinalizerOrphanDependents)
	r.order()
	r.mustPass(t, "web")
	if left := r.left(); seen != 0 || !slices.Equal(left, before) {
		t.Errorf("the composer sees %d children, and there are %v of %v", seen, left, before)
	}
	if have := r.text("metadata", "finalizers"); have != "["+metav1.FinalizerOrphanDependents+"]" {
		t.Errorf("the finalizers are %s", have)
	}
	if requests := r.order(); slices.ContainsFunc(requests, func(asked string) bool { return strings.Contains(asked, "configmaps") }) {
		t.Errorf("the requests are %v, want none about a child", requests)
	}
}

// wantsItsPage still wants its child when it says that the parent may go, as it sees none any more.
var wantsItsPage = handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	return handlers.Composition{Children: []handlers.Child{page}, Finalized: req.Finalizing && len(req.Children) == 0}, nil
})

// losePages removes all ConfigMaps, as the garbage collector does.
func (c *cluster) losePages() {
	for id := range c.objects {
		if id.Kind == configMapKind.GroupKind() {
			delete(c.objects, id)
		}
	}
	c.version++
}

// TestFinalizingInTheForegroundMakesNothing has a parent whose children the garbage collector
// deletes: one that a composer still wants is not made again.
func TestFinalizingInTheForegroundMakesNothing(t *testing.T) {
	r := newRig(t, rigOptions{finalizes: true, composer: wantsItsPage})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.sync()
	r.deleteWeb(t, metav1.FinalizerDeleteDependents)
	r.mustPass(t, "web")
	if left := r.left(); len(left) != 2 {
		t.Errorf("as long as the collector has deleted nothing, there are %v, want the parent and its child", left)
	}
	r.server.do(func(c *cluster) {
		c.losePages()
	})
	r.sync()
	r.mustPass(t, "web")
	if left := r.left(); !slices.Equal(left, []string{"web"}) {
		t.Errorf("there are %v, want the parent alone", left)
	}
	if have := r.text("metadata", "finalizers"); have != "["+metav1.FinalizerDeleteDependents+"]" {
		t.Errorf("the finalizers are %s", have)
	}
}

// TestFinalizedMakesNothing has a composer that still wants its child when it says that the parent
// may go, as it sees no child any more. Were the child made, it would see one, and take that back:
// that is how a deletion in the foreground looks once the garbage collector is done.
func TestFinalizedMakesNothing(t *testing.T) {
	r := newRig(t, rigOptions{finalizes: true, composer: wantsItsPage})
	r.newWebsite("web", nil)
	r.mustPass(t, "web")
	r.sync()
	r.server.do(func(c *cluster) {
		c.losePages()
		if err := c.delete(idOf(websiteKind, "team-a", "web"), "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.sync()
	r.mustPass(t, "web")
	if left := r.left(); len(left) > 0 {
		t.Errorf("left are %v, want that the parent is gone and its child was not made again", left)
	}
}

// TestLeaveUnmade looks at what becomes of each action for a parent that goes.
func TestLeaveUnmade(t *testing.T) {
	desired := &Desired{Name: "page"}
	near, far := idOf(configMapKind, "team-a", "page"), idOf(configMapKind, "team-b", "page")
	ops := []Op{
		{Action: Create, ID: near, Desired: desired}, {Action: Create, ID: far, Desired: desired},
		{Action: Adopt, ID: near, Desired: desired}, {Action: Apply, ID: near, Desired: desired},
		{Action: Refuse, Reason: ReasonForeign, ID: near, Desired: desired}, {Action: Refuse, Reason: ReasonConflict, ID: near, Desired: desired},
		{Action: Delete, ID: near},
	}
	now := metav1.Now()
	there, going := &metav1.ObjectMeta{}, &metav1.ObjectMeta{DeletionTimestamp: &now}
	foreground := &metav1.ObjectMeta{DeletionTimestamp: &now, Finalizers: []string{metav1.FinalizerDeleteDependents}}
	for name, tc := range map[string]struct {
		meta      *metav1.ObjectMeta
		finalized bool
		want      []Action
	}{
		"there":      {there, true, []Action{Create, Create, Adopt, Apply, Refuse, Refuse, Delete}},
		"going":      {going, false, []Action{Create, Create, Adopt, Apply, Refuse, Refuse, Delete}},
		"foreground": {foreground, false, []Action{Wait, Create, Wait, Apply, Refuse, Refuse, Delete}},
		"finalized":  {going, true, []Action{Wait, Wait, Wait, Apply, Wait, Refuse, Delete}},
	} {
		c := &current{meta: tc.meta, composed: tc.meta, parent: Parent{Kind: websiteKind, Namespace: "team-a", Name: "web"}}
		p := &pass{executor: &executor{observer: &observer{current: c}}, composition: handlers.Composition{Finalized: tc.finalized}}
		planned := slices.Clone(ops)
		leaveUnmade(p, planned)
		var got []Action
		for _, op := range planned {
			got = append(got, op.Action)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// TestDeletionSurvivesAnyFailure makes the k-th request of a deletion fail, for every k.
func TestDeletionSurvivesAnyFailure(t *testing.T) {
	for _, failure := range []error{
		apierrors.NewInternalError(errDamaged), apierrors.NewConflict(schema.GroupResource{}, "x", errDamaged),
		apierrors.NewForbidden(schema.GroupResource{}, "x", errDamaged), nil,
	} {
		t.Run(fmt.Sprint(failure), func(t *testing.T) {
			for k := 1; deletes(t, k, failure); k++ {
				if k == 100 {
					t.Fatal("there is no end of requests")
				}
			}
		})
	}
}

// deletes makes the k-th request fail, with a reset connection if failure is nil. It returns false
// if there is none.
func deletes(t *testing.T, k int, failure error) bool {
	t.Helper()
	r := newDeleted(t)
	n := 0
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if strings.HasPrefix(asked.path, "/openapi") {
			return false
		}
		if n++; n != k {
			return false
		}
		if failure == nil {
			resetConnection(w)
		} else {
			sendError(w, failure)
		}
		return true
	}
	for range 5 {
		if r.parent("web") == nil {
			break
		}
		_, _ = r.pass(t, "web") // It is called again.
		r.sync()
	}
	if left := r.left(); !slices.Equal(left, []string{"near"}) {
		t.Errorf("request %d failed, and left are %v", k, left)
	}
	return n >= k
}
