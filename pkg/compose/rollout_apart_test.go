package compose

import (
	"slices"
	"testing"

	"kooperd.dev/kooperd/pkg/kube"
)

// apartWays make a parent one that does not take part in a rollout.
func apartWays() map[string]func(tree map[string]any) {
	inMetadata := func(name string, value any) func(map[string]any) {
		return func(tree map[string]any) {
			if metadata, ok := tree["metadata"].(map[string]any); ok {
				metadata[name] = value
			}
		}
	}
	return map[string]func(tree map[string]any){
		"paused": annotated(PausedAnnotation, "true"),
		"waits for a finalizer of another party": func(tree map[string]any) {
			inMetadata("deletionTimestamp", "2026-11-26T10:00:00Z")(tree)
			inMetadata("finalizers", []any{"example.com/keep"})(tree)
		},
		"is a child of the definition": inMetadata("labels", map[string]any{InstallationLabel: installation, DefinitionLabel: definition}),
	}
}

// TestRolloutBeginsWithoutThoseThatAreApart has a parent that does not take part when a revision
// begins, and whose only pass comes before or after others have asked.
func TestRolloutBeginsWithoutThoseThatAreApart(t *testing.T) {
	for what, edit := range apartWays() {
		for _, first := range []bool{true, false} {
			t.Run(what, func(t *testing.T) {
				r := newRolloutRig(t, 3, 1)
				r.server.do(func(c *cluster) { c.edit(idOf(websiteKind, "team-a", "web1"), "kubectl", edit) })
				r.run(t)
				r.begin(t, "2")
				order := []string{"web1", "web0", "web2"}
				if !first {
					order = []string{"web0", "web2", "web1"}
				}
				for _, name := range order {
					_, _ = r.pass(t, name) // A child is a mistake.
				}
				r.run(t)
				moved, said := r.has("2"), r.Memory.Rollout.Describe()
				if len(moved) != 1 || slices.Contains(moved, "web1") {
					t.Fatalf("%v have moved, want one of those that take part; %s", moved, said)
				}
				const want = "rollout: of 2 parents, 0 are updated and ready, 1 are held; 1 are not ready, of 1 that may be: team-a/"
				if said != want+moved[0] {
					t.Errorf("it says %q, want %q", said, want+moved[0])
				}
			})
		}
	}
}

// TestRolloutLooksWhileOneIsSetApart pauses a parent while a revision finds its parents.
func TestRolloutLooksWhileOneIsSetApart(t *testing.T) {
	r := newRolloutRig(t, 3, 1)
	r.begin(t, "2")
	exists := r.Memory.Rollout.term.exists
	r.Memory.Rollout.term.exists = func() []kube.Key {
		keys := exists()
		r.server.do(func(c *cluster) {
			c.edit(idOf(websiteKind, "team-a", "web2"), "kubectl", annotated(PausedAnnotation, "true"))
		})
		r.sync()
		r.mustPass(t, "web2")
		return keys
	}
	for _, name := range []string{"web0", "web1"} {
		r.mustPass(t, name)
	}
	r.run(t)
	if moved := r.has("2"); len(moved) != 1 || moved[0] == "web2" {
		t.Errorf("%v have moved, want one of those that take part; %s", moved, r.Memory.Rollout.Describe())
	}
}

// TestRolloutForgetsWhoIsDeletedAndNotSelected has a parent for which nobody is called any more, as
// its condition excludes it, and nothing of ours keeps it.
func TestRolloutForgetsWhoIsDeletedAndNotSelected(t *testing.T) {
	r := newRolloutRig(t, 0, 1)
	r.Where = whereOf(t, "object.spec.on")
	for _, name := range []string{"web0", "web1"} {
		r.newWebsite(name, map[string]any{"on": true})
		r.mustPass(t, name)
		r.heal(name)
		r.run(t)
	}
	r.begin(t, "2")
	r.mustPass(t, "web0")
	r.expect(t, "before all have been looked at", "2")
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", "web1"), "kubectl", apartWays()["waits for a finalizer of another party"])
	})
	r.setSpec("web1", map[string]any{"on": false})
	r.sync()
	if HasLeft(t.Context(), r.Reconciler, r.parent("web1"), true) {
		t.Fatal("it has left")
	}
	r.run(t)
	if got := r.has("2"); !slices.Equal(got, []string{"web0"}) {
		t.Errorf("%v have moved; %s", got, r.Memory.Rollout.Describe())
	}
}
