package compose

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kooperd.dev/kooperd/pkg/handlers"
)

// conditionsOfWeb are the conditions of the website, without those that are as they should be:
// type, reason.
func (r *rig) conditionsOfWeb(t *testing.T) map[string]string {
	t.Helper()
	r.syncParents()
	var now struct {
		Status struct {
			Conditions []struct {
				Type   string `json:"type"`
				Status string `json:"status"`
				Reason string `json:"reason"`
			} `json:"conditions"`
		} `json:"status"`
	}
	if err := r.parent("web").Into(&now); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range now.Status.Conditions {
		all[c.Type+"="+c.Status] = c.Reason
	}
	return all
}

// TestAComposerThatPutsOff asks for a later call again and again, and then answers.
func TestAComposerThatPutsOff(t *testing.T) {
	off := true
	r := newRig(t, rigOptions{composer: handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		if off {
			return handlers.Composition{}, fmt.Errorf("asking: %w", handlers.RetryAfter(errDamaged, time.Minute))
		}
		return keys(ctx, req)
	})})
	r.newWebsite("web", map[string]any{"children": names(1)})
	for attempt := range 5 {
		_, err := r.Handle(t.Context(), handlers.Request{Object: r.parent("web"), Attempt: attempt})
		if after, ok := handlers.RetryDelay(err); !ok || after != time.Minute {
			t.Fatalf("attempt %d: the error %v asks for a call after %s, want a minute", attempt, err, after)
		}
		var want map[string]string
		if attempt >= fewFailures {
			want = map[string]string{"Ready=False": "RetryAfter", "Progressing=True": "RetryAfter", "Degraded=False": "AsDesired"}
		} else {
			want = map[string]string{}
		}
		if diff := cmp.Diff(want, r.conditionsOfWeb(t)); diff != "" {
			t.Errorf("conditions after attempt %d (-want +got):\n%s", attempt, diff)
		}
	}
	off = false
	r.mustPass(t, "web")
	want := map[string]string{"Ready=True": "Ready", "Progressing=False": "Settled", "Degraded=False": "AsDesired"}
	if diff := cmp.Diff(want, r.conditionsOfWeb(t)); diff != "" {
		t.Errorf("conditions after an answer (-want +got):\n%s", diff)
	}
	if n := len(r.events.Events); n > 0 {
		t.Errorf("%d events, want none: %s", n, <-r.events.Events)
	}
}

// TestAComposerThatIsUnavailable leaves the parent as it is.
func TestAComposerThatIsUnavailable(t *testing.T) {
	down := false
	r := newRig(t, rigOptions{composer: handlers.ComposerFunc(func(ctx context.Context, req handlers.ComposeRequest) (handlers.Composition, error) {
		if down {
			return handlers.Composition{}, fmt.Errorf("asking: %w", handlers.Unavailable(errDamaged))
		}
		return keys(ctx, req)
	})})
	r.newWebsite("web", map[string]any{"children": names(1)})
	r.mustPass(t, "web")
	r.sync()
	r.server.take()
	down = true
	r.setSpec("web", map[string]any{"children": names(2)})
	r.sync()
	for attempt := range 5 {
		if _, err := r.Handle(t.Context(), handlers.Request{Object: r.parent("web"), Attempt: attempt}); !handlers.IsUnavailable(err) {
			t.Fatalf("error %v", err)
		}
	}
	if asked := r.asked(); len(asked) > 0 {
		t.Errorf("requests %v", asked)
	}
	if n := len(r.events.Events); n > 0 {
		t.Errorf("%d events, want none: %s", n, <-r.events.Events)
	}
	if diff := cmp.Diff("Ready", r.conditionsOfWeb(t)["Ready=True"]); diff != "" {
		t.Errorf("the condition Ready (-want +got):\n%s", diff)
	}
}
