package compose

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kooperd.dev/kooperd/pkg/handlers"
)

// newHeldRig is a brakeRig with two websites, of which the first one is held.
func newHeldRig(t *testing.T) *brakeRig {
	t.Helper()
	r := newBrakeRig(t, 2, 12)
	if r.drop(t, "web0", 0) != 12 {
		t.Fatal("nothing is held")
	}
	return r
}

// fails handles a website, which has to fail.
func (r *brakeRig) fails(t *testing.T, website string) {
	t.Helper()
	if _, err := r.pass(t, website); err == nil {
		t.Fatalf("handling %s does not fail", website)
	}
}

// finalizeDeleted deletes a website whose deletion the composer wants to be asked about.
func (r *brakeRig) finalizeDeleted(t *testing.T, website string) {
	t.Helper()
	r.Finalizes = true
	r.finalized(website)
	r.server.do(func(c *cluster) {
		if err := c.delete(idOf(websiteKind, "team-a", website), "", ""); err != nil {
			t.Error(err)
		}
	})
	r.sync()
}

// isHeld says whether there is a hold, and how many parents the metric has.
func (r *brakeRig) isHeld(t *testing.T) (held bool, parents float64) {
	t.Helper()
	return r.Memory.Brake.Held() != "", metricOf(t, r.rig, "kooperd_compose_prune_held_parents", definition)
}

// A composer that fails now and then ends no hold, and one that fails for long holds nobody else.
func TestBrakeAndAParentThatFails(t *testing.T) {
	for name, by := range map[string]string{"by itself": "web0", "by another": "web1"} {
		t.Run(name, func(t *testing.T) {
			r := newHeldRig(t)
			began := r.Memory.Brake.since
			for range 3 {
				r.setSpec("web0", map[string]any{"fail": true})
				r.sync()
				r.fails(t, "web0")
				r.at = r.at.Add(4 * time.Minute)
				r.fails(t, "web0")
				if held, parents := r.isHeld(t); !held || parents != 1 {
					t.Fatalf("after a failure, held is %t, of %v parents", held, parents)
				}
				r.setSpec("web0", map[string]any{"fail": false})
				r.sync()
				r.mustPass(t, "web0")
			}
			if !r.Memory.Brake.since.Equal(began) || r.childrenOf("web0") != 12 {
				t.Fatalf("it is held since %s, and %d children are left", r.Memory.Brake.since, r.childrenOf("web0"))
			}
			r.setSpec("web0", map[string]any{"fail": true})
			r.sync()
			r.fails(t, "web0")
			if r.drop(t, "web1", 11) != 12 {
				t.Error("a failure has ended the hold")
			}
			r.at = r.at.Add(brakeMinutes * time.Minute)
			if by == "web0" {
				r.fails(t, "web0")
				if held, parents := r.isHeld(t); !held || parents != 1 || len(r.Memory.Brake.held) != 1 {
					t.Errorf("held is %t, of %v parents, want the other one alone", held, parents)
				}
			}
			if r.mustPass(t, "web1"); r.childrenOf("web1") != 11 || r.Memory.Brake.Held() != "" {
				t.Errorf("%d children of the other parent are left, and held is %q", r.childrenOf("web1"), r.Memory.Brake.Held())
			}
			if r.childrenOf("web0") != 12 {
				t.Error("children of the parent that fails are deleted")
			}
		})
	}
}

// A hold of one parent ends, too, when its composer fails for long, or says that it is not to be
// tried again.
func TestBrakeEndsWithFailures(t *testing.T) {
	r := newHeldRig(t)
	r.setSpec("web0", map[string]any{"fail": true})
	r.sync()
	r.fails(t, "web0")
	r.at = r.at.Add(brakeMinutes * time.Minute)
	r.fails(t, "web0")
	if held, parents := r.isHeld(t); held || parents != 0 || r.changes != 2 {
		t.Errorf("held is %t, of %v parents, after %d changes", held, parents, r.changes)
	}
	r = newHeldRig(t)
	r.Composer = handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
		return handlers.Composition{}, handlers.Terminal(errDamaged)
	})
	r.fails(t, "web0")
	if held, parents := r.isHeld(t); held || parents != 0 {
		t.Errorf("for good, held is %t, of %v parents", held, parents)
	}
}

