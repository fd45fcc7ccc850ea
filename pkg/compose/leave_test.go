package compose

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

const selectedLabel = "selected"

// leaveRig is a rig with a website that has just left the selector, and a clock.
type leaveRig struct {
	*rig
	at      time.Time
	changes int // of what is held
	left    handlers.Object
	attempt int
}

func newLeaveRig(t *testing.T, o rigOptions, spec map[string]any) *leaveRig {
	t.Helper()
	if o.composer == nil {
		o.composer = keys
	}
	r := &leaveRig{rig: newRig(t, o), at: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
	r.now = func() time.Time { return r.at }
	r.Memory.Brake.OnHeld(func() { r.changes++ })
	r.Selection.Labels = labels.Set{selectedLabel: "yes"}.AsSelector()
	r.newWebsite("web", spec)
	r.mustPass(t, "web")
	r.sync()
	r.left = r.parent("web")
	r.Leavers.Note(r.left)
	r.Leavers.again(webKey) // The first look is over.
	r.server.do(func(c *cluster) { r.parents.sync(c, websiteKind.GroupKind(), selectedLabel, false, nil) })
	r.asked()
	return r
}

// look handles the website once more, and lets the time pass that it asks for.
func (r *leaveRig) look(t *testing.T) (handlers.Result, error) {
	t.Helper()
	result, err := r.Handle(t.Context(), handlers.Request{Object: r.left, Attempt: r.attempt})
	r.at = r.at.Add(result.RequeueAfter)
	if r.attempt++; err == nil {
		r.attempt = 0
	}
	return result, err
}

func (r *leaveRig) refuseDeletes(message string) {
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if asked.method != http.MethodDelete {
			return false
		}
		sendError(w, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "x", fmt.Errorf("%s", message))) //nolint:err113 // what a webhook says
		return true
	}
}

func TestLeaverThatIsHeldWaits(t *testing.T) {
	r := newLeaveRig(t, rigOptions{}, map[string]any{"children": names(20)})
	for range 20 {
		if _, err := r.look(t); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.childrenOf("web"); n != 20 {
		t.Errorf("%d children are left, want all 20", n)
	}
	if r.Memory.Brake.Held() == "" || r.changes != 1 {
		t.Errorf("what is held has changed %d times, to %q", r.changes, r.Memory.Brake.Held())
	}
	if result, _ := r.look(t); result.RequeueAfter < time.Minute {
		t.Errorf("it is looked at again after %s", result.RequeueAfter)
	}

	word := r.Memory.Brake.since.UTC().Format(time.RFC3339)
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", annotated(AllowPruneAnnotation, word))
	})
	if _, err := r.look(t); err != nil || r.childrenOf("web") != 0 {
		t.Errorf("%d children are left when somebody has said that they may go, with the error %v", r.childrenOf("web"), err)
	}
	if r.Memory.Brake.Held() != "" || len(r.Memory.parents) > 0 || len(r.Leavers.parents) > 0 {
		t.Error("it is remembered when it is done")
	}
}

func TestLeaverWhoseChildrenCannotBeDeleted(t *testing.T) {
	r := newLeaveRig(t, rigOptions{}, map[string]any{"children": names(1)})
	r.refuseDeletes("no")
	for range 40 {
		if _, err := r.look(t); err == nil {
			t.Fatal("there is no error")
		}
	}
	if n := len(r.events.Events); n != 1 {
		t.Errorf("there are %d events about one trouble", n)
	}
	if held := r.Memory.Brake.Held(); held != "" {
		t.Errorf("nothing was deleted, and it is held: %s", held)
	}
}

func TestLeaverSaysNothingSecret(t *testing.T) {
	const secret = "correct-horse-battery"
	r := newLeaveRig(t, rigOptions{composer: passwordSecret, owns: []schema.GroupVersionKind{secretKind}}, map[string]any{"password": secret})
	r.refuseDeletes("the webhook does not want " + secret)
	if _, err := r.look(t); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("the error is: %v", err)
	}
}

func TestLeaverIsNotKeptByAKindThatIsNotServed(t *testing.T) {
	r := newLeaveRig(t, rigOptions{owns: []schema.GroupVersionKind{configMapKind, secretKind}}, map[string]any{"children": names(1)})
	r.caches[secretKind].gone = true
	if _, err := r.look(t); err != nil || r.childrenOf("web") != 0 {
		t.Errorf("%d children are left, with the error %v", r.childrenOf("web"), err)
	}
}

func TestLeaverLosesTheFinalizerOfAFormerID(t *testing.T) {
	r := newLeaveRig(t, rigOptions{}, map[string]any{"children": names(1)})
	r.Formerly = []string{"sites"}
	id := idOf(websiteKind, "team-a", "web")
	r.server.do(func(c *cluster) {
		c.edit(id, "kubectl", func(tree map[string]any) {
			object(tree, "metadata")["finalizers"] = []any{FinalizerOf(installation, "sites")}
		})
	})
	if _, err := r.look(t); err != nil {
		t.Fatal(err)
	}
	r.server.do(func(c *cluster) {
		if left, _ := object(c.objects[id].tree, "metadata")["finalizers"].([]any); len(left) > 0 {
			t.Errorf("it has the finalizers %v", left)
		}
	})
}

func TestLeaverThatIsPausedKeepsItsChildren(t *testing.T) {
	r := newLeaveRig(t, rigOptions{}, map[string]any{"children": names(1)})
	pause := func(value string) {
		r.server.do(func(c *cluster) {
			c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", annotated(PausedAnnotation, value))
		})
	}
	pause("true")
	if result, err := r.look(t); err != nil || r.childrenOf("web") != 1 || result.RequeueAfter == 0 {
		t.Fatalf("%d children are left, with the error %v, and %+v", r.childrenOf("web"), err, result)
	}
	pause("")
	if _, err := r.look(t); err != nil || r.childrenOf("web") != 0 {
		t.Errorf("after the pause %d children are left, with the error %v", r.childrenOf("web"), err)
	}
}

// passwordSecret makes a Secret of what the spec has.
var passwordSecret = handlers.ComposerFunc(func(_ context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
	var site struct {
		Spec struct {
			Password string `json:"password"`
		} `json:"spec"`
	}
	err := req.Object.Into(&site)
	secret := untyped(secretKind, "", req.Object.Name(), map[string]any{"stringData": map[string]any{"password": site.Spec.Password}})
	return handlers.Composition{Children: []handlers.Child{{Name: "secret", Object: secret}}}, err
})

// A finalizing composer is asked about parents that are deleted. One that leaves loses its children
// and the finalizer.
func TestLeaverAsksNoComposer(t *testing.T) {
	asked := 0
	r := newLeaveRig(t, rigOptions{finalizes: true, composer: handlers.ComposerFunc(
		func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
			asked++
			return keys(ctx, req)
		})}, map[string]any{"children": names(1)})
	finalizers := func() (all []any) {
		r.server.do(func(c *cluster) {
			all, _ = object(c.objects[idOf(websiteKind, "team-a", "web")].tree, "metadata")["finalizers"].([]any)
		})
		return all
	}
	if len(finalizers()) != 1 {
		t.Fatalf("while it is selected, it has the finalizers %v", finalizers())
	}
	asked = 0
	for r.Leavers.has(webKey, r.left.UID()) {
		if _, err := r.look(t); err != nil {
			t.Fatal(err)
		}
	}
	if left := r.childrenOf("web"); asked != 0 || left != 0 || len(finalizers()) != 0 {
		t.Errorf("the composer was asked %d times, there are %d children, and the finalizers %v", asked, left, finalizers())
	}
}
