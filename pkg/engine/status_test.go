package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"kooperd.dev/kooperd/pkg/config"
	"kooperd.dev/kooperd/pkg/status"
	"kooperd.dev/kooperd/pkg/telemetry"
)

// conditions has one condition for each way to come to a state.
var conditions = map[string]struct {
	condition condition
	state     status.State
	reason    string
	cause     telemetry.Cause
}{
	"nothing yet":        {condition{}, status.Syncing, "", ""},
	"first list":         {condition{source: status.Syncing}, status.Syncing, "", ""},
	"kind not served":    {condition{source: status.Waiting, sourceReason: "no such kind", built: true}, status.Waiting, "no such kind", ""},
	"no answer":          {condition{source: status.Degraded, sourceReason: "no answer", built: true}, status.Degraded, "no answer", telemetry.CauseSource},
	"forbidden":          {condition{source: status.Degraded, sourceReason: "forbidden", sourceForbidden: true, built: true}, status.Degraded, "forbidden", telemetry.CauseRights},
	"no handler yet":     {condition{source: status.Running}, status.Syncing, "making the handler", ""},
	"no handler":         {condition{source: status.Running, buildErr: errors.New("no mail server")}, status.Degraded, "no mail server", telemetry.CauseHandler},
	"rights are missing": {condition{source: status.Running, built: true, missing: "forbidden to patch pods"}, status.Degraded, "forbidden to patch pods", telemetry.CauseRights},
	"calls are stuck":    {condition{source: status.Running, built: true, overdue: "1 call"}, status.Degraded, "1 call", telemetry.CauseOverdue},
	"all calls fail":     {condition{source: status.Running, built: true, unavailable: "no hook"}, status.Degraded, "no hook", telemetry.CauseUnavailable},
	"calls fail":         {condition{source: status.Running, built: true, failing: "1 object", failingObjects: failingObjects{troubles: []telemetry.Cause{telemetry.CauseFailing}}}, status.Degraded, "1 object", telemetry.CauseFailing},
	"undecidable":        {condition{source: status.Running, built: true, undecidable: "no such key"}, status.Degraded, "no such key", telemetry.CauseUndecidable},
	"a change waits":     {condition{source: status.Running, built: true, pending: "not yet"}, status.ReloadPending, "the change of the definition waits: not yet", ""},
	"children are kept":  {condition{source: status.Running, built: true, held: "too many"}, status.PruneHeld, "too many", ""},
	"a rollout":          {condition{source: status.Running, built: true, rollout: "some are held"}, status.Running, "some are held", ""},
	"everything works":   {condition{source: status.Running, built: true}, status.Running, "", ""},
}

// TestStateIsTheFirstObstacle adds to each condition everything that comes after it: that must not
// show.
func TestStateIsTheFirstObstacle(t *testing.T) {
	worst := func(c condition) condition {
		c.buildErr, c.overdue, c.failing = errors.New("no handler"), "some calls", "some objects"
		return c
	}
	tests := map[string]struct {
		condition condition
		state     status.State
		reason    string
	}{
		"paused before everything": {
			worst(condition{paused: true, source: status.Degraded, sourceReason: "forbidden"}), status.Paused, "some calls",
		},
		"no source before all but that":     {worst(condition{}), status.Syncing, ""},
		"the source before the handler":     {worst(condition{source: status.Waiting, sourceReason: "no kind"}), status.Waiting, "no kind"},
		"the handler before its calls":      {worst(condition{source: status.Running}), status.Degraded, "no handler"},
		"the handler, being made, too":      {condition{source: status.Running, overdue: "a", failing: "b"}, status.Syncing, "making the handler"},
		"missing rights before stuck calls": {condition{source: status.Running, built: true, missing: "a", overdue: "b"}, status.Degraded, "a"},
		"a change that waits for what fails already": {
			condition{source: status.Running, built: true, failing: "1 object", pending: "not yet"},
			status.Degraded, "1 object; the change of the definition waits: not yet",
		},
		"a change of what lists again": {
			condition{source: status.Syncing, built: true, pending: "not yet"},
			status.Syncing, "the change of the definition waits: not yet",
		},
		"failed calls before children that are kept": {
			condition{source: status.Running, built: true, failing: "1 object", held: "too many"}, status.Degraded, "1 object",
		},
		"children that are kept before a change that waits": {
			condition{source: status.Running, built: true, held: "too many", pending: "not yet"},
			status.PruneHeld, "too many; the change of the definition waits: not yet",
		},
		"what all calls need before failed calls": {
			condition{source: status.Running, built: true, unavailable: "no hook", failing: "1 object"}, status.Degraded, "no hook",
		},
		"stuck calls before failed calls": {condition{source: status.Running, built: true, overdue: "a", failing: "b"}, status.Degraded, "a"},
	}
	for name, of := range conditions {
		tests[name] = struct {
			condition condition
			state     status.State
			reason    string
		}{of.condition, of.state, of.reason}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if state, reason := test.condition.state(); state != test.state || reason != test.reason {
				t.Errorf("state is %s %q, want %s %q", state, reason, test.state, test.reason)
			}
		})
	}
}

