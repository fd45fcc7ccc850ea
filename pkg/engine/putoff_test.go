package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/status"
)

// TestWhatIsPutOffIsNoFailure has a handler that says when to come back, again and again, and then
// fails.
func TestWhatIsPutOffIsNoFailure(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		r.handle = func(_ context.Context, _ string, req handlers.Request) (handlers.Result, error) {
			if req.Attempt < 5 {
				return handlers.Result{}, handlers.RetryAfter(errTest, 10*time.Second)
			}
			return handlers.Result{}, errTest
		}
		r.start(r.definition("d", "1", func(def *config.Definition) { def.Retry.MaxRetries = 2 }))
		time.Sleep(45 * time.Second)
		r.expect(
			"0s d1 object-0 initial#0", "10s d1 object-0 retry#1", "20s d1 object-0 retry#2", "30s d1 object-0 retry#3", "40s d1 object-0 retry#4",
		)
		r.wantState("d", status.Running, "")
		if log := r.logged(); strings.Contains(log, "handling object failed") {
			t.Errorf("what was put off is logged as failed:\n%s", log)
		}

		// The failures have all their retries, and the first delay.
		time.Sleep(6 * time.Second)
		r.expect("50s d1 object-0 retry#5", "51s d1 object-0 retry#6")
		r.wantState("d", status.Running, "")
		time.Sleep(time.Hour)
		r.expect("53s d1 object-0 retry#7")
		r.wantState("d", status.Degraded, "calls keep failing for 1 object(s), 1 of them not retried until they change")
		r.stop()
	})
}
