package engine

import (
	"context"
	"testing"
	"time"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestSettle begins a term right after a change: the older revision must not work before the new
// one does. A change that waits does not keep the others from their work.
func TestSettle(t *testing.T) {
	takes := map[string]time.Duration{"1": 0, "2": 3 * time.Second, "4": time.Hour}
	settled := func(r *rig, drain Drain, want time.Duration) {
		r.t.Helper()
		began := time.Now()
		r.Settle(r.t.Context(), drain)
		if took := time.Since(began); took != want {
			r.t.Errorf("Settle took %s, want %s", took, want)
		}
	}
	inRig(t, 1, func(r *rig) {
		r.construct = func(ctx context.Context, _ handlers.Env, version string) error {
			if version == "3" {
				return errTest
			}
			select {
			case <-time.After(takes[version]):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		r.apply(r.definition("d", "1"))
		r.run()
		settled(r, nil, 0)
		r.apply(r.definition("d", "2"))
		settled(r, nil, takes["2"])
		r.lead()
		r.expectInAnyOrder("3s close d1", "3s d2 object-0 initial#0")
		r.apply(r.definition("d", "3"))
		settled(r, nil, 0)
		r.apply(r.definition("d", "4"))
		settled(r, nil, slowSync)
		stopping := make(chan struct{})
		close(stopping)
		settled(r, stopping, 0)
		r.stop()
	})
}