// TestCauses has definitions for which several things are wrong. Each of them is a cause, also what
// the state does not say, and of one fault there is one cause.
func TestCauses(t *testing.T) {
	because := func(causes ...telemetry.Cause) []telemetry.Cause { return causes }
	works := condition{source: status.Running, built: true}
	with := func(change func(c *condition)) condition {
		c := works
		change(&c)
		return c
	}
	for name, tc := range map[string]struct {
		condition condition
		want      []telemetry.Cause
	}{
		"nothing": {works, nil},
		"everything": {with(func(c *condition) {
			c.source, c.sourceReason, c.buildErr, c.missing = status.Degraded, "no answer", errors.New("no handler"), "a right"
			c.overdue, c.unavailable, c.failing, c.undecidable = "a", "b", "c", "d"
			c.troubles = because(telemetry.CauseFailing, telemetry.CauseOutOfRetries, telemetry.CauseRefused)
		}), telemetry.Causes()},
		"objects that are given up, and others": {
			with(func(c *condition) {
				c.failing, c.troubles = "2 objects", because(telemetry.CauseFailing, telemetry.CauseOutOfRetries)
			}),
			because(telemetry.CauseFailing, telemetry.CauseOutOfRetries),
		},
		"refused children alone": {
			with(func(c *condition) { c.failing, c.troubles = "1 object", because(telemetry.CauseRefused) }), because(telemetry.CauseRefused),
		},
		"calls that lack a right that is known": {
			with(func(c *condition) {
				c.missing, c.failing, c.troubles = "a right", "1 object", because(telemetry.CauseRights)
			}),
			because(telemetry.CauseRights),
		},
		"calls that lack a right that nobody knows": {
			with(func(c *condition) { c.failing, c.troubles = "1 object", because(telemetry.CauseRights) }), because(telemetry.CauseFailing),
		},
		"a right to watch and to write": {
			with(func(c *condition) { c.source, c.sourceForbidden, c.missing = status.Degraded, true, "a right" }), because(telemetry.CauseRights),
		},
		"a right to watch": {
			with(func(c *condition) { c.source, c.sourceForbidden = status.Degraded, true }), because(telemetry.CauseRights),
		},
		"a watch that fails, and calls that lack a right that nobody knows": {
			with(func(c *condition) {
				c.source, c.failing, c.troubles = status.Degraded, "1 object", because(telemetry.CauseRights)
			}),
			because(telemetry.CauseSource, telemetry.CauseFailing),
		},
		"a kind that is gone": {
			with(func(c *condition) {
				c.source, c.failing, c.troubles = status.Waiting, "1 object", because(telemetry.CauseFailing)
			}), nil,
		},
		"paused": {condition{paused: true, overdue: "1 call"}, nil},
	} {
		if diff := cmp.Diff(tc.want, tc.condition.causes()); diff != "" {
			t.Errorf("%s: causes (-want +have):\n%s", name, diff)
		}
	}
}

