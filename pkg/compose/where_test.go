package compose

import (
	"context"
	"slices"
	"strings"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/trigger"
)

// whereOf compiles a condition on websites.
func whereOf(t *testing.T, text string) *Where {
	t.Helper()
	filter, err := new(trigger.Compiler).Filter(websiteKind, nil, &text)
	if err != nil {
		t.Fatal(err)
	}
	return NewWhere(filter)
}

// whereRig is a rig with a website that a condition on spec.on selects.
func newWhereRig(t *testing.T) *rig {
	t.Helper()
	r := newRig(t, rigOptions{composer: keys})
	r.Where = whereOf(t, "object.spec.on")
	r.newWebsite("web", map[string]any{"on": true, "children": names(2)})
	r.mustPass(t, "web")
	r.sync()
	r.asked()
	return r
}

// set changes whether the condition selects the website.
func (r *rig) set(on bool) {
	r.setSpec("web", map[string]any{"on": on})
	r.sync()
}

func TestWhere(t *testing.T) {
	for text, want := range map[string]bool{
		"object.spec.on": true, "oldObject == null || object.spec.on": false, "object.spec.on && object != oldObject": false,
	} {
		if where := whereOf(t, text); (where != nil) != want {
			t.Errorf("%s selects parents: %t, want %t", text, where != nil, want)
		}
	}
	if NewWhere(nil) != nil {
		t.Error("no filter selects parents")
	}
	for what, excluded := range map[string]bool{"true": false, "false": true, `"text"`: false} {
		r := newRig(t, rigOptions{composer: keys})
		var on any = what
		if what != `"text"` {
			on = what == "true"
		}
		parent := r.newWebsite("web", map[string]any{"on": on})
		if got := whereOf(t, "object.spec.on").excludes(t.Context(), parent); got != excluded {
			t.Errorf("a website that is on: %s is excluded: %t", what, got)
		}
	}
}

func TestParentThatTheConditionExcludesLeaves(t *testing.T) {
	r := newWhereRig(t)
	r.set(false)
	if !HasLeft(t.Context(), r.Reconciler, r.parent("web"), true) {
		t.Fatal("it has not left")
	}
	r.mustPass(t, "web")
	if n := r.childrenOf("web"); n != 0 || len(r.Leavers.parents) > 0 || len(r.Memory.parents) > 0 {
		t.Errorf("%d children are left, and %d and %d parents are remembered", n, len(r.Leavers.parents), len(r.Memory.parents))
	}
	r.sync()
	r.asked()
	r.mustPass(t, "web")
	if asked := r.asked(); HasLeft(t.Context(), r.Reconciler, r.parent("web"), true) || len(asked) > 0 {
		t.Errorf("it leaves again, or there are requests: %v", asked)
	}
	r.set(true)
	r.mustPass(t, "web")
	if n := r.childrenOf("web"); n != 2 {
		t.Errorf("when it is back, there are %d children", n)
	}
}

// The cache may be late: what the API server has counts.
func TestParentThatIsBackHasNotLeft(t *testing.T) {
	r := newWhereRig(t)
	r.set(false)
	r.setSpec("web", map[string]any{"on": true})
	r.mustPass(t, "web")
	if n := r.childrenOf("web"); n != 2 {
		t.Errorf("%d children are left", n)
	}
}

// By a change of the file, nothing leaves: that is a removal.
func TestAnotherConditionRetains(t *testing.T) {
	r := newWhereRig(t)
	now := r.Options
	now.Where = whereOf(t, "!object.spec.on")
	r.Reconciler = New(now)
	if HasLeft(t.Context(), r.Reconciler, r.parent("web"), true) {
		t.Error("it has left")
	}
	r.mustPass(t, "web")
	if asked := r.asked(); r.childrenOf("web") != 2 || len(asked) > 0 {
		t.Errorf("there are requests: %v", asked)
	}
	if found := FindLeavers(t.Context(), r.Reconciler, r.now()); len(found) > 0 {
		t.Errorf("what is older than the record has left: %v", found)
	}
}

// A parent that leaves before it was ever handled in this term, and one that left before.
func TestFindLeaversOfTheCondition(t *testing.T) {
	for name, on := range map[string]bool{"before": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			r := newWhereRig(t)
			r.set(on)
			r.Reconciler = New(r.Options)
			r.Pause()
			if found := FindLeavers(t.Context(), r.Reconciler, r.now().AddDate(-10, 0, 0)); slices.Contains(found, webKey) == on {
				t.Errorf("found %v", found)
			}
			r.set(false)
			if !HasLeft(t.Context(), r.Reconciler, r.parent("web"), true) {
				t.Error("it has not left")
			}
			r.mustPass(t, "web")
			if n := r.childrenOf("web"); n != 0 {
				t.Errorf("%d children are left", n)
			}
		})
	}
}

// A parent that is deleted is cleaned up, whatever the condition says.
func TestParentThatIsDeletedIsNotExcluded(t *testing.T) {
	r := newRig(t, rigOptions{composer: farAway})
	r.Where = whereOf(t, "object.spec.on")
	r.newWebsite("web", map[string]any{"on": true})
	r.mustPass(t, "web")
	r.setSpec("web", map[string]any{"on": false})
	r.server.do(func(c *cluster) {
		if err := c.delete(idOf(websiteKind, "team-a", "web"), "", ""); err != nil {
			t.Fatal(err)
		}
	})
	r.sync()
	r.mustPass(t, "web")
	r.server.do(func(c *cluster) {
		if c.objects[idOf(websiteKind, "team-a", "web")] != nil || c.objects[idOf(configMapKind, "team-b", "far")] != nil {
			t.Errorf("there are %v", c.objects)
		}
	})
}

// farAway makes a child in another namespace.
var farAway = handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
	far := handlers.Child{Name: "far", Object: untyped(configMapKind, "team-b", "far", nil)}
	return handlers.Composition{Children: []handlers.Child{far}}, nil
})

// A condition on what the composer itself writes excludes the parent by an event of our own.
func TestParentThatLeavesByItsStatusIsLookedAtAgain(t *testing.T) {
	r := newRig(t, rigOptions{composer: keys})
	r.Where = whereOf(t, "!has(object.status.conditions)")
	r.newWebsite("web", map[string]any{"children": names(1)})
	if result := r.mustPass(t, "web"); result.RequeueAfter == 0 {
		t.Fatal("nothing looks at it again")
	}
	r.sync()
	r.mustPass(t, "web")
	if n := r.childrenOf("web"); n != 0 {
		t.Errorf("%d children are left", n)
	}
}

// In a list, objects of kinds of Kubernetes itself do not say what they are.
func TestWholeItemsOfAList(t *testing.T) {
	const item = `{"metadata": {"name": "page", "uid": "u"}, "data": {"text": "x"}, "immutable": true}`
	for _, whole := range []bool{true, false} {
		object, err := query{kind: configMapKind, whole: whole}.read([]byte(item))
		if err != nil {
			t.Fatal(err)
		}
		text, err := object.JSON()
		if err != nil || object.GroupVersionKind() != configMapKind || strings.Contains(string(text), `"text":"x"`) != whole {
			t.Errorf("read is %s of %s, want the whole: %t", text, object.GroupVersionKind(), whole)
		}
	}
}
