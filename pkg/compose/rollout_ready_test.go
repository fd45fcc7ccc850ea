package compose

import (
	"slices"
	"testing"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestRolloutOfAParentThatIsHalfMade restarts when a parent has only the first of its children, as
// its status says.
func TestRolloutOfAParentThatIsHalfMade(t *testing.T) {
	for status, want := range map[string]string{"False": "web2", "True": "web1"} {
		t.Run(status, func(t *testing.T) {
			r := newRolloutRig(t, 3, 1)
			r.server.do(func(c *cluster) {
				c.edit(idOf(websiteKind, "team-a", "web2"), "kubectl", func(tree map[string]any) {
					tree["status"] = map[string]any{"conditions": []any{map[string]any{"type": conditionReady, "status": status}}}
				})
			})
			r.Pause()
			r.sync()
			r.pages = []string{"page", "more"}
			r.begin(t, "1")
			for _, name := range []string{"web2", "web0", "web1"} {
				r.mustPass(t, name)
			}
			r.run(t)
			moved := slices.DeleteFunc(r.websites(), func(name string) bool { return r.childrenOf(name) == 1 })
			if !slices.Equal(moved, []string{want}) {
				t.Errorf("%v have moved, want %s", moved, want)
			}
		})
	}
}

// TestRolloutOfAChildThatCannotBeTold has children that are there and pending: nothing is to be
// deleted, so nobody is held.
func TestRolloutOfAChildThatCannotBeTold(t *testing.T) {
	r := newRolloutRig(t, 3, 1)
	r.pages = nil
	r.pending = []handlers.Pending{{Name: "page", On: "Secret db", Why: "it does not exist"}}
	r.all(t)
	if got := r.Memory.Rollout.Describe(); got != "" {
		t.Errorf("it says %q, want nobody held", got)
	}
	for _, name := range r.websites() {
		if status, reason, _ := r.conditionOf(name, conditionReady); status != "False" || reason != "Pending" {
			t.Errorf("%s: Ready is %s because of %s", name, status, reason)
		}
		if r.childrenOf(name) != 1 {
			t.Errorf("%s has lost its child", name)
		}
	}
	r.pages, r.pending, r.version = []string{"page"}, nil, "2"
	r.all(t)
	if got := r.has("2"); len(got) != 1 {
		t.Errorf("when the children can be told, %v have moved, want one", got)
	}
}

// TestRolloutForgetsWhoIsNotSelected has a parent that its condition excludes before anybody has
// looked at it.
func TestRolloutForgetsWhoIsNotSelected(t *testing.T) {
	r := newRolloutRig(t, 0, 1)
	r.Where = whereOf(t, "object.spec.on")
	for _, name := range []string{"web0", "web1"} {
		r.newWebsite(name, map[string]any{"on": true})
		r.mustPass(t, name)
		r.heal(name)
		r.run(t)
	}
	r.Pause()
	r.begin(t, "2")
	r.mustPass(t, "web0")
	r.expect(t, "before all have been looked at", "2")
	r.setSpec("web1", map[string]any{"on": false})
	r.sync()
	r.Memory.mu.Lock()
	delete(r.Memory.parents, r.parent("web1").UID()) // Nobody has seen it selected.
	r.Memory.mu.Unlock()
	if HasLeft(t.Context(), r.Reconciler, r.parent("web1"), true) {
		t.Fatal("it has left")
	}
	r.run(t)
	r.expect(t, "when the other one is not handled any more", "2", "web0")
}
