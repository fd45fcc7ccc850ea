package compose

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

// A child's readiness may be asked of a plugin, which may ask the Reconciler in turn.
func TestCountsOfAHeldParentWhoseReadinessAsks(t *testing.T) {
	r := newRolloutRig(t, 2, 1)
	r.Composer = handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		c, err := r.compose(ctx, req)
		c.Children[0].Policy.Ready = func(handlers.Object) (bool, string) {
			return !r.Awaits(configMapKind.GroupKind()), "the cache does not have it yet"
		}
		return c, err
	})
	r.begin(t, "2")
	done := make(chan error)
	go func() {
		_, err := r.pass(t, "web0")
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the pass does not end")
	}
	if r.Memory.Rollout.Describe() == "" {
		t.Fatal("nothing is held")
	}
	if now := countsOf(r.Memory, r.parent("web0").UID()); now != (counts{ready: 1}) {
		t.Errorf("it is counted as %+v, want one ready child", now)
	}
}

// What a held parent is not ready for is said as far as its status says it.
func TestAttentionOfAHeldParentWhoseStatusSaysLittle(t *testing.T) {
	for name, tc := range map[string]struct {
		condition map[string]any
		want      string
	}{
		"all":           {map[string]any{"reason": "Starting", "message": "a moment"}, "Starting: a moment"},
		"no message":    {map[string]any{"reason": "Starting"}, "Starting"},
		"empty message": {map[string]any{"reason": "Starting", "message": ""}, "Starting"},
		"no reason":     {map[string]any{"message": "a moment"}, "a moment"},
		"neither":       {map[string]any{}, "its condition Ready is False"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRolloutRig(t, 2, 1)
			tc.condition["type"], tc.condition["status"] = conditionReady, "False"
			id := idOf(websiteKind, "team-a", "web0")
			r.server.do(func(c *cluster) {
				s := c.objects[id]
				generation := s.generation
				s.tree["status"] = map[string]any{"conditions": []any{tc.condition}}
				c.store(id, s, true)
				s.generation = generation // Its specification is the same.
			})
			r.sync()
			r.begin(t, "2")
			r.mustPass(t, "web0")
			said := map[AttentionKind]string{}
			for _, a := range r.Memory.Attention.Of(r.parent("web0").UID()) {
				said[a.Kind] = a.Reason
			}
			want := map[AttentionKind]string{AttentionHeld: "it keeps what it has until its turn in the rollout comes", AttentionNotReady: tc.want}
			if diff := cmp.Diff(want, said); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