// A parent that is to lose nothing any more holds nobody, whatever else is wrong with it. One whose
// deletions wait for something else may be to lose it still.
func TestBrakeAndChildrenThatAreRefused(t *testing.T) {
	r := newHeldRig(t)
	began := r.Memory.Brake.since
	r.server.answer = func(w http.ResponseWriter, asked request) bool {
		if asked.method != http.MethodPatch || !strings.HasSuffix(asked.path, "/web0-x") {
			return false
		}
		sendError(w, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "web0-x", errors.New("as the test wants")))
		return true
	}
	r.setSpec("web0", map[string]any{"children": []any{"x"}})
	r.sync()
	r.fails(t, "web0")
	if r.Memory.Brake.Held() == "" || !r.Memory.Brake.since.Equal(began) {
		t.Errorf("what waits for another child is let go, and held is %q", r.Memory.Brake.Held())
	}
	r.setSpec("web0", map[string]any{"children": append(names(12), "x")})
	r.sync()
	r.fails(t, "web0")
	if held, parents := r.isHeld(t); held || parents != 0 {
		t.Errorf("what is desired again is held: %t, of %v parents", held, parents)
	}
}

// What goes with its parent is no concern of others, however long the parent takes to go.
func TestBrakeIsNotHeldByADeletedParent(t *testing.T) {
	r := newHeldRig(t)
	id := idOf(websiteKind, "team-a", "web0")
	r.server.do(func(c *cluster) {
		c.edit(id, "kubectl", func(tree map[string]any) { object(tree, "metadata")["finalizers"] = []any{"example.com/other"} })
		if err := c.delete(id, "", ""); err != nil {
			t.Error(err)
		}
	})
	r.sync()
	r.mustPass(t, "web0")
	if r.Memory.Brake.Held() != "" {
		t.Errorf("held is %q", r.Memory.Brake.Held())
	}
}

// A parent that has left and is paused is to lose nothing.
func TestBrakeIsNotHeldByALeaverThatIsPaused(t *testing.T) {
	r := newLeaveRig(t, rigOptions{}, map[string]any{"children": names(20)})
	if _, err := r.look(t); err != nil || r.Memory.Brake.Held() == "" {
		t.Fatalf("held is %q, and the error %v", r.Memory.Brake.Held(), err)
	}
	r.server.do(func(c *cluster) {
		c.edit(idOf(websiteKind, "team-a", "web"), "kubectl", annotated(PausedAnnotation, "true"))
	})
	if _, err := r.look(t); err != nil || r.Memory.Brake.Held() != "" || r.childrenOf("web") != 20 {
		t.Errorf("held is %q, %d children are left, and the error is %v", r.Memory.Brake.Held(), r.childrenOf("web"), err)
	}
}

// While there is a hold, the share is one of the children that there are now.
func TestBrakeCountsAllChildrenAnew(t *testing.T) {
	b, at, all := &Brake{}, time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC), 20
	total := func() int { return all }
	if b.take("a", 11, at, total) == "" {
		t.Fatal("11 of 20 children may go")
	}
	all, at = 1000, at.Add(totalAge)
	if held := b.take("b", 1, at, total); held != "" {
		t.Errorf("12 of 1000 children are held: %s", held)
	}
}

// A hook that cannot be asked is a failure like others: a parent of which it does not tell for long
// holds nobody else, and neither does one that is deleted meanwhile.
func TestBrakeAndAHookThatIsNotThere(t *testing.T) {
	for name, deleted := range map[string]bool{"for long": false, "of a deleted parent": true} {
		t.Run(name, func(t *testing.T) {
			r := newHeldRig(t)
			r.Composer = handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
				return handlers.Composition{}, handlers.Unavailable(errDamaged)
			})
			if deleted {
				r.finalizeDeleted(t, "web0")
				r.fails(t, "web0")
			} else {
				r.fails(t, "web0")
				if held, parents := r.isHeld(t); !held || parents != 1 {
					t.Errorf("after a moment, held is %t, of %v parents", held, parents)
				}
				r.at = r.at.Add(brakeMinutes * time.Minute)
				r.fails(t, "web0")
			}
			if held, parents := r.isHeld(t); held || parents != 0 {
				t.Errorf("held is %t, of %v parents", held, parents)
			}
		})
	}
}

// A composer may say that the children of a deleted parent go before it.
func TestBrakeDoesNotHoldWhatGoesWithItsParent(t *testing.T) {
	r := newHeldRig(t)
	r.Composer = handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
		return handlers.Composition{}, nil
	})
	r.finalizeDeleted(t, "web0")
	r.mustPass(t, "web0")
	if held, parents := r.isHeld(t); held || parents != 0 || r.childrenOf("web0") != 0 {
		t.Errorf("held is %t, of %v parents, and %d children are left", held, parents, r.childrenOf("web0"))
	}
}
