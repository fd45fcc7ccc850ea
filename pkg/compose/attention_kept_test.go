package compose

import (
	"context"
	"slices"
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

// What the brake holds of a parent whose composer fails is said for as long as it is held.
func TestAttentionOfAHeldParentThatFails(t *testing.T) {
	r := newHeldRig(t)
	r.Composer = handlers.ComposerFunc(func(context.Context, handlers.ComposeRequest) (handlers.Composition, error) {
		return handlers.Composition{}, errDamaged
	})
	r.fails(t, "web0")
	totals := r.Memory.Attention.Totals()
	if totals[AttentionHeld] != 12 || totals[AttentionNotReady] != 1 {
		t.Errorf("after a moment, there are %v", totals)
	}
	r.at = r.at.Add(brakeMinutes * time.Minute)
	r.fails(t, "web0")
	if totals := r.Memory.Attention.Totals(); totals[AttentionHeld] != 0 || totals[AttentionNotReady] != 1 {
		t.Errorf("when the hold is over, there are %v", totals)
	}
	if said := r.said("web0"); !slices.Equal(said, []string{"not ready: ComposeFailed"}) {
		t.Errorf("when the hold is over, it is said %v", said)
	}
}

// hold begins a rollout of another content, in which the website has to wait for another one.
func (r *rig) hold(t *testing.T) {
	t.Helper()
	r.Composer, r.Digest = withMine(r.Composer, map[string]any{"data": map[string]any{"a": "Yg=="}}), "2"
	r.newWebsite("other", nil)
	limits := &config.Rollout{MaxUnavailable: config.Share{Number: 1}}
	metrics := telemetry.NewMetrics(prometheus.NewRegistry()).Controller(definition).Rollout()
	BeginRollout(t.Context(), r.Reconciler, limits, metrics, func(kube.Key) {})
	r.mustPass(t, "web")
	if r.Memory.Rollout.Describe() == "" {
		t.Fatal("nothing is held")
	}
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