// TestEveryTransition goes from every condition to every other, and looks at all that tells of it:
// the board, the gauge and the log.
func TestEveryTransition(t *testing.T) {
	for from, a := range conditions {
		for to, b := range conditions {
			t.Run(from+" → "+to, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, registry, log := idleController(t, config.Definition{Name: "pods"})
					c.state.record(a.condition)
					log.Reset()
					entered := c.board.Get("pods").Since
					time.Sleep(time.Minute)
					c.state.record(b.condition)
					want := status.Status{State: b.state, Reason: b.reason, Since: entered}
					line := ""
					switch {
					case a.state != b.state:
						want.Since = time.Now()
						line = fmt.Sprintf(`"definition changed state" "controller"="pods" "state"=%q "was"=%q "reason"=%q`, b.state, a.state, b.reason)
					case a.reason != b.reason:
						line = fmt.Sprintf(`"definition's reason changed" "controller"="pods" "state"=%q "reason"=%q`, b.state, b.reason)
					}
					if diff := cmp.Diff(want, c.board.Get("pods")); diff != "" {
						t.Errorf("status (-want +have):\n%s", diff)
					}
					if have := log.String(); !strings.HasSuffix(strings.TrimSpace(have), line) || strings.Count(have, "\n") > 1 || (line == "") != (have == "") {
						t.Errorf("the log says %q, want %q", have, line)
					}
					if diff := cmp.Diff(map[string]float64{string(b.state): 1}, stateGauge(t, registry)); diff != "" {
						t.Errorf("kooperd_controller_state (-want +have):\n%s", diff)
					}
					degraded := map[string]float64{}
					if b.cause != "" {
						degraded[string(b.cause)] = 1
					}
					waits := map[string]float64{}
					if b.condition.pending != "" {
						waits["pods"] = 1
					}
					if diff := cmp.Diff(waits, notZero(t, registry, "kooperd_controller_reload_pending", "controller")); diff != "" {
						t.Errorf("kooperd_controller_reload_pending (-want +have):\n%s", diff)
					}
					if diff := cmp.Diff(degraded, notZero(t, registry, "kooperd_controller_degraded", "reason")); diff != "" {
						t.Errorf("kooperd_controller_degraded (-want +have):\n%s", diff)
					}
				})
			})
		}
	}
}

func TestStateAtFirst(t *testing.T) {
	for paused, want := range map[bool]status.State{false: status.Syncing, true: status.Paused} {
		synctest.Test(t, func(t *testing.T) {
			c, registry, log := idleController(t, config.Definition{Name: "pods", Paused: paused})
			if diff := cmp.Diff(status.Status{State: want, Since: time.Now()}, c.board.Get("pods")); diff != "" {
				t.Errorf("status (-want +have):\n%s", diff)
			}
			if diff := cmp.Diff(map[string]float64{string(want): 1}, stateGauge(t, registry)); diff != "" {
				t.Errorf("kooperd_controller_state (-want +have):\n%s", diff)
			}
			c.state.refresh()
			if log.String() != "" {
				t.Errorf("the log says %q of what has not changed", log)
			}
		})
	}
}

// idleController is a controller that does not run, with its metrics and its log.
func idleController(t *testing.T, def config.Definition) (*controller, *prometheus.Registry, *strings.Builder) {
	registry, log := prometheus.NewRegistry(), &strings.Builder{}
	metrics := telemetry.NewMetrics(registry)
	e := newEngine(Options{
		Metrics: metrics, Board: status.NewBoard(metrics),
		Logger: funcr.New(func(_, args string) { log.WriteString(args + "\n") }, funcr.Options{Verbosity: 1}),
	}, newFakeServer())
	return newController(e.shared, def), registry, log
}

// stateGauge returns the series of the state gauge that are not 0, by state.
func stateGauge(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	return notZero(t, registry, "kooperd_controller_state", "state")
}

// notZero returns the series of a gauge that are not 0, by a label.
func notZero(t *testing.T, registry *prometheus.Registry, gauge, by string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]float64{}
	for _, family := range families {
		if family.GetName() != gauge {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if label.GetName() == by && m.GetGauge().GetValue() != 0 {
					have[label.GetValue()] = m.GetGauge().GetValue()
				}
			}
		}
	}
	return have
}
