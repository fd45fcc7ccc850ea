package webhook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kooperd.dev/kooperd/pkg/hook"
)

// wantCount looks at how many requests of sync have had an outcome.
func (r *rig) wantCount(t *testing.T, o outcome, want float64) {
	t.Helper()
	if got := testutil.ToFloat64(r.metrics.requests.WithLabelValues(string(hook.Sync), string(o))); got != want {
		t.Errorf("%v requests have the outcome %s, want %v", got, o, want)
	}
}

// wantOpen looks at whether sync counts as not called.
func (r *rig) wantOpen(t *testing.T, want float64) {
	t.Helper()
	r.metrics.wantOpen(t, want)
}

// wantOpen looks at whether sync counts as not called, where it is the only hook.
func (m *metrics) wantOpen(t *testing.T, want float64) {
	t.Helper()
	text := fmt.Sprintf("# HELP %[1]s %[2]s\n# TYPE %[1]s gauge\n%[1]s{hook=%[3]q} %[4]v\n",
		"kooperd_webhook_circuit_open", "Whether a hook is not called for a while, because it has failed again and again.", hook.Sync, want)
	if err := testutil.CollectAndCompare(m.open, strings.NewReader(text)); err != nil {
		t.Error(err)
	}
}

// wantInFlight looks at how many requests of sync are under way.
func (r *rig) wantInFlight(t *testing.T, want float64) {
	t.Helper()
	if got := testutil.ToFloat64(r.metrics.inFlight.WithLabelValues(string(hook.Sync))); got != want {
		t.Errorf("%v requests are under way, want %v", got, want)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	hooks := []hook.Name{hook.Sync, hook.Finalize}
	m, err := newMetrics(registry, hooks, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("problems: %v, %v", problems, err)
	}
	count := func() int {
		n, err := testutil.GatherAndCount(registry)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	if want := len(hooks) * (len(outcomes) + 3); before != want {
		t.Errorf("%d series, want %d from the beginning", before, want)
	}
	for _, name := range hooks {
		for _, o := range outcomes {
			m.begin(name)(o, 0)
		}
		m.open.extend(name, time.Minute)
	}
	if after := count(); after != before {
		t.Errorf("%d series, and %d after some requests", before, after)
	}
	if _, err := newMetrics(registry, hooks, time.Now); err == nil || !strings.Contains(err.Error(), "duplicate") {
		t.Errorf("err = %v", err)
	}
}
