package engine

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/handlers"
)

// TestApplyBeforeTheFirstRevisionWorks replaces a first revision that has made its handler, and
// waits for its source, by one that registers the same metrics.
func TestApplyBeforeTheFirstRevisionWorks(t *testing.T) {
	inRig(t, 1, func(r *rig) {
		tries := 0
		r.construct = func(_ context.Context, env handlers.Env, version string) error {
			tries++
			return env.Metrics.Register(prometheus.NewCounter(prometheus.CounterOpts{Name: "x_total", Help: "x"}))
		}
		r.close = func(string) error { time.Sleep(500 * time.Millisecond); return nil }
		r.api.unsynced[podKind] = true
		r.start(r.definition("a", "1"))
		r.apply(r.definition("a", "2"))
		time.Sleep(5 * time.Second)
		if tries != 2 {
			t.Errorf("%d tries", tries)
		}
		r.stop()
	})
}
