package compose

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/kube"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// said are the things that somebody should look at of a website, as texts.
func (r *rig) said(website string) (all []string) {
	kinds := map[AttentionKind]string{AttentionNotReady: "not ready", AttentionFight: "fight", AttentionHeld: "held", AttentionRefused: "refused"}
	for _, a := range r.Memory.Attention.Of(r.parent(website).UID()) {
		reason, _, _ := strings.Cut(a.Reason, ":")
		all = append(all, strings.TrimSpace(kinds[a.Kind]+" "+a.Child)+": "+reason)
	}
	return all
}

const (
	strangeIsRefused = "refused Secret/team-a/strange: Secret team-a/strange exists and was not made by kooperd"
	isHeldByRollout  = "held: it keeps what it has until its turn in the rollout comes"
)

// What was found of other objects goes on while the composer fails, and the failure stands beside
// it.
func TestAttentionOfAParentThatFails(t *testing.T) {
	r := newRefusedRig(t)
	if diff := cmp.Diff([]string{"not ready: Foreign", strangeIsRefused}, r.said("web")); diff != "" {
		t.Errorf("at first (-want +got):\n%s", diff)
	}
	since := r.Memory.Attention.Of(r.parent("web").UID())[1].Since
	spec := patchesOf("shared", "x")
	for _, fails := range []bool{true, true, false} {
		spec["fail"] = fails
		r.setSpec("web", spec)
		r.sync()
		if _, err := r.pass(t, "web"); err == nil {
			t.Fatal("the pass does not fail")
		}
		want := []string{"not ready: Foreign", strangeIsRefused}
		if fails {
			want[0] = "not ready: ComposeFailed"
		}
		if diff := cmp.Diff(want, r.said("web")); diff != "" {
			t.Errorf("while it fails: %t (-want +got):\n%s", fails, diff)
		}
	}
	if now := r.Memory.Attention.Of(r.parent("web").UID())[1].Since; !now.Equal(since) {
		t.Errorf("it is refused since %s, want %s", now, since)
	}
}

// newKeptRig is a held rig whose first website has also a child that was deleted before, and that a
// finalizer keeps.
func newKeptRig(t *testing.T) *brakeRig {
	t.Helper()
	r := newBrakeRig(t, 2, 13)
	r.finalizer("web0-m", "example.com/guard")
	r.sync()
	if r.drop(t, "web0", 12) != 13 || r.drop(t, "web0", 0) != 13 {
		t.Fatal("nothing is held")
	}
	r.expectHeld(t, "at first", 13, 1)
	return r
}

// expectHeld says how many children are said to be held, and how many parents are counted.
func (r *brakeRig) expectHeld(t *testing.T, when string, children, parents int) {
	t.Helper()
	if got := r.Memory.Attention.Totals()[AttentionHeld]; got != children {
		t.Errorf("%s, %d are said to be held, want %d: %q", when, got, children, r.said("web0"))
	}
	if got := metricOf(t, r.rig, "kooperd_compose_prune_held_parents", definition); got != float64(parents) {
		t.Errorf("%s, %v parents are counted, want %d", when, got, parents)
	}
}

// What the brake holds of a parent whose composer fails is said for as long as it is held, and what
// a finalizer keeps goes on.
func TestAttentionOfAHeldParentThatFails(t *testing.T) {
	for name, failures := range map[string][]error{
		"the composer fails": {errDamaged},
		"after an outage":    {handlers.Unavailable(errDamaged), errDamaged},
	} {
		t.Run(name, func(t *testing.T) {
			r := newKeptRig(t)
			failure := errDamaged
			r.Composer = handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
				return handlers.Composition{}, failure
			})
			r.fails(t, "web0")
			r.expectHeld(t, "after a moment", 13, 1)
			r.at = r.at.Add(brakeMinutes * time.Minute)
			for _, failure = range failures {
				r.fails(t, "web0")
				r.expectHeld(t, "when the hold is over", 1, 0)
			}
			want := []string{"not ready: ComposeFailed", "held ConfigMap/team-a/web0-m: it is being deleted and waits for finalizer example.com/guard"}
			if diff := cmp.Diff(want, r.said("web0")); diff != "" {
				t.Errorf("it is said (-want +got):\n%s", diff)
			}
		})
	}
}

// What the brake holds of a parent that waits for its turn in a rollout is counted and said for as
// long as it is held.
func TestParentThatTheBrakeAndARolloutHold(t *testing.T) {
	r := newKeptRig(t)
	r.rollOut(t)
	if result := r.mustPass(t, "web0"); result.RequeueAfter != heldInterval {
		t.Errorf("it is looked at again after %s, want %s", result.RequeueAfter, heldInterval)
	}
	r.expectHeld(t, "where the hold goes on", 14, 1) // And the parent itself.
	r.at = r.at.Add(brakeMinutes * time.Minute)
	r.mustPass(t, "web0")
	r.expectHeld(t, "where it has gone on for long", 2, 0)

	r = newKeptRig(t)
	r.Memory.Brake.DefinitionChanged(r.at)
	r.rollOut(t)
	r.mustPass(t, "web0")
	r.expectHeld(t, "when the definition has changed", 2, 0)
	if now := countsOf(r.Memory, r.parent("web0").UID()); now.held != 0 {
		t.Errorf("it is counted as %+v", now)
	}

	r = newKeptRig(t)
	r.Composer = handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		c := handlers.Composition{}
		for _, name := range names(12) {
			c.Children = append(c.Children, keyChild(req.Object.Name(), fmt.Sprint(name), "other"))
		}
		return c, nil
	})
	r.rollOut(t)
	r.mustPass(t, "web0")
	r.expectHeld(t, "when the children are desired again", 2, 0)
}

// hold begins a rollout of another content, in which the website has to wait for another one.
func (r *rig) hold(t *testing.T) {
	t.Helper()
	r.Composer = withMine(r.Composer, map[string]any{"data": map[string]any{"a": "Yg=="}})
	r.newWebsite("other", nil)
	r.rollOut(t)
	r.mustPass(t, "web")
	if r.Memory.Rollout.Describe() == "" {
		t.Fatal("nothing is held")
	}
}

// rollOut begins a rollout in which all parents have to be looked at before one is changed.
func (r *rig) rollOut(t *testing.T) {
	t.Helper()
	r.Digest = "2"
	limits := &config.Rollout{MaxUnavailable: config.Share{Number: 1}}
	metrics := telemetry.NewMetrics(prometheus.NewRegistry()).Controller(definition).Rollout()
	BeginRollout(t.Context(), r.Reconciler, limits, metrics, func(kube.Key) {})
}

// withMine gives the child of a website some content.
func withMine(composer handlers.Composer, content map[string]any) handlers.Composer {
	return handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		c, err := composer.Compose(ctx, req)
		if err == nil {
			c.Children[0].Object = untyped(secretKind, "", "mine", content)
		}
		return c, err
	})
}

// countsOf is how a parent is counted.
func countsOf(m *Memory, parent types.UID) counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.parents[parent].counted()
}

// Nothing of a parent that waits for its turn is tried, so it is counted as before, and what was
// found goes on.
func TestParentThatIsHeldByARollout(t *testing.T) {
	r := newRefusedRig(t)
	uid := r.parent("web").UID()
	before := countsOf(r.Memory, uid)
	if before.ready != 1 || before.refused != 1 || before.patched != 1 || before.obstacles.other != 1 {
		t.Fatalf("at first, it is counted as %+v", before)
	}
	r.hold(t)
	if now := countsOf(r.Memory, uid); now != before {
		t.Errorf("it is counted as %+v, want %+v", now, before)
	}
	if diff := cmp.Diff([]string{isHeldByRollout, "not ready: Foreign", strangeIsRefused}, r.said("web")); diff != "" {
		t.Errorf("it is said (-want +got):\n%s", diff)
	}
}

// After a restart, it is known of a parent that is held what it has, and what its status says.
func TestParentThatIsHeldAfterARestart(t *testing.T) {
	r := newRefusedRig(t)
	r.Memory, r.waiting = NewMemory(), newWaiting()
	r.hold(t)
	if now, want := countsOf(r.Memory, r.parent("web").UID()), (counts{ready: 1, patched: 1}); now != want {
		t.Errorf("it is counted as %+v, want %+v", now, want)
	}
	if diff := cmp.Diff([]string{isHeldByRollout, "not ready: Foreign"}, r.said("web")); diff != "" {
		t.Errorf("it is said (-want +got):\n%s", diff)
	}
}

// A child that is refused and exists is counted once.
func TestChildOfAHeldParentThatIsRefused(t *testing.T) {
	r := newRolloutRig(t, 2, 1)
	r.refuseFirst(errRefused, ofMethod("PATCH", "/configmaps/web0-page"))
	r.version = "1a"
	_, _ = r.pass(t, "web0")
	uid := r.parent("web0").UID()
	before := countsOf(r.Memory, uid)
	if before.refused != 1 || before.ready+before.notReady != 0 {
		t.Fatalf("at first, it is counted as %+v", before)
	}
	r.begin(t, "2")
	r.mustPass(t, "web0")
	if now := countsOf(r.Memory, uid); now != before {
		t.Errorf("it is counted as %+v, want %+v", now, before)
	}
}
